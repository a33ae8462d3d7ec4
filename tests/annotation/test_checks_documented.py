"""docs/annotation_checks.md lists exactly the findings that the checks can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "annotation" / "maskps_annotation"
FILES = [FOLDER / name for name in ("checks.py", "check_shapes.py", "drawn_persons.py")]
PAGE = REPOSITORY / "docs" / "annotation_checks.md"


def texts(node: ast.AST, names: dict[str, set[str]]) -> set[str]:
    """Every text that an expression may be."""
    if isinstance(node, ast.Name):
        return names.get(node.id, set())
    if isinstance(node, ast.IfExp):
        return texts(node.body, names) | texts(node.orelse, names)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def findings_in_code() -> Iterator[tuple[str, str]]:
    for file in FILES:
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
            if isinstance(node, ast.Call) and called in ("Finding", "findings.add", "Finding.of_error"):
                levels = {"error"} if called == "Finding.of_error" else texts(node.args[1], {})
                yield from ((code, level) for code in texts(node.args[0], names) for level in levels)


def documented() -> list[tuple[str, str]]:
    rows = re.findall(
        r"^\| ([a-z-]+) \| ((?:error|warning|info)[a-z ]*) \| .+ \| .+ \|$", PAGE.read_text("utf-8"), re.M
    )
    return [(code, level) for code, levels in rows for level in levels.split(" or ")]


def test_the_tables_list_every_code_with_its_levels_once() -> None:
    assert sorted(documented()) == sorted(set(findings_in_code()))
