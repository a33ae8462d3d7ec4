"""What write_coco writes: equal when read back, and readable for pycocotools."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from maskps.datasets import read_cuhk_sysu
from maskps.datasets.coco.protocols import PROTOCOLS_FILE, write_protocols
from maskps.datasets.coco.reader import coco_protocol_names, read_coco, read_coco_protocol
from maskps.datasets.coco.writer import write_coco
from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.structures import PersonSearchDataset


@pytest.fixture
def dataset(root: Path) -> PersonSearchDataset:
    """The small data set, with fractions, cameras and sizes."""
    read = read_cuhk_sysu(root)
    boxes = read.train.boxes.copy()
    boxes[0] += np.float32(0.1)
    train = replace(read.train, boxes=boxes, camera=np.arange(4), size=np.full((4, 2), 800))
    return replace(read, train=train)


def same(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(one)
        if getattr(one, field.name) is not None or getattr(other, field.name) is not None
    )


def test_a_data_set_is_read_back_equal(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", dataset, {})
    read = read_coco(tmp_path / "coco")
    assert same(read.train, dataset.train) and same(read.test, dataset.test)
    assert read.train.size is not None and read.test.size is None
    assert read.train_ids.tolist() == ["p7", "p12"] and read.test_ids.tolist() == dataset.test_ids.tolist()
    assert read.train.is_hard.tolist() == [True, False, False, False, False]
    assert (read.kind, read.fingerprint) == ("coco", dataset.train.fingerprint())


def test_protocols_are_read_back_equal_and_in_their_order(
    small: Any, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    galleries = small.protocols["TestG3"].galleries.copy()
    galleries[0, 2] = -1
    protocols = small.protocols | {"ragged": replace(small.protocols["TestG3"], galleries=galleries)}
    write_coco(tmp_path / "coco", dataset, protocols)
    read = read_coco(tmp_path / "coco")
    assert coco_protocol_names(read.root) == tuple(protocols)
    for name, protocol in protocols.items():
        assert same(read_coco_protocol(read, name), protocol), name


def test_pycocotools_reads_the_files(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", dataset, {})
    coco = COCO(tmp_path / "coco" / "train.json")
    assert len(coco.getImgIds()) == 4 and len(coco.getAnnIds(catIds=coco.getCatIds(["person"]))) == 5
    image = coco.loadImgs(coco.getImgIds())[2]
    assert (image["file_name"], image["width"], image["height"]) == ("s2.jpg", 800, 800)
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
    assert (
        annotation["person_id"] == -1 and annotation["area"] == annotation["bbox"][2] * annotation["bbox"][3]
    )


def test_an_image_of_unknown_size_gets_one_that_holds_its_boxes(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    write_coco(tmp_path / "coco", dataset, {})
    images = json.loads((tmp_path / "coco" / "test.json").read_text())["images"]
    assert [(image["width"], image["height"]) for image in images] == [
        (130, 110),
        (530, 410),
        (90, 160),
        (92, 162),
    ]
    assert {image["maskps_size"] for image in images} == {"extent"}


def test_whole_numbers_are_written_as_such(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", dataset, {})
    assert '"bbox": [10, 20, 30, 90]' in (tmp_path / "coco" / "test.json").read_text()


def test_the_same_data_set_gives_the_same_bytes(
    small: Any, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        write_coco(tmp_path / folder, dataset, small.protocols)
    for name in ("train.json", "test.json", PROTOCOLS_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["info"].update(version=9), "version 9"),
        (lambda content: content.pop("maskps_ids"), "maskps_ids"),
        (lambda content: content["maskps_ids"].append("p7"), "maskps_ids"),
        (lambda content: content["annotations"][0].update(person_id=0), "person_id 0"),
        (lambda content: content["annotations"][0].update(person_id=3), "person_id 3"),
    ],
)
def test_an_edited_file_is_refused(
    dataset: PersonSearchDataset, tmp_path: Path, change: Any, words: str
) -> None:
    write_coco(tmp_path, dataset, {})
    content = json.loads((tmp_path / "train.json").read_text())
    change(content)
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(MaskpsError, match=words):
        read_coco(tmp_path)


def protocol_files() -> dict[str, bytes]:
    return {"empty": b"", "text": b"no zip", "zip": b"PK\x03\x04 cut off", "array": b"\x93NUMPY\x01\x00"}


@pytest.mark.parametrize("kind", protocol_files())
def test_a_damaged_file_of_protocols_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    (tmp_path / PROTOCOLS_FILE).write_bytes(protocol_files()[kind])
    with pytest.raises(InputFileError, match=PROTOCOLS_FILE) as caught:
        coco_protocol_names(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_file_of_protocols_that_is_cut_off_is_an_error(small: Any, tmp_path: Path, cut: float) -> None:
    path = tmp_path / PROTOCOLS_FILE
    write_protocols(path, small.protocols)
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(InputFileError, match=PROTOCOLS_FILE):
        coco_protocol_names(tmp_path)


@pytest.mark.parametrize("member", [b"no array", b"\x93NUMPY\x01\x00\x08\x00{'a': (\n\0", b""])
def test_a_damaged_array_is_an_error(
    small: Any, dataset: PersonSearchDataset, tmp_path: Path, member: bytes
) -> None:
    path = tmp_path / PROTOCOLS_FILE
    write_protocols(path, {"TestG3": small.protocols["TestG3"]})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, member if name == "TestG3/galleries.npy" else content)
    with pytest.raises(InputFileError, match=PROTOCOLS_FILE) as caught:
        read_coco_protocol(replace(dataset, root=tmp_path), "TestG3")
    assert caught.value.hint


def test_arrays_of_another_kind_are_refused(small: Any, dataset: PersonSearchDataset, tmp_path: Path) -> None:
    path = tmp_path / PROTOCOLS_FILE
    write_protocols(path, {"TestG3": small.protocols["TestG3"]})
    with np.load(path) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    np.savez(path, **arrays | {"TestG3/galleries": arrays["TestG3/galleries"].astype(float)})
    with pytest.raises(InputFileError, match="an array of float64"):
        read_coco_protocol(replace(dataset, root=tmp_path), "TestG3")
    np.savez(path, **arrays | {"TestG3/galleries": arrays["TestG3/galleries"] + 9})
    with pytest.raises(AnnotationError, match="TestG3"):
        read_coco_protocol(replace(dataset, root=tmp_path), "TestG3")
    np.savez(path, **arrays | {"version": np.array(2)})
    with pytest.raises(InputFileError, match="version 2"):
        coco_protocol_names(tmp_path)


def test_a_protocol_with_a_scene_that_the_test_file_lacks_is_refused(
    small: Any, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    write_coco(tmp_path, replace(dataset, test=dataset.test.select([0, 1, 2])), small.protocols)
    with pytest.raises(AnnotationError, match=r"'s6\.jpg', one of 1"):
        read_coco_protocol(read_coco(tmp_path), "TestG3")
