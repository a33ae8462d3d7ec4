"""Collecting stores first, uses what passes, changes nothing twice, and survives being killed."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from two_person_scenes import build, draw, polygon, write_scenes

from maskps.errors import AnnotationError, InputFileError, OutputExistsError
from maskps.io.folders import LIST_NAME
from maskps.masks import outline_from_polygons
from maskps.structures import PersonSearchDataset
from maskps.subset import build_subset, open_subset, read_subset_record, read_targets
from maskps_annotation.collect_packs import CollectReport, collect_packs, store_of
from maskps_annotation.pack_record import PackSet, read_packs
from maskps_annotation.packs import write_packs


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return write_scenes(tmp_path / "data", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])


@pytest.fixture
def subset(dataset: PersonSearchDataset, tmp_path: Path) -> Path:
    return build(dataset, tmp_path / "subset")


@pytest.fixture
def packs(dataset: PersonSearchDataset, subset: Path, tmp_path: Path) -> PackSet:
    """Both annotators have every scene."""
    out = tmp_path / "packs"
    write_packs(subset, dataset, out, annotators=["ann", "bob"], double=1.0)
    return read_packs(out)


def content(*folders: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def codes(report: CollectReport) -> set[str]:
    return {finding.code for finding in report.findings}


def test_what_passes_becomes_masks_and_targets(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    bow_tie = np.array([(52.0, 12.0), (78.0, 12.0), (52.0, 68.0), (78.0, 68.0)])
    draw(packs, "ann", "b.jpg", {"p1": polygon(0, 2), "p2": bow_tie})
    report = collect_packs(packs, subset, dataset)
    assert (report.files, report.stored, report.persons) == (8, 8, 8)
    assert (report.passed, report.added, report.present, report.missing) == (3, 3, 3, 5)
    opened = open_subset(subset, dataset)
    assert sorted(opened.masks.outlines) == [0, 1, 2]
    assert (opened.masks.outlines[0].rings[0] == polygon(0)).all()
    assert read_targets(subset / "targets_14x14.npz").names.tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    record = read_subset_record(subset / "subset.json")
    assert (record.counts["masks_present"], record.counts["masks_missing"]) == (3, 5)
    assert record.masks_sha256 == hashlib.sha256((subset / "masks.json").read_bytes()).hexdigest()
    assert "self-crossing" in codes(report)


def test_the_files_are_those_that_a_build_with_the_same_outlines_writes(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    collect_packs(packs, subset, dataset)
    built = build(dataset, tmp_path / "built", dict(open_subset(subset, dataset).masks.outlines))
    for path in built.iterdir():
        if path.name == LIST_NAME:
            continue
        assert path.read_bytes() == (subset / path.name).read_bytes(), path.name


def test_force_does_not_replace_a_subset_with_collected_outlines(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    collect_packs(packs, subset, dataset)
    with pytest.raises(OutputExistsError, match=r"collected\.json, masks\.json"):
        build_subset(dataset, subset, force=True)
    assert len(open_subset(subset, dataset).masks.outlines) == 2


def test_running_twice_changes_nothing(packs: PackSet, subset: Path, dataset: PersonSearchDataset) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    draw(packs, "bob", "a.jpg", {"p1": polygon(0, 2)})
    first = collect_packs(packs, subset, dataset)
    store = store_of(subset).folder
    before = content(subset, store, packs.packs[0].folder.parent)
    again = collect_packs(packs, subset, dataset)
    assert content(subset, store, packs.packs[0].folder.parent) == before
    assert (again.stored, again.added, again.changed) == (0, 0, 0)
    assert again.findings == first.findings


def test_every_version_is_kept_and_comes_back(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    path = draw(packs, "ann", "a.jpg", {"p1": polygon(0)})
    first = path.read_bytes()
    collect_packs(packs, subset, dataset)
    path.write_text("{")  # cut off by a crash
    report = collect_packs(packs, subset, dataset)
    assert "file-unreadable" in codes(report)
    assert (report.kept, report.present) == (1, 1)
    store = store_of(subset)
    versions = store.versions("ann", "a.json")
    assert len(versions) == 2
    store.restore(versions[0].sha256, path, force=True)
    assert path.read_bytes() == first


def test_a_person_drawn_again_gets_the_new_outline(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0)})
    collect_packs(packs, subset, dataset)
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 2)})
    report = collect_packs(packs, subset, dataset)
    assert (report.changed, report.conflicts) == (1, 0)
    assert (open_subset(subset, dataset).masks.outlines[0].rings[0] == polygon(0, 2)).all()


def test_of_two_annotators_the_first_is_used_and_both_are_reported(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "bob", "a.jpg", {"p1": polygon(0, 2)})
    collect_packs(packs, subset, dataset)
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 1), "p2": polygon(1)})
    draw(packs, "bob", "a.jpg", {"p1": polygon(0, 2), "p2": polygon(1, 2)})
    report = collect_packs(packs, subset, dataset)
    assert report.conflicts == 2
    outlines = open_subset(subset, dataset).masks.outlines
    assert (outlines[0].rings[0] == polygon(0, 2)).all()  # bob's was used already
    assert (outlines[1].rings[0] == polygon(1)).all()
    found = [finding.found for finding in report.findings if finding.code == "drawn-by-several"]
    assert found[0].startswith("that of bob") and "also there: ann" in found[0]
    assert found[1].startswith("that of ann") and "also there: bob" in found[1]


def test_an_outline_stays_while_its_annotator_hands_in_nothing(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    path = draw(packs, "ann", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    draw(packs, "bob", "a.jpg", {"p1": polygon(0, 2), "p2": polygon(1, 2)})
    collect_packs(packs, subset, dataset)
    masks = (subset / "masks.json").read_bytes()
    drawn = path.read_bytes()
    for change in (path.unlink, lambda: path.write_text("{"), lambda: path.write_bytes(drawn)):
        change()
        report = collect_packs(packs, subset, dataset)
        assert (report.changed, (subset / "masks.json").read_bytes() == masks) == (0, True)


def test_an_outline_that_the_subset_had_is_replaced_and_kept_in_the_store(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    old = outline_from_polygons([polygon(0, 4)], where="test")
    subset = build(dataset, tmp_path / "subset", {0: old, 7: old})
    masks = (subset / "masks.json").read_bytes()
    write_packs(subset, dataset, tmp_path / "packs", annotators=["ann"])
    packs = read_packs(tmp_path / "packs")
    draw(packs, "ann", "a.jpg", {"p1": polygon(0)})
    report = collect_packs(packs, subset, dataset)
    assert (report.changed, report.kept, report.conflicts) == (1, 1, 1)
    store = store_of(subset)
    (version,) = store.versions("subset", "masks.json")
    assert store.path(version.sha256).read_bytes() == masks
    assert collect_packs(packs, subset, dataset).conflicts == 1


def test_a_drawing_that_a_later_distribution_replaced_does_not_come_back(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 3)})
    collect_packs(packs, subset, dataset)
    write_packs(subset, dataset, tmp_path / "second", annotators=["eve"])
    second = read_packs(tmp_path / "second")
    draw(second, "eve", "a.jpg", {"p1": polygon(0, 1)})
    collect_packs(second, subset, dataset)
    collect_packs(packs, subset, dataset)
    assert (open_subset(subset, dataset).masks.outlines[0].rings[0] == polygon(0, 1)).all()
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 2)})  # drawn anew: counts
    collect_packs(packs, subset, dataset)
    assert (open_subset(subset, dataset).masks.outlines[0].rings[0] == polygon(0, 2)).all()


def test_files_of_no_image_are_stored_too(packs: PackSet, subset: Path, dataset: PersonSearchDataset) -> None:
    (packs.packs[0].folder / "other.json").write_text("{}")
    collect_packs(packs, subset, dataset)
    assert store_of(subset).versions("ann", "other.json")


def test_packs_of_another_data_set_are_refused(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    with pytest.raises(AnnotationError, match="another data set"):
        collect_packs(replace(packs, fingerprint="f2"), subset, dataset)
    (subset / "collected.json").write_text("{}")
    with pytest.raises(InputFileError, match="record of a collection"):
        collect_packs(packs, subset, dataset)


def test_progress_counts_to_the_end(packs: PackSet, subset: Path, dataset: PersonSearchDataset) -> None:
    seen: list[tuple[int, int]] = []
    collect_packs(packs, subset, dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(1, 9)]


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
import maskps.io.files
from maskps_annotation import collect_packs as module
dataset, packs, subset, step = pickle.loads(Path(sys.argv[1]).read_bytes())
steps = 0
def counted(function):
    def wrapped(*args, **kwargs):
        global steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped
os.chmod = counted(os.chmod)
Path.replace = counted(Path.replace)
Path.write_bytes = counted(Path.write_bytes)
Path.unlink = counted(Path.unlink)
Path.open = counted(Path.open)
module.collect_packs(packs, subset, dataset)
"""


@pytest.mark.parametrize("step", [2, 31, 66, 80, 86])
def test_a_collection_that_is_killed_loses_nothing_and_ends_the_same(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path, step: int
) -> None:
    """Killed at the step-th call that touches a file; then run again, beside one that was never killed."""

    for scene in "abcd":
        draw(packs, "ann", f"{scene}.jpg", {"p1": polygon(0, 1 + ord(scene) / 100)})
        draw(packs, "bob", f"{scene}.jpg", {"p1": polygon(0, 2 + ord(scene) / 100)})
    shutil.copytree(subset, tmp_path / "whole" / "subset")
    drawn = content(packs.packs[0].folder.parent)
    (tmp_path / "job").write_bytes(pickle.dumps((dataset, packs, subset, step)))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "job")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content(packs.packs[0].folder.parent) == drawn
    open_subset(subset, dataset)  # in every state
    collect_packs(packs, subset, dataset)
    collect_packs(packs, tmp_path / "whole" / "subset", dataset)
    assert content(packs.packs[0].folder.parent) == drawn
    for path in (tmp_path / "whole" / "subset").iterdir():
        assert path.read_bytes() == (subset / path.name).read_bytes(), path.name
    assert sorted(path.name for path in subset.iterdir()) == sorted(
        path.name for path in (tmp_path / "whole" / "subset").iterdir()
    )
    store = store_of(subset)
    for annotator, name in store.files():
        for version in store.versions(annotator, name):
            assert hashlib.sha256(store.path(version.sha256).read_bytes()).hexdigest() == version.sha256


def test_a_changed_image_of_the_data_set_is_reported_and_its_drawings_are_used(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    source = dataset.image_path("a.jpg")
    with source.open("ab") as file:
        file.write(b"edited in place")
    dataset.image_path("b.jpg").write_bytes(b"")
    dataset.image_path("c.jpg").unlink()
    report = collect_packs(packs, subset, dataset)
    changed = [one for one in report.findings if one.code == "source-changed"]
    assert [(one.level, Path(one.where).name) for one in changed] == [
        ("warning", "a.jpg"),
        ("warning", "b.jpg"),
    ]
    assert report.present == 2


def test_a_drawing_with_a_capital_ending_is_stored(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    path = draw(packs, "ann", "a.jpg", {"p1": polygon(0)})
    drawn = path.read_bytes()
    path.rename(path.with_suffix(".JSON"))
    collect_packs(packs, subset, dataset)
    (version,) = store_of(subset).versions("ann", "a.JSON")
    assert store_of(subset).path(version.sha256).read_bytes() == drawn
