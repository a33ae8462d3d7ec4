"""`verify` finds the format of a folder, and explains why a folder has none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskps.datasets.formats import find_format
from maskps.datasets.verify import verify
from maskps.findings import Finding


def kind_of(path: Path) -> str | None:
    one = find_format(path)
    return None if one is None else one.kind


def only_finding(path: Path) -> Finding:
    (finding,) = verify(path)
    return finding


def test_cuhk_sysu_is_known_even_without_its_main_file(root: Path) -> None:
    (root / "annotation" / "Images.mat").unlink()
    assert kind_of(root) == "cuhk-sysu"
    assert verify(root)[0].code == "file-missing"


def test_a_folder_of_images_only_is_cuhk_sysu_without_annotation(tmp_path: Path) -> None:
    (tmp_path / "Image" / "SSM").mkdir(parents=True)
    findings = verify(tmp_path)
    assert [one.code for one in findings] == ["file-missing"] * 4
    assert [Path(one.where).name for one in findings] == [
        "Images.mat",
        "pool.mat",
        "Train.mat",
        "TestG50.mat",
    ]


@pytest.mark.parametrize("entry", ["frame_train.mat", "frame_test.mat", "query_info.txt"])
def test_prw_is_known_by_any_of_its_files(tmp_path: Path, entry: str) -> None:
    (tmp_path / entry).touch()
    assert kind_of(tmp_path) == "prw"
    assert any(one.level == "error" for one in verify(tmp_path, images=True))


def test_a_folder_with_json_files_and_a_json_file_are_coco(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    assert kind_of(tmp_path) == kind_of(tmp_path / "train.json") == "coco"
    assert any(one.code == "file-missing" for one in verify(tmp_path))
    assert isinstance(verify(tmp_path / "train.json", images=True), list)


def test_coco_with_prws_query_file_is_coco_as_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{}")
    (tmp_path / "query_info.txt").touch()
    assert kind_of(tmp_path) == "coco"


def test_a_folder_of_data_sets_with_a_loose_file_is_none(root: Path) -> None:
    (root.parent / "notes.json").write_text("{}")
    finding = only_finding(root.parent)
    assert (finding.code, finding.hint) == ("not-a-data-set", f"did you mean {root}?")


def test_the_folder_above_or_below_is_proposed(root: Path) -> None:
    above, below = only_finding(root.parent), only_finding(root / "annotation")
    assert above.code == below.code == "not-a-data-set"
    assert above.hint == f"did you mean {root}?"
    assert below.hint == f"did you mean the folder above, {root}?"


def test_what_is_no_data_set_at_all_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert only_finding(tmp_path / "none").found == "no such folder"
    assert only_finding(tmp_path / "notes.txt").found == "a file that is not JSON"
    assert only_finding(Path("/dev/null")).found == "a file that is not JSON"
    assert only_finding(tmp_path).level == "error"
