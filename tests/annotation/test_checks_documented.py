"""docs/annotation_checks.md and docs/labelme.md list exactly the findings that their commands can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "annotation" / "maskps_annotation"
FILES = [FOLDER / name for name in ("checks.py", "check_shapes.py", "drawn_persons.py")]
BUILD_FILES = [FOLDER / "from_labelme.py", REPOSITORY / "maskps" / "masks" / "assignment.py"]


def texts(node: ast.AST, names: dict[str, set[str]]) -> set[str]:
    """Every text that an expression may be."""
    if isinstance(node, ast.Name):
        return names.get(node.id, set())
    if isinstance(node, ast.IfExp):
        return texts(node.body, names) | texts(node.orelse, names)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def findings_in_code(files: list[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names: dict[str, set[str]] = {}
        returned = {
            text
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == "_code_of_shape"
            for inner in ast.walk(node)
            if isinstance(inner, ast.Return) and inner.value is not None
            for text in texts(inner.value, {})
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                is_code = ast.unparse(node.value).startswith("_code_of_shape")
                names.setdefault(name, set()).update(returned if is_code else texts(node.value, {}))
        for node in ast.walk(tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called.endswith("findings.add") or called in ("Finding", "Finding.of_error"):
                assert isinstance(node, ast.Call)
                levels = {"error"} if called == "Finding.of_error" else texts(node.args[1], {})
                yield from ((code, level) for code in texts(node.args[0], names) for level in levels)


def documented(page: str) -> list[tuple[str, str]]:
    text = (REPOSITORY / "docs" / page).read_text("utf-8")
    rows = re.findall(r"^\| ([a-z-]+) \| ((?:error|warning|info)[a-z ]*) \| .+ \| .+ \|$", text, re.M)
    return [(code, level) for code, levels in rows for level in levels.split(" or ")]


def test_the_tables_list_every_code_with_its_levels_once() -> None:
    assert sorted(documented("annotation_checks.md")) == sorted(set(findings_in_code(FILES)))


def test_the_page_on_labelme_lists_what_only_build_subset_finds() -> None:
    """A second mask of a person cannot occur there: shapes of one person are united before."""
    expected = set(findings_in_code(BUILD_FILES)) - {("mask-twice", "error")}
    assert sorted(documented("labelme.md")) == sorted(expected)
