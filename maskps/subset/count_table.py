"""A table of counts, with published ones beside it: for the terminal, for a report, for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

TextFormat = Literal["markdown", "csv", "latex"]

Counted = Mapping[str, int | None]
"""Key of a column to the count in it; None where there is no number."""

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@dataclass(frozen=True)
class CountRow:
    """A row of a table of counts.

    Attributes:
        part: what is counted, as a key, e.g. "with_masks".
        head: the same for people.
        counts: by column.
        published: likewise; None where nothing is compared.
    """

    part: str
    head: str
    counts: Counted
    published: Counted | None = None

    def kinds(self) -> Iterator[tuple[str, Counted]]:
        """Yields ("counted", ...), and with a comparison ("published", ...) and ("difference", ...)."""
        yield "counted", self.counts
        if self.published is not None:
            yield "published", self.published
            yield (
                "difference",
                {
                    key: None
                    if count is None or (theirs := self.published.get(key)) is None
                    else count - theirs
                    for key, count in self.counts.items()
                },
            )


@dataclass(frozen=True)
class CountTable:
    """Counts under a name and a title.

    Attributes:
        name: e.g. "Table 1".
        title: what is counted, and in which data; may be "".
        columns: key to head, in order.
        rows: the parts.
        sums: rows that are sums of parts; programs are not given them.
        nested: parts of the first part, e.g. "3%" of the images with masks.
        note: what has to be known to read the numbers; may be "".
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[CountRow]
    sums: Sequence[CountRow] = ()
    nested: Sequence[CountRow] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns {part: {column: count}}, with nested parts under "proportions".

        With a comparison, "published" and "difference" hold the same of these numbers, and "data" the title.
        """
        kinds: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            for kind, counts in row.kinds():
                kinds.setdefault(kind, {})[row.part] = self._in_order(counts)
        content = kinds.pop("counted", {})
        if self.nested:
            content["proportions"] = {row.part: self._in_order(row.counts) for row in self.nested}
        return content | ({"data": self.title, **kinds} if kinds else {})

    def as_rows(self) -> tuple[str, list[str], list[list[str]]]:
        """Returns title, heads and rows as text for printing."""
        rows = [
            [row.head if kind == "counted" else f"  {kind}", *self._texts(kind, counts)]
            for row in self._all_rows()
            for kind, counts in row.kinds()
        ]
        title = ": ".join(filter(None, (self.name, self.title)))
        return title, ["", *self.columns.values()], rows

    def to_frame(self) -> pd.DataFrame:
        """Returns the numbers as columns, one line for each part and kind of number."""
        import pandas as pd

        lines = [
            {"part": row.part, "numbers": kind, **self._in_order(counts)}
            for row in self._all_rows()
            for kind, counts in row.kinds()
        ]
        frame = pd.DataFrame(lines, columns=["part", "numbers", *self.columns])
        return frame.astype(dict.fromkeys(self.columns, "Int64"))  # whole numbers, some of them missing

    def to_text(self, text_format: TextFormat) -> str:
        """Returns the table in a format for reports, with a line break at its end.

        "csv" holds bare numbers, as `to_frame`; "markdown" and "latex" (package booktabs) what is printed,
        with title and note.
        """
        if text_format == "csv":
            return self.to_frame().to_csv(index=False, lineterminator="\n")
        import pandas as pd

        title, columns, rows = self.as_rows()
        texts = pd.DataFrame([[cell.strip() for cell in row] for row in rows], columns=columns)
        if text_format == "markdown":
            aligned = ["left", *("right" for _ in self.columns)]
            table = texts.to_markdown(index=False, disable_numparse=True, colalign=aligned)
            return "\n\n".join(part for part in (f"**{title}**", table, self.note) if part) + "\n"
        caption = latex_escaped(f"{self.title or self.name}. {self.note}".strip())  # LaTeX adds the number
        aligned = ["l", *("r" for _ in self.columns)]
        return texts.to_latex(index=False, escape=True, column_format="".join(aligned), caption=caption)

    def _all_rows(self) -> list[CountRow]:
        return [*self.rows, *self.sums, *self.nested]

    def _in_order(self, counts: Counted) -> dict[str, int | None]:
        return {key: counts.get(key) for key in self.columns}

    def _texts(self, kind: str, counts: Counted) -> list[str]:
        style = "+,d" if kind == "difference" else ",d"
        texts = [
            ("-" if count is None else format(count, style)) for count in self._in_order(counts).values()
        ]
        return ["0" if text == "+0" else text for text in texts]


def latex_escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _LATEX.get(found[0], f"\\{found[0]}"), text)
