"""Checks that all formats share: on scenes, boxes and ids exactly as the files give them.

A reader refuses or repairs; these checks look at what stands in the files, so that every fault is told in
one run. They never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text, xyxy_to_xywh
from maskps.columns import owner_of, owners_of
from maskps.datasets.matching import first_equal
from maskps.findings import Finding
from maskps.structures import PersonSearchDataset

_SHOWN = 5  # names or ids told of a longer list
_FARTHEST = 1e38  # beyond, corners are infinite in float32


@dataclass(frozen=True)
class RawScenes:
    """Scenes and persons as a file lists them, nothing left out, nothing corrected.

    Attributes:
        names: S names of scenes; a name may be there twice.
        offsets: (S + 1,) int64; persons of scene i are the rows offsets[i]:offsets[i + 1].
        boxes: (P, 4) float64, x, y, width, height as in the file; may be empty, negative or not finite.
        ids: (P,) object: the identity as text, None for a person without one.
        where: names the place of person row i, e.g. "annotation/Images.mat, s1.jpg, box 0".
        sizes: (S, 2) int64 width and height where the annotation (or the image) states it, 0 where unknown.
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


def scenes_of_dataset(dataset: PersonSearchDataset) -> RawScenes:
    """Returns the scenes of both splits of a data set, without identities."""
    tables = (dataset.train, dataset.test)
    names = np.concatenate([table.names for table in tables]).tolist()
    offsets = np.concatenate([dataset.train.offsets, dataset.train.offsets[-1] + dataset.test.offsets[1:]])
    boxes = xyxy_to_xywh(np.concatenate([table.boxes for table in tables]))
    sizes = [np.zeros((len(table), 2), np.int64) if table.size is None else table.size for table in tables]

    def where(row: int) -> str:
        scene, place = owner_of(offsets, row)
        return f"{dataset.image_path(names[scene])}, box {place}"

    nobody = np.full(len(boxes), None, dtype=object)
    return RawScenes(names, offsets, boxes, nobody, where, np.concatenate(sizes))


def check_tables(scenes: RawScenes) -> list[Finding]:
    """Returns what is wrong or odd in scenes, boxes and ids of one split (or of all).

    Codes: scene-doubled, box-not-finite, box-empty, box-doubled, box-wide, box-leaves-image,
    box-outside-image, id-twice-in-image.
    """
    return [
        *_doubled_scenes(scenes),
        *_impossible_boxes(scenes),
        *_doubled_boxes(scenes),
        *_doubled_ids(scenes),
        *check_boxes_in_images(scenes),
    ]


def check_boxes_in_images(scenes: RawScenes) -> list[Finding]:
    """Returns the boxes that leave their image, or lie outside it altogether.

    The left and the upper border are always known; the others where `scenes.sizes` is. A box may end
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
        outside = (x >= limits[:, 0]) | (y >= limits[:, 1]) | (right <= 0) | (bottom <= 0)
    findings = []
    for row in np.flatnonzero(usable & (over > 0)).tolist():
        size = "" if np.isinf(limits[row]).any() else " of {:g} x {:g}".format(*limits[row])
        found = f"box {box_text(scenes.boxes[row])} (x, y, width, height)"
        if outside[row]:
            findings.append(
                Finding(
                    "box-outside-image",
                    "error",
                    scenes.where(row),
                    f"{found} has no part in the image{size}",
                    hint="correct or delete it; perhaps the image was resized or the box is not "
                    "x, y, width, height",
                )
            )
        else:
            findings.append(
                Finding(
                    "box-leaves-image",
                    "warning",
                    scenes.where(row),
                    f"{found} leaves the image{size} by {over[row]:g} pixels",
                    hint="a few pixels are common and do no harm; by more, compare the image's size with "
                    "the annotation",
                )
            )
    return findings


def check_split_names(train: Collection[str], test: Collection[str], *, where: str) -> list[Finding]:
    """Returns the finding that scenes are in both splits, if any are (code scene-in-both-splits)."""
    both = sorted(set(train) & set(test))
    if not both:
        return []
    return [
        Finding(
            "scene-in-both-splits",
            "error",
            where,
            f"{counted(both, 'scene')} in the training and in the test set",
            "every scene in one of them",
            "take them out of one of the lists; results would be too good",
        )
    ]


def check_split_ids(train: Collection[str], test: Collection[str], *, where: str) -> list[Finding]:
    """Returns the finding that identities are in both splits, if any are (code id-in-both-splits).

    Call it where ids are names of persons in the whole data set; not where every split numbers its own.
    """
    both = sorted(set(train) & set(test))
    if not both:
        return []
    return [
        Finding(
            "id-in-both-splits",
            "error",
            where,
            f"{counted(both, 'identity', 'identities')} in the training and in the test set",
            "persons of the test set that were never seen in training",
            "if they are the same persons, results would be too good; if not, rename one of them",
        )
    ]


def check_unlabeled_marks(marks: Mapping[str, Collection[str]]) -> list[Finding]:
    """Returns the finding that persons without identity are marked in several ways, if they are.

    Code unlabeled-mixed: other code takes one mark for "no identity" and the other for a person.

    Args:
        marks: by file (or split) the marks that are in use there, e.g. {"train.json": {"-1"}}.
    """
    if len(set().union(*marks.values())) < 2:
        return []
    return [
        Finding(
            "unlabeled-mixed",
            "warning",
            ", ".join(file for file, used in marks.items() if used),
            "persons without an identity are marked in different ways: "
            + "; ".join(f"{file}: {', '.join(sorted(used))}" for file, used in marks.items() if used),
            "one mark, -1 or -2",
            "we read all of them as 'no identity'; other code may take one for a person",
        )
    ]


def check_counts(
    where: str, found: Mapping[str, int | None], published: Mapping[str, int], *, of: str
) -> list[Finding]:
    """Returns the numbers that differ from the published ones (code count-differs).

    Call it only for a data set that is meant to be the published one.

    Args:
        found: what was counted, by what it is, e.g. {"training images": 11206}; None: could not be counted.
        published: by the same keys.
        of: the data set's name, for the message.
    """
    return [
        Finding(
            "count-differs",
            "error",
            where,
            f"{found[what]:,} {what}",
            f"{number:,}, as published for {of}",
            "files are missing or of another version: see the other findings, or copy them again",
        )
        for what, number in published.items()
        if found.get(what) is not None and found[what] != number
    ]


def _doubled_scenes(scenes: RawScenes) -> list[Finding]:
    names, counts = np.unique(np.array(scenes.names, dtype=object), return_counts=True)
    return [
        Finding(
            "scene-doubled",
            "error",
            name,
            f"listed {count} times",
            "every scene once",
            "remove the doubled entry from the annotation",
        )
        for name, count in zip(names[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True)
    ]


def _impossible_boxes(scenes: RawScenes) -> list[Finding]:
    finite = _is_finite(scenes.boxes)
    empty = finite & (scenes.boxes[:, 2:] <= 0).any(axis=1)
    wide = finite & ~empty & (scenes.boxes[:, 2] > scenes.boxes[:, 3])
    findings = [
        Finding(
            "box-not-finite",
            "error",
            scenes.where(row),
            f"box {box_text(scenes.boxes[row])}",
            "four finite numbers",
            "correct or delete it",
        )
        for row in np.flatnonzero(~finite).tolist()
    ]
    findings += [
        Finding(
            "box-empty",
            "warning",
            scenes.where(row),
            f"box {box_text(scenes.boxes[row])} (x, y, width, height) without area",
            "width and height above 0",
            "readers of the field leave it out; correct it if a person is there",
        )
        for row in np.flatnonzero(empty).tolist()
    ]
    findings += [
        Finding(
            "box-wide",
            "warning",
            scenes.where(row),
            f"box {box_text(scenes.boxes[row])} (x, y, width, height) is wider than tall",
            hint="people who stand are taller than wide; look at the image, or check the order of numbers",
        )
        for row in np.flatnonzero(wide).tolist()
    ]
    return findings


def _is_finite(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(boxes) < _FARTHEST).all(axis=1))


def _doubled_boxes(scenes: RawScenes) -> list[Finding]:
    """Equal boxes in a scene; the later ones are told."""
    first = first_equal(np.column_stack([scenes.scene_of_person, scenes.boxes]))
    findings = []
    for row in np.flatnonzero(first != np.arange(len(first))).tolist():
        one, other = scenes.ids[first[row]], scenes.ids[row]
        if one is not None and other is not None and one != other:
            whose = f", there for {one}, here for {other}"
        else:
            whose = ""
        earlier = scenes.where(int(first[row])).rsplit(", ", 1)[-1]
        findings.append(
            Finding(
                "box-doubled",
                "warning",
                scenes.where(row),
                f"box {box_text(scenes.boxes[row])} is the same as that of {earlier}{whose}",
                "every person once",
                "delete one of them",
            )
        )
    return findings


def _doubled_ids(scenes: RawScenes) -> list[Finding]:
    labeled = np.flatnonzero([identity is not None for identity in scenes.ids])
    if not len(labeled):
        return []
    _, number = np.unique(scenes.ids[labeled].astype(str), return_inverse=True)
    first = first_equal(np.column_stack([scenes.scene_of_person[labeled], number]).astype(np.float64))
    return [
        Finding(
            "id-twice-in-image",
            "warning",
            scenes.where(int(labeled[row])),
            f"{scenes.ids[labeled[row]]} is already in this image: boxes "
            f"{box_text(scenes.boxes[labeled[first[row]]])} and {box_text(scenes.boxes[labeled[row]])}",
            "a person once in an image",
            "one of the boxes is of somebody else, or a mirror or a picture of the same person",
        )
        for row in np.flatnonzero(first != np.arange(len(first))).tolist()
    ]


def counted(names: list[str], one: str, many: str = "") -> str:
    """Returns e.g. "7 scenes (s1.jpg, s2.jpg, ...)"."""
    more = ", ..." if len(names) > _SHOWN else ""
    what = one if len(names) == 1 else many or f"{one}s"
    return f"{len(names):,} {what} ({', '.join(names[:_SHOWN])}{more})"
