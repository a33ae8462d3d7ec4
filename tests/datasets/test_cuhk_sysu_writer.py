"""Writing CUHK-SYSU: the files are like the released ones, for scipy and for the readers of other code."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from maskps.datasets.cuhk_sysu.writer import protocol_chunks
from maskps.errors import AnnotationError
from maskps.io.matlab import write_mat
from maskps.protocols import read_protocol


def signature(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yields shape, type and fields of everything in an array that loadmat returned."""
    if isinstance(value, np.void):
        for name in value.dtype.names:
            yield from signature(value[name])
        return
    kind = value.dtype.kind if value.dtype.kind in "UO" else value.dtype
    yield value.shape, kind, value.dtype.names
    if value.dtype == object or value.dtype.names:
        for item in value.ravel():
            yield from signature(item)


@pytest.fixture
def annotation(root: Path) -> Path:
    return root / "annotation"


def test_a_rewritten_protocol_is_like_the_real_one_for_scipy(real_data: Path, tmp_path: Path) -> None:
    """Shapes, types (uint8, uint16, float64 where empty), fields and values of the first queries."""
    file = real_data / "cuhk_sysu" / "TestG100.mat"
    write_mat(tmp_path / "TestG100.mat", protocol_chunks("TestG100", read_protocol(file)))
    ours, real = loadmat(tmp_path / "TestG100.mat"), loadmat(file)
    assert ours["TestG100"].shape == real["TestG100"].shape
    assert list(signature(ours["TestG100"][:, :60])) == list(signature(real["TestG100"][:, :60]))
    for query in range(60):
        mine, theirs = ours["TestG100"][0, query], real["TestG100"][0, query]
        assert str(mine) == str(theirs)


def test_a_rewritten_protocol_has_the_real_files_bytes(real_data: Path, tmp_path: Path) -> None:
    """Unpacked, every byte is as MATLAB wrote it."""
    file = real_data / "cuhk_sysu" / "TestG100.mat"
    ours = b"".join(protocol_chunks("TestG100", read_protocol(file)))
    assert ours == zlib.decompress(file.read_bytes()[136:])


def test_the_images_file_suits_the_released_reader(annotation: Path) -> None:
    """The loop of lib/datasets/psdb.py in ShuangLI59/person_search."""
    boxes_of = {}
    for name, count, boxes in loadmat(annotation / "Images.mat")["Img"].squeeze():
        boxes_of[str(name[0])] = np.asarray([box[0] for box in boxes[0]]).reshape(-1, 4).tolist()
        assert int(count[0, 0]) == len(boxes_of[str(name[0])])
    assert len(boxes_of) == 8
    assert boxes_of["s1.jpg"] == [[10, 20, 30, 90], [300, 20, 100, 500]]
    assert boxes_of["s3.jpg"] == []


def test_the_pool_suits_the_released_reader(annotation: Path) -> None:
    pool = loadmat(annotation / "pool.mat")["pool"]
    assert pool.shape == (4, 1)
    assert [str(name[0]) for name in pool.squeeze()] == ["s9.jpg", "s8.jpg", "s7.jpg", "s6.jpg"]


def test_the_training_file_suits_the_released_reader(annotation: Path) -> None:
    train = loadmat(annotation / "test/train_test/Train.mat")["Train"]
    assert train.shape == (2, 1)
    appearances = [
        (index, str(name[0]), box.squeeze().tolist(), int(hard[0, 0]))
        for index, item in enumerate(train.squeeze())
        for name, box, hard in item[0, 0][2][0]
    ]
    assert appearances == [
        (0, "s1.jpg", [10, 20, 30, 90], 1),
        (0, "s10.jpg", [5, 6, 20, 60], 0),
        (1, "s10.jpg", [138, 175, 73, 241], 0),
    ]


def test_the_persons_file_lists_the_identities_of_both_splits(annotation: Path) -> None:
    persons = loadmat(annotation / "Person.mat")["Person"]
    assert persons.shape == (1, 4)
    assert [(str(p["idname"][0]), int(p["nAppear"][0, 0])) for p in persons[0]] == [
        ("p7", 2),
        ("p12", 1),
        ("p3", 2),
        ("p44", 2),
    ]


@pytest.mark.parametrize(
    ("file", "key", "fields"),
    [
        ("test/train_test/TestG3.mat", "TestG3", ("Query", "Gallery")),
        ("test/subset/Occlusion.mat", "Occlusion1", ("Query", "Gallery", "occlusion")),
        ("test/subset/Resolution.mat", "Test_Size", ("Query", "Gallery")),
    ],
)
def test_protocols_have_the_released_keys_and_fields(
    annotation: Path, file: str, key: str, fields: tuple[str, ...]
) -> None:
    content = loadmat(annotation / file)
    assert content[key].dtype.names == fields


def test_protocols_are_read_back_equal(small: Any, root: Path) -> None:
    for name, folder in (("TestG3", "train_test"), ("Occlusion", "subset"), ("Resolution", "subset")):
        written = small.protocols[name]
        read = read_protocol(root / "annotation/test" / folder / f"{name}.mat")
        assert np.array_equal(read.image_names[read.galleries], written.image_names[written.galleries])
        assert np.array_equal(read.image_names[read.query_scenes], written.image_names[written.query_scenes])
        for column in ("query_boxes", "query_ids", "query_hard", "truth_offsets", "truth_positions"):
            assert np.array_equal(getattr(read, column), getattr(written, column)), column
        for column in ("truth_boxes", "truth_hard"):
            assert np.array_equal(getattr(read, column), getattr(written, column)), column


def test_galleries_of_different_lengths_are_read_back(small: Any, tmp_path: Path) -> None:
    written = small.protocols["TestG3"]
    galleries = written.galleries.copy()
    galleries[0, 2] = -1
    write_mat(tmp_path / "TestG3.mat", protocol_chunks("TestG3", replace(written, galleries=galleries)))
    read = read_protocol(tmp_path / "TestG3.mat")
    assert read.lengths.tolist() == [2, 3]
    assert (read.galleries < 0).tolist() == (galleries < 0).tolist()


def test_the_same_tables_give_the_same_bytes(small: Any, root: Path, tmp_path: Path) -> None:
    small.write(tmp_path / "again")
    files = sorted(path.relative_to(root) for path in root.rglob("*.mat"))
    assert len(files) == 8
    for file in files:
        assert (root / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_a_pid_without_an_id_is_refused(small: Any, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="train_ids"):
        replace(small, train_ids=small.train_ids[:1]).write(tmp_path)


def test_a_scene_in_both_splits_is_refused(small: Any, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="it is in both"):
        replace(small, train=small.test).write(tmp_path)


def test_a_protocol_with_a_foreign_scene_is_refused(small: Any, tmp_path: Path) -> None:
    names = small.protocols["TestG3"].image_names.copy()
    names[3] = "x.jpg"
    foreign = replace(small.protocols["TestG3"], image_names=names)
    with pytest.raises(AnnotationError, match=r"x\.jpg"):
        replace(small, protocols={"TestG3": foreign}).write(tmp_path)
    assert not list(tmp_path.rglob("*.mat"))
