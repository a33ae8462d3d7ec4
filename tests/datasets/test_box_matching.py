"""Which box an appearance means."""

from __future__ import annotations

import numpy as np

from maskps.datasets.matching import first_equal, match_boxes


def test_the_first_of_equal_rows_is_found() -> None:
    rows = np.array([[2, 1], [1, 1], [2, 1], [1, 1], [1, 2]], float)
    assert first_equal(rows).tolist() == [0, 1, 0, 1, 4]


def test_a_row_with_nan_equals_nothing() -> None:
    rows = np.array([[np.nan, 1], [np.nan, 1]])
    assert first_equal(rows).tolist() == [0, 1]


def test_no_rows() -> None:
    assert first_equal(np.zeros((0, 5))).tolist() == []


def test_appearances_find_their_boxes_as_a_loop_does() -> None:
    rng = np.random.default_rng(5)
    scene_of_box, boxes = rng.integers(0, 6, 200), rng.integers(0, 3, (200, 4))
    scenes, wanted, pids = rng.integers(-1, 7, 150), rng.integers(0, 3, (150, 4)), rng.integers(1, 5, 150)
    matches = match_boxes(scene_of_box, boxes, scenes, wanted, pids)

    person_of: dict[tuple[int, ...], int] = {}
    for row, key in enumerate(zip(scene_of_box.tolist(), *boxes.T.tolist(), strict=True)):
        person_of.setdefault(key, row)
    latest: dict[int, int] = {}
    retaken = []
    for row, key in enumerate(zip(scenes.tolist(), *wanted.T.tolist(), strict=True)):
        assert matches.persons[row] == person_of.get(key, -1)
        if key in person_of:
            if latest.get(person_of[key], pids[row]) != pids[row]:
                retaken.append(row)
            latest[person_of[key]] = pids[row]
    assert matches.retaken.tolist() == retaken
    assert 0 < len(retaken) < 150


def test_without_boxes_nothing_matches() -> None:
    none, boxes = np.zeros(0, np.int64), np.zeros((0, 4))
    assert match_boxes(none, boxes, np.array([0]), np.ones((1, 4)), np.array([1])).persons.tolist() == [-1]
    assert match_boxes(none, boxes, none, boxes, none).persons.tolist() == []
