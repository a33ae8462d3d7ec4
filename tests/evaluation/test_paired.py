"""Paired differences: against printed tables, by simulation without an effect, and Holm's rule by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskps.evaluation.paired import PairedDifference, holm, p_text, with_holm

T_QUANTILES = {2: 12.706, 3: 4.303, 5: 2.776, 10: 2.262, 31: 2.042}
"""t(0.975, n - 1) by n, as printed in any table of Student's t."""


def difference(*values: float) -> PairedDifference:
    found = PairedDifference.of(values)
    assert found is not None
    return found


def binomial_bounds(rate: float, draws: int) -> tuple[float, float]:
    """The rates seen in 999 of 1,000 simulations if the true rate is `rate`."""
    margin = 3.29 * math.sqrt(rate * (1 - rate) / draws)
    return rate - margin, rate + margin


@pytest.mark.parametrize(("count", "quantile"), T_QUANTILES.items())
def test_the_interval_has_the_published_quantile(count: int, quantile: float) -> None:
    found = difference(*np.random.default_rng(count).normal(0.02, 0.01, count))
    assert found.deviation is not None and found.low is not None and found.high is not None
    error = found.deviation / count**0.5
    assert (found.high - found.mean) / error == pytest.approx(quantile, abs=5e-4)
    assert (found.mean - found.low) / error == pytest.approx(quantile, abs=5e-4)


def test_three_seeds_worked_out_by_hand() -> None:
    """Differences 1, 2 and 3 points: mean 2, deviation 1, so the interval is 2 ± 4.303 / sqrt(3) = 2 ± 2.484.

    t = 2 sqrt(3); with two degrees of freedom p = 1 - t / sqrt(t² + 2).
    """
    found = difference(0.01, 0.02, 0.03)
    assert (found.mean, found.deviation, found.count) == (pytest.approx(0.02), pytest.approx(0.01), 3)
    assert (found.low, found.high) == pytest.approx((0.02 - 0.02484, 0.02 + 0.02484), abs=5e-6)
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14)) and found.p_holm is None
    assert found.text() == "+2.0 [-0.5, +4.5]"


def test_a_loss_is_as_certain_as_a_gain() -> None:
    gain, loss = difference(0.01, 0.02, 0.03), difference(-0.01, -0.02, -0.03)
    assert loss.p == gain.p and loss.text() == "-2.0 [-4.5, +0.5]"


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_without_an_effect_one_interval_in_twenty_excludes_zero(count: int) -> None:
    draws = np.random.default_rng(20 + count).normal(0, 0.01, (4000, count))
    found = [difference(*values) for values in draws.tolist()]
    excludes = [one.low is not None and one.high is not None and one.low * one.high > 0 for one in found]
    low, high = binomial_bounds(0.05, len(draws))
    assert low <= np.mean(excludes) <= high
    assert excludes == [one.p is not None and one.p < 0.05 for one in found]


def test_the_interval_covers_an_effect_that_is_there() -> None:
    draws = np.random.default_rng(3).normal(0.02, 0.01, (4000, 3))
    found = [difference(*values) for values in draws.tolist()]
    covers = [one.low is not None and one.high is not None and one.low <= 0.02 <= one.high for one in found]
    low, high = binomial_bounds(0.95, len(draws))
    assert low <= np.mean(covers) <= high


@pytest.mark.parametrize("values", [(0.02,), (0.6 - 0.5, 0.8 - 0.7, 0.4 - 0.3), (0.0, 0.0)])
def test_one_pair_and_equal_differences_have_no_interval(values: tuple[float, ...]) -> None:
    """Equal up to rounding: nothing shows how far chance moves them, and p would be 0."""
    found = difference(*values)
    assert found.low is found.high is found.p is None
    assert "[" not in found.text()


def test_no_pair_has_no_difference() -> None:
    assert PairedDifference.of([]) is None


def test_holm_worked_out_by_hand() -> None:
    """Sorted: 4 * 0.005, 3 * 0.01, 2 * 0.03 = 0.06, and 0.04 rises to the 0.06 before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_differences_without_a_p_are_not_in_the_family() -> None:
    """Two p values count, so Holm doubles the smaller; None and one seed stay as they are."""
    first, second, single = difference(0.01, 0.02, 0.03), difference(0.0, -0.01, 0.02), difference(0.01)
    found = with_holm([None, second, single, first])
    assert found[0] is None and found[2] == single
    assert first.p is not None and second.p is not None and found[1] is not None and found[3] is not None
    assert (found[1].p_holm, found[3].p_holm) == pytest.approx((second.p, 2 * first.p))
    assert (found[3].p, first.p_holm) == (first.p, None)


def test_a_grid_without_an_effect_shows_one_at_most_once_in_twenty() -> None:
    """Seven rows, three seeds, two metrics: the twelve differences share the row without masks."""
    rng = np.random.default_rng(7)
    is_found, is_found_without_holm = [], []
    for scores in rng.normal(0.45, 0.01, (1000, 2, 7, 3)):
        gains = (scores[:, 1:] - scores[:, :1]).reshape(-1, 3)
        family = [one for one in with_holm([difference(*values) for values in gains.tolist()]) if one]
        is_found.append(any(one.p_holm is not None and one.p_holm <= 0.05 for one in family))
        is_found_without_holm.append(any(one.p is not None and one.p <= 0.05 for one in family))
    assert np.mean(is_found) <= binomial_bounds(0.05, 1000)[1]
    assert np.mean(is_found_without_holm) > 0.25  # so many would be found row by row


@pytest.mark.parametrize(
    ("p", "text"), [(0.0434, "0.043"), (1.0, "1.000"), (0.0005, "0.001"), (0.0004, "<0.001")]
)
def test_a_p_value_has_three_decimals(p: float, text: str) -> None:
    assert p_text(p) == text
