"""Features of a protocol: each image once, queries from their own boxes, in the protocol's order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

import maskps.inference
from maskps.errors import AnnotationError, InputFileError
from maskps.evaluation.protocol import SearchProtocol
from maskps.evaluation.search import evaluate_search
from maskps.images import read_image
from maskps.inference import extract_detections
from maskps.model import Predictor
from maskps.structures import PersonSearchDataset
from maskps.training import TrainConfig, initial_predictor

NAMES = np.array(["s5.jpg", "s0.jpg", "s1.jpg", "s3.jpg", "s4.jpg"])


@pytest.fixture
def protocol() -> SearchProtocol:
    """Three queries, two of them in one image that is in no gallery; one gallery is shorter."""
    boxes = np.array([[34, 8, 52, 53], [4, 6, 22, 56], [4, 6, 22, 56]], np.float32)
    return SearchProtocol(
        image_names=NAMES,
        query_scenes=np.array([0, 2, 0], np.int32),
        query_boxes=boxes,
        query_ids=np.array(["p3", "p3", "p2"]),
        query_hard=np.zeros(3, np.bool_),
        galleries=np.array([[1, 2, 3], [4, 1, -1], [1, 4, 3]], np.int32),
        truth_offsets=np.array([0, 1, 2, 3]),
        truth_positions=np.array([1, 0, 0], np.int32),
        truth_boxes=np.array([[4, 6, 22, 56]] * 3, np.float32),
        truth_hard=np.zeros(3, np.bool_),
    )


@pytest.fixture
def predictor(dataset: PersonSearchDataset, make_config: Callable[..., TrainConfig]) -> Predictor:
    return initial_predictor(make_config(), dataset)


def test_gallery_images_are_detected_and_queries_embedded_from_their_boxes(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    found = extract_detections(predictor, dataset, protocol)
    assert found.image_names.tolist() == ["s0.jpg", "s1.jpg", "s3.jpg", "s4.jpg"]
    alone = predictor.detect(read_image(dataset.image_path("s1.jpg")))
    rows = slice(found.offsets[1], found.offsets[2])
    assert len(alone.boxes) > 0
    assert np.array_equal(found.boxes[rows], alone.boxes)
    assert np.array_equal(found.embeddings[rows], alone.embeddings)
    for query in range(3):
        image = read_image(dataset.image_path(str(NAMES[protocol.query_scenes[query]])))
        expected = predictor.embed(image, protocol.query_boxes[query : query + 1])[0]
        np.testing.assert_allclose(found.query_embeddings[query], expected, atol=1e-5)


def test_every_image_is_read_once_and_reported(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths, reports = [], []
    monkeypatch.setattr(
        maskps.inference, "read_image", lambda path: paths.append(path.name) or read_image(path)
    )
    extract_detections(predictor, dataset, protocol, progress=lambda *report: reports.append(report))
    assert paths == NAMES.tolist()
    assert reports == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_detections_below_the_threshold_are_dropped(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    everything = extract_detections(predictor, dataset, protocol)
    threshold = float(np.median(everything.scores))
    some = extract_detections(predictor, dataset, protocol, score_threshold=threshold)
    assert np.array_equal(some.scores, everything.scores[everything.scores >= threshold])
    nothing = extract_detections(predictor, dataset, protocol, score_threshold=2.0)
    assert nothing.embeddings.shape == (0, 16)
    assert nothing.query_embeddings.shape == (3, 16)


def test_the_result_can_be_evaluated(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    result = evaluate_search(protocol, extract_detections(predictor, dataset, protocol))
    assert 0 <= result.mAP <= 1


def test_missing_test_images_are_named_before_the_first_is_read(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    dataset.image_path("s4.jpg").unlink()
    reports: list[tuple[int, int]] = []
    with pytest.raises(InputFileError, match=r"1 of them are not there: s4\.jpg"):
        extract_detections(predictor, dataset, protocol, progress=lambda *report: reports.append(report))
    assert reports == []


def test_a_protocol_without_queries_is_refused(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    empty = dataclasses.replace(
        protocol,
        query_scenes=protocol.query_scenes[:0],
        query_boxes=protocol.query_boxes[:0],
        query_ids=protocol.query_ids[:0],
        query_hard=protocol.query_hard[:0],
        galleries=protocol.galleries[:0],
        truth_offsets=np.array([0]),
        truth_positions=protocol.truth_positions[:0],
        truth_boxes=protocol.truth_boxes[:0],
        truth_hard=protocol.truth_hard[:0],
    )
    with pytest.raises(AnnotationError, match="with queries"):
        extract_detections(predictor, dataset, empty)
