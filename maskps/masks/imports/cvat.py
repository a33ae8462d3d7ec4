"""Masks in CVAT files ("CVAT for images 1.1"): polygons and masks, drawn per image.

    <image id="0" name="s15538.jpg" width="800" height="600">
      <polygon label="person" points="30.0,60.0;80.0,60.0;..." group_id="1">
        <attribute name="person_id">p3219</attribute>
      </polygon>
      <mask label="person" rle="3, 5, 7, ..." left="20" top="40" width="60" height="130"/>
    </image>

Shapes of one label and one group_id are one person. The runs of a mask count its pixels row by row, outside,
inside, outside, ..., within its own box.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.findings import Finding
from maskps.io.files import explained_reading, open_file
from maskps.masks.assignment import FoundMask
from maskps.masks.coco_categories import read_categories
from maskps.masks.imports.foreign import EXPECTED, SEE
from maskps.masks.imports.scenes import ELSEWHERE, ImportScenes, check_size, odd_category
from maskps.masks.outlines import outline_from_parts, polygon_from_points
from maskps.masks.rle import MAX_PIXELS
from maskps.masks.tracing import mask_to_outline

_AGAIN = "export it again from CVAT as 'CVAT for images 1.1'"


class _Builder(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuses document types: only they can declare entities, which expand without limit."""
        raise ValueError("a document type, which CVAT does not write")


def masks_in_cvat(source: Path, scenes: ImportScenes) -> Iterator[FoundMask | Finding]:
    """Yields the masks of persons in a CVAT file or a folder of them, and a finding for what cannot be used.

    Raises:
        InputFileError: not XML, not of CVAT, or of videos.
    """
    for path in [source] if not source.is_dir() else sorted(source.rglob("*.[xX][mM][lL]")):
        yield from _masks_in_file(path, scenes)


def _masks_in_file(path: Path, scenes: ImportScenes) -> Iterator[FoundMask | Finding]:
    root = _read(path)
    images = root.findall("image")
    labels = [name.text or "" for name in root.iterfind("meta//label/name")]
    labels = labels or sorted({shape.get("label", "") for image in images for shape in image})
    try:
        categories = read_categories(path, [{"id": name, "name": name} for name in dict.fromkeys(labels)])
    except MaskpsError as error:
        yield Finding.of_error("categories", error)
        return
    yield from odd_category(path, categories)
    skipped: dict[str, int] = {}
    first: dict[str, str] = {}
    for image in images:
        name = image.get("name", "")
        scene = scenes.find(name)
        if not isinstance(scene, int):
            skipped[scene] = skipped.get(scene, 0) + len(image)
            first.setdefault(scene, name)
            continue
        persons: dict[Hashable, list[Any]] = {}
        for index, shape in enumerate(image):
            kind = categories.kind_of(shape.get("label"))
            if kind != "person" or shape.tag not in ("polygon", "mask"):
                reason = "no-segmentation" if kind == "person" else "other-category"
                skipped[reason] = skipped.get(reason, 0) + 1
                continue
            group = shape.get("group_id", "0")
            key = (index,) if group == "0" else (shape.get("label"), group)
            persons.setdefault(key, []).append(shape)
        for number, shapes in enumerate(persons.values(), start=1):
            where = f"{path} person {number} of {name}"
            try:
                yield _mask(image, shapes, scene, scenes, where)
            except MaskpsError as error:
                yield Finding.of_error("annotation-unusable", error)
    texts = ELSEWHERE | {
        "other-category": ("info", "of other labels than person"),
        "no-segmentation": ("info", "that are not polygons or masks"),
    }
    for reason, count in skipped.items():
        level, text = texts[reason]
        example = f", the first: {first[reason]}" if reason in first else ""
        yield Finding(reason, level, str(path), f"{count} shapes {text}{example}; not used")


def _read(path: Path) -> ET.Element:
    try:
        with explained_reading(path, what="a CVAT file"), open_file(path) as file:
            root = ET.parse(file, ET.XMLParser(target=_Builder())).getroot()
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        found = f"{error!s:.100}"
        raise InputFileError(path, expected="a CVAT file, XML", found=found, hint=_AGAIN) from error
    found = ""
    if root.tag == "annotation":
        found, hint = "a Pascal VOC file, which has boxes only", f"export polygons; {SEE}"
    elif root.tag == "annotations" and root.find("track") is not None:
        found, hint = "a CVAT file of a video, with tracks", _AGAIN
    elif root.tag != "annotations" or root.find("image") is None:
        found, hint = f"XML of another kind, <{root.tag}>", f"{_AGAIN}; {SEE}"
    if found:
        raise InputFileError(path, expected=EXPECTED, found=found, hint=hint)
    return root


def _mask(
    image: ET.Element, shapes: list[ET.Element], scene: int, scenes: ImportScenes, where: str
) -> FoundMask:
    size = (_number(image, "width", where), _number(image, "height", where))
    check_size(size, scenes.sizes.get(scene), where)
    parts = [_geometry(shape, size, where) for shape in shapes]
    identities = {
        (attribute.text or "").strip()
        for shape in shapes
        for attribute in shape.iterfind("attribute[@name='person_id']")
    }
    if len(identities) > 1:
        found = f"the person_ids {', '.join(sorted(identities))} in one group"
        hint = "correct the attribute, or take the shapes out of the group"
        raise AnnotationError(where, expected="one person", found=found, hint=hint)
    person = scenes.person_of_id(scene, identities.pop()) if identities else None
    return FoundMask(where, scene, outline_from_parts(parts, where=where), person)


def _geometry(shape: ET.Element, size: tuple[int, int], where: str) -> Any:
    """Returns the area of a polygon or a mask as a shapely geometry."""
    if shape.tag == "mask":
        return _traced(shape, size, where)
    text = shape.get("points", "")
    try:
        points = np.array([[float(side) for side in point.split(",")] for point in text.split(";")])
    except ValueError:
        expected = "points as x,y;x,y;..."
        raise AnnotationError(where, expected=expected, found=text[:60], hint=_AGAIN) from None
    return polygon_from_points(points, where)


def _traced(shape: ET.Element, size: tuple[int, int], where: str) -> Any:
    left, top, width, height = (_number(shape, key, where) for key in ("left", "top", "width", "height"))
    text = shape.get("rle", "")
    try:
        runs = np.array([int(run) for run in text.split(",")], dtype=np.int64)
    except (ValueError, OverflowError):
        runs = np.array([-1], dtype=np.int64)
    is_inside = 0 <= left <= left + width <= size[0] and 0 <= top <= top + height <= size[1]
    is_complete = (runs >= 0).all() and (runs <= MAX_PIXELS).all() and int(runs.sum()) == width * height
    if not is_inside or not is_complete or width * height > MAX_PIXELS:
        expected = f"an rle that adds up to {width} x {height} pixels, within the image"
        raise AnnotationError(where, expected=expected, found=text[:60], hint=_AGAIN)
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return mask_to_outline(pixels, origin=(left, top), where=where).to_shapely()


def _number(element: ET.Element, key: str, where: str) -> int:
    """Returns a whole number of an attribute; CVAT writes some with decimals."""
    text = element.get(key, "")
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= MAX_PIXELS or number % 1:
        expected = f"{key} in pixels"
        raise AnnotationError(where, expected=expected, found=text[:60] or "none", hint=_AGAIN)
    return int(number)
