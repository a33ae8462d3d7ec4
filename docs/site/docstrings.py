"""An extension of Griffe for two habits of our docstrings that Markdown and Google style do not know.

- The aligned rows in a package's docstring ("name   what it is") become a table.
- An entry of a section for several names ("width, height: in pixels") becomes one entry for each name.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROW = r"^(\S.*?) {2,}(\S.*)$"
ROWS = re.compile(rf"(?:{ROW}\n?)+", re.MULTILINE)
SHARED_ENTRY = re.compile(r"^( +)(\w+(?:, \w+)+)(: .*(?:\n\1 +.*)*)", re.MULTILINE)


class Docstrings(Extension):
    """Rewrites docstrings before they are parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is None:
            return
        if obj.is_module:
            obj.docstring.value = ROWS.sub(_table, obj.docstring.value)
        obj.docstring.value = SHARED_ENTRY.sub(_entries, obj.docstring.value)


def _table(rows: re.Match[str]) -> str:
    cells = re.findall(ROW, rows[0], re.MULTILINE)
    lines = [f"| {', '.join(f'`{name}`' for name in names.split(', '))} | {text} |" for names, text in cells]
    return "\n".join(["| module | what is in it |", "|---|---|", *lines, ""])


def _entries(entry: re.Match[str]) -> str:
    indent, names, text = entry.groups()
    return "\n".join(f"{indent}{name}{text}" for name in names.split(", "))
