"""`maskps-data verify` as a user types it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from command_line import invoke
from PIL import Image

from maskps_cli.verify import verify

run = partial(invoke, verify)


def test_a_clean_data_set_ends_with_0(few_scenes: Path) -> None:
    result = run(few_scenes, "--images")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{few_scenes}: nothing is wrong"
    assert result.stderr == ""


def test_errors_end_with_1_and_come_first(own_scenes: Path) -> None:
    for number, path in enumerate(sorted((own_scenes / "Image" / "SSM").iterdir())[:5]):
        path.unlink() if number else path.write_bytes(b"<html>")
    result = run(own_scenes, "--images")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("error ")
    assert "error image-missing (4 times)" in lines
    assert "  and 1 more; --json lists all" in lines
    assert lines[-1] == f"{own_scenes}: 5 errors, 1 remark"


def test_warnings_end_with_0(own_scenes: Path) -> None:
    path = sorted((own_scenes / "Image" / "SSM").iterdir())[0]
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        image.save(path, exif=exif)
    result = run(own_scenes, "--images")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{own_scenes}: 1 warning, 1 remark"


def test_json_has_every_finding_and_the_totals(own_scenes: Path) -> None:
    for path in sorted((own_scenes / "Image" / "SSM").iterdir())[:7]:
        path.unlink()
    (own_scenes / "annotation" / "pool.mat").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    result = run(own_scenes, "--images", "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert content.keys() == {"root", "errors", "warnings", "infos", "findings"}
    assert (content["errors"], content["warnings"], content["infos"]) == (8, 0, 1)
    assert len(content["findings"]) == 9
    assert content["findings"][0].keys() == {"code", "level", "where", "found", "expected", "hint"}
    assert content["findings"][0]["code"] == "file-lfs-pointer"


def test_text_and_json_have_the_same_codes(own_scenes: Path) -> None:
    (own_scenes / "annotation" / "Images.mat").unlink()
    (own_scenes / "annotation" / "test" / "train_test" / "TestG4.mat").write_bytes(b"")
    codes = {one["code"] for one in json.loads(run(own_scenes, "--json").stdout)["findings"]}
    text = run(own_scenes).stdout
    assert codes == {"file-missing", "file-empty", "counts-not-compared"}
    assert all(f" {code}\n" in text for code in codes)


def test_a_path_that_is_no_data_set_ends_with_1(tmp_path: Path) -> None:
    result = run(tmp_path / "none")
    assert result.exit_code == 1
    assert "no such folder" in result.stdout
    assert "Traceback" not in result.output


def test_nothing_is_written(own_scenes: Path) -> None:
    before = sorted(own_scenes.rglob("*"))
    run(own_scenes, "--images")
    assert sorted(own_scenes.rglob("*")) == before
