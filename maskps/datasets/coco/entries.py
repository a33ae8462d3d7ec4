"""The limits of a COCO-style file, and the findings on its entries: one per kind of problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskps.errors import shown_value
from maskps.findings import Finding, Level

LONGEST_ID = 100
FARTHEST = 2.0**24  # pixels; beyond, float32 cannot tell one pixel from the next
NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class EntryFindings:
    """Collects one finding per kind of problem: how many entries have it, and the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []

    def add(
        self,
        code: str,
        level: Level,
        bad: Sequence[tuple[int, Any]],
        total: int,
        *,
        what: str,
        found: str,
        expected: str = "",
        hint: str,
    ) -> None:
        """Adds a finding if there are bad entries.

        Args:
            bad: position in its list, and value for the message, of each.
            total: number of entries checked.
            what: "image" or "annotation".
            found: what is wrong, with "{}" for the value.
        """
        if not bad:
            return
        first, value = bad[0]
        share = f"{len(bad):,} of {total:,} {what}s" if len(bad) > 1 else f"1 of {total:,} {what}s"
        text = found.format(shown_value(value))
        where = f"{self.path}, {what} {first}"
        self.findings.append(Finding(code, level, where, f"{text}, in {share}", expected, hint))
