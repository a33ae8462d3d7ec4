"""Boxes that are not corners in pixels of the image, which only `score` notices: it logs a warning."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from search_cases import detections_near

from maskps.evaluation import Detections
from maskps.evaluation.result_file import ResultData
from maskps.evaluation.task import ScoringOptions, SearchTask, score
from maskps.protocols import ProtocolName, SearchProtocol

IMAGES = 60


def protocol_of(true_boxes: np.ndarray) -> SearchProtocol:
    """One query per true box (x0, y0, x1, y1), which is in the next image; all images are the gallery."""
    queries = np.arange(len(true_boxes), dtype=np.int32)
    return SearchProtocol(
        image_names=np.array([f"s{image:02}.jpg" for image in range(IMAGES)]),
        query_scenes=queries,
        query_boxes=np.tile(np.array([0, 0, 9, 20], np.float32), (len(queries), 1)),
        query_ids=np.array([f"p{query}" for query in queries]),
        query_hard=np.zeros(len(queries), bool),
        galleries=np.tile(np.arange(IMAGES, dtype=np.int32), (len(queries), 1)),
        truth_offsets=np.arange(len(queries) + 1),
        truth_positions=(queries + 1) % IMAGES,
        truth_boxes=true_boxes.astype(np.float32),
        truth_hard=np.zeros(len(queries), bool),
    )


def persons(count: int, *, least: float = 40, most: float = 60, seed: int = 0) -> np.ndarray:
    """Boxes `least` to `most` pixels from the upper left corner, and larger than `most`."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(least, most, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(most, 1.5 * most + 1, (count, 2))], axis=1)


def warnings_of(
    protocol: SearchProtocol, detections: Detections, caplog: pytest.LogCaptureFixture, text: str = "width"
) -> list[str]:
    task = SearchTask(ResultData("protocol", "mine", True, "0" * 64), None, {ProtocolName("mine"): protocol})
    caplog.clear()
    score(task, detections, ScoringOptions())
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def detected(protocol: SearchProtocol, boxes: np.ndarray | None = None) -> Detections:
    """Unit vectors and the true boxes among others; `boxes` replaces all boxes."""
    found = detections_near(protocol, np.random.default_rng(1), jitter=3.0)
    embeddings = np.tile(np.eye(1, 6, dtype=np.float32), (len(found.boxes), 1))
    queries = np.tile(np.eye(1, 6, dtype=np.float32), (protocol.num_queries, 1))
    chosen = found.boxes if boxes is None else boxes.astype(np.float32)
    return dataclasses.replace(found, boxes=chosen, embeddings=embeddings, query_embeddings=queries)


def as_sizes(detections: Detections) -> Detections:
    """The same boxes as x, y, width, height, those left out whose corners would be reversed."""
    boxes = detections.boxes.copy()
    boxes[:, 2:] -= boxes[:, :2]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    return dataclasses.replace(detections, boxes=boxes)


def test_boxes_as_sizes_are_warned_of_with_both_counts(caplog: pytest.LogCaptureFixture) -> None:
    protocol = protocol_of(persons(20))
    (warning,) = warnings_of(protocol, as_sizes(detected(protocol)), caplog)
    assert (
        "overlap 0 of the 20 true boxes" in warning
        and "but fit 20 closely (IoU 0.7) if read as x, y, width, height" in warning
    )
    assert "add the first two numbers to the last two" in warning


def test_fewer_than_ten_true_boxes_give_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(protocol_of(persons(10)), as_sizes(detected(protocol_of(persons(10)))), caplog)
    assert not warnings_of(protocol_of(persons(9)), as_sizes(detected(protocol_of(persons(9)))), caplog)


@pytest.mark.parametrize("right", [6, 7])
def test_three_times_as_many_are_needed(caplog: pytest.LogCaptureFixture, right: int) -> None:
    """Of 20 persons so many stand at the origin, where both readings find them."""
    true_boxes = persons(20)
    true_boxes[:right] -= np.tile(true_boxes[:right, :2], 2)
    protocol = protocol_of(true_boxes)
    assert bool(warnings_of(protocol, as_sizes(detected(protocol)), caplog)) == (right == 6)


@pytest.mark.parametrize(("fitting", "is_warned"), [(15, True), (14, False)])
def test_a_quarter_of_the_true_boxes_is_needed(
    caplog: pytest.LogCaptureFixture, fitting: int, is_warned: bool
) -> None:
    protocol = protocol_of(persons(60))
    found = as_sizes(detected(protocol))
    found.boxes[found.offsets[fitting] :] += np.float32(5000)
    assert bool(warnings_of(protocol, found, caplog)) == is_warned


def test_boxes_at_the_origin_are_the_same_both_ways(caplog: pytest.LogCaptureFixture) -> None:
    true_boxes = persons(30)
    true_boxes -= np.tile(true_boxes[:, :2], 2)
    protocol = protocol_of(true_boxes)
    assert not warnings_of(protocol, as_sizes(detected(protocol)), caplog)
    assert not warnings_of(protocol, detected(protocol), caplog)


@pytest.mark.parametrize("scale", [0.5, 0.7, 0.8, 1.0, 1.5])
@pytest.mark.parametrize("most", [60, 400])  # far nearer the corner than persons are
def test_corners_raise_no_alarm_even_of_images_of_another_size(
    caplog: pytest.LogCaptureFixture, scale: float, most: float
) -> None:
    protocol = protocol_of(persons(40, least=5, most=most))
    found = detected(protocol)
    assert not warnings_of(
        protocol, dataclasses.replace(found, boxes=found.boxes * np.float32(scale)), caplog
    )


@pytest.mark.parametrize("seed", range(5))
def test_random_boxes_raise_no_alarm(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    protocol = protocol_of(persons(40, least=5, most=60, seed=seed))
    rng = np.random.default_rng(seed)
    many = Detections.from_images(
        protocol.image_names.tolist(),
        [np.sort(rng.uniform(0, 200, (15, 2, 2)), axis=1).reshape(15, 4) for _ in range(IMAGES)],
        [np.ones(15)] * IMAGES,
        [np.tile(np.eye(1, 6), (15, 1))] * IMAGES,
        np.tile(np.eye(1, 6), (protocol.num_queries, 1)),
    )
    assert not warnings_of(protocol, many, caplog)


def test_no_detections_give_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    protocol = protocol_of(persons(20))
    nothing = Detections.from_images(
        protocol.image_names.tolist(),
        [np.zeros((0, 4))] * IMAGES,
        [np.zeros(0)] * IMAGES,
        [np.zeros((0, 6))] * IMAGES,
        np.tile(np.eye(1, 6), (20, 1)),
    )
    assert not warnings_of(protocol, nothing, caplog)


@pytest.mark.parametrize(("scale", "is_warned"), [(0.3, True), (3, True), (1, False), (1.2, False)])
def test_boxes_that_hardly_overlap_a_person_are_warned_of(
    caplog: pytest.LogCaptureFixture, scale: float, is_warned: bool
) -> None:
    protocol = protocol_of(persons(40))
    found = detected(protocol)
    assert len(found) > 40
    scaled = dataclasses.replace(found, boxes=found.boxes * np.float32(scale))
    warned = warnings_of(protocol, scaled, caplog, "pixels of the original images")
    assert bool(warned) == is_warned
    assert not warned or "overlap only 0 of the 40 true boxes" in warned[0]


def test_few_detections_are_no_sign_of_wrong_pixels(caplog: pytest.LogCaptureFixture) -> None:
    protocol = protocol_of(persons(40))
    found = detected(protocol)
    few = dataclasses.replace(
        found,
        offsets=np.minimum(found.offsets, 40),
        boxes=found.boxes[:40] * 3,
        scores=found.scores[:40],
        embeddings=found.embeddings[:40],
    )
    assert not warnings_of(protocol, few, caplog, "pixels of the original images")
