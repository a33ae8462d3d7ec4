"""What a review rejects is packed again with its reasons, improved, and collected in its place."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from two_person_scenes import build, polygon, write_scenes

from maskps.errors import AnnotationError, ConfigError, MaskpsError, OutputExistsError
from maskps.masks import LabelMeFile, LabelMeShape, Outline, read_labelme, write_labelme
from maskps.masks.outlines import outline_from_polygons
from maskps.structures import PersonSearchDataset
from maskps.subset import open_subset
from maskps_annotation.checks import check_packs, checked_file
from maskps_annotation.collect_packs import COLLECTED_NAME, collect_packs, read_collected, store_of
from maskps_annotation.corrections import write_corrections
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_files import is_untouched, prefilled
from maskps_annotation.pack_record import PackedScene, PackSet, read_packs
from maskps_annotation.packs import write_packs
from maskps_annotation.progress import packs_progress
from maskps_cli.annotate import annotate


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return write_scenes(tmp_path / "data", ["a.jpg", "b.jpg", "c.jpg"])


@pytest.fixture
def packs(dataset: PersonSearchDataset, tmp_path: Path) -> PackSet:
    """The first packs: all scenes are drawn and collected, but for the second person of c.jpg."""
    subset = build(dataset, tmp_path / "subset")
    write_packs(subset, dataset, tmp_path / "packs", annotators=["ann", "bob"])
    packs = read_packs(tmp_path / "packs")
    for scene in "abc":
        shapes = [LabelMeShape("p1", polygon(0, 1 + ord(scene) / 99))]
        if scene != "c":
            shapes.append(LabelMeShape("p2", polygon(1, 1 + ord(scene) / 99)))
        change(packs, f"{scene}.jpg", lambda file, shapes=shapes: (*file.shapes, *shapes))
    collect_packs(packs, subset, dataset)
    return packs


@pytest.fixture
def subset(packs: PackSet, tmp_path: Path) -> Path:
    return tmp_path / "subset"


def place(packs: PackSet, scene: str) -> tuple[PackedScene, Path]:
    return next(
        (packed, pack.folder / packed.file_name)
        for pack in packs.packs
        for packed in pack.scenes
        if packed.scene == scene
    )


def change(
    packs: PackSet, scene: str, shapes: Callable[[LabelMeFile], tuple[LabelMeShape, ...]], **flags: bool
) -> Path:
    """Gives the file of a scene other shapes, and ticks "done"."""
    _, path = place(packs, scene)
    file = read_labelme(path)
    write_labelme(path, replace(file, shapes=shapes(file), flags={"done": True} | flags))
    return path


def improved(file: LabelMeFile) -> tuple[LabelMeShape, ...]:
    """Every polygon with one point moved."""
    moved = np.zeros_like(polygon(0))
    moved[0] = (1.0, 1.0)
    return tuple(
        replace(shape, points=shape.points + moved) if shape.shape_type == "polygon" else shape
        for shape in file.shapes
    )


def decided(
    dataset: PersonSearchDataset, subset: Path, scene: str, person: int, decision: str, comment: str = ""
) -> dict[str, Any]:
    row = int(dataset.train.offsets[dataset.train.names.tolist().index(scene)]) + person
    outline = open_subset(subset, dataset).masks.outlines.get(row)
    return {
        "scene": scene,
        "person": person,
        "decision": decision,
        "comment": comment,
        "outline": outline_key(outline),
    }


def save(path: Path, *entries: dict[str, Any], reviewer: str = "rita", fingerprint: str = "f1") -> Path:
    head = {"format": "maskps-review", "version": 1, "fingerprint": fingerprint, "subset": "subset"}
    path.write_text(json.dumps(head | {"reviewer": reviewer, "decisions": entries}), encoding="utf-8")
    return path


@pytest.fixture
def review(dataset: PersonSearchDataset, subset: Path, tmp_path: Path) -> Path:
    """Rejected: the second person of a.jpg and the first of b.jpg."""
    return save(
        tmp_path / "rita.review.json",
        decided(dataset, subset, "a.jpg", 0, "accept"),
        decided(dataset, subset, "a.jpg", 1, "reject", "bag <b>missing</b>"),
        decided(dataset, subset, "b.jpg", 0, "reject"),
        decided(dataset, subset, "b.jpg", 1, "", "only a remark"),
    )


@pytest.fixture
def second(dataset: PersonSearchDataset, subset: Path, review: Path, tmp_path: Path) -> PackSet:
    """The packs of corrections."""
    write_corrections(subset, dataset, tmp_path / "second", reviews=[review])
    return read_packs(tmp_path / "second")


def persons(packs: PackSet) -> set[tuple[str, int, str]]:
    return {
        (scene.scene, slot.person, slot.name)
        for pack in packs.packs
        for scene in pack.scenes
        for slot in scene.slots
    }


def content(*folders: Path) -> dict[str, bytes]:
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def outline(dataset: PersonSearchDataset, subset: Path, row: int) -> Outline:
    return open_subset(subset, dataset).masks.outlines[row]


# Which persons, and to whom


def test_only_rejected_persons_are_packed_and_slots_are_counted_anew(second: PackSet) -> None:
    assert persons(second) == {("a.jpg", 1, "p1"), ("b.jpg", 0, "p1")}


def test_each_image_goes_back_to_who_drew_it(packs: PackSet, second: PackSet) -> None:
    def drawn_by(packs: PackSet) -> dict[str, str]:
        return {scene.scene: pack.annotator for pack in packs.packs for scene in pack.scenes}

    assert drawn_by(second) == {name: drawn_by(packs)[name] for name in ("a.jpg", "b.jpg")}


def test_named_annotators_share_the_rejected_persons(
    dataset: PersonSearchDataset, subset: Path, review: Path, tmp_path: Path
) -> None:
    made, _ = write_corrections(
        subset, dataset, tmp_path / "second", reviews=[review], annotators=["eve", "zoe"]
    )
    assert [(pack.annotator, pack.persons) for pack in made.packs] == [("eve", 1), ("zoe", 1)]


def test_a_person_whom_nobody_has_drawn_needs_named_annotators(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    """The missing person alone; in an image that somebody drew it goes along."""
    (subset / COLLECTED_NAME).unlink()
    review = save(tmp_path / "r.json", decided(dataset, subset, "c.jpg", 1, "reject", "draw the boy"))
    with pytest.raises(ConfigError, match=r"nobody for c.jpg box 1[\s\S]*--annotators"):
        write_corrections(subset, dataset, tmp_path / "second", reviews=[review])
    assert not (tmp_path / "second").exists()
    made, _ = write_corrections(subset, dataset, tmp_path / "second", reviews=[review], annotators=["eve"])
    (scene,) = made.packs[0].scenes
    file = read_labelme(made.packs[0].folder / scene.file_name)
    assert [(shape.label, shape.shape_type) for shape in file.shapes] == [("p1", "rectangle")]
    assert file.shapes[0].extra["description"] == "rita: draw the boy"


def test_rejected_by_one_and_accepted_by_another_is_rejected_with_both_comments(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    one = decided(dataset, subset, "a.jpg", 0, "reject", "too\ncoarse")
    two = decided(dataset, subset, "a.jpg", 0, "accept", "fine for me")
    blank = decided(dataset, subset, "a.jpg", 0, "", " ")
    names = ("rita", "otto", "eve")
    reviews = [
        save(tmp_path / f"{name}.json", entry, reviewer=name)
        for name, entry in zip(names, (one, two, blank), strict=True)
    ]
    made, _ = write_corrections(subset, dataset, tmp_path / "second", reviews=reviews)
    correction = made.packs[0].scenes[0].slots[0].correction
    assert correction is not None
    assert correction.reasons == ("rita: too coarse", "otto (accepted): fine for me")


def test_a_rejection_without_a_comment_says_so(second: PackSet) -> None:
    _, path = place(second, "b.jpg")
    assert read_labelme(path).shapes[0].extra["description"] == "rita: rejected, without a reason"


# What is left out, and what stops


def test_a_rejection_of_an_outline_that_was_changed_since_is_reported_and_left_out(
    packs: PackSet, dataset: PersonSearchDataset, subset: Path, review: Path, tmp_path: Path
) -> None:
    change(packs, "a.jpg", improved)
    collect_packs(packs, subset, dataset)
    made, left_out = write_corrections(subset, dataset, tmp_path / "second", reviews=[review])
    assert [(finding.code, finding.where) for finding in left_out] == [("decision-stale", "a.jpg box 1")]
    assert persons(made) == {("b.jpg", 0, "p1")}


@pytest.mark.parametrize("person", [("nobody.jpg", 0), ("a.jpg", 2), ("a.jpg", 10**30)])
def test_persons_whom_the_subset_does_not_know_are_reported_and_left_out(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path, person: tuple[str, int]
) -> None:
    known = decided(dataset, subset, "a.jpg", 0, "reject")
    review = save(tmp_path / "r.json", known, known | {"scene": person[0], "person": person[1]})
    made, left_out = write_corrections(subset, dataset, tmp_path / "second", reviews=[review])
    assert [finding.code for finding in left_out] == ["person-unknown"]
    assert persons(made) == {("a.jpg", 0, "p1")}


def test_decisions_about_another_data_set_are_refused(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    review = save(tmp_path / "r.json", decided(dataset, subset, "a.jpg", 0, "reject"), fingerprint="f2")
    with pytest.raises(AnnotationError, match="another data set"):
        write_corrections(subset, dataset, tmp_path / "second", reviews=[review])


def test_nothing_rejected_is_one_error_and_nothing_is_written(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    accepted = decided(dataset, subset, "a.jpg", 0, "accept")
    stale = decided(dataset, subset, "b.jpg", 0, "reject") | {"outline": "0" * 16}
    review = save(tmp_path / "r.json", accepted, stale)
    with pytest.raises(AnnotationError, match="1 accepted, 0 remarks, 1 rejected before the outline"):
        write_corrections(subset, dataset, tmp_path / "second", reviews=[review])
    assert not (tmp_path / "second").exists()


# What an annotator gets


def test_the_file_holds_the_rectangle_the_reason_and_the_rejected_outline(
    second: PackSet, dataset: PersonSearchDataset, subset: Path
) -> None:
    scene, path = place(second, "a.jpg")
    box, drawn = read_labelme(path).shapes
    assert (box.label, box.shape_type) == ("p1", "rectangle")
    assert box.extra["description"] == "rita: bag <b>missing</b>"
    assert (drawn.label, drawn.shape_type) == ("p1", "polygon")
    assert (drawn.points == outline(dataset, subset, 1).rings[0]).all()
    assert is_untouched(read_labelme(path), scene)


def test_parts_share_a_group_and_holes_are_marked(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    x = np.array([(52.0, 12.0), (78.0, 12.0), (78.0, 30.0), (52.0, 30.0)])
    hole = np.array([(60.0, 15.0), (70.0, 15.0), (70.0, 25.0), (60.0, 25.0)])
    in_parts = outline_from_polygons([x, x + (0, 30)], holes=[hole], where="test")
    subset = build(dataset, tmp_path / "parts", {1: in_parts})
    review = save(tmp_path / "r.json", decided(dataset, subset, "a.jpg", 1, "reject"))
    made, _ = write_corrections(subset, dataset, tmp_path / "second", reviews=[review], annotators=["eve"])
    scene, path = place(made, "a.jpg")
    shapes = read_labelme(path).shapes[1:]
    assert [shape.flags.get("hole", False) for shape in shapes] == [False, True, False]
    assert {shape.group_id for shape in shapes} == {1}
    checked = checked_file(scene, change(made, "a.jpg", lambda file: file.shapes))
    assert checked.outlines == {} and [finding.code for finding in checked.findings] == ["still-rejected"]


def test_the_page_of_rules_says_what_to_correct_and_names_stay_text(second: PackSet) -> None:
    scene, path = place(second, "a.jpg")
    page = (path.parent / "rules.html").read_text(encoding="utf-8")
    assert "What to correct" in page and scene.image in page
    assert "rita: bag &lt;b&gt;missing&lt;/b&gt;" in page


def test_packs_are_read_as_they_were_written_and_the_same_review_gives_the_same_bytes(
    second: PackSet, dataset: PersonSearchDataset, subset: Path, review: Path, tmp_path: Path
) -> None:
    made, _ = write_corrections(subset, dataset, tmp_path / "again", reviews=[review])
    assert read_packs(tmp_path / "again") == made
    again = {
        Path(name).relative_to(tmp_path / "again"): data for name, data in content(tmp_path / "again").items()
    }
    first = {
        Path(name).relative_to(tmp_path / "second"): data
        for name, data in content(tmp_path / "second").items()
    }
    assert again == first


def test_files_of_two_rounds_have_different_names(packs: PackSet, second: PackSet) -> None:
    """One can then not be put into the other's folder, where its slots are other persons."""
    assert place(packs, "a.jpg")[1].name != place(second, "a.jpg")[1].name


@pytest.mark.parametrize("work", ["point", "flag", "deleted", "hole", "reason"])
def test_force_never_replaces_corrections_that_somebody_began(
    second: PackSet, dataset: PersonSearchDataset, subset: Path, review: Path, tmp_path: Path, work: str
) -> None:
    _, path = place(second, "a.jpg")
    file = read_labelme(path)
    box, drawn = file.shapes
    after = {
        "point": improved(file),
        "flag": file.shapes,
        "deleted": (box,),
        "hole": (box, replace(drawn, flags={"hole": True})),
        "reason": (replace(box, extra={**box.extra, "description": "no, it is right"}), drawn),
    }
    write_labelme(path, replace(file, shapes=after[work], flags={"problem": work == "flag"}))
    with pytest.raises(OutputExistsError, match="changed by annotators"):
        write_corrections(subset, dataset, tmp_path / "second", reviews=[review], force=True)


def test_force_replaces_corrections_that_nobody_began(
    second: PackSet, dataset: PersonSearchDataset, subset: Path, review: Path, tmp_path: Path
) -> None:
    options = {"reviews": [review], "annotators": ["eve"]}
    write_corrections(subset, dataset, tmp_path / "second", force=True, **options)  # type: ignore[arg-type]
    assert [pack.annotator for pack in read_packs(tmp_path / "second").packs] == ["eve"]


# Checking


def test_packs_as_they_were_handed_out_are_not_begun(second: PackSet) -> None:
    assert {finding.code for finding in check_packs(second)} == {"not-begun"}


@pytest.mark.parametrize("more", [False, True])
def test_an_outline_that_comes_back_unchanged_is_an_error_and_not_done(second: PackSet, more: bool) -> None:
    """Also if points were added on its lines."""

    def shapes(file: LabelMeFile) -> tuple[LabelMeShape, ...]:
        box, drawn = file.shapes
        halves = (drawn.points + np.roll(drawn.points, -1, axis=0)) / 2
        denser = np.stack([drawn.points, halves], axis=1).reshape(-1, 2)
        return (box, replace(drawn, points=denser if more else drawn.points))

    path = change(second, "a.jpg", shapes)
    scene, _ = place(second, "a.jpg")
    checked = checked_file(scene, path)
    assert checked.outlines == {}
    assert [(finding.level, finding.code) for finding in checked.findings] == [("error", "still-rejected")]
    assert "bag <b>missing</b>" in checked.findings[0].found
    done = {part.annotator: part.persons_done for part in packs_progress(second, checked_file)}
    assert set(done.values()) == {0}


def test_an_unchanged_outline_beside_a_broken_shape_is_reported_as_the_broken_shape(second: PackSet) -> None:
    bow_tie = np.array([(52.0, 12.0), (78.0, 12.0), (52.0, 68.0), (78.0, 68.0)])
    path = change(second, "a.jpg", lambda file: (*file.shapes, LabelMeShape("p1", bow_tie)))
    checked = checked_file(place(second, "a.jpg")[0], path)
    assert checked.outlines == {}
    assert [(finding.level, finding.code) for finding in checked.findings] == [("error", "self-crossing")]


def test_an_improved_outline_passes_and_is_done(second: PackSet) -> None:
    path = change(second, "a.jpg", improved)
    scene, _ = place(second, "a.jpg")
    checked = checked_file(scene, path)
    assert list(checked.outlines) == ["p1"] and checked.findings == ()
    assert sum(part.persons_done for part in packs_progress(second, checked_file)) == 1


def test_an_annotator_who_disagrees_ticks_problem(second: PackSet) -> None:
    path = change(second, "a.jpg", lambda file: file.shapes, problem=True)
    checked = checked_file(place(second, "a.jpg")[0], path)
    assert checked.outlines == {}
    levels = {finding.code: finding.level for finding in checked.findings}
    assert levels == {"problem-marked": "warning", "still-rejected": "warning"}


# Collecting


def test_a_correction_replaces_the_drawing_and_the_old_one_is_kept(
    second: PackSet, dataset: PersonSearchDataset, subset: Path
) -> None:
    rejected = outline(dataset, subset, 1)
    change(second, "a.jpg", improved)
    report = collect_packs(second, subset, dataset)
    assert (report.changed, report.kept, report.conflicts) == (1, 1, 0)
    assert outline_key(outline(dataset, subset, 1)) != outline_key(rejected)
    (old,) = read_collected(subset / COLLECTED_NAME)[1].others
    assert old.outline == outline_key(rejected)
    assert store_of(subset).path(old.sha256).is_file()


def test_what_comes_back_unchanged_is_not_collected(
    second: PackSet, dataset: PersonSearchDataset, subset: Path
) -> None:
    before = content(subset)
    change(second, "a.jpg", lambda file: file.shapes)
    assert collect_packs(second, subset, dataset).passed == 0
    assert content(subset) == before


@pytest.mark.parametrize("touched", [False, True])
def test_the_first_packs_do_not_bring_a_rejected_outline_back(
    packs: PackSet, second: PackSet, dataset: PersonSearchDataset, subset: Path, touched: bool
) -> None:
    """Also if another person of the same file was changed since."""
    change(second, "a.jpg", improved)
    collect_packs(second, subset, dataset)
    corrected = outline_key(outline(dataset, subset, 1))
    if touched:
        other = LabelMeShape("p1", polygon(0, 4))
        change(packs, "a.jpg", lambda file: (*file.shapes[:2], other, file.shapes[3]))
    collect_packs(packs, subset, dataset)
    assert outline_key(outline(dataset, subset, 1)) == corrected
    assert (outline(dataset, subset, 0).rings[0] == polygon(0, 4)).all() == touched


def test_a_drawing_that_comes_late_to_the_first_packs_does_not_replace_a_correction(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    subset = build(dataset, tmp_path / "subset")
    write_packs(subset, dataset, tmp_path / "packs", annotators=["ann", "bob"], double=1.0)
    packs = read_packs(tmp_path / "packs")
    drawn = LabelMeShape("p1", polygon(0))
    change(packs, "a.jpg", lambda file: (*file.shapes, drawn))
    collect_packs(packs, subset, dataset)
    review = save(tmp_path / "r.json", decided(dataset, subset, "a.jpg", 0, "reject"))
    write_corrections(subset, dataset, tmp_path / "second", reviews=[review])
    second = read_packs(tmp_path / "second")
    change(second, "a.jpg", improved)
    collect_packs(second, subset, dataset)
    corrected = outline_key(outline(dataset, subset, 0))
    of_bob = replace(packs, packs=packs.packs[1:])
    change(of_bob, "a.jpg", lambda file: (*file.shapes, replace(drawn, points=polygon(0, 3))))
    collect_packs(packs, subset, dataset)
    assert outline_key(outline(dataset, subset, 0)) == corrected


def test_the_whole_path_twice_ends_in_the_same_bytes(
    packs: PackSet, second: PackSet, dataset: PersonSearchDataset, subset: Path
) -> None:
    change(second, "a.jpg", improved)
    for one in (second, packs, second):
        collect_packs(one, subset, dataset)
    before = content(subset, store_of(subset).folder)
    for one in (packs, second):
        collect_packs(one, subset, dataset)
    assert content(subset, store_of(subset).folder) == before


def test_a_second_round_rejects_what_the_first_one_improved(
    second: PackSet, dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    change(second, "a.jpg", improved)
    collect_packs(second, subset, dataset)
    review = save(tmp_path / "r.json", decided(dataset, subset, "a.jpg", 1, "reject", "still no bag"))
    third, _ = write_corrections(subset, dataset, tmp_path / "third", reviews=[review])
    change(third, "a.jpg", improved)
    assert collect_packs(third, subset, dataset).changed == 1
    corrected = outline_key(outline(dataset, subset, 1))
    collect_packs(second, subset, dataset)
    assert outline_key(outline(dataset, subset, 1)) == corrected


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from maskps_annotation.collect_packs import collect_packs
dataset, packs, subset, step = pickle.loads(Path(sys.argv[1]).read_bytes())
steps = 0
replace = Path.replace
def counted(*args):
    global steps
    steps += 1
    if steps == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(*args)
Path.replace = counted
collect_packs(packs, subset, dataset)
"""


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_a_collection_of_corrections_that_is_killed_ends_the_same(
    packs: PackSet, second: PackSet, dataset: PersonSearchDataset, subset: Path, tmp_path: Path, step: int
) -> None:
    """Killed before the step-th file takes its place; then the first packs are collected, then these."""
    change(second, "a.jpg", improved)
    whole = tmp_path / "whole" / "subset"
    shutil.copytree(subset, whole)
    shutil.copytree(store_of(subset).folder, store_of(whole).folder)
    (tmp_path / "job").write_bytes(pickle.dumps((dataset, second, subset, step)))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "job")], check=False)
    assert killed.returncode == -signal.SIGKILL
    for one in (packs, second):
        collect_packs(one, subset, dataset)
    collect_packs(second, whole, dataset)
    assert {path.name: path.read_bytes() for path in subset.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


# The command


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        (["--corrections", "r.json", "--double", "5%"], "--double does not go with --corrections"),
        ([], "name the annotators"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(options: list[str], listed: str) -> None:
    result = CliRunner().invoke(annotate, ["pack", "subset", "--out", "packs", *options])
    assert result.exit_code == 2 and listed in result.output


def test_damaged_corrections_in_packs_json_are_one_error(second: PackSet, tmp_path: Path) -> None:
    path = tmp_path / "second" / "packs.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    slot = content["scenes"][0]["slots"][0]
    for damaged in (7, {}, {"reasons": [1], "rejected": []}, {"reasons": [], "rejected": [[1, 2, 3, 4]]}):
        slot["correction"] = damaged
        path.write_text(json.dumps(content))
        with pytest.raises(MaskpsError) as caught:
            read_packs(tmp_path / "second")
        assert caught.value.hint


def test_prefilled_files_say_nothing_of_corrections_in_first_packs(packs: PackSet) -> None:
    scene, _ = place(packs, "a.jpg")
    assert all("description" not in shape.extra for shape in prefilled(scene, "f1").shapes)
