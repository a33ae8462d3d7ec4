"""The identity of each box of CUHK-SYSU, and the appearances that fit no box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text, xywh_to_xyxy
from maskps.columns import rows_of_names
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.check_files import Annotation, truth_boxes
from maskps.datasets.cuhk_sysu.raw import RawImages
from maskps.datasets.matching import match_boxes
from maskps.findings import Finding, Rule
from maskps.protocols.protocol import SUBSET_KEYS

_UNMATCHED = Rule(
    "appearance-unmatched",
    "warning",
    "a box of Images.mat, equal in all four numbers",
    "the person has no identity there; correct one of the boxes",
)
_TWO_IDS = Rule(
    "box-two-ids",
    "warning",
    "one identity per box",
    "readers keep the later one; look at the image and delete the wrong one",
)
_DOUBLED = Rule("appearance-doubled", "warning", "every appearance once", "it counts once; delete the second")


@dataclass(frozen=True)
class Labels:
    """The identity of each box of Images.mat.

    Attributes:
        train, test: (P,) object: by Train.mat, and by the smallest protocol; None for nobody. The column
            is None if the file could not be read.
    """

    train: NDArray[np.object_] | None
    test: NDArray[np.object_] | None


def label_boxes(files: Annotation, findings: list[Finding]) -> Labels:
    """Returns the identities of the boxes as the reader finds them; adds findings on what does not fit."""
    images = files.images
    assert images is not None
    train = test = None
    if files.train is not None:
        ids = np.array(files.train.ids, dtype=object)[files.train.identity]
        train = _matched(images, files.train.path, files.train.names, files.train.boxes, ids, findings)
    for name, protocol in files.protocols.items():
        if name not in SUBSET_KEYS:  # galleries of all sizes have the same true boxes
            scenes = np.concatenate([protocol.query_scenes, protocol.truth_scenes])
            ids = np.concatenate([protocol.query_ids, protocol.query_ids[protocol.query_of_truth]])
            names = protocol.image_names[scenes].tolist()
            test = _matched(
                images, files.path(name), names, truth_boxes(protocol), ids.astype(object), findings
            )
            break
    return Labels(train, test)


def _matched(
    images: RawImages,
    path: Path,
    names: Sequence[str],
    boxes: NDArray[np.float64],
    ids: NDArray[np.object_],
    findings: list[Finding],
) -> NDArray[np.object_]:
    """Returns the (P,) identity of every box of Images.mat, by these appearances (scene, box, identity)."""
    different, rows = np.unique(np.array(images.names, dtype=np.str_), return_index=True)
    known = rows_of_names(different, names)
    scenes = np.where(known >= 0, rows[known] if len(rows) else -1, -1)
    with_area = np.flatnonzero(images.has_area)
    scene_of_box = images.scene_of_person[with_area]
    with np.errstate(over="ignore"):  # numbers beyond float32 are findings elsewhere
        corners, wanted = xywh_to_xyxy(images.boxes[with_area]), xywh_to_xyxy(boxes)
    _, number = np.unique(ids.astype(np.str_), return_inverse=True)
    matches = match_boxes(scene_of_box, corners, scenes, wanted, number)

    def place(row: int) -> str:
        return f"{path}, {ids[row]}, {names[row]}"

    for row in np.flatnonzero((matches.persons < 0) & (scenes >= 0)).tolist():
        first, last = np.searchsorted(scene_of_box, [scenes[row], scenes[row] + 1])
        if last > first:
            near = with_area[first + _nearest(corners[first:last], wanted[row])]
            nearest = f"the nearest there is {box_text(images.boxes[near])}"
        else:
            nearest = "that scene has no box"
        found = f"box {box_text(boxes[row])} is not a box of Images.mat; {nearest}"
        findings.append(_UNMATCHED.broken(place(row), found))
    result = np.full(len(images.boxes), None, dtype=object)
    is_matched = matches.persons >= 0
    result[with_area[matches.persons[is_matched]]] = ids[is_matched]
    first_of: dict[int, int] = {}
    retaken = set(matches.retaken.tolist())
    for row in np.flatnonzero(is_matched).tolist():
        before = first_of.setdefault(int(matches.persons[row]), row)
        if row in retaken:
            found = f"box {box_text(boxes[row])} also belongs to {ids[before]}"
            findings.append(_TWO_IDS.broken(place(row), found))
        elif before != row and path.name == layout.TRAIN_FILE.name:
            found = f"box {box_text(boxes[row])} is listed twice for this person"
            findings.append(_DOUBLED.broken(place(row), found))
    return result


def _nearest(boxes: NDArray[np.float32], wanted: NDArray[np.float32]) -> int:
    with np.errstate(invalid="ignore"):  # infinite numbers are findings elsewhere
        return int(np.abs(boxes - wanted).sum(axis=1).argmin())
