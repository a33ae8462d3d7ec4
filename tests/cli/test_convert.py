"""`maskps-data convert`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import invoke

from maskps.datasets import open_dataset
from maskps.datasets.coco.reader import read_coco
from maskps_annotation import build_subset_from_labelme
from maskps_cli.convert import convert
from maskps_cli.options import MaskpsGroup


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = invoke(MaskpsGroup(commands=[convert]), "convert", *arguments)
    return result.exit_code, result.stdout, result.stderr


def test_it_writes_the_data_set_and_says_where_the_images_belong(few_scenes: Path, tmp_path: Path) -> None:
    code, stdout, stderr = run(few_scenes, "--to", "coco", "--out", tmp_path / "coco")
    assert code == 0 and stdout == ""
    assert "12 training images with 33 persons" in stderr and "TestG4, TestG6, Occlusion" in stderr
    assert f"put the images into {tmp_path / 'coco' / 'images'}" in stderr
    assert len(read_coco(tmp_path / "coco").test) == 9


def test_json_has_the_same_numbers_as_the_record(few_scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "coco"
    code, stdout, stderr = run(
        few_scenes, "--to", "coco", "--out", out, "--images", "link", "--json", "--quiet"
    )
    record = json.loads((out / "convert.json").read_text())
    assert code == 0 and stderr == ""
    assert {"format": "maskps-convert", "version": 1, **json.loads(stdout)} == record


def test_what_the_format_cannot_hold_is_one_message(few_scenes: Path, tmp_path: Path) -> None:
    code, _, stderr = run(few_scenes, "--to", "prw", "--out", tmp_path / "prw")
    assert code == 1 and "PRW's files cannot hold it" in stderr and "Traceback" not in stderr
    assert not (tmp_path / "prw").exists()


def test_an_existing_result_needs_force(few_scenes: Path, tmp_path: Path) -> None:
    command = (few_scenes, "--to", "coco", "--out", tmp_path / "coco", "--quiet")
    assert run(*command)[0] == 0
    code, _, stderr = run(*command)
    assert code == 1 and "--force" in stderr
    assert run(*command, "--force")[0] == 0


def test_masks_become_run_lengths(few_scenes: Path, tmp_path: Path) -> None:
    build_subset_from_labelme(open_dataset(few_scenes), tmp_path / "subset", few_scenes / "truth" / "labelme")
    masks, out = tmp_path / "subset" / "masks.json", tmp_path / "rle.json"
    code, stdout, stderr = run("--masks", masks, "--to", "coco-rle", "--out", out)
    assert (code, stdout) == (0, "") and f"wrote {out}" in stderr
    forms = [annotation["segmentation"] for annotation in json.loads(out.read_text())["annotations"]]
    assert any(isinstance(form, dict) and form["counts"] for form in forms)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ROOT", "--to", "coco-rle"],
        ["--to", "coco-rle"],
        ["--to", "coco"],
        ["ROOT", "--masks", "masks.json", "--to", "coco"],
        ["ROOT", "--persons", "present", "--to", "coco"],
    ],
)
def test_a_data_set_and_masks_are_not_mixed(arguments: list[str], tmp_path: Path) -> None:
    code, _, stderr = run(*arguments, "--out", tmp_path / "out")
    assert code == 2 and "takes" in stderr
    assert not (tmp_path / "out").exists()
