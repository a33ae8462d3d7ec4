"""Decisions of a review are read as they were saved, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.errors import InputFileError
from maskps.masks.outlines import Outline
from maskps_annotation.decisions import Decision, Decisions, outline_key, read_decisions

ENTRY = {
    "scene": "s1.jpg",
    "person": 2,
    "decision": "reject",
    "comment": "bag <b>missing</b>",
    "outline": "0123456789abcdef",
}
SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])


def write(path: Path, *entries: Any, **head: Any) -> Path:
    content = {"format": "maskps-review", "version": 1, "fingerprint": "f", "subset": "s", "reviewer": "rita"}
    path.write_text(json.dumps(content | {"decisions": entries} | head), encoding="utf-8")
    return path


def test_decisions_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.review.json", ENTRY)
    decision = Decision("s1.jpg", 2, "reject", "bag <b>missing</b>", "0123456789abcdef")
    assert read_decisions(path) == Decisions("f", "rita", (decision,))


@pytest.mark.parametrize(
    "change",
    [
        {"scene": 3},
        {"person": -1},
        {"person": True},
        {"person": 1.5},
        {"decision": "maybe"},
        {"comment": None},
        {"outline": "xyz"},
        {"outline": "0123"},
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputFileError) as caught:
        read_decisions(write(tmp_path / "a.json", ENTRY | change))
    assert caught.value.hint


def test_a_person_decided_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"s1.jpg box 2 again"):
        read_decisions(write(tmp_path / "a.json", ENTRY, ENTRY | {"decision": "accept"}))


@pytest.mark.parametrize("head", [{"decisions": {}}, {"decisions": [1]}, {"reviewer": 7}, {"version": 2}])
def test_a_damaged_file_is_refused(tmp_path: Path, head: dict[str, Any]) -> None:
    with pytest.raises(InputFileError):
        read_decisions(write(tmp_path / "a.json", **head))


def test_another_file_is_refused_by_what_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "packs.json").write_text('{"format": "maskps-packs"}')
    with pytest.raises(InputFileError, match="decisions of a review"):
        read_decisions(tmp_path / "packs.json")


def test_the_key_changes_with_every_point() -> None:
    moved = SQUARE + [[0, 0], [0, 0], [0, 1e-9], [0, 0]]
    assert outline_key(Outline((SQUARE,))) != outline_key(Outline((moved,)))


def test_the_key_of_one_ring_differs_from_that_of_two() -> None:
    points = np.concatenate([SQUARE, SQUARE + 10])
    assert outline_key(Outline((points,))) != outline_key(Outline((SQUARE, SQUARE + 10)))


def test_the_key_stays_the_same_from_version_to_version() -> None:
    assert outline_key(Outline((SQUARE,))) == "938a2eceefb86169"


def test_no_outline_has_no_key() -> None:
    assert outline_key(None) == outline_key(Outline(())) == ""
