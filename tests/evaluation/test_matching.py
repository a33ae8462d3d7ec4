"""The matching rule: which detection is the right answer, on both sides of every boundary."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maskps import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.matching import index_gallery, rank_gallery, truth_candidates
from maskps.evaluation.rules import Rules, apply_rules, iou_thresholds
from maskps.protocols.protocol import SearchProtocol

TRUTH = [10.0, 10.0, 110.0, 210.0]


def one_query(gallery: list[int], truths: dict[int, list[float]], images: int = 3) -> SearchProtocol:
    positions = sorted(truths)
    return SearchProtocol(
        image_names=np.array([f"g{i}" for i in range(images)]),
        query_scenes=np.zeros(1, np.int32),
        query_boxes=np.array([TRUTH], np.float32),
        query_ids=np.array(["p1"]),
        query_hard=np.zeros(1, bool),
        galleries=np.array([gallery], np.int32),
        truth_offsets=np.array([0, len(truths)]),
        truth_positions=np.array(positions, np.int32),
        truth_boxes=np.array([truths[p] for p in positions], np.float32).reshape(-1, 4),
        truth_hard=np.zeros(len(truths), bool),
    )


def found(boxes: list[list[list[float]]], scores: list[list[float]] | None = None) -> Detections:
    scores = scores or [[1.0] * len(one) for one in boxes]
    return Detections.from_images(
        [f"g{i}" for i in range(len(boxes))],
        [np.array(one, float).reshape(-1, 4) for one in boxes],
        [np.array(one) for one in scores],
        [np.ones((len(one), 1)) for one in boxes],
        np.ones((1, 1)),
    )


def matches(
    protocol: SearchProtocol, detections: Detections, similarities: list[float], rules: Rules = "oim"
) -> list[bool]:
    """Whether each detection is a right answer, in the order of the detections; a gallery lists all."""
    index = index_gallery(protocol, detections, 0.5)
    candidates = truth_candidates(apply_rules(protocol, rules), detections, index)
    ranking = rank_gallery(protocol, 0, np.array(similarities, np.float32), index, candidates)
    is_match = np.zeros(len(index.rows), bool)
    is_match[ranking.places] = ranking.is_match
    return is_match.tolist()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((100, 200), 0.5), ((20, 30), 600 / (30 * 40)), ((12, 34), 408 / (22 * 44)), ((0, 20), 0.0)],
)
def test_small_boxes_have_a_lower_iou_threshold(size: tuple[int, int], expected: float) -> None:
    assert iou_thresholds(np.array([[5, 5, 5 + size[0], 5 + size[1]]], np.float32))[0] == min(expected, 0.5)


@pytest.mark.parametrize(("bottom", "expected"), [(109.99, False), (110.0, True), (110.01, True)])
def test_iou_at_the_threshold_is_enough(bottom: float, expected: bool) -> None:
    protocol = one_query([0], {0: TRUTH})
    assert matches(protocol, found([[[10, 10, 110, bottom]], [], []]), [0.9]) == [expected]


@pytest.mark.parametrize(("height", "expected"), [(14.4, False), (14.6, True)])
def test_iou_below_one_half_is_enough_for_a_small_box(height: float, expected: bool) -> None:
    """12 x 34 pixels: 408 / 968 = 0.4215 of the 34 rows, that is 14.33."""
    protocol = one_query([0], {0: [0, 0, 12, 34]})
    height -= 0.2  # 14.2 is below, 14.4 above
    assert matches(protocol, found([[[0, 0, 12, height]], [], []]), [0.9]) == [expected]


@pytest.mark.parametrize(("bottom", "expected"), [(110.0, False), (110.01, True)])
def test_paper_wants_more_than_one_half(bottom: float, expected: bool) -> None:
    protocol = one_query([1], {0: TRUTH})
    assert matches(protocol, found([[], [[10, 10, 110, bottom]], []]), [0.9], "paper") == [expected]


def test_paper_does_not_lower_the_threshold_for_a_small_box() -> None:
    protocol = one_query([1], {0: [0, 0, 12, 34]})
    assert matches(protocol, found([[], [[0, 0, 12, 16]], []]), [0.9], "paper") == [False]


def test_only_the_most_similar_of_several_good_boxes_is_right() -> None:
    protocol = one_query([0], {0: TRUTH})
    assert matches(protocol, found([[TRUTH, TRUTH, TRUTH], [], []]), [0.2, 0.9, 0.5]) == [False, True, False]


def test_a_more_similar_box_elsewhere_in_the_image_does_not_take_the_match() -> None:
    protocol = one_query([0], {0: TRUTH})
    elsewhere = [300.0, 10.0, 400.0, 210.0]
    assert matches(protocol, found([[elsewhere, TRUTH], [], []]), [0.9, 0.1]) == [False, True]


def test_an_image_without_a_truth_has_no_right_answer() -> None:
    protocol = one_query([0, 1], {0: TRUTH})
    assert matches(protocol, found([[TRUTH], [TRUTH], []]), [0.1, 0.9]) == [True, False]


def test_of_an_image_listed_twice_both_entries_have_a_right_answer() -> None:
    protocol = one_query([1, 1], {0: TRUTH, 1: TRUTH})
    detections = found([[], [TRUTH], []])
    index = index_gallery(protocol, detections, 0.5)
    candidates = truth_candidates(apply_rules(protocol, "oim"), detections, index)
    ranking = rank_gallery(protocol, 0, np.ones(2, np.float32), index, candidates)
    assert ranking.is_match.tolist() == [True, True] and ranking.images.tolist() == [1, 1]


def test_detections_below_the_score_threshold_are_not_there() -> None:
    protocol = one_query([0, 1, 2], {0: TRUTH})
    index = index_gallery(protocol, found([[TRUTH, TRUTH], [TRUTH], []], [[0.3, 0.6], [0.4], []]), 0.5)
    assert index.rows.tolist() == [1] and index.counts.tolist() == [1, 0, 0]


def test_padding_contributes_nothing() -> None:
    protocol = one_query([0, 2, -1, -1], {1: TRUTH})
    index = index_gallery(protocol, found([[TRUTH], [TRUTH], [TRUTH]]), 0.5)
    block = index.block(protocol, np.array([0]))
    assert block.places(index).tolist() == [0, 2] and block.counts.tolist() == [1, 1]


def test_no_detection_at_all_gives_an_empty_ranking() -> None:
    assert matches(one_query([0, 1], {0: TRUTH}), found([[], [], []]), []) == []


def test_protocol_images_outside_the_galleries_may_be_unknown() -> None:
    protocol = one_query([0, 1], {0: TRUTH}, images=9)
    assert index_gallery(protocol, found([[TRUTH], [], []]), 0.5).counts.tolist() == [1] + [0] * 8


def test_gallery_images_must_be_known() -> None:
    protocol = one_query([0, 3, 4], {0: TRUTH}, images=9)
    with pytest.raises(AnnotationError, match=r"'g3'[\s\S]*2 of them are not among the 3 images"):
        index_gallery(protocol, found([[TRUTH], [], []]), 0.5)


def test_detections_of_no_image_are_refused_with_a_reason() -> None:
    nothing = Detections.from_images([], [], [], [], np.ones((1, 1)))
    with pytest.raises(AnnotationError, match=r"'g0'[\s\S]*among the 0 images"):
        index_gallery(one_query([0], {0: TRUTH}), nothing, 0.5)


def test_overlaps_of_empty_boxes_are_zero_not_nan() -> None:
    protocol = one_query([0], {0: [5, 5, 25, 45]})
    assert matches(protocol, found([[[5, 5, 5, 5]], [], []]), [0.9]) == [False]
    flat = dataclasses.replace(protocol, truth_boxes=np.array([[5, 5, 5, 45]], np.float32))
    assert matches(flat, found([[[5, 5, 5, 45]], [], []]), [0.9]) == [True]  # threshold 0, as released
