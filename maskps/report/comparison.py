"""Two runs compared query by query: which queries gained, which lost, and how certain the mean is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.paired import PairedDifference, p_text, with_holm
from maskps.evaluation.result_file import ProtocolResult
from maskps.io.tables import Column, Table
from maskps.report.sources import DataKey, Sources

SHOWN = 15
"""Queries shown from each end; the CSV has all."""


@dataclass(frozen=True)
class Comparison:
    """Two results of one protocol, evaluated alike.

    Attributes:
        key: file name without suffix, unique on a page.
        before, after: the names of the two.
        protocol: of both.
        first, second: their results.
        order: (Q,) int64, queries by falling difference; equal ones stay in the protocol's order.
        change: of the mAP, paired over the queries; its `p_holm` is corrected over all comparisons on these
            data.
        comparisons: the number of these comparisons that have a p value.
    """

    key: str
    before: str
    after: str
    protocol: str
    first: ProtocolResult
    second: ProtocolResult
    order: NDArray[np.int64]
    change: PairedDifference
    comparisons: int

    @property
    def differences(self) -> NDArray[np.float64]:
        """(Q,) AP of the second minus that of the first, fractions."""
        return self.second.average_precisions - self.first.average_precisions

    @cached_property
    def query_names(self) -> list[str]:
        """(Q,) a unique name for each query."""
        return query_names(self.first.query_ids)

    @property
    def better(self) -> int:
        return int((self.differences > 0).sum())

    @property
    def worse(self) -> int:
        return int((self.differences < 0).sum())

    def summary(self) -> str:
        """Returns the comparison in two sentences; without an interval if `change` has none."""
        count, change = len(self.differences), self.change
        equal = count - self.better - self.worse
        text = (
            f"Of {count:,} queries {self.better:,} gained, {self.worse:,} lost, {equal:,} are equal. "
            f"mAP: {change.text()} points"
        )
        if change.p is None or change.p_holm is None:
            return f"{text}."
        holm = f"{p_text(change.p_holm)} after Holm's correction for {self.comparisons} comparisons"
        return (
            f"{text} (95 % paired t interval over the queries), p {p_text(change.p)}; "
            f"{holm if self.comparisons > 1 else 'it is the only comparison'}."
        )

    def gains(self) -> list[int]:
        """Returns up to `SHOWN` queries that gained, the largest gain first."""
        return [int(query) for query in self.order[: min(SHOWN, self.better)]]

    def losses(self) -> list[int]:
        """Returns up to `SHOWN` queries that lost, the largest loss first."""
        return [int(query) for query in self.order[::-1][: min(SHOWN, self.worse)]]

    def to_csv(self) -> str:
        """Returns all queries, the largest gain first."""
        keys = ("query", "query_id", "AP_first", "AP_second", "difference", "hit_first", "hit_second")
        rows = [
            (
                query,
                self.first.query_ids[query],
                self.first.average_precisions[query],
                self.second.average_precisions[query],
                self.differences[query],
                int(self.first.hits[query, 0]),
                int(self.second.hits[query, 0]),
            )
            for query in self.order.tolist()
        ]
        return Table("", [Column(key, None) for key in keys], rows).to_text("csv")


def query_names(ids: Sequence[str]) -> list[str]:
    """Returns a name for each query: its person, or "40 (2)" for the second query of one person.

    In CUHK-SYSU each query shows another person; PRW has several queries of most persons.
    """
    several, seen, names = Counter(ids), Counter[str](), []
    for one in ids:
        seen[one] += 1
        names.append(f"{one} ({seen[one]})" if several[one] > 1 else one)
    return names


def compare(sources: Sources, data: DataKey) -> list[Comparison]:
    """Compares the first run on `data` with each other run that has the same kind of result.

    The result compared is the first run's usual protocol (`Measured.usual`), with the same rules, feature and
    method.
    """
    runs = sources.of(data).measured
    if not runs:
        return []
    base = runs[0].usual()
    if base is None:
        return []
    pairs = [(run, line) for run in runs[1:] if (line := _like(base, run.file.results)) is not None]
    changes = with_holm(
        [
            PairedDifference.of((line.average_precisions - base.average_precisions).tolist())
            for _, line in pairs
        ]
    )
    comparisons = sum(change is not None and change.p is not None for change in changes)
    return [
        Comparison(
            key=f"comparison{number}",
            before=runs[0].name_of(base),
            after=run.name_of(line),
            protocol=str(base.protocol),
            first=base,
            second=line,
            order=np.argsort(base.average_precisions - line.average_precisions, kind="stable").astype(
                np.int64
            ),
            change=change,
            comparisons=comparisons,
        )
        for number, ((run, line), change) in enumerate(zip(pairs, changes, strict=True), start=1)
        if change is not None
    ]


def _like(base: ProtocolResult, lines: Sequence[ProtocolResult]) -> ProtocolResult | None:
    keys = ("protocol", "rules", "feature", "method", "query_ids", "gallery_size")
    return next((one for one in lines if all(getattr(one, key) == getattr(base, key) for key in keys)), None)
