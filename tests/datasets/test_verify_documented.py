"""docs/verify.md and docs/coco.md list exactly the findings that the code can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = [*(REPOSITORY / "maskps" / "datasets").rglob("*.py"), REPOSITORY / "maskps" / "io" / "sniffing.py"]
PAGES = [REPOSITORY / "docs" / "verify.md", REPOSITORY / "docs" / "coco.md"]


def findings_in_code() -> Iterator[tuple[str, str]]:
    """Code and level of every finding that the checks of data sets can make, as written in the code."""
    for file in sorted(CODE):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            values = [value.value if isinstance(value, ast.Constant) else None for value in node.args]
            if name in ("Finding.of_error", "OtherFile"):
                yield str(values[0]), "error"
            elif name in ("Finding", "Rule", "problems.add") and values[0] is not None:
                yield str(values[0]), str(values[1])


def documented() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            match = re.fullmatch(r"\| ([a-z]+(?:-[a-z]+)+) \| ([a-z ]+) \| .+ \| .+ \|", line)
            if match:
                for level in match.group(2).split(" or "):
                    yield match.group(1), level


def test_the_tables_list_every_code_with_its_levels() -> None:
    assert sorted(set(findings_in_code())) == sorted(set(documented()))


def test_every_code_is_documented_once() -> None:
    codes = [code for code, level in documented()]
    doubled = {code for code in codes if codes.count(code) > 1}
    assert doubled == {"id-in-both-splits"}  # an error, but a remark for PRW


def test_codes_are_words_joined_by_hyphens() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", code) for code, level in findings_in_code())


@pytest.mark.parametrize("level", ["error", "warning", "info"])
def test_every_level_is_in_use(level: str) -> None:
    assert level in {used for _, used in findings_in_code()}
