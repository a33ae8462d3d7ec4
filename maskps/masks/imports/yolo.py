"""Masks in YOLO segmentation labels: one .txt file per image, one polygon per line.

    0 0.351 0.204 0.360 0.211 ...          class, then x, y, x, y, ...
    0 0.351 0.204 0.360 0.211 ... 0.93     the same with the score of a prediction at the end

x is a share of the image's width, y of its height. The parts of a person are joined into one polygon by
bridges (`maskps.masks.outlines`). The names of the classes come from classes.txt, obj.names or the .yaml file
of the data set, in the folder of the labels or above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, MaskpsError
from maskps.findings import Finding
from maskps.io.files import explained_reading, read_text
from maskps.masks.assignment import FoundMask
from maskps.masks.coco_categories import Categories, read_categories
from maskps.masks.imports.scenes import Elsewhere, ImportScenes, files_elsewhere, odd_category
from maskps.masks.outlines import outline_from_polygons

_NAME_LISTS = ("classes.txt", "obj.names")
_FARTHEST = 0.5
"""Points may lie outside the image by this share of its width and height."""


def masks_in_yolo(
    source: Path, scenes: ImportScenes, *, min_score: float = 0.0
) -> Iterator[FoundMask | Finding | None]:
    """Yields the masks of persons in a label file or a folder of them, and a finding for what cannot be used.

    Lines of other classes and boxes are left out. A score below `min_score` yields None.
    """
    files = [source] if not source.is_dir() else sorted(source.rglob("*.[tT][xX][tT]"))
    elsewhere: dict[Elsewhere, list[str]] = {}
    lines: list[tuple[str, int, list[float]]] = []
    for path in files:
        if path.name in _NAME_LISTS:
            continue
        scene = scenes.find(_image_of(path, source), has_ending=False)
        if not isinstance(scene, int):
            elsewhere.setdefault(scene, []).append(path.name)
            continue
        try:
            lines += [(where, scene, numbers) for where, numbers in _read_lines(path)]
        except MaskpsError as error:
            yield Finding.of_error("labels-unusable", error)
    yield from files_elsewhere(source, elsewhere)
    try:
        categories = _categories(source, {numbers[0] for _, _, numbers in lines})
    except MaskpsError as error:
        yield Finding.of_error("categories", error)
        return
    yield from odd_category(source, categories)
    boxes = others = 0
    for where, scene, numbers in lines:
        if categories.kind_of(numbers[0]) != "person":
            others += 1
        elif len(numbers) in (5, 6):
            boxes += 1
        else:
            try:
                mask = _mask(where, scene, numbers, scenes)
                yield mask if mask.score is None or mask.score >= min_score else None
            except MaskpsError as error:
                yield Finding.of_error("annotation-unusable", error)
    for code, count, text in (
        ("other-category", others, "lines of other classes than person"),
        ("no-segmentation", boxes, "lines with a box, not an outline"),
    ):
        if count:
            yield Finding(code, "info", str(source), f"{count} {text}; not used")


def _image_of(path: Path, source: Path) -> str:
    """Returns the image's name without ending: the path below the last folder named "labels"."""
    inner = path.name if path == source else path.relative_to(source).as_posix()
    parts = PurePosixPath(inner).with_suffix("").parts
    start = max((at + 1 for at, part in enumerate(parts[:-1]) if part == "labels"), default=0)
    return "/".join(parts[start:])


def _read_lines(path: Path) -> Iterator[tuple[str, list[float]]]:
    """Yields the place and the numbers of each line: the class, and the coordinates."""
    with explained_reading(path, what="YOLO labels"):
        text = read_text(path)
    for row, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path} line {row}"
        try:
            numbers = [float(word) for word in line.split()]
        except ValueError:
            numbers = []
        if len(numbers) < 5 or not np.isfinite(numbers).all() or numbers[0] < 0 or numbers[0] % 1:
            raise AnnotationError(
                where,
                expected="a class, and x, y of 3 points or more, as shares of the image's width and height",
                found=line[:60],
                hint="export YOLO segmentation labels, or COCO",
            )
        yield where, numbers


def _mask(where: str, scene: int, numbers: list[float], scenes: ImportScenes) -> FoundMask:
    where = f"{where} ({scenes.train.names[scene]})"
    score = numbers[-1] if len(numbers) % 2 == 0 else None
    points: NDArray[np.float64] = np.array(numbers[1 : -1 if score is not None else None]).reshape(-1, 2)
    if score is not None and not 0 <= score <= 1:
        hint = "export the labels again"
        raise AnnotationError(where, expected="a score from 0 to 1 at the end", found=f"{score:g}", hint=hint)
    if (np.abs(points - 0.5) > 0.5 + _FARTHEST).any():
        expected, hint = "coordinates from 0 to 1", "divide x by the image's width and y by its height"
        found = f"coordinates up to {points.max():g}"
        raise AnnotationError(where, expected=expected, found=found, hint=hint)
    if scene not in scenes.sizes:
        expected = "an image of known size: the labels are shares of it"
        hint = "copy the image to its place"
        raise AnnotationError(where, expected=expected, found="no image", hint=hint)
    outline = outline_from_polygons([points * scenes.sizes[scene]], where=where)
    return FoundMask(where, scene, outline, score=score)


def _categories(source: Path, classes: set[float]) -> Categories:
    """Returns which classes are persons.

    Raises:
        AnnotationError: several classes, or one that is not 0, and no list of their names; no class "person".
    """
    folder = source if source.is_dir() else source.parent
    for above in (folder, *folder.absolute().parents[:2]):
        lists = [above / name for name in _NAME_LISTS]
        for path in (*lists, *sorted(above.glob("*.y*ml"))):
            if path.is_file():
                with explained_reading(path, what="names of classes"):
                    text = read_text(path)
                names = enumerate(text.split("\n")) if path in lists else _names_in_yaml(text)
                if entries := [{"id": key, "name": name} for key, name in names if name.strip()]:
                    return read_categories(path, entries)
    if classes <= {0.0}:
        return Categories()
    raise AnnotationError(
        source,
        expected="class 0 alone, or the names of the classes in data.yaml or classes.txt",
        found=f"the classes {', '.join(f'{number:g}' for number in sorted(classes)[:10])}, and no such file",
        hint="put classes.txt beside the labels: one name per line, class 0 first, persons as 'person'",
    )


def _names_in_yaml(text: str) -> Iterator[tuple[int, str]]:
    """Yields number and name of each class in the key "names" of a YOLO data set: a list or a mapping."""
    found = re.search(r"^names:(.*(?:\n(?:[ \t-].*|[ \t]*))*)", re.sub(r"\s#.*", "", text), re.MULTILINE)
    entries = re.split(r"[,\n]", found[1].strip(" \t\n[]{}")) if found else []
    for place, entry in enumerate(entry.strip() for entry in entries if entry.strip()):
        key, _, name = entry.rpartition(":")
        yield int(key) if key.strip().isdecimal() else place, name.removeprefix("-").strip(" \t'\"")
