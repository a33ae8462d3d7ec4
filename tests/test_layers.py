"""Imports point one way, in all packages, and the data side does not import torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = [
    REPOSITORY / "data_manifest" / "maskps_manifest",
    REPOSITORY / "maskps",
    REPOSITORY / "annotation" / "maskps_annotation",
    REPOSITORY / "cli" / "maskps_cli",
]

ORDER = [
    "maskps_manifest",
    *("maskps.errors", "maskps.findings", "maskps.columns", "maskps.boxes", "maskps.io", "maskps.structures"),
    "maskps",  # the package's own __init__, which lists the vocabulary
    "maskps.config",
    *("maskps.protocols", "maskps.masks", "maskps.datasets", "maskps.subset", "maskps.synthetic"),
    *("maskps.losses", "maskps.model"),
    *(
        "maskps.evaluation",
        "maskps.pictures",
        "maskps.gallery",
        "maskps.serve",
        "maskps.report",
        "maskps.training",
    ),
    *("maskps_annotation", "maskps_cli"),
]
"""Rooms from the lowest to the highest: a module may import its own room and those before it."""

NEEDS_TORCH = [
    *("maskps.losses", "maskps.model", "maskps.training", "maskps_cli.main"),
    "maskps.evaluation.extraction",
]


def name_of(file: Path) -> str:
    """The dotted name of a module's file."""
    folder = next(folder for folder in FOLDERS if folder in file.parents)
    parts = file.relative_to(folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for folder in FOLDERS for file in sorted(folder.rglob("*.py"))}


def room_of(module: str) -> str:
    """The room of a module: the longest name in ORDER that it begins with."""
    if module in ORDER:
        return module
    outer = module.rpartition(".")[0]
    assert outer and outer != "maskps", f"{module} is in no room of ORDER"
    return room_of(outer)


def imports_of(module: str) -> Iterator[str]:
    """Every module of ours that this one imports: inside functions and for type checkers, too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import; absolute ones show the direction"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in inside]
        else:
            continue
        yield from (name for name in names if name in MODULES and name != module)


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_itself_and_rooms_below(room: str) -> None:
    for module in MODULES:
        if room_of(module) == room:
            steps_back = {
                name for name in imports_of(module) if ORDER.index(room_of(name)) > ORDER.index(room)
            }
            assert not steps_back, f"{module} imports {steps_back}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    # An __init__ lists what its room offers: modules of a room import each other, never their __init__.
    graph = {module: set(imports_of(module)) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_only_the_vocabulary_stands_loose_in_maskps() -> None:
    loose = {path.stem for path in (REPOSITORY / "maskps").glob("*.py")}
    assert loose == {"__init__", "structures", "boxes", "columns", "findings", "errors", "config"}


def test_the_data_side_works_without_importing_torch() -> None:
    modules = [
        module
        for module in MODULES
        if not any(module == name or module.startswith(f"{name}.") for name in NEEDS_TORCH)
        and not module.startswith("maskps_cli.")
    ]
    code = f"import sys, maskps_cli.data, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
