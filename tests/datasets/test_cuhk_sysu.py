"""Reading CUHK-SYSU: what becomes of its oddities, and what is said about damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuhk_sysu_files import IMAGES, POOL, TRAIN, write_images, write_pool, write_train

from maskps.datasets import read_cuhk_sysu
from maskps.errors import AnnotationError, InputFileError
from maskps.io.matlab import char_matrix, number_matrix, struct_matrix, write_mat
from maskps.structures import SceneTable


def assert_same(read: SceneTable, written: SceneTable) -> None:
    for column in ("names", "offsets", "boxes", "pids", "is_hard"):
        assert np.array_equal(getattr(read, column), getattr(written, column)), column


TEST_SCENES = [
    ("s9.jpg", [(10, 20, 30, 90), (100, 20, 30, 90)]),
    ("s8.jpg", [(400, 20, 130, 390)]),
    ("s7.jpg", [(50, 60, 40, 100)]),
    ("s6.jpg", [(51, 61, 41, 101)]),
]
"""The test scenes of the small data set, as Images.mat has them."""


def test_what_was_written_is_read_back(small: Any, root: Path) -> None:
    dataset = read_cuhk_sysu(root)
    assert_same(dataset.train, small.train)
    assert_same(dataset.test, small.test)
    assert dataset.train_ids.tolist() == ["p7", "p12"]
    assert dataset.test_ids.tolist() == ["p3", "p44"]


def test_the_data_set_knows_its_kind_and_its_images(root: Path) -> None:
    dataset = read_cuhk_sysu(root)
    assert dataset.kind == "cuhk-sysu"
    assert dataset.image_path("s1.jpg") == root / "Image" / "SSM" / "s1.jpg"


def test_boxes_that_are_not_whole_come_back_exactly(small: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    boxes = rng.uniform(-5, 300, small.train.boxes.shape).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2] + 300
    written = replace(small, train=replace(small.train, boxes=boxes))
    written.write(tmp_path)
    assert np.array_equal(read_cuhk_sysu(tmp_path).train.boxes, boxes)


def test_an_8_bit_box_does_not_overflow(root: Path) -> None:
    """x + w = 211 and y + h = 416, which 8 bits cannot hold."""
    train = read_cuhk_sysu(root).train
    assert train[1].boxes[0].tolist() == [138, 175, 211, 416]


def test_training_scenes_are_sorted_as_text_and_test_scenes_as_in_the_pool(root: Path) -> None:
    dataset = read_cuhk_sysu(root)
    assert dataset.train.names.tolist() == ["s1.jpg", "s10.jpg", "s2.jpg", "s3.jpg"]
    assert dataset.test.names.tolist() == ["s9.jpg", "s8.jpg", "s7.jpg", "s6.jpg"]


def test_boxes_without_width_or_height_are_left_out(root: Path) -> None:
    write_images(root, [("s1.jpg", [(10, 20, 0, 90), (10, 20, 30, 90), (5, 5, 8, 0)]), *TEST_SCENES])
    write_train(root, [("p7", [("s1.jpg", (10, 20, 30, 90))])])
    train = read_cuhk_sysu(root).train
    assert train.boxes.tolist() == [[10, 20, 40, 110]]
    assert train.pids.tolist() == [1]


def test_the_first_of_equal_boxes_gets_the_identity(root: Path) -> None:
    write_images(root, [("s1.jpg", [(10, 20, 30, 90), (10, 20, 30, 90)]), *TEST_SCENES])
    write_train(root, [("p7", [("s1.jpg", (10, 20, 30, 90)), ("s1.jpg", (10, 20, 30, 90))])])
    assert read_cuhk_sysu(root).train.pids.tolist() == [1, -1]


def test_an_appearance_that_matches_no_box_is_counted_in_a_warning(root: Path) -> None:
    write_images(root, [("s1.jpg", [(10, 20, 30, 90)]), *TEST_SCENES])
    write_train(root, [("p7", [("s1.jpg", (10, 20, 30, 91)), ("s1.jpg", (10, 20, 30, 90))])])
    dataset = read_cuhk_sysu(root)
    assert dataset.train.pids.tolist() == [1]
    (warning,) = dataset.warnings
    assert warning.startswith("Train.mat: 1 of 2 appearances match no box")


def test_a_box_given_two_identities_keeps_the_later_and_warns(root: Path) -> None:
    write_images(root, [("s1.jpg", [(10, 20, 30, 90)]), *TEST_SCENES])
    write_train(root, [("p7", [("s1.jpg", (10, 20, 30, 90))]), ("p8", [("s1.jpg", (10, 20, 30, 90))])])
    dataset = read_cuhk_sysu(root)
    assert dataset.train.pids.tolist() == [2]
    (warning,) = dataset.warnings
    assert "another identity" in warning and "s1.jpg" in warning


def test_clean_files_give_no_warning(root: Path) -> None:
    assert read_cuhk_sysu(root).warnings == ()


def test_the_fingerprint_is_that_of_the_training_table(root: Path) -> None:
    dataset = read_cuhk_sysu(root)
    assert dataset.fingerprint == dataset.train.fingerprint()
    assert len(dataset.fingerprint) == 64


def test_the_fingerprint_changes_with_names_boxes_and_pids(small: Any) -> None:
    train = small.train
    boxes, pids = train.boxes.copy(), train.pids.copy()
    boxes[0, 2] += 1
    pids[1] = 2
    names = train.names.copy()
    names[0] = "s5.jpg"
    tables = [train, replace(train, boxes=boxes), replace(train, pids=pids), replace(train, names=names)]
    assert len({table.fingerprint() for table in tables}) == 4


@pytest.mark.parametrize("file", [IMAGES, POOL, TRAIN])
def test_a_missing_file_is_named(root: Path, file: str) -> None:
    (root / file).unlink()
    with pytest.raises(InputFileError) as error:
        read_cuhk_sysu(root)
    assert error.value.where == str(root / file)
    assert error.value.found == "no such file"


def test_without_any_test_protocol_the_missing_file_is_named(root: Path) -> None:
    for path in (root / "annotation/test/train_test").glob("TestG*"):
        path.unlink()
    with pytest.raises(InputFileError, match=r"TestG50\.mat"):
        read_cuhk_sysu(root)


def test_a_scene_of_train_mat_that_images_mat_lacks_is_named(root: Path) -> None:
    write_train(root, [("p7", [("s77.jpg", (10, 20, 30, 90))])])
    with pytest.raises(AnnotationError, match=r"s77\.jpg") as error:
        read_cuhk_sysu(root)
    assert error.value.where == str(root / TRAIN)


def test_a_scene_of_the_pool_that_images_mat_lacks_is_named(root: Path) -> None:
    write_pool(root, ["s77.jpg"])
    with pytest.raises(AnnotationError, match=r"s77\.jpg"):
        read_cuhk_sysu(root)


def test_a_scene_of_the_protocol_that_images_mat_lacks_is_named(root: Path) -> None:
    write_images(root, [("s1.jpg", [(10, 20, 30, 90)]), *TEST_SCENES[:3]])
    write_train(root, [])
    write_pool(root, [name for name, _ in TEST_SCENES[:3]])
    with pytest.raises(AnnotationError, match=r"s6\.jpg") as error:
        read_cuhk_sysu(root)
    assert error.value.where.endswith("TestG2.mat")


@pytest.mark.parametrize("file", [IMAGES, POOL])
def test_a_scene_listed_twice_is_named(root: Path, file: str) -> None:
    if file == IMAGES:
        write_images(root, [*TEST_SCENES, TEST_SCENES[0]])
    else:
        write_pool(root, ["s9.jpg"] * 2)
    with pytest.raises(AnnotationError) as error:
        read_cuhk_sysu(root)
    assert (error.value.where, error.value.found) == (str(root / file), "'s9.jpg' 2 times")


def test_an_identity_listed_twice_is_named(root: Path) -> None:
    write_train(root, [("p7", []), ("p7", [])])
    with pytest.raises(AnnotationError, match="'p7' 2 times"):
        read_cuhk_sysu(root)


def test_a_box_of_three_numbers_is_placed(root: Path) -> None:
    write_images(root, [("s1.jpg", [(1, 2, 3, 4), (1, 2, 3)]), *TEST_SCENES])
    with pytest.raises(AnnotationError) as error:
        read_cuhk_sysu(root)
    assert error.value.where == f"{root / IMAGES}, s1.jpg, box 1"
    assert error.value.found == "3 numbers"


def test_an_appearance_without_a_box_is_placed(root: Path) -> None:
    write_train(root, [("p1", [("s1.jpg", (10, 20, 30, 90))]), ("p7", [("s1.jpg", ())])])
    with pytest.raises(AnnotationError) as error:
        read_cuhk_sysu(root)
    assert error.value.where == f"{root / TRAIN}, p7, scene 0"


def test_an_image_may_have_an_empty_array_in_place_of_its_boxes(root: Path) -> None:
    box = struct_matrix(("idlocate", "ishard"), [number_matrix((1, 2, 3, 4)) + number_matrix((1,))])
    elements = [char_matrix("s1.jpg") + number_matrix((0,)) + number_matrix(())]
    elements += [char_matrix(name) + number_matrix((1,)) + box for name, _ in TEST_SCENES]
    write_mat(root / IMAGES, [struct_matrix(("imname", "nAppear", "box"), elements, name="Img")])
    write_train(root, [])
    dataset = read_cuhk_sysu(root)
    assert len(dataset.train[0]) == 0
    assert dataset.test[0].is_hard.tolist() == [True]
