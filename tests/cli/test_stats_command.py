"""`maskps-data stats` as a user types it: formats, the comparison with the paper, pictures."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from command_line import invoke

from maskps_cli.data import main

run = partial(invoke, main)


@pytest.fixture(scope="module")
def subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("subset") / "subset"
    labelme = few_scenes / "truth" / "labelme"
    chosen = ("--portion-size", "2", "--proportion", "10%,25%")
    result = run("build-subset", few_scenes, "--out", out, "--labelme", labelme, *chosen)
    assert result.exit_code == 0, result.output
    return out


def test_without_a_subset_the_totals_are_printed(few_scenes: Path) -> None:
    counts = json.loads(run("stats", few_scenes, "--format", "json").stdout)
    assert counts["train"] == {"images": 12, "identities": 4, "labeled": 13, "unlabeled": 20}
    assert counts["test"]["images"] == 9
    title, *lines = run("stats", few_scenes).stdout.splitlines()
    assert title == "Totals of synthetic data 'scenes'"
    assert ["Training", "12", "4", "13", "20"] in [line.split() for line in lines]


def test_json_is_the_short_form_of_the_format(few_scenes: Path, subset: Path) -> None:
    short, long = (
        run("stats", few_scenes, "--subset", subset, "--json"),
        run("stats", few_scenes, "--subset", subset, "--format", "json"),
    )
    assert short.stdout == long.stdout
    assert json.loads(short.stdout).keys() == {"with_masks", "without_masks", "proportions"}


def test_all_formats_carry_the_same_numbers(few_scenes: Path, subset: Path) -> None:
    arguments = ("stats", few_scenes, "--subset", subset, "--format")
    counts = json.loads(run(*arguments, "json").stdout)
    (with_masks,) = (
        row
        for row in csv.DictReader(io.StringIO(run(*arguments, "csv").stdout))
        if row["part"] == "with_masks"
    )
    assert {key: int(with_masks[key]) for key in counts["with_masks"]} == counts["with_masks"]
    numbers = [f"{value:,}" for value in counts["with_masks"].values()]
    for text_format, separator in (("table", None), ("markdown", "|"), ("latex", "&")):
        lines = run(*arguments, text_format).stdout.splitlines()
        (line,) = (line for line in lines if "Images with masks" in line)
        line = line.replace("Images with masks", "").replace("\\", "")
        assert [word.strip() for word in line.split(separator) if word.strip()] == numbers


@pytest.mark.parametrize("arguments", [[], ["--subset"]])
def test_the_comparison_is_marked_as_published_and_the_title_says_synthetic(
    few_scenes: Path, subset: Path, arguments: list[str]
) -> None:
    chosen = ["--subset", subset] if arguments else []
    lines = run("stats", few_scenes, *chosen, "--compare", "paper").stdout.splitlines()
    assert "synthetic" in lines[0]
    assert "CUHK-SYSU" not in lines[0]
    published = [line.split() for line in lines if line.strip().startswith("published")]
    assert published[0][1:] == (
        ["1,833", "2,815", "6,269"] if chosen else ["11,206", "5,532", "15,085", "40,187"]
    )
    assert sum("difference" in line for line in lines) == (3 if chosen else 2)
    assert "Published: " in lines[-2]


def test_pictures_are_written_to_a_folder_of_their_own(
    few_scenes: Path, subset: Path, tmp_path: Path
) -> None:
    arguments = ("stats", few_scenes, "--subset", subset, "--plots", tmp_path / "plots")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plots" / "mask_area_share.png").is_file()
    assert "Images with masks" in result.stdout
    assert run(*arguments).exit_code == 1
    assert run(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize(
    "arguments", [["--json", "--format", "csv"], ["--format", "xml"], ["--compare", "other"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = run("stats", "root", *arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_the_terminal_table_needs_no_pandas_matplotlib_or_scipys_optimizer(
    few_scenes: Path, subset: Path
) -> None:
    """They cost more time than all the rest."""
    code = (
        "import sys; from maskps_cli.data import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'matplotlib', 'scipy.optimize', 'torch')))"
    )
    for arguments in (
        ["stats", few_scenes, "--subset", subset, "--compare", "paper"],
        ["stats", few_scenes, "--json"],
        ["build-subset", few_scenes, "--out", subset.parent / "bare"],
    ):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_outlines_that_are_still_missing_are_counted(few_scenes: Path, tmp_path: Path) -> None:
    assert run("build-subset", few_scenes, "--out", tmp_path / "bare").exit_code == 0
    result = run("stats", few_scenes, "--subset", tmp_path / "bare")
    assert "have no outline yet" in result.stderr
    assert run("stats", few_scenes, "--subset", tmp_path / "bare", "--quiet").stderr == ""
