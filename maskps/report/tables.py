"""A table of the report: the same numbers as HTML, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maskps.report.sources import Spread
from maskps.subset.count_table import latex_escaped

Style = Literal["text", "count", "percent", "points"]
Cell = str | int | float | Spread | None
Origin = Literal["published", "measured"]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: in the CSV.
        head: for people.
        style: of its numbers. Fractions are shown in percent ("percent"), or as a difference in points of a
            percent with its sign ("points").
    """

    key: str
    head: str
    style: Style = "text"

    def text(self, cell: Cell) -> str:
        """Returns a cell as it is shown; "–" where there is no number."""
        if cell is None:
            return "–"
        if isinstance(cell, Spread):
            mean = self.text(cell.mean)
            return mean if cell.deviation is None else f"{mean} ± {100 * cell.deviation:.1f}"
        if isinstance(cell, str):
            return cell
        if self.style == "count":
            return f"{cell:,d}" if isinstance(cell, int) else f"{cell:g}"
        text = format(100 * cell, "+.1f" if self.style == "points" else ".1f")
        return "0.0" if text in ("+0.0", "-0.0") else text


@dataclass(frozen=True)
class Row:
    """A row; its origin says whose numbers they are."""

    cells: tuple[Cell, ...]
    origin: Origin


@dataclass(frozen=True)
class ReportTable:
    """Rows under a title.

    Attributes:
        key: file name without suffix, unique on a page.
        title: with the name of the data.
        note: what has to be known to read the numbers; may be "".
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def __post_init__(self) -> None:
        assert all(len(row.cells) == len(self.columns) for row in self.rows)

    @property
    def is_mixed(self) -> bool:
        """Whether published and measured rows stand in it."""
        return len({row.origin for row in self.rows}) > 1

    def texts(self) -> list[list[str]]:
        """Returns the cells as they are shown."""
        return [
            [column.text(cell) for column, cell in zip(self.columns, row.cells, strict=True)]
            for row in self.rows
        ]

    def to_csv(self) -> str:
        """Returns bare numbers, fractions at full precision; deviations in columns of their own."""
        has_spread = [
            any(isinstance(row.cells[index], Spread) for row in self.rows)
            for index in range(len(self.columns))
        ]
        heads = ["numbers"]
        for column, is_double in zip(self.columns, has_spread, strict=True):
            heads += [column.key, f"{column.key}_deviation"] if is_double else [column.key]
        lines = []
        for row in self.rows:
            line: list[str | int | float | None] = [row.origin]
            for cell, is_double in zip(row.cells, has_spread, strict=True):
                line += _bare(cell)[: 1 + is_double]
            lines.append(line)
        return csv_text(heads, lines)

    def to_latex(self) -> str:
        """Returns what is shown as a LaTeX table (package booktabs), with title and note as its caption."""
        import pandas as pd

        heads = ["", *(column.head for column in self.columns)]
        lines = [[row.origin, *texts] for row, texts in zip(self.rows, self.texts(), strict=True)]
        frame = pd.DataFrame(lines, columns=heads)
        aligned = "l" + "".join("l" if column.style == "text" else "r" for column in self.columns)
        caption = latex_escaped(f"{self.title}. {self.note}".strip())
        return frame.to_latex(index=False, escape=True, column_format=aligned, caption=caption)


def csv_text(heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Returns CSV, the heads first; None is an empty field."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return stream.getvalue()


def _bare(cell: Cell) -> list[str | int | float | None]:
    return [cell.mean, cell.deviation] if isinstance(cell, Spread) else [cell, None]
