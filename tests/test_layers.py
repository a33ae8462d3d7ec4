"""Imports point one way, and the data side does not import torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = {
    "maskps_manifest": REPOSITORY / "data_manifest" / "maskps_manifest",
    "maskps": REPOSITORY / "maskps",
    "maskps_annotation": REPOSITORY / "annotation" / "maskps_annotation",
    "maskps_cli": REPOSITORY / "cli" / "maskps_cli",
}
"""From the lowest to the highest: a package may import itself and those before it."""

STAGES = [
    *("matlab", "masks", "evaluation", "datasets", "subset", "synthetic", "pictures", "report"),
    *("losses", "model", "training"),
]
"""The stages inside maskps, likewise."""

TORCH_FREE = STAGES[: STAGES.index("losses")]


def is_for_type_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported_modules(file: Path) -> set[str]:
    """Full names of the modules that a file imports at run time, wherever it does so."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not is_for_type_checkers(node)]
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; absolute ones show the direction"
            modules.add(node.module or "")
    return modules


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_downwards(package: str) -> None:
    higher = list(PACKAGES)[list(PACKAGES).index(package) + 1 :]
    for file in PACKAGES[package].rglob("*.py"):
        steps_back = {name for name in imported_modules(file) if name.split(".")[0] in higher}
        assert not steps_back, f"{file} imports {steps_back}"


@pytest.mark.parametrize("stage", STAGES)
def test_stages_of_maskps_import_only_downwards(stage: str) -> None:
    higher = {f"maskps.{name}" for name in STAGES[STAGES.index(stage) + 1 :]}
    for file in (PACKAGES["maskps"] / stage).rglob("*.py"):
        steps_back = {name for name in imported_modules(file) if ".".join(name.split(".")[:2]) in higher}
        assert not steps_back, f"{file} imports {steps_back}"


def test_every_stage_is_in_the_order_above() -> None:
    folders = {
        path.name
        for path in PACKAGES["maskps"].iterdir()
        if path.is_dir() and (path / "__init__.py").is_file()
    }
    assert folders == set(STAGES)


def test_the_data_side_works_without_importing_torch() -> None:
    modules = ["maskps", *(f"maskps.{stage}" for stage in TORCH_FREE), "maskps_annotation", "maskps_cli.data"]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
