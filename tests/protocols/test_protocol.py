"""The test protocol as a record, and the released files read into it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from maskps.errors import AnnotationError, InputFileError
from maskps.io.matlab import char_matrix, number_matrix, struct_matrix, write_mat
from maskps.protocols import SearchProtocol, read_protocol
from maskps_manifest.cuhk_sysu import TEST_G100

QUERY = ("imname", "idlocate", "ishard", "idname")
GALLERY = ("imname", "idlocate", "ishard")


def entry(name: str, box: tuple[float, ...] = (), hard: tuple[int, ...] = (0,)) -> bytes:
    return char_matrix(name) + number_matrix(box) + number_matrix(hard if box else ())


def write(path: Path, queries: list[tuple[bytes, list[bytes]]], key: str) -> Path:
    elements = [struct_matrix(QUERY, [query]) + struct_matrix(GALLERY, entries) for query, entries in queries]
    write_mat(path, [struct_matrix(("Query", "Gallery"), elements, name=key)])
    return path


def query(name: str, box: tuple[float, ...], identity: str) -> bytes:
    return entry(name, box) + char_matrix(identity)


CHANGES: dict[str, Any] = {
    "image_names": lambda value: np.array(["z.jpg", *value[1:].tolist()]),
    "query_ids": lambda value: value[::-1],
    "query_scenes": lambda value: value[::-1],
    "query_boxes": lambda value: value + 1,
    "galleries": lambda value: value[:, ::-1] if (value >= 0).all() else np.maximum(value, 0),
    "truth_boxes": lambda value: value + 1,
}


@pytest.mark.parametrize("column", CHANGES)
def test_the_fingerprint_is_that_of_everything_that_decides_a_score(
    column: str, protocol: SearchProtocol
) -> None:
    changed = replace(protocol, **{column: CHANGES[column](getattr(protocol, column))})
    assert changed.fingerprint() != protocol.fingerprint()
    hard = replace(protocol, query_hard=~protocol.query_hard, truth_hard=~protocol.truth_hard)
    assert hard.fingerprint() == protocol.fingerprint()


@pytest.fixture
def protocol() -> SearchProtocol:
    """Two queries; the second gallery is one entry shorter."""
    return SearchProtocol(
        image_names=np.array(["a.jpg", "b.jpg", "c.jpg"]),
        query_scenes=np.array([0, 1], np.int32),
        query_boxes=np.array([[0, 0, 10, 20], [5, 5, 15, 25]], np.float32),
        query_ids=np.array(["p1", "p2"]),
        query_hard=np.array([False, True]),
        galleries=np.array([[1, 2, 0], [2, 0, -1]], np.int32),
        truth_offsets=np.array([0, 2, 3], np.int64),
        truth_positions=np.array([0, 2, 1], np.int32),
        truth_boxes=np.array([[1, 1, 2, 2], [3, 3, 4, 4], [5, 5, 6, 6]], np.float32),
        truth_hard=np.array([False, False, True]),
    )


def test_sizes_and_lengths(protocol: SearchProtocol) -> None:
    assert (protocol.num_queries, protocol.gallery_size) == (2, 3)
    assert protocol.lengths.tolist() == [3, 2]


def test_true_boxes_know_their_query_and_scene(protocol: SearchProtocol) -> None:
    assert protocol.query_of_truth.tolist() == [0, 0, 1]
    assert protocol.truth_scenes.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("query_boxes", np.zeros((2, 3), np.float32)),
        ("query_ids", np.array(["p1"])),
        ("galleries", np.zeros((3, 3), np.int32)),
        ("galleries", np.zeros(2, np.int32)),
        ("image_names", np.array(["a.jpg", "b.jpg", "a.jpg"])),
        ("image_names", np.array("a.jpg")),
        ("query_scenes", np.array(0, np.int32)),
        ("query_scenes", np.array([0, 3], np.int32)),
        ("query_scenes", np.array([0, -1], np.int32)),
        ("galleries", np.array([[1, 2, 3], [2, 0, -1]], np.int32)),
        ("galleries", np.array([[1, 2, 0], [-1, 0, 2]], np.int32)),
        ("truth_offsets", np.array([0, 3, 2], np.int64)),
        ("truth_offsets", np.array([1, 2, 3], np.int64)),
        ("truth_positions", np.array([0, 3, 1], np.int32)),
        ("truth_positions", np.array([0, 2, 2], np.int32)),
        ("truth_positions", np.array([2, 0, 1], np.int32)),
        ("truth_positions", np.array([2, 2, 1], np.int32)),
        ("truth_boxes", np.full((3, 4), np.nan, np.float32)),
    ],
)
def test_columns_that_cannot_be_are_refused(protocol: SearchProtocol, name: str, value: Any) -> None:
    with pytest.raises(AnnotationError) as error:
        replace(protocol, **{name: value})
    assert error.value.where == f"SearchProtocol.{name}"


def test_a_protocol_without_queries_is_one(tmp_path: Path) -> None:
    protocol = read_protocol(write(tmp_path / "TestG50.mat", [], "TestG50"))
    assert (protocol.num_queries, protocol.gallery_size, len(protocol.truth_boxes)) == (0, 0, 0)


def test_boxes_are_xyxy_and_do_not_overflow_8_bits(tmp_path: Path) -> None:
    """Query 9 of TestG100: x + w = 211 and y + h = 416."""
    file = write(
        tmp_path / "TestG50.mat",
        [(query("s1.jpg", (138, 175, 73, 241), "p1"), [entry("s2.jpg", (138, 175, 73, 241))])],
        "TestG50",
    )
    protocol = read_protocol(file)
    assert protocol.query_boxes.tolist() == protocol.truth_boxes.tolist() == [[138, 175, 211, 416]]


def test_true_entries_may_stand_anywhere_in_a_gallery(tmp_path: Path) -> None:
    entries = [
        entry("s2.jpg"),
        entry("s3.jpg", (1, 2, 3, 4)),
        entry("s4.jpg"),
        entry("s5.jpg", (5, 6, 7, 8), (1,)),
    ]
    file = write(tmp_path / "TestG50.mat", [(query("s1.jpg", (1, 1, 1, 1), "p1"), entries)], "TestG50")
    protocol = read_protocol(file)
    assert protocol.truth_positions.tolist() == [1, 3]
    assert protocol.truth_hard.tolist() == [False, True]


def test_galleries_may_have_different_lengths(tmp_path: Path) -> None:
    queries = [
        (query("s1.jpg", (1, 1, 1, 1), "p1"), [entry("s2.jpg", (1, 2, 3, 4))]),
        (query("s2.jpg", (1, 1, 1, 1), "p2"), [entry("s1.jpg"), entry("s3.jpg"), entry("s4.jpg")]),
        (query("s3.jpg", (1, 1, 1, 1), "p3"), []),
    ]
    protocol = read_protocol(write(tmp_path / "TestG50.mat", queries, "TestG50"))
    assert protocol.galleries.tolist() == [[1, -1, -1], [0, 2, 3], [-1, -1, -1]]
    assert protocol.truth_offsets.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("stem", "key"), [("TestG50", "TestG50"), ("Occlusion", "Occlusion1"), ("Resolution", "Test_Size")]
)
def test_released_names_have_their_released_keys(tmp_path: Path, stem: str, key: str) -> None:
    content = [(query("s1.jpg", (1, 1, 1, 1), "p1"), [entry("s2.jpg")])]
    assert read_protocol(write(tmp_path / f"{stem}.mat", content, key)).num_queries == 1
    with pytest.raises(InputFileError) as error:
        read_protocol(write(tmp_path / f"{stem}.mat", content, "other"))
    assert f"'{key}'" in error.value.expected
    assert error.value.found == "the variables other"


def test_a_file_of_another_name_is_read_by_its_first_variable(tmp_path: Path) -> None:
    content = [(query("s1.jpg", (1, 1, 1, 1), "p1"), [entry("s2.jpg")])]
    assert read_protocol(write(tmp_path / "night.mat", content, "TestG50")).num_queries == 1


def test_another_annotation_file_is_refused_with_its_fields(tmp_path: Path) -> None:
    image = char_matrix("s1.jpg") + number_matrix((0,)) + number_matrix(())
    write_mat(tmp_path / "Images.mat", [struct_matrix(("imname", "nAppear", "box"), [image], name="Img")])
    with pytest.raises(InputFileError) as error:
        read_protocol(tmp_path / "Images.mat")
    assert error.value.found == "the fields imname, nAppear, box"


def test_a_broken_entry_is_placed(tmp_path: Path) -> None:
    entries = [entry("s2.jpg"), entry("s3.jpg", (1, 2, 3))]
    content = [(query("s1.jpg", (1, 1, 1, 1), f"p{number}"), entries[: number + 1]) for number in range(2)]
    file = write(tmp_path / "TestG50.mat", content, "TestG50")
    with pytest.raises(AnnotationError) as error:
        read_protocol(file)
    assert error.value.where == f"{file}, query 1, gallery entry 1"
    assert (error.value.expected, error.value.found) == ("4 numbers", "3 numbers")


def test_a_box_that_is_not_finite_is_placed_in_the_file(tmp_path: Path) -> None:
    content = [(query("s1.jpg", (1, 1, float("nan"), 1), "p1"), [entry("s2.jpg")])]
    file = write(tmp_path / "TestG50.mat", content, "TestG50")
    with pytest.raises(AnnotationError, match="query_boxes") as error:
        read_protocol(file)
    assert str(file) in error.value.where


def test_a_query_without_a_box_is_placed(tmp_path: Path) -> None:
    content = [(query("s1.jpg", (), "p1"), [entry("s2.jpg")])]
    file = write(tmp_path / "TestG50.mat", content, "TestG50")
    with pytest.raises(AnnotationError) as error:
        read_protocol(file)
    assert error.value.where == f"{file}, query 0"


def test_the_real_protocol_has_the_published_counts(real_data: Path) -> None:
    protocol = read_protocol(real_data / "cuhk_sysu" / "TestG100.mat")
    assert protocol.num_queries == TEST_G100.queries
    assert set(protocol.lengths.tolist()) == {TEST_G100.gallery_size}
    truths = Counter(np.diff(protocol.truth_offsets).tolist())
    assert truths == dict(enumerate(TEST_G100.truths_per_query, start=1))
    assert int(protocol.query_hard.sum()) == 193
    assert int(protocol.truth_hard.sum()) == 423


def test_the_real_protocol_is_what_scipy_reads(real_data: Path) -> None:
    file = real_data / "cuhk_sysu" / "TestG100.mat"
    protocol = read_protocol(file)
    for number, item in enumerate(loadmat(file)["TestG100"][0]):
        name, box, hard, identity = item["Query"][0, 0]
        x, y, width, height = box[0].astype(int).tolist()
        assert protocol.query_boxes[number].tolist() == [x, y, x + width, y + height]
        assert protocol.image_names[protocol.query_scenes[number]] == name[0]
        assert protocol.query_ids[number] == identity[0]
        assert protocol.query_hard[number] == hard[0, 0]
        names = [str(scene[0]) for scene in item["Gallery"]["imname"][0]]
        assert protocol.image_names[protocol.galleries[number]].tolist() == names
        boxes = [box[0].astype(int) for box in item["Gallery"]["idlocate"][0] if box.size]
        true = slice(protocol.truth_offsets[number], protocol.truth_offsets[number + 1])
        assert protocol.truth_positions[true].tolist() == list(range(len(boxes)))
        assert protocol.truth_boxes[true].tolist() == [[*box[:2], *(box[:2] + box[2:])] for box in boxes]
