"""`maskps report`: what it says, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from maskps.evaluation.result_file import ResultData
from maskps_cli.main import main

SYNTHETIC = ResultData("cuhk-sysu", "synthetic data 'scenes'", True, "5ca1ab1e")


def test_it_says_that_data_sets_are_kept_apart(write_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = [str(write_run("a")), str(write_run("b", data=SYNTHETIC))]
    said = CliRunner().invoke(main, ["report", *runs, "--out", str(tmp_path / "r.html")])
    assert said.exit_code == 0
    assert "2 data sets, kept apart: CUHK-SYSU, synthetic data 'scenes'" in said.stderr


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["report", str(tmp_path / "no.json"), "--out", str(tmp_path / "r.html")])
    assert said.exit_code == 1
    assert "no such file" in said.stderr and "Traceback" not in said.stderr


def test_a_subset_needs_the_images(tmp_path: Path) -> None:
    arguments = ["report", "x.json", "--out", str(tmp_path / "r.html"), "--subset", "subset"]
    assert CliRunner().invoke(main, arguments).exit_code == 2
