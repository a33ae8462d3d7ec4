"""A data set converted there and back is equal; what a format cannot hold is refused, not lost."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskps.datasets import open_dataset, read_cuhk_sysu
from maskps.datasets.coco.reader import read_coco
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.compare import compare_datasets, compare_protocols
from maskps.datasets.convert import RECORD, convert
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.datasets.prw.reader import read_prw
from maskps.datasets.prw.writer import write_prw
from maskps.datasets.verify import verify
from maskps.errors import AnnotationError, ConfigError, InputFileError, MaskpsError, OutputExistsError
from maskps.protocols import SearchProtocol, whole_test_protocol
from maskps.structures import PersonSearchDataset, Scene, SceneTable


def protocols_of(dataset: PersonSearchDataset) -> dict[str, SearchProtocol]:
    return {name: open_protocol(dataset, name) for name in protocol_names(dataset)}


def assert_same(
    one: PersonSearchDataset,
    other: PersonSearchDataset,
    protocols: Mapping[str, SearchProtocol] | None = None,
) -> None:
    """Everything is equal, the numbering of pids and the order of all things included."""
    found = compare_datasets(one, other)
    assert not found.losses and not found.remarks
    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.test.pids, other.test.pids)
    expected = protocols_of(one) if protocols is None else protocols
    assert list(expected) == list(protocol_names(other))
    for name, protocol in expected.items():
        assert compare_protocols(protocol, open_protocol(other, name)) == [], name


def few_persons(name: str, *persons: tuple[float, float, float, float, int]) -> Scene:
    boxes = np.array([person[:4] for person in persons], np.float32).reshape(-1, 4)
    pids = np.array([person[4] for person in persons], np.int64)
    camera = int(name[1])
    return Scene(name, boxes, pids, np.zeros(len(persons), bool), camera=camera)


@pytest.fixture
def prw(tmp_path: Path) -> PersonSearchDataset:
    """A PRW of seven images on disk: one id in both sets, a box left of the image, an empty image."""
    train = SceneTable.from_scenes(
        [
            few_persons("c1s1_000151.jpg", (-3, 5, 40, 95.5, 1), (50, 5, 80, 95, -1)),
            few_persons("c6s2_000151.jpg", (7, 5, 40, 95, 2)),
            few_persons("c2s1_000026.jpg"),
        ]
    )
    test = SceneTable.from_scenes(
        [
            few_persons("c1s3_000001.jpg", (7, 5, 40, 95, 2), (50, 5, 80, 95, 1)),
            few_persons("c3s3_000001.jpg", (9, 8, 40, 95.25, 2), (1, 2, 9, 22, -1)),
            few_persons("c2s3_000001.jpg", (9, 8, 40, 95, 1), (59, 8, 90, 95, 1)),
            few_persons("c1s3_000026.jpg", (9, 8, 40, 95, 3)),
        ]
    )
    dataset = PersonSearchDataset(
        tmp_path, "prw", tmp_path, train, test, np.array(["3", "932"]), np.array(["7", "40", "932"]), ""
    )
    protocol = whole_test_protocol(
        test,
        dataset.test_ids,
        query_scenes=np.array([0, 1, 0]),
        query_boxes=test.boxes[[0, 2, 1]],
        query_ids=np.array(["40", "40", "7"]),
    )
    write_prw(tmp_path / "prw", dataset, protocol)
    return read_prw(tmp_path / "prw")


def test_cuhk_sysu_to_coco_and_back_is_equal(few_scenes: Path, tmp_path: Path) -> None:
    source = read_cuhk_sysu(few_scenes)
    summary = convert(source, "coco", tmp_path / "coco")
    assert not summary.losses and not summary.remarks
    coco = read_coco(tmp_path / "coco")
    assert_same(source, coco)
    assert len(protocols_of(source)) == 4  # two sizes and both subsets
    convert(coco, "cuhk-sysu", tmp_path / "back")
    assert_same(source, read_cuhk_sysu(tmp_path / "back"))


def test_prw_to_coco_and_back_is_equal(prw: PersonSearchDataset, tmp_path: Path) -> None:
    convert(prw, "coco", tmp_path / "coco")
    coco = read_coco(tmp_path / "coco")
    assert_same(prw, coco)
    assert coco.train.camera is not None and coco.train.camera.tolist() == [1, 6, 2]
    convert(coco, "prw", tmp_path / "back")
    assert_same(prw, read_prw(tmp_path / "back"))


@pytest.mark.real_data
def test_the_real_prw_files_become_a_prw_as_released(real_data: Path, tmp_path: Path) -> None:
    whole = read_coco(real_data / "prw")
    rows = np.arange(0, 5704, 190)
    train = whole.train.select(rows)
    persons = np.unique(train.pids[train.is_labeled])
    pids = np.where(train.is_labeled, np.searchsorted(persons, train.pids) + 1, -1)
    # Of the test images those with the 30 real queries, so that these can be read; all ids of the rest.
    lines = (real_data / "prw" / "prwmini_query_info.txt").read_text().splitlines()
    names = sorted({f"{line.split()[5]}.jpg" for line in lines})
    test = whole.test.select(whole.test.rows_of(names))
    known = np.unique(test.pids[test.is_labeled])
    test_pids = np.where(test.is_labeled, np.searchsorted(known, test.pids) + 1, -1)
    part = replace(
        whole,
        train=replace(train, pids=pids),
        train_ids=whole.train_ids[persons - 1],
        test=replace(test, pids=test_pids),
        test_ids=whole.test_ids[known - 1],
    )
    write_coco(tmp_path / "part", part, {})
    (tmp_path / "part" / "query_info.txt").write_text("\r\n".join(lines))
    source = read_coco(tmp_path / "part")

    summary = convert(source, "prw", tmp_path / "prw")
    assert summary.protocols == {"all": "all"} and len(summary.remarks) == 2  # the images tell their sizes
    written = read_prw(tmp_path / "prw")
    assert written.train.camera is not None and written.train.camera[-1] == 6
    assert open_protocol(written, "all").num_queries == 30
    assert not compare_datasets(source, written).losses
    assert not compare_protocols(open_protocol(source, "all"), open_protocol(written, "all"))


def test_coco_without_protocols_becomes_a_prw_without_queries(
    prw: PersonSearchDataset, tmp_path: Path
) -> None:
    write_coco(tmp_path / "coco", prw, {})
    summary = convert(read_coco(tmp_path / "coco"), "prw", tmp_path / "out")
    assert summary.protocols == {} and "query_info.txt is not written" in summary.remarks[-1]
    assert not (tmp_path / "out" / "query_info.txt").exists()
    written = read_prw(tmp_path / "out")
    assert not compare_datasets(prw, written).losses
    assert protocol_names(written) == ()
    assert "protocol-missing" in {finding.code for finding in verify(tmp_path / "out")}


@pytest.mark.parametrize("to", ["cuhk-sysu", "prw", "coco"])
@pytest.mark.parametrize("via", ["cuhk-sysu", "prw", "coco"])
def test_what_is_written_passes_verify(tmp_path: Path, via: str, to: str) -> None:
    """A data set that all three formats hold but for the cameras: every pair of formats."""
    train = SceneTable.from_scenes([few_persons("c1s1_000001.jpg", (9, 5, 40, 95, 1), (50, 5, 80, 95, -1))])
    test = SceneTable.from_scenes(
        [
            few_persons("c1s3_000001.jpg", (7, 5, 40, 95, 1), (50, 5, 80, 95, 2)),
            few_persons("c2s3_000001.jpg", (9, 8, 40, 95, 2), (59, 8, 90, 95, 1)),
        ]
    )
    ids = np.array(["7", "40"])
    dataset = PersonSearchDataset(tmp_path, "coco", tmp_path, train, test, np.array(["3"]), ids, "")
    protocol = whole_test_protocol(
        test, ids, query_scenes=np.array([0, 0]), query_boxes=test.boxes[:2], query_ids=ids
    )
    write_coco(tmp_path / "first", dataset, {"all": protocol})
    convert(read_coco(tmp_path / "first"), via, tmp_path / "source", allow_loss=True)
    convert(open_dataset(tmp_path / "source"), to, tmp_path / "out", allow_loss=True)
    assert [finding for finding in verify(tmp_path / "out") if finding.level == "error"] == []
    (name,) = protocol_names(open_dataset(tmp_path / "out"))
    assert compare_protocols(protocol, open_protocol(open_dataset(tmp_path / "out"), name)) == []


def test_coco_has_the_sizes_of_the_images_that_are_there(few_scenes: Path, tmp_path: Path) -> None:
    source = read_cuhk_sysu(few_scenes)
    (tmp_path / "images").mkdir()
    first, second, *others = source.train.names.tolist()
    for name in others:
        (tmp_path / "images" / name).write_bytes(source.image_path(name).read_bytes())
    (tmp_path / "images" / second).write_bytes(b"no picture")
    (tmp_path / "images" / others[0]).unlink()
    (tmp_path / "images" / others[0]).symlink_to(source.image_path(first))  # leads out of the data set
    moved = replace(source, root=tmp_path, image_dir=tmp_path / "images")
    summary = convert(moved, "coco", tmp_path / "out")
    images = json.loads((tmp_path / "out" / "train.json").read_text())["images"]
    assert [image["file_name"] for image in images if "maskps_size" in image] == [first, second, others[0]]
    for image in images[3:]:
        with Image.open(source.image_path(image["file_name"])) as picture:
            assert (image["width"], image["height"]) == picture.size
    unknown = 3 + len(source.test)
    assert f"{unknown} of 21 images cannot be read" in summary.remarks[-1]


def test_what_cuhk_sysu_cannot_hold_is_refused_and_named(prw: PersonSearchDataset, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="what would be lost") as caught:
        convert(prw, "cuhk-sysu", tmp_path / "out")
    assert "cameras of the train scenes" in caught.value.found
    assert "identities of 2 test persons, the first in c2s3_000001.jpg" in caught.value.found
    assert "protocol all" in caught.value.found and "--allow-loss" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_with_allow_loss_the_rest_is_kept_and_the_losses_reported(
    prw: PersonSearchDataset, tmp_path: Path
) -> None:
    summary = convert(prw, "cuhk-sysu", tmp_path / "out", allow_loss=True)
    written = read_cuhk_sysu(tmp_path / "out")
    assert np.array_equal(np.sort(prw.train.boxes, axis=0), np.sort(written.train.boxes, axis=0))
    assert written.test_ids.tolist() == ["40", "7"]
    assert protocol_names(written) == ("TestG3",)
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record["losses"] == list(summary.losses) and len(summary.losses) == 5
    assert compare_protocols(open_protocol(prw, "all"), open_protocol(written, "TestG3")) == []


def test_cuhk_sysu_needs_a_test_protocol(prw: PersonSearchDataset, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", prw, {})
    with pytest.raises(AnnotationError, match="protocols: none"):
        convert(read_coco(tmp_path / "coco"), "cuhk-sysu", tmp_path / "out", allow_loss=True)
    assert not (tmp_path / "out").exists()


def test_the_order_of_training_scenes_is_reported(prw: PersonSearchDataset, tmp_path: Path) -> None:
    summary = convert(prw, "cuhk-sysu", tmp_path / "out", allow_loss=True)
    assert "train scenes are in another order" in summary.remarks


def test_ids_that_are_no_numbers_do_not_become_a_prw(few_scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot hold"):
        convert(read_cuhk_sysu(few_scenes), "prw", tmp_path / "out", allow_loss=True)


def test_an_existing_result_is_replaced_only_with_force(few_scenes: Path, tmp_path: Path) -> None:
    source = read_cuhk_sysu(few_scenes)
    convert(source, "coco", tmp_path / "out")
    with pytest.raises(OutputExistsError):
        convert(source, "coco", tmp_path / "out")
    convert(source, "coco", tmp_path / "out", force=True)


@pytest.mark.parametrize("place", [".", ".."])
def test_the_data_set_itself_is_no_place_for_the_result(few_scenes: Path, place: str) -> None:
    with pytest.raises(ConfigError, match="the data set itself"):
        convert(read_cuhk_sysu(few_scenes), "coco", few_scenes / place, force=True)


def test_linked_images_are_those_of_the_source(few_scenes: Path, tmp_path: Path) -> None:
    source = read_cuhk_sysu(few_scenes)
    convert(source, "coco", tmp_path / "out", images="link")
    read = read_coco(tmp_path / "out")
    name = str(read.train.names[0])
    assert read.image_dir.is_symlink() and read.image_path(name).samefile(source.image_path(name))
    convert(source, "coco", tmp_path / "out", images="link", force=True)
    assert source.image_path(name).is_file()  # replacing the result did not follow the link


def test_copied_images_are_files_of_their_own(few_scenes: Path, tmp_path: Path) -> None:
    source = read_cuhk_sysu(few_scenes)
    steps: list[tuple[int, int]] = []
    convert(source, "coco", tmp_path / "out", images="copy", progress=lambda *step: steps.append(step))
    read = read_coco(tmp_path / "out")
    for name in [*read.train.names, *read.test.names]:
        assert read.image_path(name).read_bytes() == source.image_path(name).read_bytes()
    assert not read.image_dir.is_symlink() and steps == [(done, 21) for done in range(1, 22)]


def test_an_image_that_cannot_be_read_is_named(
    few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bytes:
        if path.suffix == ".json":
            return path.read_bytes()
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("maskps.datasets.copies.read_bytes", refused)
    source = read_cuhk_sysu(few_scenes)
    with pytest.raises(InputFileError, match=f"(?s){source.train.names[0]}.*check who may read it"):
        convert(source, "coco", tmp_path / "out", images="copy")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("images", ["link", "copy"])
def test_images_that_are_not_there_leave_no_result(few_scenes: Path, tmp_path: Path, images: Any) -> None:
    source = replace(read_cuhk_sysu(few_scenes), image_dir=tmp_path / "nowhere")
    with pytest.raises(InputFileError, match="nowhere"):
        convert(source, "coco", tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()


def test_a_name_that_leads_out_of_the_folder_is_not_copied(few_scenes: Path, tmp_path: Path) -> None:
    source = read_cuhk_sysu(few_scenes)
    names = np.char.add("../", source.train.names)
    source = replace(source, train=replace(source.train, names=names))
    with pytest.raises(MaskpsError, match="below the folder of images"):
        convert(source, "coco", tmp_path / "out", images="copy")


def test_an_unknown_format_is_refused(few_scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cuhk-sysu, prw, coco"):
        convert(read_cuhk_sysu(few_scenes), "voc", tmp_path / "out")  # type: ignore[arg-type]


def edited(dataset: PersonSearchDataset, column: str) -> PersonSearchDataset:
    """The data set with the first value of a training column changed."""
    values = getattr(dataset.train, column).copy()
    values[:1] = {"f": 2 * values[:1], "i": np.where(values[:1] > 0, -1, 1), "b": values[:1] == 0}[
        values.dtype.kind
    ]
    return replace(dataset, train=replace(dataset.train, **{column: values}))


@pytest.mark.parametrize(
    ("column", "words"), [("boxes", "boxes"), ("pids", "identities"), ("is_hard", "marks as hard")]
)
def test_a_changed_person_is_a_difference(few_scenes: Path, column: str, words: str) -> None:
    source = read_cuhk_sysu(few_scenes)
    (loss,) = compare_datasets(source, edited(source, column)).losses
    assert loss.startswith(f"{words} of 1 train persons")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("query_boxes", "query boxes"),
        ("query_ids", "query ids"),
        ("query_hard", "query hard"),
        ("query_scenes", "query scenes"),
        ("galleries", "galleries"),
        ("truth_boxes", "true boxes"),
        ("truth_hard", "true hard"),
    ],
)
def test_a_changed_protocol_is_a_difference(few_scenes: Path, column: str, words: str) -> None:
    protocol = open_protocol(read_cuhk_sysu(few_scenes), "TestG6")
    values = getattr(protocol, column).copy()
    values[0] = {
        "b": lambda value: ~value,
        "U": lambda value: "?",
        "i": lambda value: (value + 1) % len(protocol.image_names),
        "f": lambda value: value + 1,
    }[values.dtype.kind](values[0])
    assert compare_protocols(protocol, replace(protocol, **{column: values})) == [words]
