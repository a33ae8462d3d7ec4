"""`maskps train` and `maskps eval` as a user types them, with few scenes and a toy network."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from command_line import invoke

from maskps_cli import data
from maskps_cli.main import main

QUICK = [
    *("--recipe", "tiny", "--set", "pretrained=none", "--set", "epochs=1", "--set", "batch_size=4"),
    *("--set", "shorter_side=96", "--set", "longest_side=160", "--set", "rois_per_image=8"),
]

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("subset") / "subset"
    labelme = few_scenes / "truth" / "labelme"
    result = invoke(data.main, "build-subset", few_scenes, "--out", out, "--labelme", labelme)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def trained(few_scenes: Path, subset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    result = run("train", few_scenes, "--subset", subset, "--run", out, *QUICK)
    assert result.exit_code == 0, result.output
    return out


def test_training_writes_a_line_of_six_losses_per_step(trained: Path) -> None:
    """12 scenes in batches of 4: three steps, all of them finite."""
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    names = {f"loss_{name}" for name in ("rpn_cls", "rpn_reg", "rcnn_cls", "rcnn_reg", "id", "mask")}
    for line in lines:
        assert {name for name in line if name.startswith("loss_")} == names
        assert all(0 <= line[name] < float("inf") for name in names)


def test_evaluation_reports_the_same_twice(few_scenes: Path, trained: Path) -> None:
    results = [
        json.loads(run("eval", few_scenes, "--run", trained, "--gallery-size", "4", "--json").stdout)
        for _ in range(2)
    ]
    assert results[0] == results[1]
    (line,) = results[0]["results"]
    assert {"mAP", "top1", "top5", "top10", "queries", "gallery_size", "rules"} <= line.keys()
    assert line["queries"] == 3


def test_the_same_seed_gives_the_same_metrics_and_another_seed_others(
    few_scenes: Path, subset: Path, trained: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        arguments = ("--run", tmp_path / str(seed), *QUICK, "--set", f"seed={seed}")
        assert run("train", few_scenes, "--subset", subset, *arguments).exit_code == 0
    first = (trained / "metrics.jsonl").read_bytes()
    assert (tmp_path / "0" / "metrics.jsonl").read_bytes() == first
    assert (tmp_path / "1" / "metrics.jsonl").read_bytes() != first


def test_a_nested_subset_trains_with_fewer_masks(few_scenes: Path, tmp_path: Path) -> None:
    subset = tmp_path / "subset"
    arguments = ["--portion-size", "1", "--proportion", "25%", "--labelme", str(few_scenes / "truth/labelme")]
    built = invoke(data.main, "build-subset", few_scenes, "--out", subset, *arguments)
    assert built.exit_code == 0, built.output
    counts = {}
    for proportion in ("25%", "full"):
        out = tmp_path / proportion
        wanted = ("--subset", subset, "--proportion", proportion)
        result = run("train", few_scenes, *wanted, "--run", out, *QUICK)
        assert result.exit_code == 0, result.output
        counts[proportion] = json.loads((out / "run.json").read_text())["persons_with_mask"]
    assert 0 < counts["25%"] < counts["full"] == 13
    wrong = run("train", few_scenes, "--no-masks", "--proportion", "25%", "--run", tmp_path / "wrong")
    assert wrong.exit_code == 2 and "--proportion" in wrong.stderr


def test_without_masks_nothing_but_the_mask_loss_differs_in_the_first_step(
    few_scenes: Path, trained: Path, tmp_path: Path
) -> None:
    result = run("train", few_scenes, "--run", tmp_path / "run", "--no-masks", *QUICK)
    assert result.exit_code == 0, result.output
    with_masks, without = (
        json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
        for folder in (trained, tmp_path / "run")
    )
    assert without["loss_mask"] == 0
    for name in ("loss_rpn_cls", "loss_rpn_reg", "loss_rcnn_cls", "loss_rcnn_reg", "loss_id"):
        assert without[name] == with_masks[name]


def test_a_run_is_not_overwritten(few_scenes: Path, subset: Path, trained: Path) -> None:
    before = (trained / "metrics.jsonl").read_bytes()
    result = run("train", few_scenes, "--subset", subset, "--run", trained, *QUICK)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert (trained / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_file_is_never_replaced_by_a_run(few_scenes: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("keep")
    result = run("train", few_scenes, "--no-masks", "--run", tmp_path / place, *QUICK, "--force")
    assert result.exit_code == 1
    assert "expected:" in result.stderr
    assert (tmp_path / "file").read_text() == "keep"


def test_resuming_and_replacing_a_run_at_once_is_wrong_usage(few_scenes: Path, trained: Path) -> None:
    result = run("train", few_scenes, "--no-masks", "--run", trained, *QUICK, "--force", "--resume")
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_training_without_a_subset_is_wrong_usage(few_scenes: Path, tmp_path: Path) -> None:
    result = run("train", few_scenes, "--run", tmp_path / "run")
    assert result.exit_code == 2
    assert "--no-masks" in result.stderr


def test_a_dry_run_prints_what_to_expect_and_writes_nothing(few_scenes: Path, subset: Path) -> None:
    before = sorted(few_scenes.parent.rglob("*"))
    result = run("train", few_scenes, "--subset", subset, *QUICK, "--set", "seed=3", "--dry-run")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "* seed 3 recipe: 0, paper: 0" in lines
    assert any(line.startswith("12 scenes") for line in lines) and any("a step" in line for line in lines)
    assert sorted(few_scenes.parent.rglob("*")) == before


def test_training_needs_a_place_to_write_to(few_scenes: Path) -> None:
    result = run("train", few_scenes, "--no-masks", *QUICK)
    assert result.exit_code == 2 and "--dry-run" in result.stderr


@pytest.mark.parametrize("option", ["--resume", "--force"])
def test_a_dry_run_neither_resumes_nor_replaces(few_scenes: Path, option: str) -> None:
    result = run("train", few_scenes, "--no-masks", *QUICK, "--dry-run", option)
    assert result.exit_code == 2 and option in result.stderr


def test_tensorboard_is_a_flag(few_scenes: Path, tmp_path: Path) -> None:
    result = run("train", few_scenes, "--no-masks", "--run", tmp_path / "run", *QUICK, "--tensorboard")
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    assert "tensorboard = true" in (tmp_path / "run" / "config.toml").read_text()


def test_other_processes_of_torchrun_say_nothing(few_scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("RANK", "1")
    result = run("train", few_scenes, "--no-masks", *QUICK, "--dry-run")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(("name", "exit_code"), [("3", 0), ("last", 0), ("best", 1), ("2", 1)])
def test_evaluation_takes_a_checkpoint_by_name(
    few_scenes: Path, trained: Path, name: str, exit_code: int
) -> None:
    """The run has three steps and was not evaluated on the way."""
    result = run("eval", few_scenes, "--run", trained, "--gallery-size", "4", "--checkpoint", name)
    assert result.exit_code == exit_code, result.output
    assert exit_code == 0 or "expected:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "tinny"], "tiny"),
        (["--recipe", "tiny", "--set", "epoch=2"], "epochs"),
        (["--recipe", "tiny", "--set", "epochs=two"], "whole number"),
        (["--recipe", "tiny", "--device", "abacus"], "abacus"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_written(
    few_scenes: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("train", few_scenes, "--no-masks", "--run", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_gallery_size_that_is_not_there_is_named(few_scenes: Path, trained: Path) -> None:
    result = run("eval", few_scenes, "--run", trained)
    assert result.exit_code == 1
    assert "TestG100" in result.stderr
    assert "TestG6" in result.stderr


def test_a_run_that_is_not_there_is_named(few_scenes: Path, tmp_path: Path) -> None:
    result = run("eval", few_scenes, "--run", tmp_path / "none", "--gallery-size", "4")
    assert result.exit_code == 1
    assert "maskps train" in result.stderr
