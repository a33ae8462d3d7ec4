"""docs/extend/page.md: the page made by the code printed there does what every page does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/extend/page.md"


@pytest.mark.parametrize(("width", "dark"), [(1366, False), (390, True)])
def test_the_documented_page_has_no_faults(
    width: int, dark: bool, tmp_path: Path, visit_each: Callable[..., Any]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    (tmp_path / "gaps.html").write_text(made["gaps_page"]({"<b>": 13.25, "x" * 90: 0}), encoding="utf-8")
    visited = visit_each(tmp_path / "gaps.html", width=width, dark=dark)
    assert visited.faults() == [] and visited.is_dark == dark
    assert visited.page.locator("td").first.inner_text() == "13.2"
