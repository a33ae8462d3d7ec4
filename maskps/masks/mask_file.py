"""masks.json: the outlines of a mask subset, as COCO instances that pycocotools loads.

    info         format "maskps-masks", version 1, fingerprint of the data set
    images       id, file_name, width, height
    annotations  id, image_id, category_id 1, bbox (x, y, width, height), area, iscrowd 0,
                 segmentation, and ours: person_id (the pid), box_index (row of the person within its
                 scene), mask_state ("PRESENT", "MISSING", "NOT_APPLICABLE"), and maskps_holes where the
                 outline has holes
    categories   1: person

The file lists every person of every image of the subset, in the order of the scene, and no other image. The
segmentation holds the outer rings with every digit. COCO polygons cannot have holes (a ring inside a ring is
a union), so `maskps_holes` holds, for each outer ring, the list of the rings in it. Readers that know only
COCO see the persons with their holes filled; our reader loses nothing. `area` is that of the outline minus
its holes, or of the box if there is no outline. An image of unknown size gets the smallest whole size that
holds its boxes and outlines, and "maskps_size": "extent". docs/masks.md shows what other readers see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_area
from maskps.errors import AnnotationError, InputFileError, shown_value
from maskps.io.files import check_format, read_json, written_atomically
from maskps.masks.outlines import FARTHEST, Outline, ring_area
from maskps.structures import MaskState, SceneTable

FORMAT = "maskps-masks"
VERSION = 1
HOLES_KEY = "maskps_holes"
"""Key of an annotation: for each outer ring of its segmentation the list of the rings in it."""

_WHAT = "a mask file (masks.json)"
_HINT = "give the masks.json that build-subset wrote"
_EDITED = "do not edit masks.json by hand; change the LabelMe files and build the subset again"


@dataclass(frozen=True)
class PersonMasks:
    """State and outline of the mask of every person of a training table.

    Attributes:
        states: (P,) int8, a `MaskState` per person row of the table.
        outlines: person row -> outline, for exactly the persons whose state is PRESENT.

    Raises:
        AnnotationError: states and outlines disagree.
    """

    states: NDArray[np.int8]
    outlines: Mapping[int, Outline]

    def __post_init__(self) -> None:
        present = np.flatnonzero(self.states == MaskState.PRESENT)
        if sorted(self.outlines) != present.tolist():
            raise AnnotationError(
                "PersonMasks",
                expected="an outline for exactly the persons whose mask is PRESENT",
                found=f"{len(self.outlines)} outlines, {len(present)} persons PRESENT",
            )


def masks_of_scenes(
    train: SceneTable, scene_rows: NDArray[np.int64], outlines: Mapping[int, Outline]
) -> PersonMasks:
    """Returns the masks of a subset: its labeled persons are PRESENT or MISSING, all others NOT_APPLICABLE.

    Args:
        scene_rows: (K,) rows of the subset's scenes.
        outlines: person row -> outline.

    Raises:
        AnnotationError: an outline of a person who needs none (Sec. 3.1: only labeled persons of the subset).
    """
    states = np.full(train.num_persons, MaskState.NOT_APPLICABLE, dtype=np.int8)
    wanted = np.isin(train.scene_of_person, scene_rows) & train.is_labeled
    states[wanted] = MaskState.MISSING
    for row, outline in outlines.items():
        if outline.is_empty:
            raise AnnotationError(
                train.person_name(row),
                expected="an outline with an area",
                found="an empty one",
                hint="leave it out: the mask is then MISSING",
            )
        if not 0 <= row < len(states) or not wanted[row]:
            raise AnnotationError(
                train.person_name(row),
                expected="outlines of labeled persons in images of the subset",
                found="an outline of a person who needs none",
            )
        states[row] = MaskState.PRESENT
    return PersonMasks(states, dict(outlines))


def write_masks(
    path: Path,
    train: SceneTable,
    masks: PersonMasks,
    *,
    fingerprint: str,
    scene_rows: NDArray[np.int64] | None = None,
    sizes: Mapping[int, tuple[int, int]] | None = None,
) -> None:
    """Writes masks.json, atomically; the same masks give the same bytes.

    Args:
        train: the table whose person rows the masks are keyed by.
        scene_rows: (K,) scenes to list; by default those with a mask that is PRESENT or MISSING.
        sizes: scene row -> (width, height) in pixels, where known; otherwise `train.size` counts.
    """
    scene_of_person = train.scene_of_person
    box_areas = box_area(train.boxes)
    if scene_rows is None:
        scene_rows = np.unique(scene_of_person[masks.states != MaskState.NOT_APPLICABLE])
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scene_rows.tolist(), start=1):
        image = {"id": image_id, "file_name": str(train.names[scene])}
        images.append(image | _size(train, masks, scene, sizes))
        for box_index, row in enumerate(train.persons_of(scene)):
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1}
            annotations.append(annotation | _person(train, masks, row, box_index, float(box_areas[row])))
    info = {
        "description": "maskps: outlines of the labeled persons of a mask subset",
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint,
    }
    write_mask_json(path, info, images, annotations)


def write_mask_json(
    path: Path, info: Mapping[str, Any], images: Sequence[Any], annotations: Sequence[Any]
) -> None:
    """Writes COCO JSON atomically, one record per line: quick to write, and easy to compare line by line."""
    blocks: dict[str, list[str]] = {
        "info": [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in info.items()],
        "licenses": [],
        "categories": ['{"id": 1, "name": "person", "supercategory": "person"}'],
        "images": [json.dumps(image) for image in images],
        "annotations": [json.dumps(annotation) for annotation in annotations],
    }
    texts = []
    for key, lines in blocks.items():
        left, right = "{}" if key == "info" else "[]"
        inner = "\n  " + ",\n  ".join(lines) + "\n" if lines else ""
        texts.append(f'"{key}": {left}{inner}{right}')
    with written_atomically(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")


def read_masks(path: Path, train: SceneTable, *, fingerprint: str) -> PersonMasks:
    """Returns the masks of masks.json, keyed by the person rows of `train`.

    Raises:
        InputFileError: missing, cut off, not a mask file, of a newer version.
        AnnotationError: made for another data set, or edited so that it contradicts this one.
    """
    content = read_mask_json(path)
    _check_fingerprint(content, fingerprint, path)
    scenes = _read_images(content["images"], train, path)
    states = np.full(train.num_persons, MaskState.NOT_APPLICABLE, dtype=np.int8)
    seen = np.zeros(train.num_persons, dtype=np.bool_)
    outlines: dict[int, Outline] = {}
    for index, annotation in enumerate(content["annotations"]):
        where = f"{path} annotation {index}"
        try:
            row, state, outline = _read_person(annotation, scenes, train, where)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise AnnotationError(
                where,
                expected="a person as written by maskps",
                found=f"{type(error).__name__}: {error}",
                hint=_EDITED,
            ) from error
        if seen[row]:
            found = f"{train.person_name(row)} twice"
            raise AnnotationError(where, expected="every person once", found=found, hint=_EDITED)
        seen[row] = True
        states[row] = state
        if outline is not None:
            outlines[row] = outline
    _check_complete(train, np.array(sorted(scenes.values()), dtype=np.int64), seen, path)
    return PersonMasks(states, outlines)


def read_mask_images(path: Path, train: SceneTable, *, fingerprint: str) -> dict[int, int]:
    """Returns image id -> scene row of `train` for the images that masks.json lists.

    Raises:
        InputFileError, AnnotationError: as `read_masks`.
    """
    content = read_mask_json(path)
    _check_fingerprint(content, fingerprint, path)
    return _read_images(content["images"], train, path)


def read_mask_json(path: Path) -> dict[str, Any]:
    """Returns the content of masks.json with its lists "images" and "annotations"; entries are not checked.

    Raises:
        InputFileError: missing, cut off, not a mask file, of a newer version.
    """
    content = read_json(path, what=_WHAT)
    info: Any = content.get("info") if isinstance(content, dict) else None
    check_format(path, info, format=FORMAT, version=VERSION, what=_WHAT, hint=_HINT)
    if not all(isinstance(content.get(key), list) for key in ("images", "annotations")):
        raise InputFileError(
            path, expected="lists 'images' and 'annotations'", found="something else", hint=_EDITED
        )
    return content


def outline_of_annotation(annotation: Mapping[str, Any], where: str) -> Outline:
    """Returns the outline of an annotation of masks.json, ring by ring.

    Raises:
        AnnotationError: no ring, an invalid ring or one of the wrong orientation, holes that fit no ring.
    """
    segmentation, holes = annotation.get("segmentation"), annotation.get(HOLES_KEY)
    if not isinstance(segmentation, list) or not segmentation:
        found = shown_value(segmentation)
        raise AnnotationError(where, expected="outer rings as 'segmentation'", found=found, hint=_EDITED)
    if holes is None:
        holes = [[]] * len(segmentation)
    if (
        not isinstance(holes, list)
        or len(holes) != len(segmentation)
        or not all(isinstance(inner, list) for inner in holes)
    ):
        expected = f"'{HOLES_KEY}' with a list for each of {len(segmentation)} outer rings"
        raise AnnotationError(where, expected=expected, found=shown_value(holes), hint=_EDITED)
    rings: list[NDArray[np.float64]] = []
    for outer, inner in zip(segmentation, holes, strict=True):
        rings += [_read_ring(outer, +1, where), *(_read_ring(hole, -1, where) for hole in inner)]
    return Outline(tuple(rings))


def points_of_polygon(numbers: Any, where: str, *, hint: str) -> NDArray[np.float64]:
    """Returns the (K, 2) float64 points of a COCO polygon, [x, y, x, y, ...].

    Raises:
        AnnotationError: not numbers, fewer than 3 points, or a coordinate that is not finite or is beyond
            `FARTHEST`.
    """
    try:
        points = np.array(numbers if isinstance(numbers, list) else None, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros((0, 0))
    # NaN and infinity fail the comparison as well.
    if points.ndim != 1 or len(points) % 2 or len(points) < 6 or not (np.abs(points) <= FARTHEST).all():
        expected = f"polygons as [x, y, x, y, ...] of 3 points or more, in pixels, none beyond {FARTHEST:.0e}"
        raise AnnotationError(where, expected=expected, found=shown_value(numbers), hint=hint)
    return points.reshape(-1, 2)


def _check_fingerprint(content: Mapping[str, Any], fingerprint: str, path: Path) -> None:
    found = content["info"].get("fingerprint")
    if found != fingerprint:
        raise AnnotationError(
            path,
            expected=f"masks of this data set (fingerprint {fingerprint})",
            found=f"masks of another one (fingerprint {found!s:.64})",
            hint="give the data set that the subset was built from, or build a subset of this one",
        )


def _person(
    train: SceneTable, masks: PersonMasks, row: int, box_index: int, area_of_box: float
) -> dict[str, Any]:
    x0, y0, x1, y1 = train.boxes[row].tolist()
    outline = masks.outlines.get(row)
    person: dict[str, Any] = {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": area_of_box if outline is None else outline.area,
        "iscrowd": 0,
        "person_id": int(train.pids[row]),
        "box_index": box_index,
        "mask_state": MaskState(int(masks.states[row])).name,
        "segmentation": [],
    }
    if outline is not None:
        parts = list(outline.parts())
        person["segmentation"] = [outer.reshape(-1).tolist() for outer, _ in parts]
        if any(holes for _, holes in parts):
            person[HOLES_KEY] = [[hole.reshape(-1).tolist() for hole in holes] for _, holes in parts]
    return person


def _size(
    train: SceneTable, masks: PersonMasks, scene: int, sizes: Mapping[int, tuple[int, int]] | None
) -> dict[str, Any]:
    if sizes is not None and scene in sizes:
        width, height = sizes[scene]
    elif train.size is not None:
        width, height = train.size[scene].tolist()
    else:
        rows = train.persons_of(scene)
        corners = [train.boxes[row, 2:].astype(np.float64) for row in rows]
        corners += [masks.outlines[row].bounds[2:] for row in rows if row in masks.outlines]
        extent = np.ceil(np.max(corners, axis=0, initial=1.0)) if corners else np.ones(2)
        return {"width": int(extent[0]), "height": int(extent[1]), "maskps_size": "extent"}
    return {"width": int(width), "height": int(height)}


def _read_images(images: list[Any], train: SceneTable, path: Path) -> dict[int, int]:
    try:
        ids = [int(image["id"]) for image in images]
        names = [str(image["file_name"]) for image in images]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputFileError(
            path, expected="images with id and file_name", found=repr(error), hint=_EDITED
        ) from error
    if len(set(ids)) != len(ids) or len(set(names)) != len(names):
        raise AnnotationError(path, expected="every image once", found="an image twice", hint=_EDITED)
    return dict(zip(ids, train.rows_of(names).tolist(), strict=True))


def _read_person(
    annotation: Any, scenes: Mapping[int, int], train: SceneTable, where: str
) -> tuple[int, MaskState, Outline | None]:
    persons = train.persons_of(scenes[annotation["image_id"]])
    box_index, person_id, name = (
        int(annotation["box_index"]),
        annotation["person_id"],
        annotation["mask_state"],
    )
    expected, found = "", ""
    if not 0 <= box_index < len(persons):
        expected, found = f"a box_index below {len(persons)}", str(box_index)
    elif person_id != train.pids[persons[box_index]]:
        expected, found = f"person_id {train.pids[persons[box_index]]}", shown_value(person_id)
    elif name not in MaskState.__members__:
        expected, found = f"a mask_state out of {', '.join(MaskState.__members__)}", shown_value(name)
    elif (name == "NOT_APPLICABLE") == bool(train.is_labeled[persons[box_index]]):
        expected = "PRESENT or MISSING for a labeled person, NOT_APPLICABLE for an unlabeled one"
        found = f"{name} for pid {person_id}"
    if expected:
        raise AnnotationError(where, expected=expected, found=found, hint=_EDITED)
    row, state = persons[box_index], MaskState[name]
    if state is not MaskState.PRESENT:
        return row, state, None
    return row, state, outline_of_annotation(annotation, where)


def _read_ring(numbers: Any, sign: int, where: str) -> NDArray[np.float64]:
    ring = points_of_polygon(numbers, where, hint=_EDITED)
    if ring_area(ring) * sign <= 0:
        expected = "a shoelace area that is positive for outer rings, negative for holes"
        raise AnnotationError(where, expected=expected, found=f"{ring.tolist()!s:.60}...", hint=_EDITED)
    return ring


def _check_complete(
    train: SceneTable, scene_rows: NDArray[np.int64], seen: NDArray[np.bool_], path: Path
) -> None:
    expected = np.isin(train.scene_of_person, scene_rows)
    if (expected & ~seen).any():
        absent = np.flatnonzero(expected & ~seen)
        raise AnnotationError(
            path,
            expected="every person of every listed image",
            found=f"{len(absent)} persons absent, the first: {train.person_name(int(absent[0]))}",
            hint="the file was edited or cut; build the subset again",
        )
