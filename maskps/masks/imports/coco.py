"""Masks in a COCO file: polygons and run lengths, of an annotation file or of a list of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskps.errors import AnnotationError, InputFileError, MaskpsError, shown_value
from maskps.findings import Finding, Level
from maskps.io.files import read_json
from maskps.masks.assignment import FoundMask
from maskps.masks.coco_categories import Categories, read_categories
from maskps.masks.coco_rle import RLE_FORMAT
from maskps.masks.imports.foreign import check_not_foreign
from maskps.masks.imports.scenes import ELSEWHERE, ImportScenes, check_size, odd_category
from maskps.masks.mask_file import FORMAT, HOLES_KEY, outline_of_annotation, points_of_polygon
from maskps.masks.outlines import FARTHEST, Outline, outline_from_polygons
from maskps.masks.rle import rle_to_mask
from maskps.masks.tracing import mask_to_outline
from maskps.protocols.identities import plain_identity

_WHAT = "COCO annotations ('images' and 'annotations'), or a list of COCO results"
_SKIPPED: dict[str, tuple[Level, str]] = {
    **ELSEWHERE,
    "image-unusable": ("error", "of images that cannot be used"),
    "crowd": ("info", "of groups (iscrowd)"),
    "other-category": ("info", "of other categories than person"),
    "undeclared-category": ("warning", "of categories that the file does not declare"),
    "no-segmentation": ("info", "without a segmentation"),
}
"""Why an annotation is not used: code of the finding, its level and its text."""


@dataclass
class _CocoFile:
    """One COCO file.

    Attributes:
        categories: which annotations are of persons.
        scenes: image id -> scene row, or why the image is not used, a key of `_SKIPPED`.
        sizes: image id -> (width, height), where known.
        names: image id -> file name, of images that are not used.
        is_results: whether it is a list of results, which declares no categories.
        has_our_rows: whether box_index and person_id are those of this data set's mask file.
        has_our_rings: whether the polygons are the rings of outlines, as in a mask file of ours.
        declared_ids: identities of the numbers in person_id, where the file lists them.
    """

    annotations: list[Any]
    categories: Categories
    scenes: dict[Any, int | str] = field(default_factory=dict)
    sizes: dict[Any, tuple[int, int]] = field(default_factory=dict)
    names: dict[Any, str] = field(default_factory=dict)
    is_results: bool = False
    has_our_rows: bool = False
    has_our_rings: bool = False
    declared_ids: list[Any] | None = None


def masks_in_coco(
    path: Path, scenes: ImportScenes, *, min_score: float = 0.0
) -> Iterator[FoundMask | Finding | None]:
    """Yields every mask of a person in a COCO file, and a finding for whatever cannot be used.

    Polygons of one annotation are united, as COCO defines; holes under our own key are cut out. A run-length
    encoding is traced: its outline covers exactly its pixels. Annotations without a segmentation, groups
    (`iscrowd`) and other categories than "person" are left out. A score below `min_score` yields None.

    In a file that we wrote for this data set, `box_index` names the person. In other files it is `person_id`,
    the data set's own identity. A list of results has the image and category ids of the subset's mask file.

    Raises:
        InputFileError: missing, cut off, or not COCO.
    """
    file, findings = _open(path, scenes)
    yield from findings
    skipped = dict.fromkeys(_SKIPPED, 0)
    first: dict[str, str] = {}
    for index, annotation in enumerate(file.annotations):
        where = f"{path} annotation {index}"
        try:
            reason = _reason_to_skip(annotation, file, where)
            if reason is not None:
                skipped[reason] += 1
                first.setdefault(reason, file.names.get(annotation["image_id"], ""))
                continue
            score = _score(annotation, where)
            is_low = score is not None and score < min_score
            yield None if is_low else _mask(annotation, file, scenes, score, where)
        except MaskpsError as error:
            yield Finding.of_error("annotation-unusable", error)
    for reason, count in skipped.items():
        if count:
            level, text = _SKIPPED[reason]
            example = f", the first: {first[reason]}" if first[reason] else ""
            yield Finding(reason, level, str(path), f"{count} annotations {text}{example}; not used")


def _open(path: Path, scenes: ImportScenes) -> tuple[_CocoFile, list[Finding]]:
    content = read_json(path, what=_WHAT)
    check_not_foreign(path, content)
    if isinstance(content, list):
        of_scenes: dict[Any, int | str] = dict(scenes.images)
        sizes = {image: scenes.sizes[row] for image, row in scenes.images.items() if row in scenes.sizes}
        only_persons = Categories(frozenset({1}), frozenset({1}))
        return _CocoFile(content, only_persons, of_scenes, sizes, is_results=True), []
    images = content.get("images") if isinstance(content, dict) else None
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(images, list) or not isinstance(annotations, list):
        hint = "give an annotation file, or results together with the images' ids of the subset's masks.json"
        raise InputFileError(path, expected=_WHAT, found="JSON of another kind", hint=hint)
    try:
        categories = read_categories(path, content.get("categories"))
    except AnnotationError as error:
        return _CocoFile([], Categories()), [Finding.of_error("categories", error)]
    findings = list(odd_category(path, categories))
    file = _CocoFile(annotations, categories)
    for index, image in enumerate(images):
        try:
            _add_image(image, file, scenes, f"{path} image {index}")
        except MaskpsError as error:
            findings.append(Finding.of_error("image-unusable", error))
    info = content.get("info")
    if isinstance(info, dict) and info.get("format") in (FORMAT, RLE_FORMAT):
        file.has_our_rings = info["format"] == FORMAT
        file.has_our_rows = info.get("fingerprint") == scenes.fingerprint
        if not file.has_our_rows:
            found = "made for another data set; the persons are found by their boxes"
            findings.append(Finding("other-data-set", "warning", str(path), found))
            file.declared_ids = []
    elif isinstance(content.get("maskps_ids"), list):
        file.declared_ids = content["maskps_ids"]
    return file, findings


def _add_image(image: Any, file: _CocoFile, scenes: ImportScenes, where: str) -> None:
    key, name = (image.get("id"), image.get("file_name")) if isinstance(image, dict) else (None, None)
    if not isinstance(key, int | str) or not isinstance(name, str):
        expected, hint = "an image with id and file_name", "write the file again"
        raise AnnotationError(where, expected=expected, found=shown_value(image), hint=hint)
    if key in file.scenes:
        raise AnnotationError(
            where, expected="every image id once", found=f"{key!r} again", hint="give each image its own id"
        )
    file.scenes[key] = "image-unusable"
    scene = scenes.find(name)
    if not isinstance(scene, int):
        file.scenes[key], file.names[key] = scene, name
        return
    known, width, height = scenes.sizes.get(scene), image.get("width"), image.get("height")
    if type(width) is int and type(height) is int and "maskps_size" not in image:
        check_size((width, height), known, f"{where} ({name})")
        file.sizes[key] = (width, height)
    elif known is not None:
        file.sizes[key] = known
    file.scenes[key] = scene


def _reason_to_skip(annotation: Any, file: _CocoFile, where: str) -> str | None:
    """Returns why an annotation is not used, a key of `_SKIPPED`; None if it is used."""
    image = annotation.get("image_id") if isinstance(annotation, dict) else None
    if not isinstance(image, int | str) or image not in file.scenes:
        raise AnnotationError(
            where,
            expected="an image_id of the file's images (of results: those of the subset's masks.json)",
            found=shown_value(image if isinstance(annotation, dict) else annotation),
            hint="export images and annotations together; text and number are different ids: '1' is not 1",
        )
    scene = file.scenes[image]
    if not isinstance(scene, int):
        return scene
    if annotation.get("iscrowd"):
        return "crowd"
    kind = file.categories.kind_of(annotation.get("category_id"))
    if kind != "person":
        return "undeclared-category" if kind == "undeclared" and not file.is_results else "other-category"
    return None if annotation.get("segmentation") else "no-segmentation"


def _score(annotation: Mapping[str, Any], where: str) -> float | None:
    score = annotation.get("score")
    if score is None:
        return None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        hint = "divide percentages by 100, or remove the key"
        raise AnnotationError(where, expected="a score from 0 to 1", found=shown_value(score), hint=hint)
    return float(score)


def _mask(
    annotation: Mapping[str, Any], file: _CocoFile, scenes: ImportScenes, score: float | None, where: str
) -> FoundMask:
    image = annotation["image_id"]
    scene = file.scenes[image]
    assert isinstance(scene, int)
    where = f"{where} ({scenes.train.names[scene]})"
    if file.has_our_rings:
        outline = outline_of_annotation(annotation, where)
    elif isinstance(annotation["segmentation"], dict):
        outline = _traced(annotation["segmentation"], file.sizes.get(image), where)
    else:
        outline = _united(annotation, where)
    person = _person(annotation, scene, file, scenes, where)
    return FoundMask(where, scene, outline, person, _box(annotation.get("bbox")), score)


def _traced(rle: Mapping[str, Any], size: tuple[int, int] | None, where: str) -> Outline:
    if isinstance(rle.get("size"), list) and len(rle["size"]) == 2:  # before it is decoded
        check_size((rle["size"][1], rle["size"][0]), size, where)
    mask = rle_to_mask(rle, where=where)
    outline = mask_to_outline(mask, where=where)
    if outline.is_empty:
        hint = "leave the annotation out"
        raise AnnotationError(where, expected="a mask with pixels", found="an empty one", hint=hint)
    return outline


def _united(annotation: Mapping[str, Any], where: str) -> Outline:
    polygons = annotation["segmentation"]
    if not isinstance(polygons, list):
        raise AnnotationError(
            where,
            expected="a segmentation: polygons or an RLE",
            found=shown_value(polygons),
            hint="write the annotation again",
        )
    holes = annotation.get(HOLES_KEY)
    rings = (
        [ring for part in holes if isinstance(part, list) for ring in part] if isinstance(holes, list) else []
    )
    hint = "a box of 4 numbers is not a polygon; write the annotation again"
    parts = [points_of_polygon(polygon, where, hint=hint) for polygon in polygons]
    if all((part >= 0).all() and (part <= 1).all() for part in parts):
        found, hint = "coordinates from 0 to 1", "multiply x by the image's width and y by its height"
        raise AnnotationError(where, expected="polygons in pixels", found=found, hint=hint)
    return outline_from_polygons(
        parts,
        holes=[points_of_polygon(ring, where, hint=hint) for ring in rings],
        where=where,
    )


def _person(
    annotation: Mapping[str, Any], scene: int, file: _CocoFile, scenes: ImportScenes, where: str
) -> int | None:
    person_id, box_index = annotation.get("person_id"), annotation.get("box_index")
    if file.has_our_rows and box_index is not None:
        persons = scenes.train.persons_of(scene)
        is_row = type(box_index) is int and 0 <= box_index < len(persons)
        row = persons[box_index] if is_row else None
        if row is None or type(person_id) is not int or scenes.train.pids[row] != person_id:
            raise AnnotationError(
                where,
                expected="box_index and person_id of one person of the scene",
                found=f"box_index {box_index!r:.40}, person_id {person_id!r:.40}",
                hint="keep both as they were, or remove both; the person is then found by the box",
            )
        return row
    if isinstance(person_id, float) and person_id.is_integer():
        person_id = int(person_id)
    if isinstance(person_id, bool) or not isinstance(person_id, int | str):
        return None
    if file.declared_ids is not None:
        if isinstance(person_id, int) and 0 < person_id <= len(file.declared_ids):
            return scenes.person_of_id(scene, str(file.declared_ids[person_id - 1]))
        return None
    return scenes.person_of_id(scene, plain_identity(str(person_id)))


def _box(bbox: Any) -> np.ndarray | None:
    """Returns the (4,) float64 xyxy of a COCO box; None if it is not one: the mask has a box of its own."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if not all(isinstance(side, int | float) and abs(side) < FARTHEST for side in bbox):
        return None
    x, y, width, height = (float(side) for side in bbox)
    return np.array([x, y, x + width, y + height]) if width > 0 and height > 0 else None
