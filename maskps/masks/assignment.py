"""Assigns masks of other sources to persons: by identity, or by boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskps.boxes import box_iou
from maskps.findings import Finding
from maskps.masks.outlines import Outline
from maskps.structures import BACKGROUND_PID, SceneTable

MIN_FIT = 0.3
"""Smallest IoU of a mask's box and a person's box that makes them belong together."""


@dataclass(frozen=True)
class FoundMask:
    """A mask of another source.

    Attributes:
        where: file and entry, for messages.
        scene: row of the training table.
        outline: not empty.
        person: person row of the table; None if the source does not name the person.
        box: (4,) xyxy, the box that the source gives the person, if any.
    """

    where: str
    scene: int
    outline: Outline
    person: int | None = None
    box: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class AssignedMasks:
    """Masks and their persons.

    Attributes:
        outlines: person row -> outline; labeled persons only.
        named: number of outlines whose person the source named.
        fitted: number of outlines assigned by their boxes.
        unlabeled: number of masks of unlabeled persons, which are not used (Sec. 3.1).
        findings: "error": a mask contradicts the annotation; "warning": worth a look.
    """

    outlines: Mapping[int, Outline]
    named: int
    fitted: int
    unlabeled: int
    findings: tuple[Finding, ...]


def assign_masks(found: Iterable[FoundMask], train: SceneTable) -> AssignedMasks:
    """Returns the masks by person.

    A mask whose person the source names goes to that person, and must overlap the person's box. The other
    masks of a scene go to its remaining persons, by the assignment with the greatest total IoU of boxes, each
    IoU at least `MIN_FIT`. Unlabeled persons take part, so that their masks do not go to a labeled neighbour.
    The box of a mask is the smallest around it or the one that the source gives, whichever fits better.
    """
    outlines: dict[int, Outline] = {}
    findings: list[Finding] = []
    named = fitted = unlabeled = 0
    by_scene = sorted(found, key=lambda mask: mask.scene)
    for scene, group in groupby(by_scene, key=lambda mask: mask.scene):
        masks = list(group)
        persons = np.array(train.persons_of(scene), dtype=np.int64)
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
    return AssignedMasks(dict(sorted(outlines.items())), named, fitted, unlabeled, tuple(findings))


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


def _fit(masks: Sequence[FoundMask], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, m) IoU of n masks' boxes and m persons' boxes; 0 where the mask itself lies outside the box."""
    around = box_iou(_rows([mask.outline.bounds for mask in masks]), boxes)
    given = box_iou(_rows([mask.outline.bounds if mask.box is None else mask.box for mask in masks]), boxes)
    return np.where(around > 0, np.maximum(around, given), 0.0)


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
