"""Packs with proposed outlines: what is written, what counts as drawn, and who drew it by the records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from two_person_scenes import build, polygon, write_scenes

from maskps.errors import MaskpsError, OutputExistsError
from maskps.masks import LabelMeFile, LabelMeShape, Outline, read_labelme, write_labelme
from maskps.masks.outlines import outline_from_polygons
from maskps.masks.proposed_outlines import ProposedOutline
from maskps.structures import PersonSearchDataset, Scene
from maskps_annotation.agreement import agreement
from maskps_annotation.checks import CheckedFile, check_packs, checked_file
from maskps_annotation.collect_packs import COLLECTED_NAME, collect_packs, read_collected, store_of
from maskps_annotation.pack_files import SLOT_KEY
from maskps_annotation.pack_record import PackedScene, PackSet, read_pack, read_packs
from maskps_annotation.packs import write_packs
from maskps_annotation.progress import packs_progress, total_progress
from maskps_annotation.touches import Touches

BY = "run small-3, weights 0123456789ab"
HOLE = np.array([(17.0, 30.0), (22.0, 30.0), (22.0, 40.0), (17.0, 40.0)])
UPPER = [(52.0, 12.0), (78.0, 12.0), (78.0, 35.0), (52.0, 35.0)]
LOWER = [(52.0, 45.0), (78.0, 45.0), (78.0, 68.0), (52.0, 68.0)]


class Fake:
    """Proposes a person with a hole and one in two parts; nothing in c.jpg."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
        assert image.shape == (90, 100, 3)
        self.asked.append(scene.name)
        if scene.name == "c.jpg":
            return {}
        shift = ord(scene.name[0]) / 99
        holed = outline_from_polygons([polygon(0, shift)], holes=[HOLE], where="test")
        parts = outline_from_polygons([UPPER, np.array(LOWER) + shift - 1], where="test")
        return {0: ProposedOutline(holed, 0.75, BY), 1: ProposedOutline(parts, 1 / 3, BY)}


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return write_scenes(tmp_path / "data", ["a.jpg", "b.jpg", "c.jpg"])


@pytest.fixture
def subset(dataset: PersonSearchDataset, tmp_path: Path) -> Path:
    return build(dataset, tmp_path / "subset")


def make(subset: Path, dataset: PersonSearchDataset, out: Path, **options: Any) -> PackSet:
    options = {"annotators": ["ann", "bob"], "double": 1.0, "proposer": Fake()} | options
    return write_packs(subset, dataset, out, **options)


@pytest.fixture
def packs(subset: Path, dataset: PersonSearchDataset, tmp_path: Path) -> PackSet:
    """Both annotators have all three scenes."""
    return make(subset, dataset, tmp_path / "packs")


Change = Callable[[LabelMeFile], tuple[LabelMeShape, ...]]


def as_it_is(file: LabelMeFile) -> tuple[LabelMeShape, ...]:
    return file.shapes


def edited(slot: str, change: Callable[[LabelMeShape], LabelMeShape]) -> Change:
    """Changes the first polygon of a slot."""

    def shapes(file: LabelMeFile) -> tuple[LabelMeShape, ...]:
        first = next(one for one in file.shapes if one.label == slot and one.shape_type == "polygon")
        return tuple(change(one) if one is first else one for one in file.shapes)

    return shapes


def moved(shape: LabelMeShape) -> LabelMeShape:
    """The first two points elsewhere, and one more between the next two."""
    points = shape.points.copy()
    points[:2] += 2
    return replace(shape, points=np.insert(points, 3, points[2:4].mean(axis=0) - 1, axis=0))


def without_flag(shape: LabelMeShape) -> LabelMeShape:
    return replace(shape, flags={**shape.flags, "proposed": False})


def anew(file: LabelMeFile) -> tuple[LabelMeShape, ...]:
    """The first person deleted and drawn by hand."""
    others = (shape for shape in file.shapes if shape.label != "p1" or shape.shape_type == "rectangle")
    return (*others, LabelMeShape("p1", polygon(0, 2.5), flags={"proposed": False}))


def place(packs: PackSet, annotator: str, scene: str) -> tuple[PackedScene, Path]:
    return next(
        (packed, pack.folder / packed.file_name)
        for pack, packed in packs.files
        if (pack.annotator, packed.scene) == (annotator, scene)
    )


def save(packs: PackSet, annotator: str, scene: str, shapes: Change = as_it_is, **flags: bool) -> CheckedFile:
    """Gives a file other shapes and these ticked flags; returns what the checks make of it."""
    packed, path = place(packs, annotator, scene)
    file = read_labelme(path)
    ticked = {name.replace("_", "-"): True for name, is_ticked in flags.items() if is_ticked}
    write_labelme(path, replace(file, shapes=shapes(file), flags={**file.flags, **ticked}))
    return checked_file(packed, path)


def codes(checked: CheckedFile) -> list[tuple[str, str]]:
    return [(finding.level, finding.code) for finding in checked.findings]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Packing


def test_a_proposal_is_there_as_polygons_with_group_hole_and_flag(packs: PackSet) -> None:
    _, path = place(packs, "ann", "a.jpg")
    file = read_labelme(path)
    drawn = [(one.label, one.group_id, dict(one.flags)) for one in file.shapes if one.shape_type == "polygon"]
    assert drawn == [
        ("p1", None, {"proposed": True}),
        ("p1", None, {"hole": True, "proposed": True}),
        ("p2", 1, {"proposed": True}),
        ("p2", 1, {"proposed": True}),
    ]
    assert file.flags == {"done": False, "problem": False, "proposals-checked": False}
    rings = [sorted(map(tuple, one.points.tolist())) for one in file.shapes if one.label == "p1"][1:]
    wanted = [sorted(map(tuple, ring.tolist())) for ring in (polygon(0, 97 / 99), HOLE)]
    assert rings == wanted


def test_who_proposed_it_is_in_the_private_key_and_in_both_records(packs: PackSet, tmp_path: Path) -> None:
    packed, path = place(packs, "ann", "a.jpg")
    key = read_labelme(path).shapes[0].extra[SLOT_KEY]["proposal"]
    assert (key["by"], key["sureness"]) == (BY, 0.75)
    assert [slot.proposal.by for slot in packed.slots if slot.proposal] == [BY, BY]
    assert [slot.proposal.sureness for slot in packed.slots if slot.proposal] == [0.75, 0.3333]
    assert read_packs(tmp_path / "packs") == packs
    assert read_pack(tmp_path / "packs" / "ann") == packs.packs[0]


def test_two_annotators_get_the_same_and_every_image_is_looked_at_once(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    fake = Fake()
    packs = make(subset, dataset, tmp_path / "packs", proposer=fake)
    assert sorted(fake.asked) == ["a.jpg", "b.jpg", "c.jpg"]
    assert place(packs, "ann", "a.jpg")[1].read_bytes() == place(packs, "bob", "a.jpg")[1].read_bytes()


def test_the_same_input_gives_the_same_bytes(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    make(subset, dataset, tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "packs")


def test_without_a_proposal_nothing_speaks_of_proposals(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    make(subset, dataset, tmp_path / "packs", proposer=None)
    texts = [data for name, data in content(tmp_path / "packs").items() if not name.endswith(".jpg")]
    assert texts and not any(b"propos" in text for text in texts)


def test_labelme_offers_the_flags_and_the_rules_explain_them(packs: PackSet, tmp_path: Path) -> None:
    config = (tmp_path / "packs" / "ann" / "labelmerc.yaml").read_text(encoding="utf-8")
    assert '"done", "problem", "proposals-checked"' in config and '"unsure", "proposed"' in config
    page = (tmp_path / "packs" / "ann" / "rules.html").read_text(encoding="utf-8")
    assert "Proposed outlines" in page and "proposals-checked" in page


def test_what_is_proposed_outside_the_image_is_cut_or_left_out(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    class Outside:
        def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
            half = np.array([(10.0, 10.0), (30.0, 10.0), (30.0, 99.0), (10.0, 99.0)])
            rings = {0: half, 1: half + 200}
            return {index: ProposedOutline(Outline((ring,)), 1.0, BY) for index, ring in rings.items()}

    packs = make(subset, dataset, tmp_path / "packs", proposer=Outside())
    first, second = place(packs, "ann", "a.jpg")[0].slots
    assert first.given.bounds.tolist() == [10, 10, 30, 90] and second.proposal is None


@pytest.mark.parametrize("work", ["point", "unflagged", "ticked", "deleted"])
def test_force_never_replaces_proposals_that_somebody_began(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path, work: str
) -> None:
    changes: dict[str, Change] = {
        "point": edited("p1", moved),
        "unflagged": edited("p1", without_flag),
        "ticked": as_it_is,
        "deleted": lambda file: file.shapes[:-1],
    }
    save(packs, "ann", "a.jpg", changes[work], proposals_checked=work == "ticked")
    with pytest.raises(OutputExistsError, match="changed by annotators"):
        make(subset, dataset, tmp_path / "packs", force=True)


def test_force_replaces_proposals_that_nobody_touched(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    make(subset, dataset, tmp_path / "packs", force=True, proposer=None)
    assert not any(pack.proposals for pack in read_packs(tmp_path / "packs").packs)


def test_damaged_proposals_in_packs_json_are_one_error(packs: PackSet, tmp_path: Path) -> None:
    path = tmp_path / "packs" / "packs.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    slot = record["scenes"][0]["slots"][0]
    good = slot["proposal"]
    for damaged in (7, {}, good | {"rings": []}, good | {"sureness": None}, good | {"by": 3}):
        slot["proposal"] = damaged
        path.write_text(json.dumps(record))
        with pytest.raises(MaskpsError) as caught:
            read_packs(tmp_path / "packs")
        assert caught.value.hint


# Checking


def test_proposals_as_they_were_handed_out_are_not_begun(packs: PackSet) -> None:
    assert {finding.code for finding in check_packs(packs)} == {"not-begun"}


def test_done_with_untouched_proposals_is_an_error_with_a_hint(packs: PackSet) -> None:
    checked = save(packs, "ann", "a.jpg", edited("p1", moved), done=True)
    assert codes(checked) == [("error", "proposal-untouched")]
    assert "proposals-checked" in checked.findings[0].hint
    assert list(checked.outlines) == ["p1"] and checked.untouched == {"p2"}


def test_before_done_it_is_a_warning(packs: PackSet) -> None:
    assert codes(save(packs, "ann", "a.jpg", edited("p1", moved))) == [("warning", "proposal-untouched")]


def test_one_tick_accepts_all_that_was_left_and_finishes_the_image(packs: PackSet) -> None:
    checked = save(packs, "ann", "a.jpg", edited("p1", moved), proposals_checked=True)
    assert codes(checked) == [] and list(checked.outlines) == ["p1", "p2"]
    assert checked.touches == {"p1": Touches(BY, 2, 1, 0), "p2": Touches(BY)}


def test_a_person_without_a_proposal_is_still_to_be_drawn(packs: PackSet) -> None:
    checked = save(packs, "ann", "c.jpg", proposals_checked=True)
    assert codes(checked) == [("error", "person-missing")] * 2


def test_a_proposal_without_its_flag_is_accepted(packs: PackSet) -> None:
    """One of several shapes is enough."""
    checked = save(packs, "ann", "a.jpg", edited("p2", without_flag))
    assert list(checked.outlines) == ["p2"] and checked.touches["p2"].is_accepted


def test_a_proposal_that_was_drawn_anew_is_the_annotators(packs: PackSet) -> None:
    checked = save(packs, "ann", "a.jpg", anew, proposals_checked=True)
    assert checked.outlines.keys() == {"p1", "p2"} and checked.touches.keys() == {"p2"}


def test_a_proposal_that_was_dragged_as_a_whole_is_a_correction(packs: PackSet) -> None:
    drag = edited("p1", lambda shape: replace(shape, points=shape.points + 1.5))
    checked = save(packs, "ann", "a.jpg", lambda file: drag(file)[:3])  # the hole is deleted
    assert checked.touches == {"p1": Touches(BY, 6, 0, 4)}


def test_a_hole_that_was_unmarked_and_a_part_that_was_deleted_are_corrections(packs: PackSet) -> None:
    deleted = save(packs, "ann", "a.jpg", lambda file: file.shapes[:-1])
    assert deleted.touches["p2"] == Touches(BY, 0, 0, 4)

    def filled(file: LabelMeFile) -> tuple[LabelMeShape, ...]:
        return tuple(
            replace(one, group_id=2, flags={"proposed": True}) if one.shape_type == "polygon" else one
            for one in file.shapes
            if one.label == "p1"
        )

    assert save(packs, "bob", "a.jpg", filled).touches["p1"] == Touches(BY, 4, 0, 0)


def test_accepted_proposals_are_checked_like_drawings(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    class Wrong:
        def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
            return {0: ProposedOutline(Outline((polygon(1),)), 1.0, BY)}

    packs = make(subset, dataset, tmp_path / "packs", proposer=Wrong())
    checked = save(packs, "ann", "a.jpg", proposals_checked=True)
    assert ("error", "fits-other-slot") in codes(checked) and not checked.outlines


def test_the_same_proposal_with_two_annotators_is_no_copy(packs: PackSet) -> None:
    for annotator in ("ann", "bob"):
        save(packs, annotator, "a.jpg", proposals_checked=True)
        save(packs, annotator, "b.jpg", edited("p2", moved), proposals_checked=True)
    found = {finding.code for finding in check_packs(packs)}
    assert found == {"not-begun", "polygon-shared"}  # two hands cannot move a point to the same place


# Progress and agreement


def test_progress_counts_untouched_proposals_apart(packs: PackSet) -> None:
    save(packs, "ann", "a.jpg", edited("p1", moved))
    save(packs, "ann", "b.jpg", proposals_checked=True)
    ann, bob = packs_progress(packs, checked_file)
    assert (ann.persons, ann.proposals, ann.untouched, ann.drawn, ann.persons_done) == (6, 4, 1, 3, 2)
    assert (bob.proposals, bob.untouched, bob.drawn) == (4, 4, 0)
    assert total_progress([ann, bob]).untouched == 5


def test_two_accepted_proposals_are_no_agreement(packs: PackSet) -> None:
    save(packs, "ann", "a.jpg", proposals_checked=True)
    save(packs, "bob", "a.jpg", edited("p1", moved), proposals_checked=True)
    report = agreement(packs)
    assert [person.slot for person in report.persons] == ["p1"] and report.persons[0].iou < 1
    assert report.accepted == report.to_dict()["accepted"] == 1
    assert dict(report.alone) == {}


# Collecting


def test_collect_records_who_or_what_drew_each_outline(
    packs: PackSet, dataset: PersonSearchDataset, subset: Path
) -> None:
    save(packs, "ann", "a.jpg", edited("p1", moved), proposals_checked=True)
    save(packs, "ann", "b.jpg", anew, done=True)
    report = collect_packs(packs, subset, dataset)
    assert (report.proposals, report.accepted, report.corrected, report.vertices) == (4, 1, 1, 3)
    assert ("proposals accepted", 1) in report.rows()
    used = {row: person.used for row, person in read_collected(subset / COLLECTED_NAME).items()}
    assert {row: one.proposal for row, one in used.items()} == {
        0: Touches(BY, 2, 1, 0),
        1: Touches(BY),
        2: None,
    }
    assert {one.annotator for one in used.values()} == {"ann"}
    stored = read_labelme(store_of(subset).path(used[0].sha256))
    assert stored.shapes[0].extra[SLOT_KEY]["proposal"]["by"] == BY


def test_an_untouched_proposal_is_not_collected(
    packs: PackSet, dataset: PersonSearchDataset, subset: Path
) -> None:
    save(packs, "ann", "a.jpg", edited("p1", moved), done=True)
    report = collect_packs(packs, subset, dataset)
    assert report.passed == 1 and list(read_collected(subset / COLLECTED_NAME)) == [0]


def test_collecting_twice_changes_nothing(packs: PackSet, dataset: PersonSearchDataset, subset: Path) -> None:
    save(packs, "ann", "a.jpg", edited("p1", moved), proposals_checked=True)
    collect_packs(packs, subset, dataset)
    before = content(subset)
    collect_packs(packs, subset, dataset)
    assert content(subset) == before


def test_records_of_drawings_by_hand_are_as_they_were(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    packs = make(subset, dataset, tmp_path / "packs", proposer=None)
    save(packs, "ann", "a.jpg", anew, done=True)
    report = collect_packs(packs, subset, dataset)
    assert not any("propos" in name for name, _ in report.rows())
    assert "proposal" not in (subset / COLLECTED_NAME).read_text(encoding="utf-8")
