"""The real LabelMe, as a program of its own without a screen: it opens packs, and what it saves is read back.

`labelme_driver.py` runs in LabelMe's Python and acts as its user with mouse events. LabelMe is taken from
MASKPS_LABELME or the PATH, version 6 or 7; without one these tests are skipped.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from maskps.datasets import open_dataset
from maskps.errors import MaskpsError
from maskps.masks import LabelMeFile, LabelMeShape, Outline, read_labelme, write_labelme
from maskps.masks.proposed_outlines import ProposedOutline, Proposer
from maskps.structures import PersonSearchDataset, Scene
from maskps.subset import build_subset, open_subset, select_subset
from maskps_annotation.checks import check_packs, checked_file
from maskps_annotation.collect_packs import collect_packs
from maskps_annotation.launch import find_labelme
from maskps_annotation.pack_files import (
    CHECKED_FLAG,
    DONE_FLAG,
    FILE_KEY,
    PROPOSED_FLAG,
    SHAPE_FLAGS,
    SLOT_KEY,
    is_prefilled,
)
from maskps_annotation.pack_record import Pack, PackedScene, PackSet
from maskps_annotation.packs import write_packs
from maskps_annotation.shape_geometry import geometry_of_shape
from maskps_cli.annotate import annotate

DRIVER = Path(__file__).with_name("labelme_driver.py")
INSTALL = (
    "install it with pipx install 'labelme<8', name it in MASKPS_LABELME; apt-get install libgl1 libegl1"
)

Drive = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Returns a function that runs `annotate open` on a pack with a user who follows instructions."""
    folder = tmp_path_factory.mktemp("labelme")
    try:
        program = find_labelme(os.environ.get("MASKPS_LABELME"))
    except MaskpsError as error:
        pytest.skip(f"LabelMe: {error.found}; {INSTALL}")
    quiet = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "LANG": "C"}
    start = [program.command[0], "--version"]  # loads Qt
    answer = subprocess.run(start, env=os.environ | quiet, capture_output=True, text=True, timeout=120)
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        pytest.skip(f"LabelMe {program.version} does not start: {last}; {INSTALL}")
    python = Path(shutil.which(program.command[0]) or "").resolve().with_name("python")
    if not python.exists():
        pytest.skip(f"no Python beside {program.command[0]}: install LabelMe in an environment of its own")
    user = folder / "labelme"
    user.write_text(f"#!{python}\nimport runpy\nrunpy.run_path({str(DRIVER)!r}, run_name='__main__')\n")
    user.chmod(0o755)

    def run(pack: Path, image: str, **plan: object) -> dict[str, Any]:
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        plan |= {"report": str(report), "image": str(pack / image)}
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        environment = quiet | {"LABELME_PLAN": str(folder / "plan.json")}
        result = CliRunner().invoke(annotate, ["open", str(pack), "--labelme", str(user)], env=environment)
        assert result.exit_code == 0, result.output
        assert f"LabelMe {program.version}" in result.output
        seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return seen | {"version": program.version}

    return run


@dataclass(frozen=True)
class Work:
    """A subset and its packs: all for one annotator."""

    dataset: PersonSearchDataset
    subset: Path
    packs: PackSet

    @property
    def pack(self) -> Pack:
        return self.packs.packs[0]

    @property
    def scene(self) -> PackedScene:
        """The scene with the most persons."""
        return max(self.pack.scenes, key=lambda scene: len(scene.slots))

    @property
    def path(self) -> Path:
        return self.pack.folder / self.scene.file_name


class Boxes:
    """Proposes six corners in every box."""

    def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
        boxes = scene.boxes.astype(np.float64).tolist()
        outlines = [Outline((np.array(polygon_in(box)),)) for box in boxes]
        return {index: ProposedOutline(one, 0.5, "boxes") for index, one in enumerate(outlines)}


def make_work(few_scenes: Path, folder: Path, proposer: Proposer | None = None) -> Work:
    dataset = open_dataset(few_scenes)
    build_subset(dataset, folder / "subset", select_subset(dataset.train, portion_size=1))
    packs = write_packs(folder / "subset", dataset, folder / "packs", annotators=["ann"], proposer=proposer)
    return Work(dataset, folder / "subset", packs)


@pytest.fixture
def work(few_scenes: Path, tmp_path: Path) -> Work:
    return make_work(few_scenes, tmp_path)


def polygon_in(box: tuple[float, float, float, float]) -> list[list[float]]:
    """A person with six corners, within a box."""
    x0, y0, x1, y1 = box
    shares = [(0.4, 0.05), (0.6, 0.05), (0.85, 0.4), (0.7, 0.95), (0.3, 0.95), (0.15, 0.4)]
    return [[x0 + x * (x1 - x0), y0 + y * (y1 - y0)] for x, y in shares]


@dataclass(frozen=True)
class Drawn:
    """What LabelMe made of a pre-filled file in which a polygon was drawn and `done` ticked."""

    work: Work
    before: LabelMeFile
    after: LabelMeFile
    polygon: list[list[float]]
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def drawn(few_scenes: Path, drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """The last slot is drawn with the mouse; the others were drawn before, as annotators come back."""
    work = make_work(few_scenes, tmp_path_factory.mktemp("drawn"))
    *others, last = work.scene.slots
    before = read_labelme(work.path)
    earlier = tuple(LabelMeShape(slot.name, np.array(polygon_in(slot.box))) for slot in others)
    before = replace(before, shapes=(*before.shapes, *earlier))
    write_labelme(work.path, before)
    polygon = polygon_in(last.box)
    seen = drive(work.pack.folder, work.scene.image, polygon=polygon, label=last.name, tick=DONE_FLAG)
    assert (seen["error"], seen["messages"]) == ("", [])
    return Drawn(work, before, read_labelme(work.path), polygon, seen)


def test_labelme_6_or_7_opens_a_pack_without_a_complaint_and_writes_nothing(work: Work, drive: Drive) -> None:
    content = {path.name: path.read_bytes() for path in work.pack.folder.iterdir()}
    seen = drive(work.pack.folder, work.scene.image)
    assert (seen["error"], seen["messages"]) == ("", [])
    assert seen["version"].split(".")[0] in ("6", "7")
    assert sorted(seen["images"]) == sorted(scene.image for scene in work.pack.scenes)
    assert seen["shapes"] == [[slot.name, "rectangle"] for slot in work.scene.slots]
    assert {path.name: path.read_bytes() for path in work.pack.folder.iterdir()} == content


def test_labelme_offers_the_slots_and_our_flags(drawn: Drawn) -> None:
    most = max(len(scene.slots) for scene in drawn.work.pack.scenes)
    assert drawn.seen["labels_offered"] == [f"p{number}" for number in range(1, most + 1)]
    assert drawn.seen["flags_offered"] == list(SHAPE_FLAGS)


def test_the_polygon_is_where_the_mouse_was(drawn: Drawn) -> None:
    """The mouse moves by whole pixels of the screen, of which the image takes `scale` for each of its own."""
    shape = drawn.after.shapes[-1]
    assert (shape.label, shape.shape_type) == (drawn.work.scene.slots[-1].name, "polygon")
    np.testing.assert_allclose(shape.points, drawn.polygon, rtol=0, atol=0.75 / drawn.seen["scale"])


def test_ticking_a_flag_saves_it_with_its_image(drawn: Drawn) -> None:
    assert drawn.after.flags == {**drawn.before.flags, DONE_FLAG: True}
    assert (drawn.after.width, drawn.after.height) == drawn.work.scene.size
    assert drawn.after.image_path == drawn.work.scene.image


def test_labelme_keeps_the_private_keys_of_file_and_shapes(drawn: Drawn) -> None:
    assert drawn.after.extra[FILE_KEY] == drawn.before.extra[FILE_KEY]
    slots = [shape.extra.get(SLOT_KEY) for shape in drawn.before.shapes]
    assert [shape.extra.get(SLOT_KEY) for shape in drawn.after.shapes[:-1]] == slots
    assert any(slots)


def test_labelme_leaves_the_rectangles_where_they_were(drawn: Drawn) -> None:
    for one, other in zip(drawn.before.shapes, drawn.after.shapes[:-1], strict=True):
        assert (one.label, one.shape_type) == (other.label, other.shape_type)
        assert is_prefilled(one) == is_prefilled(other)
        np.testing.assert_array_equal(one.points, other.points)


def test_check_finds_nothing_wrong_in_what_labelme_saved(drawn: Drawn) -> None:
    where = f"ann/{drawn.work.scene.file_name}"
    findings = [finding for finding in check_packs(drawn.work.packs) if finding.where.startswith(where)]
    assert [finding for finding in findings if finding.level == "error"] == []
    assert not {"record-lost", "box-moved", "read-as", "not-done"} & {finding.code for finding in findings}


def test_collect_takes_what_labelme_saved(drawn: Drawn) -> None:
    work = drawn.work
    collect_packs(work.packs, work.subset, work.dataset)
    outlines = open_subset(work.subset, work.dataset).masks.outlines
    first = int(work.dataset.train.offsets[int(work.dataset.train.rows_of([work.scene.scene])[0])])
    assert set(outlines) == {first + slot.person for slot in work.scene.slots}
    area = geometry_of_shape(drawn.after.shapes[-1], "").area
    assert outlines[first + work.scene.slots[-1].person].area == pytest.approx(area)


def test_labelme_loses_nothing_of_what_our_writer_writes(work: Work, drive: Drive) -> None:
    """Holes, groups, mask shapes, keys of ours and of others, text of all kinds."""
    stream = io.BytesIO()
    bitmap = np.zeros((9, 7), dtype=np.uint8)
    bitmap[2:, 1:6], bitmap[4:6, 3] = 1, 0
    Image.fromarray(bitmap).save(stream, "PNG")
    mask = base64.b64encode(stream.getvalue()).decode()
    triangle = np.array([[20.25, 30.5], [60.125, 31.0], [40.0, 90 + 1 / 3]])
    more = (
        LabelMeShape(
            "p1", triangle, group_id=3, extra={"description": 'a "bag" & <b>\n\u05e2\u05d1', "maskps": [1]}
        ),
        LabelMeShape("p1", triangle + 60, group_id=3, flags={"accessory": True}),
        LabelMeShape("p1", triangle * 0.5 + (20, 25), flags={"hole": True}, extra={"score": 0.5, "x": None}),
        LabelMeShape("p1", np.array([[5.0, 6.0], [11.0, 14.0]]), "mask", extra={"mask": mask}),
        LabelMeShape("p1", np.array([[50.0, 60.0], [11.0, 14.0]]), "rectangle"),
    )
    before = read_labelme(work.path)
    before = replace(before, shapes=(*before.shapes, *more), extra={**before.extra, "other": {"a": [1.5]}})
    write_labelme(work.path, before)
    seen = drive(work.pack.folder, work.scene.image, tick=DONE_FLAG)
    assert (seen["error"], seen["messages"]) == ("", [])
    after = read_labelme(work.path)
    assert after.extra == before.extra
    for one, other in zip(before.shapes, after.shapes, strict=True):
        where = one.label
        assert (one.label, one.shape_type, one.group_id) == (other.label, other.shape_type, other.group_id)
        assert other.flags == dict.fromkeys(SHAPE_FLAGS, False) | dict(one.flags)
        without_mask = [{k: v for k, v in shape.extra.items() if k != "mask"} for shape in (one, other)]
        assert without_mask[0] == without_mask[1]
        assert geometry_of_shape(one, where).equals(geometry_of_shape(other, where))


def test_labelme_shows_proposals_and_keeps_their_flags(
    few_scenes: Path, drive: Drive, tmp_path: Path
) -> None:
    work = make_work(few_scenes, tmp_path, Boxes())
    before = read_labelme(work.path)
    seen = drive(work.pack.folder, work.scene.image, tick=CHECKED_FLAG)
    assert (seen["error"], seen["messages"]) == ("", [])
    after = read_labelme(work.path)
    assert after.flags == {**before.flags, CHECKED_FLAG: True}
    names = [slot.name for slot in work.scene.slots]
    proposed = [shape for shape in after.shapes if shape.flags.get(PROPOSED_FLAG)]
    assert [shape.label for shape in proposed] == names
    for one, other in zip(before.shapes, after.shapes, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
    checked = checked_file(work.scene, work.path)
    assert list(checked.touches) == names and all(one.is_accepted for one in checked.touches.values())
