"""`maskps-data` as a user types it: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from command_line import invoke
from folder_contents import contents_of

from maskps.datasets import open_dataset
from maskps.datasets.coco.writer import write_coco
from maskps.io.folders import LIST_NAME
from maskps_cli.data import main

run = partial(invoke, main)


@pytest.fixture(scope="module")
def subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("subset") / "subset"
    result = run("build-subset", few_scenes, "--out", out, "--labelme", few_scenes / "truth" / "labelme")
    assert result.exit_code == 0, result.output
    return out


def test_a_subset_is_built_and_counted(few_scenes: Path, subset: Path) -> None:
    """12 images in portions of 5: two portions, the last of 7; so at most two images with masks."""
    names = {path.name for path in subset.iterdir()}
    assert names == {LIST_NAME, "subset.json", "masks.json", "targets_14x14.npz"}
    counts = json.loads(run("stats", few_scenes, "--subset", subset, "--json").stdout)
    assert counts.keys() == {"with_masks", "without_masks"}
    assert counts["with_masks"].keys() == {"images", "labeled", "unlabeled"}
    assert 1 <= counts["with_masks"]["images"] <= 2
    for kind, total in (("images", 12), ("labeled", 13), ("unlabeled", 20)):
        assert counts["with_masks"][kind] + counts["without_masks"][kind] == total


def test_the_table_and_the_json_say_the_same(few_scenes: Path, subset: Path) -> None:
    counts = json.loads(run("stats", few_scenes, "--subset", subset, "--json").stdout)
    table = run("stats", few_scenes, "--subset", subset).stdout
    for name, row in (("Images with masks", "with_masks"), ("Images without masks", "without_masks")):
        (line,) = (line for line in table.splitlines() if name in line)
        assert [int(word) for word in line.strip().removeprefix(name).split()] == list(counts[row].values())


def test_building_it_again_gives_the_same_bytes(few_scenes: Path, subset: Path, tmp_path: Path) -> None:
    labelme = few_scenes / "truth" / "labelme"
    run("build-subset", few_scenes, "--out", tmp_path / "again", "--labelme", labelme)
    assert contents_of(tmp_path / "again") == contents_of(subset)


def test_without_labelme_files_every_mask_is_missing(few_scenes: Path, tmp_path: Path) -> None:
    result = run("build-subset", few_scenes, "--out", tmp_path / "bare")
    assert result.exit_code == 0
    instances = json.loads((tmp_path / "bare" / "masks.json").read_text())["annotations"]
    assert {one["mask_state"] for one in instances if one["person_id"] > 0} == {"MISSING"}


def test_an_existing_subset_is_kept_without_force(few_scenes: Path, subset: Path) -> None:
    before = contents_of(subset)
    result = run("build-subset", few_scenes, "--out", subset, "--seed", "1")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert contents_of(subset) == before


def test_force_replaces_a_subset_but_nothing_of_the_users(few_scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("build-subset", few_scenes, "--out", out).exit_code == 0
    assert run("build-subset", few_scenes, "--out", out, "--seed", "1", "--force").exit_code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    result = run("build-subset", few_scenes, "--out", tmp_path / "mine", "--force")
    assert result.exit_code == 1
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_a_protocol_is_described(few_scenes: Path) -> None:
    file = few_scenes / "annotation" / "test" / "train_test" / "TestG4.mat"
    summary = json.loads(run("protocol", file, "--json").stdout)
    assert (summary["queries"], summary["gallery_sizes"], summary["anomalies"]) == (3, [4], [])
    assert "gallery images" in run("protocol", file).stdout


def test_the_protocols_of_a_data_set_are_described_by_name(few_scenes: Path) -> None:
    by_name = json.loads(run("protocol", few_scenes, "--json").stdout)
    assert list(by_name) == ["TestG4", "TestG6", "Occlusion", "Resolution"]
    file = few_scenes / "annotation/test/train_test/TestG4.mat"
    assert by_name["TestG4"] == json.loads(run("protocol", file, "--json").stdout)
    assert all(name in run("protocol", few_scenes).stdout for name in by_name)


def test_a_data_set_without_protocols_has_none_to_describe(few_scenes: Path, tmp_path: Path) -> None:
    write_coco(tmp_path / "set", open_dataset(few_scenes), {})
    result = run("protocol", tmp_path / "set")
    assert result.exit_code == 1 and "a data set with test protocols" in result.stderr


def test_the_real_protocol_is_described(real_data: Path) -> None:
    """The counts of the issue, measured on the released file, and its six oddities."""
    summary = json.loads(run("protocol", real_data / "cuhk_sysu" / "TestG100.mat", "--json").stdout)
    names = ("queries", "query_images", "gallery_images", "gallery_sizes", "truths")
    assert [summary[name] for name in names] == [2900, 2725, 6978, [100], 5447]
    assert sorted(one["query"] for one in summary["anomalies"]) == [493, 1250, 1633, 1997, 2132, 2561]


def test_synth_writes_the_annotation_of_a_scale(tmp_path: Path) -> None:
    result = run("synth", tmp_path / "out", "--scale", "tiny", "--no-images", "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "annotation" / "test" / "train_test" / "TestG100.mat").is_file()
    assert not (tmp_path / "out" / "Image").exists()


def damaged(root: Path, few_scenes: Path, file: str, damage: str) -> Path:
    """A copy of the data set in which one file is missing, cut off, or another kind of file."""
    shutil.copytree(few_scenes, root, ignore=shutil.ignore_patterns("truth"))
    path = root / "annotation" / file
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "no .mat":
        path.write_text("<html>404 not found</html>")
    return path


@pytest.mark.parametrize("file", ["Images.mat", "pool.mat", "test/train_test/Train.mat"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "no .mat"])
def test_damaged_annotation_is_one_clear_message(
    few_scenes: Path, tmp_path: Path, file: str, damage: str
) -> None:
    path = damaged(tmp_path / "root", few_scenes, file, damage)
    result = run("build-subset", tmp_path / "root", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert path.name in result.stderr
    assert "expected:" in result.stderr
    assert "found:" in result.stderr
    assert "Traceback" not in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"root"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["synth", "out", "--scale", "huge"],
        ["synth", "out"],
        ["build-subset", "root"],
        ["build-subset", "root", "--out", "o", "--portion-size", "0"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "{root}", "--subset", "{tmp}/none"], "subset.json"),
        (["build-subset", "{tmp}/nowhere", "--out", "{tmp}/out"], "nowhere"),
        (["build-subset", "{root}", "--out", "{tmp}/out", "--labelme", "{tmp}/none"], "LabelMe"),
        (["protocol", "{tmp}/TestG7.mat"], "no such file"),
    ],
)
def test_what_is_not_there_is_named(
    few_scenes: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run(*(one.format(root=few_scenes, tmp=tmp_path) for one in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_subset_of_another_data_set_is_refused(subset: Path, tmp_path: Path) -> None:
    run("synth", tmp_path / "other", "--scale", "tiny", "--no-images", "--jobs", "1")
    result = run("stats", tmp_path / "other", "--subset", subset)
    assert result.exit_code == 1
    assert "fingerprint" in result.stderr
