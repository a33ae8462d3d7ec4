"""Reading PRW and its protocol: what becomes of its oddities, and what is said about damage."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from maskps.datasets.prw.reader import is_prw, read_prw, read_prw_protocol
from maskps.errors import AnnotationError, InputFileError
from maskps.structures import UNLABELED_PID

FRAMES = {
    "c1s1_000151": [[479, 10.5, 20, 30, 90], [-2, 100, 20, 30, 90]],
    "c6s1_000476": [[3, -4, 5, 20, 60], [479, 50, 60, 40, 100]],
    "c2s1_000001": [[-2, 1, 1, 7, 20]],
    "c2s3_071096": [[1, 10, 20, 30, 90], [932, 200, 20, 30, 90], [932, 300, 20, 40, 100]],
    "c3s1_000300": [[932, 60, 20, 30, 90]],
    "c4s1_000400": [[3, 60, 20, 30, 90], [932, 160, 20, 30, 90]],
}
TRAIN, TEST = list(FRAMES)[:3], list(FRAMES)[3:]
QUERIES = ["932 160.25 20 30 90 c4s1_000400", "1 10 20 30 90 c2s3_071096"]


def write_frames(path: Path, key: str, frames: list[str]) -> None:
    cells = np.empty((len(frames), 1), dtype=object)
    cells[:, 0] = frames
    savemat(path, {key: cells})


def write_persons(root: Path, frame: str, rows: Any, key: str = "box_new") -> None:
    savemat(root / "annotations" / f"{frame}.jpg.mat", {key: np.array(rows)}, do_compression=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """PRW's layout as scipy writes it: three training and three test images, two queries."""
    (tmp_path / "annotations").mkdir()
    write_frames(tmp_path / "frame_train.mat", "img_index_train", TRAIN)
    write_frames(tmp_path / "frame_test.mat", "img_index_test", TEST)
    for frame, rows in FRAMES.items():
        write_persons(tmp_path, frame, rows)
    (tmp_path / "query_info.txt").write_bytes("".join(f"{line}\r\n" for line in QUERIES).encode())
    return tmp_path


def test_a_folder_with_the_list_of_training_images_is_prw(root: Path) -> None:
    assert is_prw(root)
    assert not is_prw(root / "annotations")


def test_scenes_are_in_the_order_of_the_lists(root: Path) -> None:
    dataset = read_prw(root)
    assert dataset.train.names.tolist() == [f"{frame}.jpg" for frame in TRAIN]
    assert dataset.test.names.tolist() == [f"{frame}.jpg" for frame in TEST]


def test_images_lie_in_frames(root: Path) -> None:
    dataset = read_prw(root)
    assert (dataset.kind, dataset.image_path("c1s1_000151.jpg")) == (
        "prw",
        root / "frames" / "c1s1_000151.jpg",
    )


def test_the_camera_is_that_of_the_name(root: Path) -> None:
    camera = read_prw(root).train.camera
    assert camera is not None
    assert camera.tolist() == [1, 6, 2]


def test_names_without_a_camera_give_none(root: Path) -> None:
    shutil.move(root / "annotations/c1s1_000151.jpg.mat", root / "annotations/a.jpg.mat")
    write_frames(root / "frame_train.mat", "img_index_train", ["a", *TRAIN[1:]])
    assert read_prw(root).train.camera is None


def test_training_ids_are_renumbered_without_holes_and_kept(root: Path) -> None:
    dataset = read_prw(root)
    assert dataset.train_ids.tolist() == ["3", "479"]
    assert dataset.train.pids.tolist() == [2, UNLABELED_PID, 1, 2, UNLABELED_PID]


def test_test_ids_are_numbered_for_themselves(root: Path) -> None:
    dataset = read_prw(root)
    assert dataset.test_ids.tolist() == ["1", "3", "932"]
    assert dataset.test.pids.tolist() == [1, 3, 3, 3, 2, 3]


def test_a_copy_with_minus_one_for_unlabeled_is_read_alike(root: Path) -> None:
    before = read_prw(root).train.pids
    write_persons(root, "c2s1_000001", [[-1, 1, 1, 7, 20]])
    assert np.array_equal(read_prw(root).train.pids, before)


def test_boxes_keep_fractions_and_may_begin_outside_the_image(root: Path) -> None:
    boxes = read_prw(root).train.boxes
    assert boxes[0].tolist() == [10.5, 20, 40.5, 110]
    assert boxes[2].tolist() == [-4, 5, 16, 65]


def test_small_integers_do_not_overflow(root: Path) -> None:
    write_persons(root, "c2s1_000001", np.array([[4, 200, 200, 100, 250]], dtype=np.uint8))
    assert read_prw(root).train.boxes[-1].tolist() == [200, 200, 300, 450]


@pytest.mark.parametrize("key", ["box_new", "anno_file", "anno_previous"])
def test_each_of_the_three_variables_is_read(root: Path, key: str) -> None:
    write_persons(root, "c2s1_000001", [[4, 1, 2, 3, 9]], key=key)
    assert read_prw(root).train.boxes[-1].tolist() == [1, 2, 4, 11]


def test_of_several_variables_box_new_counts(root: Path) -> None:
    savemat(
        root / "annotations/c2s1_000001.jpg.mat",
        {"anno_previous": [[4, 9, 9, 9, 9]], "box_new": [[4, 1, 2, 3, 9]], "note": "checked"},
    )
    assert read_prw(root).train.boxes[-1].tolist() == [1, 2, 4, 11]


def test_an_image_may_show_nobody(root: Path) -> None:
    write_persons(root, "c2s1_000001", np.zeros((0, 0)))
    assert np.diff(read_prw(root).train.offsets).tolist() == [2, 2, 0]


def test_boxes_without_area_are_left_out(root: Path) -> None:
    write_persons(root, "c2s1_000001", [[7, 1, 2, 0, 9], [-2, 1, 2, 3, 9]])
    dataset = read_prw(root)
    assert dataset.train.pids[4:].tolist() == [UNLABELED_PID]
    assert "7" not in dataset.train_ids


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[1.5, 1, 2, 3, 9]], "id 1.5"),
        ([[-3, 1, 2, 3, 9]], "id -3"),
        ([[np.nan, 1, 2, 3, 9]], "id nan"),
        ([[1e300, 1, 2, 3, 9]], "id 1e+300"),
        ([[5, 1, 2, np.inf, 9]], "inf"),
        ([[5, 1, 2, 3, 1e300]], "1e+300"),
    ],
)
def test_a_row_that_is_no_person_is_refused_with_its_place(root: Path, rows: Any, found: str) -> None:
    write_persons(root, "c2s1_000001", [[4, 1, 2, 3, 9], *rows])
    with pytest.raises(AnnotationError, match=r"c2s1_000001\.jpg\.mat, person 1") as error:
        read_prw(root)
    assert found in error.value.found
    assert error.value.hint


def test_another_number_of_columns_is_refused(root: Path) -> None:
    write_persons(root, "c2s1_000001", [[1, 2, 3, 9]])
    with pytest.raises(AnnotationError, match="5 columns"):
        read_prw(root)


def test_another_variable_is_named(root: Path) -> None:
    write_persons(root, "c2s1_000001", [[4, 1, 2, 3, 9]], key="boxes")
    with pytest.raises(InputFileError, match="anno_previous") as error:
        read_prw(root)
    assert error.value.found == "the variables boxes"


def test_a_missing_annotation_file_is_named(root: Path) -> None:
    (root / "annotations/c2s1_000001.jpg.mat").unlink()
    with pytest.raises(InputFileError, match=r"c2s1_000001\.jpg\.mat"):
        read_prw(root)


def test_an_image_listed_twice_is_refused(root: Path) -> None:
    write_frames(root / "frame_train.mat", "img_index_train", [*TRAIN, TRAIN[0]])
    with pytest.raises(AnnotationError, match=r"c1s1_000151\.jpg' 2 times"):
        read_prw(root)


@pytest.mark.parametrize("frame", ["../c1s1_000151", "a\\b", "a\nb"])
def test_a_name_that_no_image_can_have_is_refused(root: Path, frame: str) -> None:
    write_frames(root / "frame_train.mat", "img_index_train", [frame])
    with pytest.raises(AnnotationError, match="image 0"):
        read_prw(root)


def test_a_gallery_is_every_test_image_but_the_querys_own(root: Path) -> None:
    dataset = read_prw(root)
    protocol = read_prw_protocol(dataset)
    assert protocol.image_names.tolist() == dataset.test.names.tolist()
    assert protocol.query_scenes.tolist() == [2, 0]
    assert protocol.galleries.tolist() == [[0, 1], [1, 2]]


def test_of_an_id_twice_in_an_image_the_first_box_is_true(root: Path) -> None:
    protocol = read_prw_protocol(read_prw(root))
    assert protocol.truth_offsets.tolist() == [0, 2, 2]
    assert protocol.truth_positions.tolist() == [0, 1]
    assert protocol.truth_boxes.tolist() == [[200, 20, 230, 110], [60, 20, 90, 110]]


def test_query_boxes_are_those_of_the_list(root: Path) -> None:
    protocol = read_prw_protocol(read_prw(root))
    assert protocol.query_boxes[0].tolist() == [160.25, 20, 190.25, 110]
    assert protocol.query_ids.tolist() == ["932", "1"]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_line_ends_do_not_matter(root: Path, end: str) -> None:
    (root / "query_info.txt").write_bytes((end.join(QUERIES)).encode())
    assert read_prw_protocol(read_prw(root)).query_scenes.tolist() == [2, 0]


@pytest.mark.parametrize(
    "line",
    ["932 160 20 30 c4s1_000400", "p932 1 2 3 4 c4s1_000400", "932 1 2 nan 4 c4s1_000400",
     "932.5 1 2 3 4 c4s1_000400", "1e999 1 2 3 4 c4s1_000400", "932 1 2 3 4 a/b", "9" * 5000 + " 1 2 3 4 a"],
)  # fmt: skip
def test_a_line_that_is_no_query_is_refused_with_its_number(root: Path, line: str) -> None:
    (root / "query_info.txt").write_text(f"{QUERIES[0]}\n\n{line}\n")
    with pytest.raises(AnnotationError, match=r"query_info\.txt, line 3") as error:
        read_prw_protocol(read_prw(root))
    assert error.value.hint
    assert len(str(error.value)) < 1000


def test_a_query_outside_the_test_set_is_refused(root: Path) -> None:
    (root / "query_info.txt").write_text("479 10 20 30 90 c1s1_000151\n")
    with pytest.raises(AnnotationError, match="line 1"):
        read_prw_protocol(read_prw(root))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git-LFS"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"\r\n\r\n", "empty"),
    ],
)
def test_what_is_in_place_of_the_queries_is_said(root: Path, content: bytes, found: str) -> None:
    (root / "query_info.txt").write_bytes(content)
    with pytest.raises(InputFileError, match=found) as error:
        read_prw_protocol(read_prw(root))
    assert error.value.hint


def test_queries_that_are_missing_are_named(root: Path) -> None:
    (root / "query_info.txt").unlink()
    with pytest.raises(InputFileError, match=r"query_info\.txt"):
        read_prw_protocol(read_prw(root))
