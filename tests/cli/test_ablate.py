"""`maskps ablate` as a user types it, with few scenes and a toy network."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from command_line import invoke

from maskps_cli import data
from maskps_cli.main import main

QUICK = [
    *("--recipe", "tiny", "--set", "pretrained=none", "--set", "epochs=1", "--set", "batch_size=6"),
    *("--set", "shorter_side=96", "--set", "longest_side=160", "--set", "rois_per_image=8"),
    *("--gallery-size", "4", "--device", "cpu"),
]

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("subset") / "subset"
    options = ["--portion-size", "1", "--proportion", "25%", "--labelme", str(few_scenes / "truth/labelme")]
    result = invoke(data.main, "build-subset", few_scenes, "--out", out, *options)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def grid(few_scenes: Path, subset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("grid") / "grid"
    options = ["--proportions", "0,25", "--seeds", "0", *QUICK]
    return out, run("ablate", few_scenes, "--subset", subset, "--run", out, *options)


def test_the_table_goes_to_stdout_and_the_cells_to_stderr(grid: tuple[Path, Result]) -> None:
    out, result = grid
    assert result.exit_code == 0, result.output
    assert [line.split()[:4] for line in result.stdout.splitlines() if line.strip()[:2] in ("0%", "25")] == [
        ["0%", "0", "0", "1"],
        ["25%", "3", "3", "1"],
    ]
    assert "synthetic data" in result.stdout and "no masks" in result.stdout
    assert "cell 1 of 2 (masks 0%, seed 0)  mAP" in result.stderr
    assert f"wrote {out}" in result.stderr


def test_eval_opens_a_cell_and_finds_the_same_numbers(few_scenes: Path, grid: tuple[Path, Result]) -> None:
    out, _ = grid
    found = run(
        "eval", few_scenes, "--run", out / "p25_s0", "--gallery-size", "4", "--json", "--device", "cpu"
    )
    cells = json.loads((out / "ablation.json").read_text())["cells"]
    (cell,) = [cell for cell in cells if cell["row"] == "25%"]
    (printed,) = json.loads(found.stdout)["results"]
    assert {key: printed[key] for key in cell["search"]} == cell["search"]


def test_a_second_call_prints_the_same_as_json(
    few_scenes: Path, subset: Path, grid: tuple[Path, Result]
) -> None:
    out, _ = grid
    options = ["--proportions", "0,25", "--seeds", "0", *QUICK, "--json"]
    again = run("ablate", few_scenes, "--subset", subset, "--run", out, *options)
    assert "cell" not in again.stderr
    printed = json.loads(again.stdout)
    record = json.loads((out / "ablation.json").read_text())
    assert {key: record[key] for key in printed} == printed
    assert set(printed) == {"data", "protocol", "rows", "cells"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0;1"], "whole numbers"),
        (["--set", "seed=3"], "--seeds"),
        (["--set", "masks=false"], "0 is no masks"),
        (["--arms", "none,mask"], "some of none, masks"),
    ],
)
def test_what_belongs_to_a_cell_is_wrong_usage(
    few_scenes: Path, subset: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    result = run("ablate", few_scenes, "--subset", subset, "--run", tmp_path / "grid", *QUICK, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "grid").exists()


def test_a_proportion_that_is_not_there_is_one_message(
    few_scenes: Path, subset: Path, tmp_path: Path
) -> None:
    result = run("ablate", few_scenes, "--subset", subset, "--run", tmp_path / "grid", *QUICK)
    assert result.exit_code == 1
    assert "proportion 3%" in result.stderr and "0 images" in result.stderr
    assert "Traceback" not in result.output


def test_arms_are_rows_at_one_proportion(few_scenes: Path, subset: Path, tmp_path: Path) -> None:
    options = ["--arms", "masks,none", "--proportions", "25", "--seeds", "2", "--same-images", *QUICK]
    options += ["--outlines", str(few_scenes / "truth" / "labelme_test")]
    result = run("ablate", few_scenes, "--subset", subset, "--run", tmp_path / "grid", *options)
    assert result.exit_code == 0, result.output
    assert "cell 2 of 2 (masks, seed 2)  mAP" in result.stderr
    record = json.loads((tmp_path / "grid" / "ablation.json").read_text())
    assert [(row["row"], row["images_with_masks"]) for row in record["rows"]] == [("none", 0), ("masks", 3)]
    assert [sorted(cell["measured"]) for cell in record["cells"]] == [
        ["background_sensitivity"],
        ["background_sensitivity", "mask_iou", "mean_mask_iou"],
    ]
    assert "background sensitivity" in result.stdout
    assert record["masks_in"] == "25% in every arm"
    assert record["images_with_masks"] == "the subset's own"
    assert (tmp_path / "grid" / "masks_s2" / "cell.json").is_file()


@pytest.mark.parametrize("proportions", ["0", "0,3", "3,full"])
def test_arms_have_masks_in_one_proportion(
    few_scenes: Path, subset: Path, tmp_path: Path, proportions: str
) -> None:
    options = ["--arms", "none,masks", "--proportions", proportions]
    result = run("ablate", few_scenes, "--subset", subset, "--run", tmp_path / "grid", *options)
    assert result.exit_code == 2
    assert "one proportion above 0" in result.stderr
