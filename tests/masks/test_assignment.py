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
    score: float | None = None,
) -> FoundMask:
    outline = outline_from_polygons([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]], where="test")
    return FoundMask("test", 0, outline, person, None if box is None else np.array(box), score)


def united(*boxes: tuple[float, ...], person: int | None = None) -> FoundMask:
    polygons = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes]
    return FoundMask("test", 0, outline_from_polygons(polygons, where="test"), person)


def table_of(*boxes: tuple[float, ...]) -> SceneTable:
    pids = np.arange(1, len(boxes) + 1)
    scene = Scene("a.jpg", np.array(boxes, np.float32), pids, np.zeros(len(boxes), np.bool_))
    return SceneTable.from_scenes([scene])


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


# --- one mask, one person --------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [None, 0, 1])
def test_a_mask_over_two_persons_is_an_error_that_names_both(person: int | None) -> None:
    both = united((1, 5, 9, 95), (51, 5, 59, 95), person=person)
    assigned = assign_masks([both], table(1, 2))
    assert (assigned.outlines, codes(assigned)) == ({}, ["mask-of-several"])
    assert assigned.findings[0].level == "error"
    for row in (0, 1):
        assert table(1, 2).person_name(row) in assigned.findings[0].found


def test_a_mask_over_several_persons_takes_nobody_from_a_mask_that_is_right() -> None:
    masks = [united((0, 0, 10, 100), (50, 0, 60, 100)), found(0, 0, 10, 60)]
    assigned = assign_masks(masks, table(1, 2))
    assert (sorted(assigned.outlines), codes(assigned)) == ([0], ["mask-of-several"])


def test_an_unlabeled_person_counts_among_the_several() -> None:
    assigned = assign_masks([united((0, 0, 10, 100), (50, 0, 60, 100))], table(1, UNLABELED_PID))
    assert codes(assigned) == ["mask-of-several"]


@pytest.mark.parametrize(("width", "is_used"), [(13.9, True), (14.1, False)])
def test_a_mask_may_stick_out_into_a_fifth_of_a_neighbours_box(width: float, is_used: bool) -> None:
    """Boxes of 20 x 100 that share half of their width."""
    boxes = table_of((0, 0, 20, 100), (10, 0, 30, 100))
    assigned = assign_masks([found(0, 0, 10 + width, 100)], boxes)
    assert (sorted(assigned.outlines), codes(assigned)) == (
        ([0], []) if is_used else ([], ["mask-of-several"])
    )


@pytest.mark.parametrize(("left", "is_used"), [(5.9, False), (6.1, True)])
def test_a_mask_that_leaves_out_what_is_only_in_its_persons_box_is_of_one_person(
    left: float, is_used: bool
) -> None:
    """It is named as person 0, and covers the box of person 1, which shares half of its width."""
    mask = found(left, 0, 30, 100, person=0)
    assigned = assign_masks([mask], table_of((0, 0, 20, 100), (10, 0, 30, 100)))
    assert (sorted(assigned.outlines), codes(assigned)) == (
        ([0], []) if is_used else ([], ["mask-of-several"])
    )


@pytest.mark.parametrize(("side", "is_used"), [(7.2, True), (7.3, False)])
def test_a_small_box_beside_a_large_mask_does_not_make_it_one_of_several(side: float, is_used: bool) -> None:
    """The mask has 1000 pixels and side^2 more, which must be 5 % of all: 52.6 pixels, a side of 7.25."""
    boxes = table_of((0, 0, 10, 100), (20, 0, 20 + side, side))
    assigned = assign_masks([united((0, 0, 10, 100), (20, 0, 20 + side, side))], boxes)
    assert codes(assigned) == ([] if is_used else ["mask-of-several"])


def test_persons_who_stand_before_each_other_get_their_own_masks() -> None:
    boxes = table_of((0, 0, 20, 100), (6, 4, 26, 104))
    assigned = assign_masks([found(7, 5, 25, 103), found(0, 0, 20, 99)], boxes)
    assert (assigned.fitted, codes(assigned)) == (2, [])
    assert assigned.outlines[0].bounds.tolist() == [0, 0, 20, 99]


@pytest.mark.parametrize(("right", "is_used"), [(19.9, True), (20.1, False)])
def test_half_of_a_mask_without_a_name_lies_in_the_box(right: float, is_used: bool) -> None:
    assigned = assign_masks([found(0, 0, right, 100)], table(1))
    assert codes(assigned) == ([] if is_used else ["mask-fits-nobody"])


# --- scores ----------------------------------------------------------------------------------------------


def test_the_higher_score_wins_not_the_better_fit() -> None:
    masks = [found(0, 0, 10, 100, score=0.6), found(1, 5, 9, 95, score=0.9), found(50, 0, 60, 90, score=0.1)]
    assigned = assign_masks(masks, table(1, 2))
    assert assigned.outlines[0].bounds.tolist() == [1, 5, 9, 95]
    assert sorted(assigned.outlines) == [0, 1]
    assert (assigned.fitted, assigned.outscored, codes(assigned)) == (2, 1, [])


def test_the_mask_of_a_lower_score_does_not_go_to_a_neighbour() -> None:
    boxes = table_of((0, 0, 20, 100), (6, 0, 26, 100))
    assigned = assign_masks([found(0, 0, 20, 99, score=0.9), found(0, 0, 21, 99, score=0.8)], boxes)
    assert (sorted(assigned.outlines), assigned.outscored) == ([0], 1)


def test_of_named_masks_with_scores_the_best_is_used() -> None:
    masks = [found(0, 0, 10, 90, person=0, score=0.7), found(0, 0, 10, 80, person=0, score=0.8)]
    assigned = assign_masks(masks, table(1, 2))
    assert (assigned.named, assigned.outscored, codes(assigned)) == (1, 1, [])
    assert assigned.outlines[0].bounds.tolist() == [0, 0, 10, 80]


def test_a_scene_without_persons_takes_no_mask() -> None:
    empty = Scene("a.jpg", np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    assigned = assign_masks([found(0, 0, 10, 90, score=0.9)], SceneTable.from_scenes([empty]))
    assert (assigned.outlines, codes(assigned)) == ({}, ["mask-fits-nobody"])
