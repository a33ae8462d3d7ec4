"""Packs are complete, flat, the same for the same seed, and never replace anybody's work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folder_contents import contents_of

from maskps.datasets import open_dataset
from maskps.errors import AnnotationError, ConfigError, InputFileError, MaskpsError, OutputExistsError
from maskps.io.folders import LIST_NAME
from maskps.masks.labelme_file import BOX_KEY, LabelMeShape, read_labelme, write_labelme
from maskps.structures import PersonSearchDataset
from maskps.subset import build_subset, select_subset
from maskps_annotation.pack_files import FILE_KEY, SLOT_KEY, is_prefilled, is_untouched
from maskps_annotation.pack_record import PackSet, read_pack, read_packs
from maskps_annotation.packs import write_packs


@pytest.fixture(scope="module")
def dataset(few_scenes: Path) -> PersonSearchDataset:
    return open_dataset(few_scenes)


@pytest.fixture(scope="module")
def subset(dataset: PersonSearchDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All training images with a labeled person."""
    folder = tmp_path_factory.mktemp("subset") / "subset"
    build_subset(dataset, folder, select_subset(dataset.train, portion_size=1))
    return folder


@pytest.fixture
def packs(dataset: PersonSearchDataset, subset: Path, tmp_path: Path) -> PackSet:
    return write_packs(subset, dataset, tmp_path / "packs", annotators=["ann", "bob"], double=0.3)


def test_every_labeled_person_is_a_slot_once_and_twice_where_doubled(
    packs: PackSet, dataset: PersonSearchDataset
) -> None:
    train = dataset.train
    expected = sorted(
        (str(name), person)
        for row, name in enumerate(train.names)
        for person in range(len(train[row]))
        if train[row].is_labeled[person]
        for _ in range(1 + (str(name) in packs.doubled))
    )
    slots = [(s.scene, slot.person) for pack in packs.packs for s in pack.scenes for slot in s.slots]
    assert sorted(slots) == expected
    assert packs.doubled


def test_slots_run_from_left_to_right(packs: PackSet) -> None:
    scenes = [scene for pack in packs.packs for scene in pack.scenes]
    assert any(len(scene.slots) > 1 for scene in scenes)
    for scene in scenes:
        centers = [slot.box[0] + slot.box[2] for slot in scene.slots]
        assert centers == sorted(centers)
        assert [slot.name for slot in scene.slots] == [f"p{i + 1}" for i in range(len(centers))]


def test_a_pack_is_flat_and_holds_nothing_else(packs: PackSet) -> None:
    for pack in packs.packs:
        expected = {"pack.json", "labelmerc.yaml", "rules.html"}
        expected |= {name for scene in pack.scenes for name in (scene.image, scene.file_name)}
        assert {path.name for path in pack.folder.iterdir()} == expected


def test_images_are_those_of_the_data_set(packs: PackSet, dataset: PersonSearchDataset) -> None:
    for pack in packs.packs:
        for scene in pack.scenes:
            pixels = (pack.folder / scene.image).read_bytes()
            assert pixels == dataset.image_path(scene.scene).read_bytes()
            assert hashlib.sha256(pixels).hexdigest() == scene.sha256
            # A copy: a program that writes the picture in place must not change the data set.
            assert not (pack.folder / scene.image).samefile(dataset.image_path(scene.scene))


def test_prefilled_rectangles_are_the_boxes_and_carry_their_slot(packs: PackSet) -> None:
    pack = packs.packs[0]
    for scene in pack.scenes:
        file = read_labelme(pack.folder / scene.file_name)
        assert file.image_path == scene.image
        assert (file.width, file.height) == scene.size
        assert file.flags == {"done": False, "problem": False}
        assert file.extra[FILE_KEY] == {
            "scene": scene.scene,
            "sha256": scene.sha256,
            "fingerprint": packs.fingerprint,
        }
        assert is_untouched(file, scene)
        for shape, slot in zip(file.shapes, scene.slots, strict=True):
            assert (shape.label, shape.shape_type) == (slot.name, "rectangle")
            assert shape.points.ravel().tolist() == pytest.approx(slot.box)
            assert shape.extra[SLOT_KEY]["identity"] == slot.identity
            assert BOX_KEY not in shape.extra
            assert is_prefilled(shape)


def test_packs_are_read_as_they_were_written(packs: PackSet, tmp_path: Path) -> None:
    assert read_packs(tmp_path / "packs") == packs
    for pack in packs.packs:
        assert read_pack(pack.folder) == pack


def test_the_same_seed_gives_the_same_bytes(
    packs: PackSet, dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    write_packs(subset, dataset, tmp_path / "again", annotators=["ann", "bob"], double=0.3)
    assert contents_of(tmp_path / "again") == contents_of(tmp_path / "packs")


def test_no_pack_reveals_what_is_doubled(packs: PackSet) -> None:
    name = min(packs.doubled)
    texts = [
        json.dumps(scene)
        for pack in packs.packs
        for scene in json.loads((pack.folder / "pack.json").read_text())["scenes"]
        if scene["scene"] == name
    ]
    assert len(texts) == 2 and texts[0] == texts[1]
    for pack in packs.packs:
        record = json.loads((pack.folder / "pack.json").read_text())
        assert set(record) == {"format", "version", "annotator", "fingerprint", "scenes"}


def test_force_replaces_packs_in_which_nobody_has_drawn(
    packs: PackSet, dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError):
        write_packs(subset, dataset, tmp_path / "packs", annotators=["eve"])
    write_packs(subset, dataset, tmp_path / "packs", annotators=["eve"], force=True)
    assert {path.name for path in (tmp_path / "packs").iterdir()} == {"eve", "packs.json", LIST_NAME}


@pytest.mark.parametrize("work", ["polygon", "flag", "moved", "cut off", "new file"])
def test_force_never_replaces_work_of_annotators(
    packs: PackSet, dataset: PersonSearchDataset, subset: Path, tmp_path: Path, work: str
) -> None:
    pack = packs.packs[1]
    path = pack.folder / pack.scenes[0].file_name
    file = read_labelme(path)
    if work == "polygon":
        shape = LabelMeShape("p1", file.shapes[0].points[[0, 1, 1]] + [[0, 0], [0, 0], [1, 5]])
        write_labelme(path, replace(file, shapes=(*file.shapes, shape)))
    elif work == "flag":
        write_labelme(path, replace(file, flags={"done": True}))
    elif work == "moved":
        moved = replace(file.shapes[0], points=file.shapes[0].points + 2)
        write_labelme(path, replace(file, shapes=(moved, *file.shapes[1:])))
    elif work == "cut off":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path = pack.folder / "extra.json"
        path.write_text("{}")
    before = contents_of(tmp_path / "packs")
    with pytest.raises(OutputExistsError, match="changed by annotators") as caught:
        write_packs(subset, dataset, tmp_path / "packs", annotators=["eve"], force=True)
    assert path.name in caught.value.found
    assert contents_of(tmp_path / "packs") == before


@pytest.mark.parametrize(
    "names", [["a/b"], [".."], [""], ["-x"], ["ann", "Ann"], ["a b"], ["x" * 70], ["packs.json"], ["a."]]
)
def test_names_that_cannot_be_folders_are_refused(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        write_packs(subset, dataset, tmp_path / "packs", annotators=names)
    assert caught.value.hint
    assert not (tmp_path / "packs").exists()


def test_labeled_persons_outside_their_image_are_counted_and_nothing_is_written(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    boxes = dataset.train.boxes.copy()
    labeled = np.flatnonzero(dataset.train.is_labeled)
    boxes[labeled[:2]] += np.float32(-9000)
    boxes[~dataset.train.is_labeled] += np.float32(9000)  # nobody draws them
    outside = replace(dataset, train=replace(dataset.train, boxes=boxes))
    with pytest.raises(AnnotationError, match=f"2 of {len(labeled)} boxes with no part in their image"):
        write_packs(subset, outside, tmp_path / "packs", annotators=["ann"])
    assert not (tmp_path / "packs").exists()


def test_a_missing_image_leaves_nothing_behind(
    dataset: PersonSearchDataset, subset: Path, tmp_path: Path
) -> None:
    gone = replace(dataset, image_dir=tmp_path / "nowhere")
    with pytest.raises(InputFileError):
        write_packs(subset, gone, tmp_path / "packs", annotators=["ann"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace("maskps-packs", "other"),
        lambda text: text.replace('"ann"', '"../ann"'),
        lambda text: text.replace('"image": "', '"image": "../'),
        lambda text: text.replace('"image": "', '"image": "' + 300 * "x"),
        lambda text: text.replace('"person": 0', '"person": -1'),
        lambda text: text.replace('"name": "p1"', '"name": "p7"'),
        lambda text: text.replace('"sha256": "', '"sha256": "x'),
        lambda text: text.replace('"doubled": [', '"doubled": ["nobody.jpg", '),
        lambda text: text.replace('"size": [', '"size": [null, '),
        lambda text: text.replace('"seed": 0', '"seed": null'),
    ],
)
def test_a_damaged_record_is_one_error_with_a_hint(packs: PackSet, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "packs" / "packs.json"
    text = path.read_text(encoding="utf-8")
    assert damage(text) != text
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(MaskpsError) as caught:
        read_packs(tmp_path / "packs")
    assert caught.value.hint


def test_the_folder_of_one_annotator_is_distinguished_from_that_of_all(packs: PackSet) -> None:
    with pytest.raises(InputFileError, match="the folder of one annotator") as raised:
        read_packs(packs.packs[0].folder)
    assert str(packs.packs[0].folder.parent) in raised.value.hint
