"""Paired differences: their mean, its 95 % t interval, and p values with Holm's correction.

`maskps ablate` (pairs are seeds) and `maskps report` (pairs are queries) separate an effect from chance by
this one rule. The paper has one run per row and no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from maskps.io.tables import Cell, Column, Shown, Spread, Value

LEVEL = 0.95
_ROUNDING = 1e-12
"""Deviations of fractions up to this are rounding errors of equal differences."""
_NUMBERS = ("mean", "deviation", "low", "high", "p", "p_holm")


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences and how certain it is; fractions.

    Attributes:
        deviation: standard deviation of the differences (n - 1 in the denominator); None for one pair.
        count: number of pairs n.
        low, high: bounds of the 95 % t interval, mean ± t(0.975, n - 1) deviation / sqrt(n). None for one
            pair, and if all differences are equal: then nothing shows how far chance moves them.
        p: of the two-sided paired t test, the chance of so large a mean if the true difference is 0. It is
            below 0.05 exactly where the interval excludes 0. None without an interval.
        p_holm: p after Holm's correction over a family of comparisons (`with_holm`); None before.
    """

    mean: float
    deviation: float | None
    count: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None

    @classmethod
    def of(cls, differences: Sequence[float]) -> PairedDifference | None:
        """Returns the mean of (n,) differences with its interval, None for n = 0."""
        from scipy.special import stdtr, stdtrit  # scipy.stats takes three times as long to import

        spread = Spread.of(differences)
        if spread is None:
            return None
        mean, deviation, count = spread.mean, spread.deviation, spread.count
        if deviation is None or deviation <= _ROUNDING:
            return cls(mean, deviation, count)
        error = deviation / count**0.5
        half = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * error
        p = 2 * float(stdtr(count - 1, -abs(mean) / error))
        return cls(mean, deviation, count, mean - half, mean + half, p)

    def text(self) -> str:
        """Returns the mean and its interval in percentage points, as in "+2.1 [-0.3, +4.5]"."""
        if self.low is None or self.high is None:
            return _points(self.mean)
        return f"{_points(self.mean)} [{_points(self.low)}, {_points(self.high)}]"


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p values after Holm's correction, in the order given.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than the one
    before it, or larger than 1. If no effect is real, the chance that any of them is 0.05 or smaller is at
    most 5 %, also if comparisons depend on each other (S. Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values)[order]), 1)
    return corrected.tolist()


def with_holm(differences: Sequence[PairedDifference | None]) -> list[PairedDifference | None]:
    """Returns the differences of one family of comparisons with `p_holm`; those without a p do not count."""
    corrected = iter(holm([one.p for one in differences if one is not None and one.p is not None]))
    return [
        one if one is None or one.p is None else replace(one, p_holm=next(corrected)) for one in differences
    ]


def p_text(p: float) -> str:
    """Returns a p value as it is shown, for example "0.043" or "<0.001"."""
    return f"{p:.3f}" if p >= 0.0005 else "<0.001"


def difference_numbers(difference: PairedDifference | None) -> dict[str, Value]:
    """Returns the numbers of a difference over seeds by name, as fractions."""
    numbers = {name: getattr(difference, name, None) for name in _NUMBERS}
    return {**numbers, "seeds": difference.count if difference else 0}


def difference_columns(key: str, head: str | None, p_head: str | None) -> list[Column]:
    """Returns the columns for the cells of `difference_cells`; the CSV alone has those without a head."""
    heads = {"mean": head, "p_holm": p_head}
    return [Column(f"{key}_{name}", heads.get(name), "points") for name in difference_numbers(None)]


def difference_cells(difference: PairedDifference | None) -> list[Cell]:
    """Returns the cells of a difference over seeds: the mean is shown with its interval."""
    cells: dict[str, Cell] = {**difference_numbers(difference)}
    if difference is not None:
        cells["mean"] = Shown(difference.mean, difference.text())
        if difference.p_holm is not None:
            cells["p_holm"] = Shown(difference.p_holm, p_text(difference.p_holm))
    return list(cells.values())


def _points(fraction: float) -> str:
    return Column("", "", "points").text(fraction)
