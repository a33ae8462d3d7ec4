"""Progress counts what is drawn, ticked and right, and gives a rate only if file times allow it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskps.findings import Finding
from maskps.masks.labelme_file import LabelMeShape, read_labelme, write_labelme
from maskps.masks.outlines import Outline
from maskps_annotation.checks import CheckedFile
from maskps_annotation.pack_files import is_prefilled, prefilled
from maskps_annotation.pack_record import Pack, PackedScene, PackSet, Slot
from maskps_annotation.progress import packs_progress, total_progress, working_rate

SQUARE = np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 8.0], [0.0, 8.0]])
START = 1_700_000_000


@pytest.fixture
def packs(tmp_path: Path) -> PackSet:
    """One annotator with five images of two persons each."""
    slots = (Slot("p1", 0, "a", (0, 0, 9, 9)), Slot("p2", 2, "b", (20, 0, 29, 9)))
    scenes = tuple(PackedScene(f"s{i}.jpg", f"s{i}.jpg", "0" * 64, (40, 20), slots) for i in range(5))
    folder = tmp_path / "ann"
    folder.mkdir()
    for scene in scenes:
        write_labelme(folder / scene.file_name, prefilled(scene, "f"))
    return PackSet("f", 0, (Pack("ann", folder, scenes),), frozenset())


def draw(
    packs: PackSet, index: int, *labels: str, done: bool = True, problem: bool = False, minutes: float = 0
) -> None:
    """Draws these slots of an image and saves it so many minutes after the start."""
    pack = packs.packs[0]
    path = pack.folder / pack.scenes[index].file_name
    file = read_labelme(path)
    shapes = (*file.shapes, *(LabelMeShape(label, SQUARE) for label in labels))
    write_labelme(path, replace(file, shapes=shapes, flags={"done": done, "problem": problem}))
    os.utime(path, (START + 60 * minutes,) * 2)


def check(scene: PackedScene, path: Path) -> CheckedFile:
    """Takes every polygon, and finds an error in each that is labeled p3."""
    drawn = {shape.label for shape in read_labelme(path).shapes if not is_prefilled(shape)}
    outlines = {slot.name: Outline((SQUARE,)) for slot in scene.slots if slot.name in drawn}
    findings = (Finding("unknown-slot", "error", "p3", "p3"),) if "p3" in drawn else ()
    return CheckedFile(outlines, findings, {})


def test_nothing_is_done_in_a_new_pack(packs: PackSet) -> None:
    (part,) = packs_progress(packs, check)
    assert (part.images, part.images_done, part.persons, part.persons_done, part.drawn) == (5, 0, 10, 0, 0)
    assert part.rate is None and part.hours_to_go is None


@pytest.mark.parametrize(
    ("labels", "ticked", "done", "drawn"),
    [
        (("p1", "p2"), True, 2, 2),
        (("p1", "p2"), False, 0, 2),
        (("p1",), True, 0, 1),
        (("p1", "p2", "p3"), True, 0, 2),
        ((), True, 0, 0),
    ],
)
def test_done_is_ticked_and_whole_and_without_error(
    packs: PackSet, labels: tuple[str, ...], ticked: bool, done: int, drawn: int
) -> None:
    draw(packs, 1, *labels, done=ticked)
    (part,) = packs_progress(packs, check)
    assert (part.persons_done, part.drawn) == (done, drawn)
    assert part.errors == (("s1.jpg",) if ticked and not done else ())


def test_problems_are_named(packs: PackSet) -> None:
    draw(packs, 3, done=False, problem=True)
    assert packs_progress(packs, check)[0].problems == ("s3.jpg",)


def test_a_missing_or_cut_off_file_is_not_done_and_is_named(packs: PackSet) -> None:
    folder = packs.packs[0].folder
    (folder / "s0.json").unlink()
    (folder / "s1.json").write_text("{")
    part = packs_progress(packs, check)[0]
    assert (part.persons_done, part.errors, part.unread) == (0, (), ("s0.jpg", "s1.jpg"))


def test_the_rate_and_the_time_to_go_come_from_file_times(packs: PackSet) -> None:
    for index in range(4):
        draw(packs, index, "p1", "p2", minutes=4 * index)
    (part,) = packs_progress(packs, check)
    assert part.rate == pytest.approx(30)  # 6 persons in 12 minutes
    assert part.hours_to_go == pytest.approx(2 / 30)


def test_finished_work_has_no_time_to_go_even_without_a_rate(packs: PackSet) -> None:
    for index in range(5):
        draw(packs, index, "p1", "p2")
    (part,) = packs_progress(packs, check)
    assert part.rate is None and part.hours_to_go == 0


def test_a_pause_is_no_work() -> None:
    times = [0, 60, 120, 180, 180 + 8 * 3600, 240 + 8 * 3600]
    assert working_rate(times, [1] * 6) == pytest.approx(60)


def test_times_need_not_be_in_order() -> None:
    assert working_rate([180, 0, 120, 60], [3, 9, 2, 1]) == pytest.approx(3600 * 6 / 180)


@pytest.mark.parametrize("times", [[], [0], [0, 60, 120], [5, 5, 5, 5, 5], [0, 0.1, 0.2, 0.3]])
def test_there_is_no_rate_from_too_little_or_from_copies(times: list[float]) -> None:
    assert working_rate(times, [1] * len(times)) is None


def test_the_total_adds_persons_and_rates_and_waits_for_the_slowest(packs: PackSet) -> None:
    for index in range(4):
        draw(packs, index, "p1", "p2", minutes=4 * index)
    (part,) = packs_progress(packs, check)
    total = total_progress([part, replace(part, rate=10.0, hours_to_go=3.0)])
    assert (total.persons, total.persons_done, total.rate, total.hours_to_go) == (20, 16, 40, 3)
    unknown = replace(part, rate=None, hours_to_go=None)
    assert total_progress([part, unknown]).hours_to_go is None
