"""`maskps-data cut`."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import invoke

from maskps.datasets import open_dataset
from maskps_cli.data import main


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = invoke(main, "cut", *arguments)
    return result.exit_code, result.stdout, result.stderr


def test_it_prints_what_is_kept_and_where_images_belong(few_scenes: Path, tmp_path: Path) -> None:
    name = open_dataset(few_scenes).train.names[0]
    (tmp_path / "names.txt").write_text(f"# one image\n{name}\n")
    code, stdout, stderr = run(few_scenes, "--out", tmp_path / "part", "--names", tmp_path / "names.txt")
    assert code == 0
    assert [line.split() for line in stdout.splitlines() if "train images" in line] == [
        ["train", "images", "1", "12"]
    ]
    assert f"put the images into {tmp_path / 'part' / 'Image' / 'SSM'}" in stderr
    assert open_dataset(tmp_path / "part").train.names.tolist() == [name]


def test_json_has_the_same_numbers_as_the_record(few_scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "part"
    code, stdout, stderr = run(few_scenes, "--out", out, "--images", "link", "--json", "--quiet")
    record = json.loads((out / "cut.json").read_text())
    assert code == 0 and stderr == ""
    assert {"format": "maskps-cut", "version": 1, **json.loads(stdout)} == record
    assert record["counts"]["train images"] == {"kept": 12, "of": 12}


def test_wrong_names_are_one_message(few_scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("nobody.jpg\n")
    code, _, stderr = run(few_scenes, "--out", tmp_path / "part", "--names", tmp_path / "names.txt")
    assert code == 1 and "'nobody.jpg'" in stderr and "Traceback" not in stderr
    assert not (tmp_path / "part").exists()
