"""The checks of scenes, boxes and ids that all formats share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets.checks.tables import (
    RawScenes,
    check_boxes_in_images,
    check_counts,
    check_split_ids,
    check_split_names,
    check_tables,
    check_unlabeled_marks,
)
from maskps.datasets.cuhk_sysu.checks import check_integers
from maskps.findings import Finding

Person = tuple[float, float, float, float, str | None]


def raw(*scenes: tuple[str, list[Person]], sizes: list[tuple[int, int]] | None = None) -> RawScenes:
    """Scenes by name with persons as x, y, width, height, id."""
    persons = [person for _, people in scenes for person in people]
    counts = [len(people) for _, people in scenes]
    return RawScenes(
        names=[name for name, _ in scenes],
        offsets=np.cumsum([0, *counts]),
        boxes=np.array([person[:4] for person in persons], float).reshape(-1, 4),
        ids=np.array([person[4] for person in persons] + [None], object)[:-1],
        where=lambda row: f"person {row}",
        sizes=None if sizes is None else np.array(sizes),
    )


def codes(findings: list[Finding]) -> dict[str, int]:
    return dict(Counter(finding.code for finding in findings))


def test_clean_scenes_have_no_finding() -> None:
    scenes = raw(
        ("a", [(1, 1, 10, 20, "p1"), (5, 5, 10, 10, None), (6, 5, 10, 10, None)]),
        ("b", []),
        ("c", [(1, 1, 10, 20, "p1")]),
        sizes=[(100, 100)] * 3,
    )
    assert check_tables(scenes) == []


def test_no_scene_at_all_has_no_finding() -> None:
    assert check_tables(raw()) == []


def test_a_scene_listed_twice_is_an_error() -> None:
    (finding,) = check_tables(raw(("a", []), ("b", []), ("a", [])))
    assert (finding.code, finding.level, finding.where) == ("scene-doubled", "error", "a")
    assert finding.found == "listed 2 times"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_box_that_is_not_finite_is_an_error_and_nothing_else(value: float) -> None:
    (finding,) = check_tables(raw(("a", [(1, value, 10, 20, None)])))
    assert (finding.code, finding.level, finding.where) == ("box-not-finite", "error", "person 0")


@pytest.mark.parametrize("size", [(0, 20), (10, 0), (-3, 20)])
def test_a_box_without_area_is_a_warning_and_nothing_else(size: tuple[int, int]) -> None:
    (finding,) = check_tables(raw(("a", [(1, 1, *size, None)]), sizes=[(5, 5)]))
    assert (finding.code, finding.level) == ("box-empty", "warning")


def test_a_box_wider_than_tall_is_a_warning_and_a_square_one_is_not() -> None:
    findings = check_tables(raw(("a", [(1, 1, 11, 10, None), (1, 1, 10, 10, None)])))
    assert [(one.code, one.where) for one in findings] == [("box-wide", "person 0")]


def test_equal_boxes_in_one_scene_are_reported_once_and_with_both_identities() -> None:
    one, other = (1.0, 1.0, 10.0, 20.0, "p1"), (1.0, 1.0, 10.0, 20.0, "p2")
    (finding,) = check_tables(raw(("z", [one]), ("a", [(2, 2, 10, 20, None), one, other])))
    assert (finding.code, finding.where) == ("box-doubled", "person 3")
    assert "the same as that of person 2, there for p1, here for p2" in finding.found


def test_one_identity_twice_in_an_image_is_reported_with_both_boxes() -> None:
    people: list[Person] = [(1, 1, 10, 20, "p1"), (2, 2, 9, 20, None), (3, 3, 10, 20, "p1")]
    (finding,) = check_tables(raw(("a", people), ("b", people[:1])))
    assert (finding.code, finding.level, finding.where) == ("id-twice-in-image", "warning", "person 2")
    assert "p1" in finding.found
    assert "[1, 1, 10, 20] and [3, 3, 10, 20]" in finding.found


def test_a_box_may_end_at_the_border_but_not_beyond() -> None:
    people: list[Person] = [(70, 40, 30, 60, None), (71, 40, 30, 60, None), (70, 40, 29, 60.5, None)]
    findings = check_tables(raw(("a", people), sizes=[(100, 100)]))
    assert [(one.code, one.where) for one in findings] == [
        ("box-leaves-image", "person 1"),
        ("box-leaves-image", "person 2"),
    ]
    assert "of 100 x 100 by 0.5 pixels" in findings[1].found


def test_without_sizes_only_the_upper_and_left_border_are_known() -> None:
    people: list[Person] = [(-1, 5, 30, 60, None), (5, -2, 30, 60, None), (9000, 9000, 30, 60, None)]
    findings = check_boxes_in_images(raw(("a", people)))
    assert [one.where for one in findings] == ["person 0", "person 1"]
    assert "leaves the image by 2 pixels" in findings[1].found


@pytest.mark.parametrize("corner", [(100, 5), (5, 100), (-30, 5), (5, -60)])
def test_a_box_with_no_part_in_the_image_is_an_error(corner: tuple[int, int]) -> None:
    (finding,) = check_boxes_in_images(raw(("a", [(*corner, 30, 60, None)]), sizes=[(100, 100)]))
    assert (finding.code, finding.level) == ("box-outside-image", "error")


def test_an_unknown_size_is_no_size() -> None:
    scenes = raw(("a", [(1, 1, 3000, 6000, None)]), ("b", [(1, 1, 30, 60, None)]), sizes=[(0, 0), (10, 100)])
    assert [one.where for one in check_boxes_in_images(scenes)] == ["person 1"]


def test_names_and_ids_of_both_splits_are_counted_and_named() -> None:
    train = [f"s{number}" for number in range(9)]
    (finding,) = check_split_names(train, [*train[:7], "t"], where="lists")
    assert finding.code == "scene-in-both-splits"
    assert finding.found.startswith("7 scenes (s0, s1, s2, s3, s4, ...)")
    (finding,) = check_split_ids(["p1"], ["p1"], where="lists")
    assert (finding.code, finding.level) == ("id-in-both-splits", "error")
    assert finding.found.startswith("1 identity (p1)")
    assert check_split_names(["a"], ["b"], where="") == check_split_ids(["a"], ["b"], where="") == []


def test_different_marks_for_nobody_are_reported() -> None:
    (finding,) = check_unlabeled_marks({"train.json": {"-1"}, "test.json": {"-2"}, "other.json": set()})
    assert (finding.code, finding.level) == ("unlabeled-mixed", "warning")
    assert "train.json: -1; test.json: -2" in finding.found
    assert check_unlabeled_marks({"train.json": {"-1"}, "test.json": {"-1"}}) == []
    assert check_unlabeled_marks({}) == []


def test_counts_that_differ_are_reported_and_unknown_ones_are_not() -> None:
    found = {"images": 17_000, "persons": None, "ids": 3}
    (finding,) = check_counts("root", found, {"images": 18_184, "persons": 7, "ids": 3}, of="X")
    assert (finding.code, finding.found) == ("count-differs", "17,000 images")
    assert finding.expected == "18,184, as published for X"


@pytest.mark.parametrize(
    ("box", "overflows"),
    [
        ((138, 175, 73, 241), True),  # query 9 of TestG100: 175 + 241 = 416 in 8 bits
        ((100, 100, 155, 155), False),
        ((101, 100, 155, 155), True),
        ((256, 1, 400, 300), False),
        ((65_000, 1, 536, 2), True),
        ((65_000, 1, 535, 2), False),
        ((70_000, 1, 70_000, 2), False),  # 32 bits
        ((200.5, 1, 100, 2), False),  # stored as float64
        ((-1, 1, 255, 255), False),
    ],
)
def test_boxes_that_overflow_their_own_integers_are_found(box: tuple[float, ...], overflows: bool) -> None:
    findings = check_integers(Path("file.mat"), np.array([(1, 1, 2, 3), box], float))
    assert codes(findings) == ({"box-overflow": 1} if overflows else {})
    if overflows:
        assert findings[0].found.startswith("in 1 of 2 boxes")


def test_a_box_that_is_not_finite_does_not_overflow() -> None:
    assert check_integers(Path("file.mat"), np.array([(np.nan, 1, 2, 3), (np.inf, 250, 9, 9)])) == []
    assert check_integers(Path("file.mat"), np.zeros((0, 4))) == []
