"""The page of rules in a real browser: no request, no overflow, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskps_annotation.rules_page import rules_page


@pytest.mark.parametrize(("width", "dark"), [(1366, False), (390, True)])
def test_it_opens_without_a_request_a_complaint_or_an_overflow(
    width: int, dark: bool, tmp_path: Path, visit_each: Callable[..., Any]
) -> None:
    (tmp_path / "rules.html").write_text(rules_page(), encoding="utf-8")
    visited = visit_each(tmp_path / "rules.html", width=width, dark=dark)
    assert visited.faults() == [] and visited.is_dark == dark
    pictures = visited.page.locator("img").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert pictures == [300] * 10
