"""The records check themselves once, on construction."""

from __future__ import annotations

import numpy as np
import pytest

from maskps import UNLABELED_PID, AnnotationError, Scene, SceneTable


def scene(name: str, pids: list[int]) -> Scene:
    boxes = np.array([[10 * i, 0, 10 * i + 5, 20] for i in range(len(pids))], dtype=np.float32)
    return Scene(name, boxes.reshape(-1, 4), np.array(pids, np.int64), np.zeros(len(pids), bool))


def table() -> SceneTable:
    return SceneTable.from_scenes([scene("a.jpg", [1, -1]), scene("b.jpg", []), scene("c.jpg", [-1, 2, 3])])


def test_a_row_is_a_view_of_its_scene() -> None:
    row = table()[2]
    assert row.name == "c.jpg"
    assert row.pids.tolist() == [UNLABELED_PID, 2, 3]
    assert row.is_labeled.tolist() == [False, True, True]
    assert row.boxes[:, 0].tolist() == [0, 10, 20]


def test_negative_rows_count_from_the_end_and_others_are_index_errors() -> None:
    assert table()[-1].name == "c.jpg"
    with pytest.raises(IndexError):
        table()[3]


def test_a_person_is_named_by_scene_box_and_pid() -> None:
    scenes = SceneTable.from_scenes([scene("a.jpg", [3]), scene("b.jpg", []), scene("c.jpg", [5, -1])])
    assert [list(scenes.persons_of(i)) for i in range(3)] == [[0], [], [1, 2]]
    names = ["a.jpg box 0 (pid 3)", "c.jpg box 0 (pid 5)", "c.jpg box 1 (pid -1)", "person row 3 of 3"]
    assert [scenes.person_name(row) for row in range(4)] == names


def test_labeled_persons_are_counted_per_scene() -> None:
    assert table().labeled_per_scene.tolist() == [1, 0, 2]


def test_selecting_keeps_the_order_given_and_the_persons_with_their_scene() -> None:
    chosen = table().select([2, 0])
    assert chosen.names.tolist() == ["c.jpg", "a.jpg"]
    assert chosen.pids.tolist() == [-1, 2, 3, 1, -1]
    assert chosen.offsets.tolist() == [0, 3, 5]


def test_selecting_nothing_gives_an_empty_table() -> None:
    assert len(table().select([])) == 0


def test_rows_of_names_and_the_name_that_is_not_there() -> None:
    assert table().rows_of(["c.jpg", "a.jpg"]).tolist() == [2, 0]
    with pytest.raises(AnnotationError, match=r"(?s)zzz\.jpg.*1 of 2"):
        table().rows_of(["a.jpg", "zzz.jpg"])


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        ([scene("a.jpg", [0])], "pid 0"),
        ([scene("a.jpg", [-2])], "below -1"),
        ([scene("a.jpg", [1]), scene("a.jpg", [2])], "2 times"),
    ],
)
def test_impossible_tables_are_refused(scenes: list[Scene], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        SceneTable.from_scenes(scenes)


def test_columns_of_different_length_are_refused() -> None:
    good = table()
    with pytest.raises(AnnotationError, match=r"(?s)is_hard.*shape \(5,\).*shape \(4,\)"):
        SceneTable(good.names, good.offsets, good.boxes, good.pids, good.is_hard[:4])


def test_a_name_of_thousands_of_characters_is_cut_short_in_the_message() -> None:
    with pytest.raises(AnnotationError) as caught:
        SceneTable.from_scenes([]).rows_of(["n" * 5000])
    assert len(str(caught.value)) < 300
