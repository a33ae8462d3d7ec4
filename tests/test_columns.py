"""Row-aligned columns."""

from __future__ import annotations

import numpy as np
import pytest

from maskps.columns import check_offsets, check_unique, ragged_ranges, rows_of_names
from maskps.errors import AnnotationError


def test_ragged_ranges() -> None:
    assert ragged_ranges(np.array([5, 9, 0]), np.array([2, 0, 3])).tolist() == [5, 6, 0, 1, 2]
    assert ragged_ranges(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_rows_are_found_by_name_whatever_the_order() -> None:
    names = np.array(["s10.jpg", "s2.jpg", "a.jpg"])
    assert rows_of_names(names, ["a.jpg", "s10.jpg", "a.jpg"]).tolist() == [2, 0, 2]


def test_names_that_are_not_there_have_row_minus_one() -> None:
    names = np.array(["b", "d"])
    assert rows_of_names(names, ["a", "b", "c", "d", "e", "bb"]).tolist() == [-1, 0, -1, 1, -1, -1]
    assert rows_of_names(np.array([], dtype=np.str_), ["a"]).tolist() == [-1]
    assert rows_of_names(names, []).tolist() == []


def test_the_doubled_name_is_named_with_its_own_count() -> None:
    check_unique("here", ["a", "b"], expected="every name once")
    check_unique("here", [], expected="every name once")
    with pytest.raises(AnnotationError) as caught:
        check_unique("here", ["z", "a", "z", "b", "b", "z"], expected="every name once")
    assert caught.value.found == "'b' 2 times"


@pytest.mark.parametrize("offsets", [[1, 3], [0, 2], [0, 2, 1, 3], [0, 4]])
def test_offsets_that_do_not_rise_from_0_to_the_rows_are_refused(offsets: list[int]) -> None:
    check_offsets("here", np.array([0, 1, 1, 3]), 3, what="persons")
    with pytest.raises(AnnotationError, match="number of persons, 3"):
        check_offsets("here", np.array(offsets), 3, what="persons")
