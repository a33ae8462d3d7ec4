"""Counts and anomalies of a test protocol."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskps.protocols import SearchProtocol, describe_protocol, read_protocol
from maskps.protocols.summary import DOUBLED_IMAGE, OWN_IMAGE
from maskps_manifest.cuhk_sysu import TEST_G100


def protocol_of(gallery: list[int], truths: dict[int, tuple[float, ...]]) -> SearchProtocol:
    """One query, box [0, 0, 10, 20] in scene 0 of four, with this gallery and true boxes by position."""
    return SearchProtocol(
        image_names=np.array(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
        query_scenes=np.array([0], np.int32),
        query_boxes=np.array([[0, 0, 10, 20]], np.float32),
        query_ids=np.array(["p1"]),
        query_hard=np.array([False]),
        galleries=np.array([gallery], np.int32),
        truth_offsets=np.array([0, len(truths)], np.int64),
        truth_positions=np.array(list(truths), np.int32),
        truth_boxes=np.array(list(truths.values()), np.float32).reshape(-1, 4),
        truth_hard=np.zeros(len(truths), bool),
    )


def test_a_protocol_is_counted() -> None:
    summary = describe_protocol(protocol_of([1, 3], {0: (1, 2, 3, 4)}))
    assert summary.to_dict() == {
        "queries": 1,
        "query_images": 1,
        "gallery_images": 2,
        "gallery_sizes": [2],
        "truths": 1,
        "anomalies": [],
    }


def test_the_filling_of_short_galleries_is_not_counted() -> None:
    summary = describe_protocol(protocol_of([1, 3, -1, -1], {}))
    assert (summary.gallery_images, summary.gallery_sizes, summary.anomalies) == (2, (2,), ())


@pytest.mark.parametrize(
    ("truths", "text"),
    [
        ({}, "without a true box"),
        ({0: (1, 2, 3, 4)}, "once with the true box [1, 2, 2, 2]"),
        ({0: (1, 2, 3, 4), 2: (1, 2, 3, 4)}, "with 2 identical true boxes [1, 2, 2, 2]"),
        ({0: (1, 2, 3, 4), 2: (5, 6, 9, 9)}, "with 2 different true boxes [1, 2, 2, 2] [5, 6, 4, 3]"),
    ],
)
def test_a_scene_listed_twice_is_reported(truths: dict[int, tuple[float, ...]], text: str) -> None:
    (anomaly,) = describe_protocol(protocol_of([1, 2, 1], truths)).anomalies
    assert (anomaly.kind, anomaly.query, anomaly.query_id, anomaly.image) == (DOUBLED_IMAGE, 0, "p1", "b.jpg")
    assert anomaly.text == f"query 0 (p1): b.jpg is 2 times in the gallery, {text}"


@pytest.mark.parametrize(
    ("truths", "text"),
    [
        ({}, "without a true box"),
        ({0: (1, 2, 3, 4)}, "another true box [1, 2, 2, 2]"),
        ({0: (0, 0, 10, 20)}, "a free hit"),
    ],
)
def test_the_querys_own_image_in_its_gallery_is_reported(
    truths: dict[int, tuple[float, ...]], text: str
) -> None:
    (anomaly,) = describe_protocol(protocol_of([0, 2], truths)).anomalies
    assert (anomaly.kind, anomaly.image) == (OWN_IMAGE, "a.jpg")
    assert text in anomaly.text


def test_a_summary_goes_into_json() -> None:
    summary = describe_protocol(protocol_of([0, 0], {0: (0, 0, 10, 20)}))
    assert json.loads(json.dumps(summary.to_dict())) == summary.to_dict()


def test_the_real_protocol_is_described_with_its_six_oddities(real_data: Path) -> None:
    summary = describe_protocol(read_protocol(real_data / "cuhk_sysu" / "TestG100.mat"))
    assert summary.queries == TEST_G100.queries
    assert summary.query_images == TEST_G100.query_images
    assert summary.gallery_images == TEST_G100.gallery_images
    assert summary.gallery_sizes == (TEST_G100.gallery_size,)
    assert summary.truths == TEST_G100.truths
    doubled = [(item.query, item.image) for item in summary.anomalies if item.kind == DOUBLED_IMAGE]
    own = [(item.query, item.image) for item in summary.anomalies if item.kind == OWN_IMAGE]
    assert tuple(doubled) == TEST_G100.doubled_images
    assert tuple(own) == TEST_G100.own_images
    assert [item.query for item in summary.anomalies if "free hit" in item.text] == [TEST_G100.free_hit]
