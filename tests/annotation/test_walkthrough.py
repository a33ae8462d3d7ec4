"""The whole way from a subset to corrected masks, with simulated annotators, by the commands."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from maskps_cli.data import main

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_mistakes_are_mended_and_corrections_bring_the_targets_nearer_to_the_truth(
    few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    walkthrough = importlib.import_module("annotation_walkthrough")
    shutil.copytree(few_scenes, tmp_path / "scenes")
    monkeypatch.chdir(tmp_path)

    def command(folder: Path, words: Sequence[str]) -> tuple[int, str]:
        result = CliRunner().invoke(main, list(words))
        return result.exit_code, result.stdout

    steps = walkthrough.Steps(tmp_path, command)
    before, after, rejected = walkthrough.walk(steps, portion_size=1, rates=2.0, noise=(0.3, 0.6))
    assert rejected and before.keys() | rejected == after.keys()
    assert sum(after[one] for one in rejected) < sum(before.get(one, 196) for one in rejected)
    assert all(after[one] == before[one] for one in after.keys() - rejected)
