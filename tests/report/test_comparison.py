"""Two runs query by query: the standard error of their difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from maskps.evaluation.result_file import ProtocolResult
from maskps.report.comparison import Comparison

Line = Callable[..., ProtocolResult]


def compared(line: Line, first: list[float], second: list[float]) -> Comparison:
    order = np.argsort(np.array(first) - second, kind="stable")
    return Comparison("c", "a", "b", "TestG100", line(precisions=first), line(precisions=second), order)


def test_the_standard_error_is_that_of_a_sample(line: Line) -> None:
    """Differences of 0, 0.2 and 0.4: the sample's standard deviation is 0.2, over the root of 3 queries."""
    comparison = compared(line, [0.5, 0.5, 0.5], [0.5, 0.7, 0.9])
    assert comparison.standard_error == pytest.approx(0.2 / 3**0.5)
    assert "mAP +20.0 points (standard error over the queries 11.5)" in comparison.summary()


def test_one_query_has_no_standard_error(line: Line) -> None:
    comparison = compared(line, [0.5], [0.7])
    assert comparison.standard_error is None
    assert "standard error" not in comparison.summary()


@pytest.mark.parametrize(("second", "is_chance"), [([0.5, 0.5, 0.8], True), ([0.7, 0.8, 0.9], False)])
def test_a_difference_within_two_standard_errors_is_named_as_such(
    line: Line, second: list[float], is_chance: bool
) -> None:
    """0.1 with a standard error of 0.1, and 0.3 with 0.06."""
    assert ("within two standard errors" in compared(line, [0.5] * 3, second).summary()) == is_chance


def test_gains_and_losses_begin_with_the_largest(line: Line) -> None:
    comparison = compared(line, [0.5, 0.5, 0.5, 0.5, 0.5], [0.6, 0.1, 0.9, 0.5, 0.4])
    assert (comparison.better, comparison.worse) == (2, 2)
    assert comparison.gains() == [2, 0] and comparison.losses() == [1, 4]
