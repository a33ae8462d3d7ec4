"""Two runs query by query: the interval of their mean difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maskps.evaluation.paired import holm
from maskps.evaluation.result_file import ProtocolResult
from maskps.report.comparison import Comparison, compare
from maskps.report.sources import read_sources

Line = Callable[..., ProtocolResult]
WriteRun = Callable[..., Path]


def compared(line: Line, write_run: WriteRun, *runs: list[float]) -> list[Comparison]:
    """The comparisons of the first run with each other one."""
    folders = [write_run(f"run{number}", [line(precisions=run)]) for number, run in enumerate(runs)]
    sources = read_sources(folders)
    return compare(sources, sources.data_keys()[0])


def test_the_interval_is_over_the_queries(line: Line, write_run: WriteRun) -> None:
    """Differences of 0, 0.2 and 0.4: mean 0.2, deviation 0.2, so 20 ± 20 * 2.484; t is the root of 3.

    With two degrees of freedom p = 1 - t / sqrt(t² + 2) = 1 - sqrt(0.6) = 0.225.
    """
    (one,) = compared(line, write_run, [0.5, 0.5, 0.5], [0.5, 0.7, 0.9])
    assert one.summary() == (
        "Of 3 queries 2 gained, 0 lost, 1 are equal. mAP: +20.0 [-29.7, +69.7] points (95 % paired t "
        "interval over the queries), p 0.225; it is the only comparison."
    )


def test_each_comparison_is_corrected_for_all(line: Line, write_run: WriteRun) -> None:
    """p 0.225 is the smaller of two and doubled; a run that equals the first has no p and does not count."""
    found = compared(line, write_run, [0.5] * 3, [0.5, 0.7, 0.9], [0.5, 0.4, 0.7], [0.5] * 3)
    assert [one.comparisons for one in found] == [2, 2, 2]
    assert "p 0.225; 0.451 after Holm's correction for 2 comparisons." in found[0].summary()
    p = [one.change.p for one in found if one.change.p is not None]
    assert [one.change.p_holm for one in found[:2]] == pytest.approx(holm(p))


@pytest.mark.parametrize(("first", "second"), [([0.5], [0.7]), ([0.5, 0.25], [0.5, 0.25])])
def test_one_query_and_equal_runs_have_no_interval(
    line: Line, write_run: WriteRun, first: list[float], second: list[float]
) -> None:
    (one,) = compared(line, write_run, first, second)
    assert one.summary().endswith(f"mAP: {100 * (second[0] - first[0]):+.1f} points.".replace("+0.0", "0.0"))


def test_gains_and_losses_begin_with_the_largest(line: Line, write_run: WriteRun) -> None:
    (comparison,) = compared(line, write_run, [0.5, 0.5, 0.5, 0.5, 0.5], [0.6, 0.1, 0.9, 0.5, 0.4])
    assert (comparison.better, comparison.worse) == (2, 2)
    assert comparison.gains() == [2, 0] and comparison.losses() == [1, 4]
