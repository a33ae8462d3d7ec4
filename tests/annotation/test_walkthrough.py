"""The whole way from a subset to corrected masks, with simulated annotators, by the commands."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maskps_cli.data import main

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def walkthrough(few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the walk, and the steps in a folder with scenes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("annotation_walkthrough")
    shutil.copytree(few_scenes, tmp_path / "scenes")
    monkeypatch.chdir(tmp_path)

    def command(folder: Path, words: Sequence[str]) -> tuple[int, str]:
        result = CliRunner().invoke(main, list(words))
        return result.exit_code, result.stdout

    return module, module.Steps(tmp_path, command)


def test_mistakes_are_mended_and_corrections_bring_the_targets_nearer_to_the_truth(walkthrough: Any) -> None:
    module, steps = walkthrough
    before, after, rejected = module.walk(steps, portion_size=1, rates=2.0, noise=(0.3, 0.6))
    assert rejected and before.keys() | rejected == after.keys()
    assert sum(after[one] for one in rejected) < sum(before.get(one, 196) for one in rejected)
    assert all(after[one] == before[one] for one in after.keys() - rejected)


def test_proposals_save_work_and_nobodys_target_is_worse(walkthrough: Any) -> None:
    """Whoever mends a proposal stops where their own drawing would be, person by person."""
    module, steps = walkthrough
    drawn, mended, proposals = module.walk_with_proposals(steps, portion_size=1, noise=(0.3, 0.6))
    assert mended.keys() == drawn.keys() and all(mended[one] <= drawn[one] for one in drawn)
    made = [one for one in proposals if one is not None]
    assert any(one.is_accepted for one in made) and any(one.vertices for one in made)
