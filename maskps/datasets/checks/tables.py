"""Checks that all formats share: of scenes, boxes and identities exactly as the files give them.

A reader refuses or repairs a file. These checks look at what the file says, so that one run reports every
fault. They never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text, is_outside, xyxy_to_xywh
from maskps.columns import offsets_of, owner_of, owners_of
from maskps.datasets.matching import first_equal
from maskps.errors import shown_value
from maskps.findings import Finding, Rule
from maskps.io.paths import name_problem
from maskps.protocols.identities import similar_identities
from maskps.structures import PersonSearchDataset

_SHOWN = 5  # names or ids of a longer list in a message
_FARTHEST = 1e38  # beyond, corners are infinite in float32


@dataclass(frozen=True)
class RawScenes:
    """Scenes and persons as a file lists them: nothing is left out or corrected.

    Attributes:
        names: S names of scenes; a name may occur twice.
        offsets: (S + 1,) int64; persons of scene i are the rows offsets[i]:offsets[i + 1].
        boxes: (P, 4) float64, x, y, width, height as in the file; may be empty, negative or not finite.
        ids: (P,) object: the identity as text, None for a person without one.
        where: returns the place of a person row, e.g. "annotation/Images.mat, s1.jpg, box 0".
        sizes: (S, 2) int64 width and height in pixels, 0 if neither the annotation nor the image states it.
    """

    names: list[str]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float64]
    ids: NDArray[np.object_]
    where: Callable[[int], str]
    sizes: NDArray[np.int64] | None = None

    @property
    def scene_of_person(self) -> NDArray[np.int64]:
        """(P,) int64: the row of the scene of each person."""
        return owners_of(self.offsets)


def scenes_of_dataset(dataset: PersonSearchDataset, folder: Path | None = None) -> RawScenes:
    """Returns the scenes of a data set without identities: all, or those whose images this folder holds."""
    folders = ((dataset.image_dir, dataset.train), (dataset.test_folder, dataset.test))
    tables = [table for one, table in folders if folder in (None, one)]
    names = np.concatenate([table.names for table in tables]).tolist()
    offsets = offsets_of(np.concatenate([np.diff(table.offsets) for table in tables]))
    boxes = xyxy_to_xywh(np.concatenate([table.boxes for table in tables]))
    sizes = [np.zeros((len(table), 2), np.int64) if table.size is None else table.size for table in tables]

    def where(row: int) -> str:
        scene, place = owner_of(offsets, row)
        return f"{(folder or dataset.image_dir) / names[scene]}, box {place}"

    nobody = np.full(len(boxes), None, dtype=object)
    return RawScenes(names, offsets, boxes, nobody, where, np.concatenate(sizes))


_SCENE_NAME = Rule(
    "scene-name",
    "error",
    "the name of a file below the folder of images",
    "correct the name; maskps reads no file outside a data set's folder",
)
_SCENE_DOUBLED = Rule(
    "scene-doubled", "error", "every scene once", "remove the doubled entry from the annotation"
)
_NOT_FINITE = Rule("box-not-finite", "error", "four finite numbers", "correct or delete it")
_EMPTY = Rule(
    "box-empty",
    "warning",
    "width and height above 0",
    "readers of the field leave it out; correct it if a person is there",
)
_WIDE = Rule(
    "box-wide",
    "warning",
    hint="people who stand are taller than wide; look at the image, or check the order of numbers",
)
_OUTSIDE = Rule(
    "box-outside-image",
    "error",
    hint="correct or delete it; perhaps the image was resized, or the box is not x, y, width, height",
)
_LEAVES = Rule(
    "box-leaves-image",
    "warning",
    hint="a few pixels are common and do no harm; if there are more, compare the image's size with the "
    "annotation",
)
_BOX_DOUBLED = Rule("box-doubled", "warning", "every person once", "delete one of them")
_ID_TWICE = Rule(
    "id-twice-in-image",
    "warning",
    "a person once in an image",
    "one of the boxes is of somebody else, or a mirror or a picture of the same person",
)
_SCENE_IN_BOTH = Rule(
    "scene-in-both-splits",
    "error",
    "every scene in one of them",
    "remove them from one of the lists; results would be too good",
)
_ID_IN_BOTH = Rule(
    "id-in-both-splits",
    "error",
    "persons of the test set that were never seen in training",
    "if they are the same persons, results would be too good; if not, rename one of them",
)
_UNLABELED_MIXED = Rule(
    "unlabeled-mixed",
    "warning",
    "one mark, -1 or -2",
    "maskps reads all of them as 'no identity'; other code may read one as a person",
)
_SIMILAR_IDS = Rule(
    "ids-similar",
    "warning",
    "one spelling for each person",
    "if they are one person, write the identity in one way; else nothing to do",
)
_COUNT_DIFFERS = Rule(
    "count-differs",
    "error",
    hint="files are missing or of another version: see the other findings, or copy them again",
)


def check_tables(scenes: RawScenes) -> list[Finding]:
    """Returns what is wrong or odd in the scenes, boxes and identities of one split (or of all).

    Codes: scene-name, scene-doubled, box-not-finite, box-empty, box-doubled, box-wide, box-leaves-image,
    box-outside-image, id-twice-in-image.
    """
    return [
        *_unusable_names(scenes),
        *_doubled_scenes(scenes),
        *_impossible_boxes(scenes),
        *_doubled_boxes(scenes),
        *_doubled_ids(scenes),
        *check_boxes_in_images(scenes),
    ]


def check_boxes_in_images(scenes: RawScenes) -> list[Finding]:
    """Returns the boxes that leave their image or lie outside it.

    The left and the upper border are always known, the others if `scenes.sizes` states them. A box may end
    exactly at the border, x + width = image width. Empty boxes and boxes that are not finite are skipped.
    """
    x, y, width, height = scenes.boxes.T
    usable = _is_finite(scenes.boxes) & (width > 0) & (height > 0)
    limits = np.full((len(scenes.boxes), 2), np.inf)
    if scenes.sizes is not None:
        sizes = scenes.sizes[scenes.scene_of_person].astype(np.float64)
        limits = np.where(sizes > 0, sizes, np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        right, bottom = x + width, y + height
        over = np.stack([-x, -y, right - limits[:, 0], bottom - limits[:, 1]], axis=1).max(axis=1, initial=0)
        outside = is_outside(np.stack([x, y, right, bottom], axis=1), limits)
    findings = []
    for row in np.flatnonzero(usable & (over > 0)).tolist():
        size = "" if np.isinf(limits[row]).any() else " of {:g} x {:g}".format(*limits[row])
        box = f"box {box_text(scenes.boxes[row])} (x, y, width, height)"
        if outside[row]:
            findings.append(_OUTSIDE.broken(scenes.where(row), f"{box} has no part in the image{size}"))
        else:
            found = f"{box} leaves the image{size} by {over[row]:g} pixels"
            findings.append(_LEAVES.broken(scenes.where(row), found))
    return findings


def check_split_names(train: Collection[str], test: Collection[str], *, where: str) -> list[Finding]:
    """Returns a finding if scenes are in both splits (code scene-in-both-splits)."""
    both = sorted(set(train) & set(test))
    found = f"{counted(both, 'scene')} in the training and in the test set"
    return [_SCENE_IN_BOTH.broken(where, found)] if both else []


def check_split_ids(train: Collection[str], test: Collection[str], *, where: str) -> list[Finding]:
    """Returns a finding if identities are in both splits (code id-in-both-splits).

    For data sets whose identities are names of persons, not numbers that each split starts anew.
    """
    both = sorted(set(train) & set(test))
    found = f"{counted(both, 'identity', 'identities')} in the training and in the test set"
    return [_ID_IN_BOTH.broken(where, found)] if both else []


def check_similar_ids(ids: Collection[str], *, where: str | Path) -> list[Finding]:
    """Returns a finding if identities differ only in case, spaces or leading zeros (code ids-similar)."""
    groups = similar_identities(ids)
    if not groups:
        return []
    group = ", ".join(map(repr, groups[0][:_SHOWN])) + (", ..." if len(groups[0]) > _SHOWN else "")
    more = f", and {len(groups) - 1:,} such groups more" if len(groups) > 1 else ""
    found = f"identities that differ only in case, spaces or leading zeros: {group}{more}"
    return [_SIMILAR_IDS.broken(where, found)]


def check_unlabeled_marks(marks: Mapping[str, Collection[str]]) -> list[Finding]:
    """Returns a finding if persons without identity are marked in several ways (code unlabeled-mixed).

    Other code may read one mark as "no identity" and the other as a person.

    Args:
        marks: the marks in use, by file (or split), e.g. {"train.json": {"-1"}}.
    """
    if len(set().union(*marks.values())) < 2:
        return []
    lists = "; ".join(f"{file}: {', '.join(sorted(used))}" for file, used in marks.items() if used)
    where = ", ".join(file for file, used in marks.items() if used)
    found = f"persons without an identity are marked in different ways: {lists}"
    return [_UNLABELED_MIXED.broken(where, found)]


def check_counts(
    where: str, found: Mapping[str, int | None], published: Mapping[str, int], *, of: str
) -> list[Finding]:
    """Returns the numbers that differ from the published ones (code count-differs).

    For a data set that should be the published one.

    Args:
        found: the counts by name, e.g. {"training images": 11206}; None if one could not be counted.
        published: by the same names.
        of: the data set's name, for the message.
    """
    return [
        _COUNT_DIFFERS.broken(where, f"{found[what]:,} {what}", expected=f"{number:,}, as published for {of}")
        for what, number in published.items()
        if found.get(what) is not None and found[what] != number
    ]


def _unusable_names(scenes: RawScenes) -> list[Finding]:
    problems = ((name, name_problem(name)) for name in scenes.names)
    return [_SCENE_NAME.broken(shown_value(name), problem) for name, problem in problems if problem]


def _doubled_scenes(scenes: RawScenes) -> list[Finding]:
    names, counts = np.unique(np.array(scenes.names, dtype=object), return_counts=True)
    return [
        _SCENE_DOUBLED.broken(name, f"listed {count} times")
        for name, count in zip(names[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True)
    ]


def _impossible_boxes(scenes: RawScenes) -> list[Finding]:
    finite = _is_finite(scenes.boxes)
    empty = finite & (scenes.boxes[:, 2:] <= 0).any(axis=1)
    wide = finite & ~empty & (scenes.boxes[:, 2] > scenes.boxes[:, 3])
    return [
        rule.broken(scenes.where(row), f"box {box_text(scenes.boxes[row])}{what}")
        for rule, rows, what in (
            (_NOT_FINITE, ~finite, ""),
            (_EMPTY, empty, " (x, y, width, height) without area"),
            (_WIDE, wide, " (x, y, width, height) is wider than tall"),
        )
        for row in np.flatnonzero(rows).tolist()
    ]


def _is_finite(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(boxes) < _FARTHEST).all(axis=1))


def _doubled_boxes(scenes: RawScenes) -> list[Finding]:
    """Returns a finding for every box that equals an earlier one in its scene."""
    first = first_equal(np.column_stack([scenes.scene_of_person, scenes.boxes]))
    findings = []
    for row in np.flatnonzero(first != np.arange(len(first))).tolist():
        one, other = scenes.ids[first[row]], scenes.ids[row]
        is_shared = one is not None and other is not None and one != other
        persons = f", there for {one}, here for {other}" if is_shared else ""
        earlier = scenes.where(int(first[row])).rsplit(", ", 1)[-1]
        found = f"box {box_text(scenes.boxes[row])} is the same as that of {earlier}{persons}"
        findings.append(_BOX_DOUBLED.broken(scenes.where(row), found))
    return findings


def _doubled_ids(scenes: RawScenes) -> list[Finding]:
    labeled = np.flatnonzero([identity is not None for identity in scenes.ids])
    if not len(labeled):
        return []
    _, number = np.unique(scenes.ids[labeled].astype(str), return_inverse=True)
    first = first_equal(np.column_stack([scenes.scene_of_person[labeled], number]).astype(np.float64))
    again = np.flatnonzero(first != np.arange(len(first)))
    return [
        _ID_TWICE.broken(
            scenes.where(row),
            f"{scenes.ids[row]} is already in this image: boxes "
            f"{box_text(scenes.boxes[earlier])} and {box_text(scenes.boxes[row])}",
        )
        for earlier, row in zip(labeled[first[again]].tolist(), labeled[again].tolist(), strict=True)
    ]


def counted(names: list[str], one: str, many: str = "") -> str:
    """Returns e.g. "7 scenes (s1.jpg, s2.jpg, ...)"."""
    more = ", ..." if len(names) > _SHOWN else ""
    what = one if len(names) == 1 else many or f"{one}s"
    return f"{len(names):,} {what} ({', '.join(names[:_SHOWN])}{more})"
