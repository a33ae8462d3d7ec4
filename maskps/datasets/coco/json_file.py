"""Reads a COCO-style file into columns, with findings on everything that is wrong with its entries.

The reader and `verify` share this: the reader stops at the first error, `verify` reports all of them.
docs/coco.md describes the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.columns import owner_of, owners_of
from maskps.datasets.coco.entries import FARTHEST, EntryFindings
from maskps.datasets.coco.ids import WHAT, read_declared_ids, read_ids
from maskps.datasets.coco.images import CocoImages, read_images
from maskps.datasets.unreadable import file_finding
from maskps.errors import AnnotationError, InputFileError, shown_value
from maskps.findings import Finding, Rule
from maskps.io.files import read_json
from maskps.masks.coco_categories import PERSON, Categories, read_categories

_CATEGORY_NAME = Rule(
    "coco-category-name",
    "warning",
    f"a category '{PERSON}'",
    f"nothing to do, if these are persons; '{PERSON}' as the name is clearer",
)
_ALL_LEFT_OUT = Rule(
    "coco-all-left-out",
    "error",
    f"annotations of the category '{PERSON}', without iscrowd",
    "compare the category_id of the annotations with the ids of 'categories', and their iscrowd",
)


@dataclass(frozen=True)
class CocoColumns:
    """The usable entries of one file: images as listed, persons in the order of the images.

    Attributes:
        path: the file.
        names: (S,) `file_name`, which may repeat.
        offsets: (S + 1,) int64; persons of image i are the rows `offsets[i]:offsets[i + 1]`.
        boxes: (P, 4) float64, x, y, width, height as in the file, empty ones too.
        ids: (P,) object: the identity as text, None for an unlabeled person.
        is_hard: (P,) bool, from `ishard`.
        entries: (P,) int64, position of each person in the file's list of annotations.
        areas: (P,) float64, the `area` of persons without a segmentation, else NaN.
        sizes: (S, 2) int64 width and height in pixels, None unless all images have them.
        cameras: (S,) int64, None unless all images have one.
        declared_ids: identities in the order of their pids; None if maskps did not write the file.
        marks: the marks of unlabeled persons, e.g. {"-1": 3141}; "missing" if the key is absent.
        repeated_annotation_ids: number of annotations whose `id` an earlier one has.
    """

    path: Path
    names: list[str]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float64]
    ids: NDArray[np.object_]
    is_hard: NDArray[np.bool_]
    entries: NDArray[np.int64]
    areas: NDArray[np.float64]
    sizes: NDArray[np.int64] | None
    cameras: NDArray[np.int64] | None
    declared_ids: list[str] | None
    marks: dict[str, int]
    repeated_annotation_ids: int

    @property
    def scene_of_person(self) -> NDArray[np.int64]:
        """(P,) int64: the image of each person."""
        return owners_of(self.offsets)

    def where(self, person: int) -> str:
        """Returns the place of a person row, for messages."""
        image, _ = owner_of(self.offsets, person)
        return f"{self.path}, annotation {self.entries[person]} ({self.names[image]})"


def read_columns(path: Path) -> tuple[CocoColumns, list[Finding]]:
    """Returns the file's columns and what is wrong with its entries, one finding per kind of problem.

    The columns have only usable entries. Numbers given as text are read as numbers, for the checks that
    follow. After a finding of level "error", the columns are not what the file's author meant.

    Raises:
        InputFileError: the file is missing, not JSON, or holds no lists `images` and `annotations`.
    """
    content = _read_content(path)
    problems = EntryFindings(path)
    images = read_images(content["images"], problems)
    declared_ids = read_declared_ids(content, path)
    annotations = _read_annotations(content, images, problems)
    scene, boxes, is_box = _read_boxes(annotations, images, problems)
    order = np.flatnonzero(is_box)[np.argsort(scene[is_box], kind="stable")]
    marks: dict[str, int] = {}
    ids = read_ids(annotations.entries, scene, declared_ids, marks, problems)
    columns = CocoColumns(
        path=path,
        names=images.names,
        offsets=np.searchsorted(scene[order], np.arange(len(images.names) + 1)).astype(np.int64),
        boxes=boxes[order],
        ids=ids[order],
        is_hard=_read_marks(annotations.entries, problems)[order],
        entries=annotations.rows[order],
        areas=np.array([_area(annotations.entries[row][1]) for row in order.tolist()], np.float64),
        sizes=images.sizes,
        cameras=images.cameras,
        declared_ids=declared_ids,
        marks=marks,
        repeated_annotation_ids=annotations.repeated_ids,
    )
    corners = _corners_finding(columns)
    return columns, problems.findings + ([corners] if corners else [])


def _read_content(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, what=WHAT)
    except InputFileError as error:
        reason = file_finding(path, error, root=path.parent)
        raise InputFileError(path, expected=f"{WHAT}, JSON", found=reason.found, hint=reason.hint) from error
    lists = "an object with the lists 'images' and 'annotations'"
    if not isinstance(content, dict):
        found = "a list" if isinstance(content, list) else shown_value(content)
        hint = "a list alone is what detectors write as results; give the annotation file"
        raise InputFileError(path, expected=lists, found=found, hint=hint)
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            found = f"no '{key}'" if key not in content else f"'{key}': {shown_value(content[key])}"
            hint = "give the data set's annotation file, see docs/coco.md"
            raise InputFileError(path, expected=lists, found=found, hint=hint)
    return content


@dataclass(frozen=True)
class _Annotations:
    """Annotations of persons: each with its position in the file, and the positions as a column."""

    entries: list[tuple[int, dict[str, Any]]]
    rows: NDArray[np.int64]
    repeated_ids: int


def _read_annotations(content: dict[str, Any], images: CocoImages, problems: EntryFindings) -> _Annotations:
    annotations: list[Any] = content["annotations"]
    no_objects = [(row, entry) for row, entry in enumerate(annotations) if not isinstance(entry, dict)]
    entries = [(row, entry) for row, entry in enumerate(annotations) if isinstance(entry, dict)]
    total = len(annotations)
    problems.add(
        "coco-annotation", "error", no_objects, total, what="annotation", found="{}",
        expected="an object with image_id and bbox", hint="remove it, or make the file again",
    )  # fmt: skip

    try:
        categories = read_categories(problems.path, content.get("categories"))
    except AnnotationError as error:
        problems.findings.append(Finding.of_error("coco-no-person", error))
        categories = Categories()
    if categories.odd_name is not None:
        found = f"the only category is {categories.odd_name}; its annotations are read as persons"
        problems.findings.append(_CATEGORY_NAME.broken(problems.path, found))
    kinds = [categories.kind_of(entry.get("category_id")) for _, entry in entries]
    other, undeclared = (
        [
            (row, entry.get("category_id"))
            for (row, entry), kind in zip(entries, kinds, strict=True)
            if kind == wanted
        ]
        for wanted in ("other", "undeclared")
    )
    problems.add(
        "coco-other-category", "warning", other, total, what="annotation",
        found="category_id {}, left out", expected=f"the category '{PERSON}'",
        hint="nothing to do, if these are not persons",
    )  # fmt: skip
    problems.add(
        "coco-category-undeclared", "error", undeclared, total, what="annotation",
        found="category_id {}, which 'categories' does not list", expected="the id of one of the categories",
        hint="add the category to 'categories', or correct the category_id",
    )  # fmt: skip
    crowds = [(row, entry["iscrowd"]) for row, entry in entries if entry.get("iscrowd") not in (None, 0)]
    problems.add(
        "coco-crowd", "warning", crowds, total, what="annotation",
        found="iscrowd {}, left out", expected="one person per annotation (iscrowd 0)",
        hint="nothing to do, if these are groups; else set iscrowd to 0",
    )  # fmt: skip
    left_out = {row for row, _ in chain(other, undeclared, crowds)}
    if entries and len(left_out) == len(entries):
        problems.findings.append(_ALL_LEFT_OUT.broken(problems.path, f"none in {total:,} annotations"))
    entries = [(row, entry) for row, entry in entries if row not in left_out]
    ids = [entry.get("id") for _, entry in entries]
    distinct = {value for value in ids if type(value) in (int, str)}
    return _Annotations(
        entries,
        np.array([row for row, _ in entries], np.int64),
        sum(value is not None for value in ids) - len(distinct),
    )


def _read_boxes(
    annotations: _Annotations, images: CocoImages, problems: EntryFindings
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Returns image row and box (x, y, width, height) of every annotation, and whether it has both."""
    entries, total = annotations.entries, len(annotations.entries)
    scene = np.full(total, -1, np.int64)
    dangling: list[tuple[int, Any]] = []
    for index, (row, entry) in enumerate(entries):
        key = entry.get("image_id")
        found = images.row_of_id.get(key, -1) if type(key) in (int, str) else -1
        scene[index] = found
        if found < 0 and not (type(key) in (int, str) and key in images.row_of_id):
            dangling.append((row, key))
    problems.add(
        "coco-image-missing", "error", dangling, total, what="annotation",
        found="image_id {}, which no image has", expected="the id of one of the images",
        hint=_dangling_hint(dangling, images),
    )  # fmt: skip

    listed = [entry.get("bbox") for _, entry in entries]
    boxes = np.zeros((total, 4))
    is_box = np.ones(total, bool)
    texts: list[tuple[int, Any]] = []
    bad: list[tuple[int, Any]] = []
    for index, box in enumerate(listed):
        numbers = _box_numbers(box)
        if numbers is None or box is None:
            is_box[index] = False
            bad.append((entries[index][0], box))
            continue
        boxes[index] = numbers
        if any(isinstance(value, str) for value in box):
            texts.append((entries[index][0], box))
    problems.add(
        "coco-box", "error", bad, total, what="annotation", found="bbox {}",
        expected="four numbers x, y, width, height in pixels, each below 2^24",
        hint="correct the box, or remove the annotation",
    )  # fmt: skip
    problems.add(
        "coco-box-text", "error", texts, total, what="annotation", found="bbox {}: text",
        expected="four numbers x, y, width, height",
        hint="write the boxes as numbers, without quotation marks",
    )  # fmt: skip
    return scene, boxes, is_box & (scene >= 0)


def _dangling_hint(dangling: list[tuple[int, Any]], images: CocoImages) -> str:
    for _, key in dangling:
        if (isinstance(key, str) and any(str(known) == key for known in images.row_of_id)) or (
            type(key) is int and str(key) in images.row_of_id
        ):
            return "the ids of the images and image_id differ in type: make both numbers"
    return "add the image to 'images', or remove the annotation"


def _box_numbers(box: Any) -> list[float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    numbers = [_number(value) for value in box]
    return numbers if all(abs(value) < FARTHEST for value in numbers) else None


def _number(value: Any) -> float:
    """Returns a number, or the number in a text; NaN for anything else."""
    if type(value) not in (int, float, str):
        return float("nan")
    try:
        return float(value)
    except (ValueError, OverflowError):
        return float("nan")


def _area(entry: dict[str, Any]) -> float:
    return float("nan") if entry.get("segmentation") else _number(entry.get("area"))


def _read_marks(entries: list[tuple[int, dict[str, Any]]], problems: EntryFindings) -> NDArray[np.bool_]:
    values = [entry.get("ishard", 0) for _, entry in entries]
    bad = [
        (row, value)
        for (row, _), value in zip(entries, values, strict=True)
        if not isinstance(value, int) or value not in (0, 1)
    ]
    problems.add(
        "coco-ishard", "error", bad, len(entries), what="annotation", found="ishard {}",
        expected="0 or 1", hint="write 1 for a person who is hard to recognise, else 0",
    )  # fmt: skip
    return np.array([value == 1 for value in values], bool)


def _corners_finding(columns: CocoColumns) -> Finding | None:
    """Returns a finding if the boxes make sense only as x0, y0, x1, y1.

    As x, y, width, height, at least one box in ten must end farther outside its image than a tenth of the
    image; as corners, all of them must have a size and lie inside, give or take a pixel.
    """
    if columns.sizes is None or not len(columns.boxes):
        return None
    size = columns.sizes[columns.scene_of_person]
    ends = columns.boxes[:, :2] + columns.boxes[:, 2:]
    far_out = np.asarray((ends > 1.1 * size).any(axis=1))
    good_corners = (columns.boxes[:, 2:] > columns.boxes[:, :2]) & (columns.boxes[:, 2:] <= size + 1)
    if 10 * np.count_nonzero(far_out) < len(far_out) or not good_corners.all():
        return None
    person = int(np.flatnonzero(far_out)[0])
    box = ", ".join(f"{value:g}" for value in columns.boxes[person])
    return Finding(
        "coco-box-corners",
        "error",
        columns.where(person),
        f"bbox {box} in an image of {size[person, 0]} x {size[person, 1]}: {np.count_nonzero(far_out):,} of "
        f"{len(far_out):,} boxes reach far out of their image, but as x0, y0, x1, y1 all of them fit",
        "x, y, width, height",
        "the boxes are corners: subtract the first two numbers from the last two",
    )
