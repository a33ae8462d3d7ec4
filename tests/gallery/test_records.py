"""The records of a gallery: what they refuse, and what follows from their fields."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maskps.errors import AnnotationError, ConfigError
from maskps.gallery import Network, PersonRow, Persons, Source, Where

GOOD = Persons(
    np.array([[0, 0, 4, 9], [1, 1, 2, 2]], np.float32),
    np.array([0.9, 0.8], np.float32),
    np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32),
    np.zeros(2),
)
NETWORK = Network("ab", "embedding", 3, 256, 512, recipe="tiny", terms="research only")
PHOTO = Source("/a.jpg", "image", 1, 1, "hash", camera="gate", started_at=100.0, id=1)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("vectors", np.ones((2, 3), np.float32), "length 1.73205 in row 0"),
        ("vectors", np.array([[1, 0, 0], [0, 0, 0.99]], np.float32), "length 0.99 in row 1"),
        ("vectors", np.array([[1, 0, 0], [0, np.nan, 1]], np.float32), "NaN"),
        ("vectors", np.eye(3, dtype=np.float32), "shape (3, 3)"),
        ("vectors", np.ones(2, np.float32), "shape (2,)"),
        ("boxes", np.zeros((2, 3), np.float32), "shape (2, 3)"),
        ("boxes", np.full((2, 4), np.inf, np.float32), "infinite"),
        ("frame_time", np.zeros(1), "shape (1,)"),
        ("frame_time", np.array([0, np.nan]), "NaN"),
        ("scores", np.array([0.5, np.nan], np.float32), "NaN"),
    ],
)
def test_persons_are_checked(field: str, value: np.ndarray, found: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        dataclasses.replace(GOOD, **{field: value})
    assert caught.value.where == f"Persons.{field}" and found in caught.value.found
    assert caught.value.expected and caught.value.hint


def test_no_persons_have_the_shapes_of_some() -> None:
    none = Persons.none(3)
    assert len(none) == 0 and len(GOOD) == 2
    assert none.vectors.shape == (0, 3) and none.boxes.shape == (0, 4) and none.frame_time.shape == (0,)


def test_a_person_was_seen_at_the_start_of_its_source_plus_its_frame_time() -> None:
    row = PersonRow(7, PHOTO, 2.5, (0, 0, 1, 1), 0.9)
    assert (row.at, row.camera) == (102.5, "gate")
    assert dataclasses.replace(row, source=dataclasses.replace(PHOTO, started_at=None)).at is None


@pytest.mark.parametrize("field", ["weights", "feature", "dim", "shorter_side", "longest_side"])
def test_vectors_of_two_networks_differ_by_what_they_depend_on(field: str) -> None:
    other = {"weights": "cd", "feature": "pooled", "dim": 4, "shorter_side": 255, "longest_side": 511}[field]
    assert NETWORK.difference(dataclasses.replace(NETWORK, **{field: other})) == field
    assert NETWORK.difference(dataclasses.replace(NETWORK, recipe="", terms="")) == ""


@pytest.mark.parametrize(
    ("conditions", "where"),
    [
        ({"start": 5.0, "end": 5.0}, "Where.end"),
        ({"start": float("nan")}, "Where.start"),
        ({"end": float("inf")}, "Where.end"),
        ({"min_score": float("nan")}, "Where.min_score"),
    ],
)
def test_a_filter_that_cannot_match_is_refused(conditions: dict[str, float], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Where(**conditions)
    assert caught.value.where == where


def test_only_a_filter_by_source_alone_is_of_whole_sources() -> None:
    assert Where().is_of_whole_sources and Where(sources=(1,)).is_of_whole_sources
    for other in ({"cameras": ("a",)}, {"start": 0.0}, {"end": 0.0}, {"min_score": 0.0}):
        assert not Where(sources=(1,), **other).is_of_whole_sources


def test_a_cameras_name_must_be_text_that_can_be_written() -> None:
    with pytest.raises(AnnotationError, match="UTF-8"):
        dataclasses.replace(PHOTO, camera="gate\udcff")
