"""check, collect, restore and agreement as commands: what they print and how they end."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import pytest
from command_line import invoke

from maskps.datasets import open_dataset
from maskps.masks import LabelMeShape, read_labelme, write_labelme
from maskps.subset import build_subset, open_subset, select_subset
from maskps_annotation.pack_record import read_packs
from maskps_annotation.packs import write_packs
from maskps_cli.annotate_results import agreement, check, collect, restore
from maskps_cli.options import MaskpsGroup


@click.group(cls=MaskpsGroup)
def main() -> None:
    pass


for command in (check, collect, restore, agreement):
    main.add_command(command)

run = partial(invoke, main)


@pytest.fixture
def work(few_scenes: Path, tmp_path: Path) -> Path:
    """A folder with `subset` and `packs` of two annotators; ann has drawn everybody, bob nobody."""
    dataset = open_dataset(few_scenes)
    build_subset(dataset, tmp_path / "subset", select_subset(dataset.train, portion_size=2))
    write_packs(tmp_path / "subset", dataset, tmp_path / "packs", annotators=["ann", "bob"], double=0.5)
    pack = read_packs(tmp_path / "packs").packs[0]
    for scene in pack.scenes:
        truth = read_labelme(few_scenes / "truth" / "labelme" / f"{Path(scene.scene).stem}.json")
        path = pack.folder / scene.file_name
        file = read_labelme(path)
        shapes = list(file.shapes)
        for slot in scene.slots:
            mine = [shape for shape in truth.shapes if shape.label == slot.identity]
            shapes += [LabelMeShape(slot.name, shape.points, group_id=1, flags=shape.flags) for shape in mine]
        write_labelme(path, replace(file, shapes=tuple(shapes), flags={"done": True}))
    return tmp_path


def test_good_packs_end_with_0_and_a_broken_file_with_1(work: Path) -> None:
    result = run("check", work / "packs")
    assert result.exit_code == 0, result.output
    assert "not-begun" in result.stdout
    broken = next((work / "packs" / "ann").glob("s*.json"))
    broken.write_text("{")
    result = run("check", work / "packs")
    assert result.exit_code == 1
    assert f"ann/{broken.name}\n  error file-unreadable" in result.stdout
    content = json.loads(run("check", work / "packs", "--json").stdout)
    assert content["errors"] == 1
    assert content["findings"][0].keys() == {"code", "level", "where", "found", "expected", "hint"}


def test_findings_stand_below_the_whole_name_of_their_file(work: Path) -> None:
    (work / "packs" / "ann" / "s1 copy 2.json").write_text("{}")
    damaged = next((work / "packs" / "ann").glob("s*.jpg"))
    damaged.unlink()
    damaged.write_bytes(b"no image")
    listed = run("check", work / "packs").stdout
    assert "ann/s1 copy 2.json\n  warning file-extra: a file" in listed
    assert f"ann/{damaged.name}\n  error image-unreadable: " in listed


def test_collect_fills_the_subset_and_restore_brings_a_file_back(work: Path, few_scenes: Path) -> None:
    collecting = ("collect", work / "packs", "--into", work / "subset", "--images", few_scenes)
    result = run(*collecting, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["present"] == report["passed"] > 0
    opened = open_subset(work / "subset", open_dataset(few_scenes))
    assert len(opened.masks.outlines) == report["present"]

    path = next((work / "packs" / "ann").glob("s*.json"))
    whole = path.read_bytes()
    path.write_text("{")
    assert "outlines kept" in run(*collecting).stdout
    name = f"ann/{path.name}"
    assert name in run("restore", work / "subset").stdout
    versions = json.loads(run("restore", work / "subset", name, "--json").stdout)
    assert len(versions) == 2
    wanted = ("restore", work / "subset", name, "--version", versions[0]["sha256"][:10], "--to", path)
    assert run(*wanted).exit_code == 1  # the file is there
    assert run(*wanted, "--force").exit_code == 0
    assert path.read_bytes() == whole
    assert run("restore", work / "subset", "--version", "0").exit_code == 2


def test_agreement_prints_a_row_per_annotator(work: Path) -> None:
    result = run("agreement", work / "packs")
    assert result.exit_code == 0, result.output
    assert "together" in result.stdout and "15.2 cells" in result.stdout
    assert json.loads(run("agreement", work / "packs", "--json").stdout)["persons"] == []
