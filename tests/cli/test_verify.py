"""`maskps-data verify` as a user types it."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from command_line import invoke
from PIL import Image

from maskps_cli.verify import verify

run = partial(invoke, verify)


@pytest.fixture
def scenes(few_scenes: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic data set."""
    return shutil.copytree(few_scenes, tmp_path / "scenes", ignore=shutil.ignore_patterns("truth"))


def test_a_clean_data_set_ends_with_0(few_scenes: Path) -> None:
    result = run(few_scenes, "--images")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{few_scenes}: nothing is wrong"
    assert result.stderr == ""


def test_errors_end_with_1_and_come_first(scenes: Path) -> None:
    for number, path in enumerate(sorted((scenes / "Image" / "SSM").iterdir())[:5]):
        path.unlink() if number else path.write_bytes(b"<html>")
    result = run(scenes, "--images")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("error ")
    assert "error image-missing (4 times)" in lines
    assert "  and 1 more; --json lists all" in lines
    assert lines[-1] == f"{scenes}: 5 errors, 1 remark"


def test_warnings_end_with_0(scenes: Path) -> None:
    path = sorted((scenes / "Image" / "SSM").iterdir())[0]
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        image.save(path, exif=exif)
    result = run(scenes, "--images")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{scenes}: 1 warning, 1 remark"


def test_json_has_every_finding_and_the_totals(scenes: Path) -> None:
    for path in sorted((scenes / "Image" / "SSM").iterdir())[:7]:
        path.unlink()
    (scenes / "annotation" / "pool.mat").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    result = run(scenes, "--images", "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert content.keys() == {"root", "errors", "warnings", "infos", "findings"}
    assert (content["errors"], content["warnings"], content["infos"]) == (8, 0, 1)
    assert len(content["findings"]) == 9
    assert content["findings"][0].keys() == {"code", "level", "where", "found", "expected", "hint"}
    assert content["findings"][0]["code"] == "file-lfs-pointer"


def test_text_and_json_have_the_same_codes(scenes: Path) -> None:
    (scenes / "annotation" / "Images.mat").unlink()
    (scenes / "annotation" / "test" / "train_test" / "TestG4.mat").write_bytes(b"")
    codes = {one["code"] for one in json.loads(run(scenes, "--json").stdout)["findings"]}
    text = run(scenes).stdout
    assert codes == {"file-missing", "file-empty", "counts-not-compared"}
    assert all(f" {code}\n" in text for code in codes)


def test_a_path_that_is_no_data_set_ends_with_1(tmp_path: Path) -> None:
    result = run(tmp_path / "none")
    assert result.exit_code == 1
    assert "no such folder" in result.stdout
    assert "Traceback" not in result.output


def test_nothing_is_written(scenes: Path) -> None:
    before = sorted(scenes.rglob("*"))
    run(scenes, "--images")
    assert sorted(scenes.rglob("*")) == before
