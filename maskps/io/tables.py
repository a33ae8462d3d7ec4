"""One table, four forms: rows of text for the terminal, and with pandas CSV, Markdown and LaTeX."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from maskps.errors import printable

TextFormat = Literal["markdown", "csv", "latex"]
Style = Literal["text", "count", "percent", "points"]
Value = str | int | float | None

_FORMULA_STARTS = ("=", "+", "-", "@")
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a number over seeds, as fractions.

    Attributes:
        deviation: of a sample (n - 1 in the denominator); None for one seed.
        count: number of seeds.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Returns the spread of these values, None without a value."""
        if not values:
            return None
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, len(values))


class Shown(NamedTuple):
    """A cell that is shown as a text of its own; the CSV has its value."""

    value: Value | Spread
    text: str


Cell = Value | Spread | Shown


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in the CSV.
        head: its name where the table is shown; None for a column that only the CSV has.
        style: of its numbers. Fractions are shown in percent ("percent"), or as a difference in percentage
            points with a sign ("points").
        deviation: name of the CSV column that holds the deviations of its `Spread`s; "" if it has none.
    """

    key: str
    head: str | None
    style: Style = "text"
    deviation: str = ""

    def text(self, cell: Cell) -> str:
        """Returns a cell as it is shown; "-" for None."""
        if isinstance(cell, Shown):
            return cell.text
        if cell is None:
            return "-"
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
class Table:
    """Rows under a title.

    Attributes:
        title: names the data; may be "".
        rows: a cell for each column.
        note: what a reader must know about the numbers; may be "".
        name: such as "Table 1", shown before the title; LaTeX counts tables itself.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows)

    @property
    def shown(self) -> list[Column]:
        """The columns that are shown: those with a head."""
        return [column for column in self.columns if column.head is not None]

    def as_rows(self) -> tuple[str, list[str], list[list[str]]]:
        """Returns title, heads and rows as they are shown."""
        shown = [index for index, column in enumerate(self.columns) if column.head is not None]
        rows = [[self.columns[index].text(row[index]) for index in shown] for row in self.rows]
        title = ": ".join(filter(None, (self.name, self.title)))
        return title, [str(column.head) for column in self.shown], rows

    def to_text(self, text_format: TextFormat) -> str:
        """Returns the table in a format for reports, with a line break at its end.

        "csv" holds bare numbers, fractions at full precision; a text that a spreadsheet would calculate as a
        formula, because of its first character, gets an apostrophe before it, and control characters are
        escaped. "markdown" and "latex" (package
        booktabs) hold what is shown, with title and note.
        """
        import pandas as pd  # a third of a second

        if text_format == "csv":
            return pd.DataFrame(self._numbers(), dtype=object).to_csv(index=False, lineterminator="\n")
        title, heads, rows = self.as_rows()
        texts = pd.DataFrame([[text.strip() for text in row] for row in rows], columns=heads)
        sides = ["left" if column.style == "text" else "right" for column in self.shown]
        if text_format == "markdown":
            table = texts.to_markdown(index=False, disable_numparse=True, colalign=sides)
            return "\n\n".join(part for part in (f"**{title}**", table, self.note) if part) + "\n"
        caption = _latex_escaped(f"{self.title or self.name}. {self.note}".strip())
        letters = "".join(side[0] for side in sides)
        latex = texts.to_latex(index=False, escape=True, column_format=letters, caption=caption)
        # LaTeX's own fonts show a plain < and > as ¡ and ¿.
        return latex.replace("<", r"\textless{}").replace(">", r"\textgreater{}")

    def _numbers(self) -> dict[str, list[Value]]:
        """Returns the columns of the CSV by name."""
        numbers: dict[str, list[Value]] = {}
        for index, column in enumerate(self.columns):
            cells = [row[index] for row in self.rows]
            values = [cell.value if isinstance(cell, Shown) else cell for cell in cells]
            numbers[column.key] = [
                value.mean if isinstance(value, Spread) else csv_value(value) for value in values
            ]
            if column.deviation:
                numbers[column.deviation] = [
                    value.deviation if isinstance(value, Spread) else None for value in values
                ]
        return numbers


def csv_value(value: Value) -> Value:
    """Returns a value for CSV; a text that a spreadsheet would calculate gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _latex_escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _LATEX.get(found[0], f"\\{found[0]}"), text)
