"""Masks of other sources and their persons: the least fit, and who gets what."""

from __future__ import annotations

import numpy as np
import pytest

from maskps.masks.assignment import AssignedMasks, FoundMask, assign_masks, best_fit
from maskps.masks.outlines import outline_from_polygons
from maskps.structures import UNLABELED_PID, Scene, SceneTable

BOXES = [(0.0, 0.0, 10.0, 100.0), (50.0, 0.0, 60.0, 100.0)]


def table(*pids: int) -> SceneTable:
    boxes = np.array(BOXES[: len(pids)], np.float32).reshape(-1, 4)
    return SceneTable.from_scenes([Scene("a.jpg", boxes, np.array(pids), np.zeros(len(pids), np.bool_))])


def found(
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    *,
    person: int | None = None,
    box: tuple[float, ...] | None = None,
) -> FoundMask:
    outline = outline_from_polygons([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]], where="test")
    return FoundMask("test", 0, outline, person, None if box is None else np.array(box))


def codes(assigned: AssignedMasks) -> list[str]:
    return [finding.code for finding in assigned.findings]


@pytest.mark.parametrize(("fit", "column"), [(0.299, None), (0.3, 0), (0.301, 0)])
def test_a_fit_of_0_3_is_enough(fit: float, column: int | None) -> None:
    assert best_fit(np.array([[fit]])) == [column]


def test_the_greatest_total_decides_not_the_best_single_fit() -> None:
    assert best_fit(np.array([[0.9, 0.8], [0.8, 0.4]])) == [1, 0]


def test_a_fit_below_the_least_does_not_count_in_the_total() -> None:
    assert best_fit(np.array([[0.5, 0.29], [0.29, 0.0]])) == [0, None]


@pytest.mark.parametrize(("height", "is_used"), [(29.9, False), (30.1, True)])
def test_a_mask_without_a_name_must_fit_a_box(height: float, is_used: bool) -> None:
    assigned = assign_masks([found(0, 0, 10, height)], table(1, 2))
    assert (assigned.fitted, sorted(assigned.outlines)) == ((1, [0]) if is_used else (0, []))
    assert codes(assigned) == ([] if is_used else ["mask-fits-nobody"])


@pytest.mark.parametrize(("height", "expected"), [(29.9, ["mask-fits-badly"]), (30.1, [])])
def test_a_mask_with_a_name_that_fits_badly_is_used_with_a_warning(
    height: float, expected: list[str]
) -> None:
    assigned = assign_masks([found(0, 0, 10, height, person=0)], table(1, 2))
    assert (assigned.named, sorted(assigned.outlines), codes(assigned)) == (1, [0], expected)


@pytest.mark.parametrize(
    ("mask", "is_used"),
    [
        ((10, 0, 20, 100), False),
        ((9.9, 0, 20, 100), True),
        ((0, 100, 10, 150), False),
        ((0, 99.9, 10, 150), True),
    ],
)
def test_a_mask_with_a_name_must_share_area_with_the_persons_box(
    mask: tuple[float, float, float, float], is_used: bool
) -> None:
    assigned = assign_masks([found(*mask, person=0)], table(1, 2))
    assert codes(assigned) == ["mask-fits-badly" if is_used else "mask-off-box"]
    assert assigned.named == is_used


def test_a_second_mask_of_a_named_person_is_an_error() -> None:
    assigned = assign_masks([found(0, 0, 10, 90, person=0), found(0, 0, 10, 80, person=0)], table(1, 2))
    assert codes(assigned) == ["mask-twice"]
    assert assigned.outlines[0].bounds.tolist() == [0, 0, 10, 90]


def test_a_box_of_the_source_counts_where_it_fits_better_than_the_mask() -> None:
    small = found(0, 0, 10, 20, box=(0.0, 0.0, 10.0, 99.0))
    assert sorted(assign_masks([small], table(1, 2)).outlines) == [0]


def test_a_mask_outside_a_persons_box_is_not_that_persons_whatever_box_the_source_gives() -> None:
    assigned = assign_masks([found(20, 0, 30, 90, box=BOXES[0])], table(1, 2))
    assert (assigned.outlines, codes(assigned)) == ({}, ["mask-fits-nobody"])


@pytest.mark.parametrize("person", [None, 0])
def test_masks_of_unlabeled_persons_are_counted_and_not_used(person: int | None) -> None:
    assigned = assign_masks([found(0, 0, 10, 90, person=person)], table(UNLABELED_PID, 2))
    assert (assigned.unlabeled, assigned.named, assigned.fitted, assigned.outlines) == (1, 0, 0, {})


def test_a_person_who_is_named_is_not_free_for_others() -> None:
    masks = [found(0, 0, 10, 90), found(0, 0, 10, 80, person=0)]
    assigned = assign_masks(masks, table(1, 2))
    assert (assigned.named, assigned.fitted, codes(assigned)) == (1, 0, ["mask-fits-nobody"])
