"""Assigns masks of other sources to persons: by identity, or by boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskps.boxes import box_area, box_iou
from maskps.findings import Finding
from maskps.masks.coverage import coverage
from maskps.masks.outlines import Outline
from maskps.structures import BACKGROUND_PID, SceneTable

MIN_FIT = 0.3
"""Smallest IoU of a mask's box and a person's box that makes them belong together."""

MIN_INSIDE = 0.5
"""A mask whose person is found by boxes has at least this share of its area in the person's box."""

LEAST_SHARE = 0.2
"""A mask is of two persons if it fills this share of each one's box outside the other's box,"""

LEAST_BESIDE = 0.05
"""and if this share of the mask lies in such boxes, outside the box of its own person."""


@dataclass(frozen=True)
class FoundMask:
    """A mask of another source.

    Attributes:
        where: file and entry, for messages.
        scene: row of the training table.
        outline: not empty.
        person: person row of the table; None if the source does not name the person.
        box: (4,) xyxy, the box that the source gives the person, if any.
        score: of a detector, from 0 to 1; None for what a person drew.
    """

    where: str
    scene: int
    outline: Outline
    person: int | None = None
    box: NDArray[np.float64] | None = None
    score: float | None = None


@dataclass(frozen=True)
class AssignedMasks:
    """Masks and their persons.

    Attributes:
        outlines: person row -> outline; labeled persons only.
        named: number of outlines whose person the source named.
        fitted: number of outlines assigned by their boxes.
        unlabeled: number of masks of unlabeled persons, which are not used (Sec. 3.1).
        outscored: number of masks whose person has a mask of a higher score.
        low_scores: number of masks of a low score, left out before.
        findings: "error": a mask contradicts the annotation; "warning": worth a look.
    """

    outlines: Mapping[int, Outline]
    named: int
    fitted: int
    unlabeled: int
    outscored: int
    findings: tuple[Finding, ...]
    low_scores: int = 0


def assign_masks(found: Iterable[FoundMask], train: SceneTable) -> AssignedMasks:
    """Returns the masks by person.

    A mask belongs to one person: one that covers the boxes of several is an error, and not used. Of several
    masks with scores that fit the same person best, the one with the highest score is used.

    A mask whose person the source names goes to that person, and must overlap the person's box. The other
    masks of a scene go to its remaining persons, by the assignment with the greatest total IoU of boxes, each
    IoU at least `MIN_FIT`, each mask with `MIN_INSIDE` of its area in the box. Unlabeled persons take part,
    so that their masks do not go to a labeled neighbour. The box of a mask is the smallest around it or the
    one that the source gives, whichever fits better.
    """
    outlines: dict[int, Outline] = {}
    findings: list[Finding] = []
    named = fitted = unlabeled = outscored = 0
    by_scene = sorted(found, key=lambda mask: mask.scene)
    for scene, group in groupby(by_scene, key=lambda mask: mask.scene):
        persons = np.array(train.persons_of(scene), dtype=np.int64)
        usable = [mask for mask in group if not _is_of_several(mask, train, persons, findings)]
        masks = _with_best_scores(usable, train, persons)
        outscored += len(usable) - len(masks)
        taken: dict[int, str] = {}
        for mask in masks:
            if mask.person is None or not _is_credible(mask, taken, train, findings):
                continue
            taken[mask.person] = mask.where
            if train.pids[mask.person] > BACKGROUND_PID:
                outlines[mask.person] = mask.outline
                named += 1
            else:
                unlabeled += 1
        unnamed = [mask for mask in masks if mask.person is None]
        free = persons[~np.isin(persons, list(taken))]
        for mask, column in zip(unnamed, best_fit(_fit(unnamed, train.boxes[free])), strict=True):
            if column is None:
                findings.append(_fits_nobody(mask, train))
            elif train.pids[free[column]] > BACKGROUND_PID:
                outlines[int(free[column])] = mask.outline
                fitted += 1
            else:
                unlabeled += 1
    rows = dict(sorted(outlines.items()))
    return AssignedMasks(rows, named, fitted, unlabeled, outscored, tuple(findings))


def best_fit(fit: NDArray[np.float64], *, least: float = MIN_FIT) -> list[int | None]:
    """Returns each row's column in the assignment with the greatest total of (n, m) IoUs.

    The column is None if the IoU is below `least`, or if there is no column left.
    """
    columns: list[int | None] = [None] * len(fit)
    if fit.size:
        from scipy.optimize import linear_sum_assignment  # half a second to import, and rarely needed

        allowed = np.where(fit >= least, fit, 0.0)
        for row, column in zip(*linear_sum_assignment(allowed, maximize=True), strict=True):
            if allowed[row, column] > 0:
                columns[row] = int(column)
    return columns


def covered_beside(outline: Outline, own: ArrayLike, boxes: ArrayLike) -> NDArray[np.bool_]:
    """Returns which persons a mask shows beside its own one, by the limits `LEAST_SHARE` and `LEAST_BESIDE`.

    Args:
        own: (4,) xyxy, box of the mask's person.
        boxes: (n, 4) xyxy, boxes of the other persons.

    Returns:
        (n,) bool.
    """
    box, others = np.asarray(own, dtype=np.float64), np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    shared = np.hstack([np.maximum(others[:, :2], box[:2]), np.minimum(others[:, 2:], box[2:])])
    shared[:, 2:] = np.maximum(shared[:, :2], shared[:, 2:])  # nothing is inside a box without a side
    in_both = _area_inside(outline, shared)
    beside = _area_inside(outline, others) - in_both
    in_own = _area_inside(outline, box) - in_both
    is_covered = (beside >= LEAST_SHARE * box_area(others)) & (in_own >= LEAST_SHARE * box_area(box))
    return np.asarray(is_covered & (beside[is_covered].sum() >= LEAST_BESIDE * outline.area))


def _fit(masks: Sequence[FoundMask], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, m) IoU of n masks' boxes and m persons' boxes; 0 where most of the mask lies outside the box."""
    around = box_iou(_rows([mask.outline.bounds for mask in masks]), boxes)
    given = box_iou(_rows([mask.outline.bounds if mask.box is None else mask.box for mask in masks]), boxes)
    inside = [_area_inside(mask.outline, boxes) >= MIN_INSIDE * mask.outline.area for mask in masks]
    return np.where(np.reshape(inside, around.shape), np.maximum(around, given), 0.0)


def _area_inside(outline: Outline, boxes: ArrayLike) -> NDArray[np.float64]:
    """(n,) area of an outline in each of n boxes."""
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    around = outline.bounds
    holds_all = ((corners[:, :2] <= around[:2]) & (corners[:, 2:] >= around[2:])).all(axis=1)
    areas = np.where(holds_all, outline.area, 0.0)
    is_cut = ~holds_all & ((corners[:, :2] < around[2:]) & (corners[:, 2:] > around[:2])).all(axis=1)
    if is_cut.any():
        shares: NDArray[np.float64] = coverage(outline.edges(), corners[is_cut], 1).reshape(-1)
        areas[is_cut] = shares * box_area(corners[is_cut])
    return areas


def _own_person(mask: FoundMask, train: SceneTable, persons: NDArray[np.int64]) -> int:
    """Returns the row of the person whom the source names, else of the one whose box fits best."""
    if mask.person is not None:
        return mask.person
    fit = _fit([mask], train.boxes[persons])[0]
    if not fit.any():
        fit = _area_inside(mask.outline, train.boxes[persons])
    return int(persons[np.argmax(fit)])


def _is_of_several(
    mask: FoundMask, train: SceneTable, persons: NDArray[np.int64], findings: list[Finding]
) -> bool:
    """Whether the mask covers the boxes of several persons; adds a finding if it does."""
    if not len(persons):
        return False
    own = _own_person(mask, train, persons)
    others = persons[persons != own]
    is_covered = covered_beside(mask.outline, train.boxes[own], train.boxes[others])
    if not is_covered.any():
        return False
    names = [train.person_name(row) for row in (own, *others[is_covered].tolist())]
    found = f"one mask over {len(names)} persons: {'; '.join(names[:4])}{'; ...' if len(names) > 4 else ''}"
    hint = "is it a mask of a class? Give each person a number, group or annotation of their own"
    findings.append(
        Finding("mask-of-several", "error", mask.where, found, expected="a mask of one person", hint=hint)
    )
    return True


def _with_best_scores(
    masks: Sequence[FoundMask], train: SceneTable, persons: NDArray[np.int64]
) -> list[FoundMask]:
    """Returns the masks without those that have a lower score than another mask of the same person."""
    if not len(persons):
        return list(masks)
    scored = [mask for mask in masks if mask.score is not None]
    best: dict[int, FoundMask] = {}
    for mask in sorted(scored, key=lambda mask: -(mask.score or 0.0)):
        best.setdefault(_own_person(mask, train, persons), mask)
    kept = {id(mask) for mask in best.values()}
    return [mask for mask in masks if mask.score is None or id(mask) in kept]


def _rows(boxes: Sequence[ArrayLike]) -> NDArray[np.float64]:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _is_credible(
    mask: FoundMask, taken: Mapping[int, str], train: SceneTable, findings: list[Finding]
) -> bool:
    """Whether the mask can be of the person that the source names; adds a finding if it is doubtful."""
    assert mask.person is not None
    x0, y0, x1, y1 = box = train.boxes[mask.person].astype(np.float64)
    name = train.person_name(mask.person)
    if mask.person in taken:
        found = f"a second mask of {name}, after {taken[mask.person]}"
        hint = "put the parts of a person into one entry, or name the right person"
        findings.append(Finding("mask-twice", "error", mask.where, found, hint=hint))
        return False
    left, top, right, bottom = mask.outline.bounds
    if min(right, x1) <= max(left, x0) or min(bottom, y1) <= max(top, y0):
        found = f"named as {name}, but lies wholly outside that person's box"
        hint = "check the identity, and that the masks are of images of the same size"
        findings.append(Finding("mask-off-box", "error", mask.where, found, hint=hint))
        return False
    if _fit([mask], box[None].astype(np.float32))[0, 0] < MIN_FIT:
        found = f"named as {name}, but fits that person's box badly"
        findings.append(Finding("mask-fits-badly", "warning", mask.where, found, hint="have a look at it"))
    return True


def _fits_nobody(mask: FoundMask, train: SceneTable) -> Finding:
    found = f"fits the box of no other person of {train.names[mask.scene]}; not used"
    hint = "expected for persons whom the data set does not annotate"
    return Finding("mask-fits-nobody", "warning", mask.where, found, hint=hint)
