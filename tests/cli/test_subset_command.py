"""`maskps-data build-subset` as a user types it: by name, by LabelMe files, by record, nested."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from command_line import invoke
from folder_contents import contents_of

from maskps.datasets import open_dataset
from maskps_cli.data import main

run = partial(invoke, main)


@pytest.fixture(scope="module")
def labeled(few_scenes: Path) -> list[str]:
    """Names of the training images with a labeled person."""
    train = open_dataset(few_scenes).train
    return train.names[train.labeled_per_scene > 0].tolist()


def labelme_folder(few_scenes: Path, folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        path = (few_scenes / "truth" / "labelme" / name).with_suffix(".json")
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_list_of_names_is_kept_as_it_is(few_scenes: Path, labeled: list[str], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(f"# two images\n{labeled[3]}\n{Path(labeled[1]).stem}\n")
    result = run("build-subset", few_scenes, "--out", tmp_path / "out", "--names", tmp_path / "names.txt")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "subset.json").read_text())
    assert (record["source"], record["kept"]) == ("names", [labeled[1], labeled[3]])
    assert "2 of 12 images named, 2 kept" in result.stderr


def test_unknown_names_are_all_listed_and_nothing_is_written(few_scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("".join(f"nobody{i}\n" for i in range(12)))
    result = run("build-subset", few_scenes, "--out", tmp_path / "out", "--names", tmp_path / "names.txt")
    assert result.exit_code == 1
    assert all(f"line {i + 1} " in result.stderr and f"'nobody{i}'" in result.stderr for i in range(12))
    assert not (tmp_path / "out").exists()


def test_labelme_files_choose_the_images_and_give_the_outlines(
    few_scenes: Path, labeled: list[str], tmp_path: Path
) -> None:
    folder = labelme_folder(few_scenes, tmp_path / "labelme", labeled[:3])
    result = run("build-subset", few_scenes, "--out", tmp_path / "out", "--from-labelme", folder)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "subset.json").read_text())
    assert (record["source"], record["kept"]) == ("labelme", labeled[:3])
    assert record["counts"]["masks_present"] == record["counts"]["labeled"] > 0


def test_outlines_come_from_another_folder_where_one_is_given(
    few_scenes: Path, labeled: list[str], tmp_path: Path
) -> None:
    listed = labelme_folder(few_scenes, tmp_path / "listed", labeled[:3])
    drawn = labelme_folder(few_scenes, tmp_path / "drawn", labeled[:1])
    arguments = ("build-subset", few_scenes, "--out", tmp_path / "out", "--from-labelme", listed)
    assert run(*arguments, "--labelme", drawn).exit_code == 0
    counts = json.loads((tmp_path / "out" / "subset.json").read_text())["counts"]
    assert counts["kept"] == 3
    assert counts["masks_present"] > 0 < counts["masks_missing"]


def test_a_record_builds_the_same_bytes_again(few_scenes: Path, tmp_path: Path) -> None:
    labelme = few_scenes / "truth" / "labelme"
    choice = ("--seed", "4", "--portion-size", "3", "--order", "number", "--proportion", "10%,full")
    assert (
        run("build-subset", few_scenes, "--out", tmp_path / "one", "--labelme", labelme, *choice).exit_code
        == 0
    )
    again = (
        "build-subset",
        few_scenes,
        "--out",
        tmp_path / "two",
        "--record",
        tmp_path / "one" / "subset.json",
    )
    result = run(*again, "--labelme", labelme)
    assert "the same as in the record, byte for byte" in result.stderr
    assert contents_of(tmp_path / "two") == contents_of(tmp_path / "one")
    assert "other masks" in run(*again, "--force").stderr  # without the LabelMe files


def test_two_images_per_portion_hold_those_of_one(few_scenes: Path, tmp_path: Path) -> None:
    drawn = []
    for count in ("1", "2"):
        run("build-subset", few_scenes, "--out", tmp_path / count, "--per-portion", count)
        drawn.append(set(json.loads((tmp_path / count / "subset.json").read_text())["drawn"]))
    assert [len(names) for names in drawn] == [2, 4]
    assert drawn[0] < drawn[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--names", "n", "--from-labelme", "d"],
        ["--names", "n", "--record", "r"],
        ["--from-labelme", "d", "--record", "r"],
        ["--names", "n", "--portion-size", "5"],
        ["--from-labelme", "d", "--per-portion", "1"],
        ["--record", "r", "--order", "name"],
        ["--record", "r", "--seed", "0"],
        ["--record", "r", "--proportion", "3%"],
        ["--order", "size"],
        ["--per-portion", "0"],
        ["--per-portion", "6"],
        ["--proportion", "3"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments: list[str]) -> None:
    result = run("build-subset", "root", "--out", "out", *arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--names", "{tmp}/none.txt"], "no such file"),
        (["--from-labelme", "{tmp}/none"], "no such folder"),
        (["--from-labelme", "{tmp}/a.txt"], "a file"),
        (["--labelme", "{tmp}/a.txt"], "a file"),
        (["--record", "{tmp}/a.txt"], "record"),
        (["--proportion", "90%"], "proportion 90%"),
    ],
)
def test_what_makes_no_sense_is_one_message_with_a_hint(
    few_scenes: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "a.txt").write_text("{}")
    result = run(
        "build-subset", few_scenes, "--out", tmp_path / "out", *(a.format(tmp=tmp_path) for a in arguments)
    )
    assert result.exit_code == 1
    assert message in result.stderr
    assert "try:" in result.stderr
    assert not (tmp_path / "out").exists()
