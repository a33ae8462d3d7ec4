"""Training and evaluation refuse persons with no part in their image."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets import open_dataset
from maskps.datasets.boxes_inside import check_boxes_inside, check_training_scenes
from maskps.datasets.protocols import open_protocol, protocol_of_size
from maskps.errors import AnnotationError, InputFileError
from maskps.evaluation.image_plan import ImagePlan
from maskps.io.images import image_size
from maskps.structures import PersonSearchDataset, Scene, SceneTable


@pytest.fixture
def scenes(few_scenes: Path) -> PersonSearchDataset:
    return open_dataset(few_scenes)


def moved(table: SceneTable, row: int, box: list[float]) -> SceneTable:
    """Returns the table with another box of one person."""
    boxes = table.boxes.copy()
    boxes[row] = box
    return dataclasses.replace(table, boxes=boxes)


def test_a_box_is_inside_if_a_part_of_a_pixel_is(scenes: PersonSearchDataset) -> None:
    name = scenes.train.names[0]
    width, height = image_size(scenes.image_path(name))
    inside = [
        [-9, -9, 0.5, 0.5],
        [width - 0.5, height - 0.5, width + 99, height + 99],
        [-99, -99, width + 99, height + 99],
    ]
    outside = [
        [-9, 5, 0, 50],
        [5, -9, 50, 0],
        [width, 5, width + 9, 50],
        [5, height, 50, height + 9],
        [-5000, 5, -4990, 50],
    ]
    check_boxes_inside(scenes, np.array([name] * 3), np.array(inside, np.float32))
    check_boxes_inside(scenes, np.array([], dtype=str), np.zeros((0, 4), np.float32))
    for box in outside:
        with pytest.raises(AnnotationError, match="1 of 2 boxes"):
            check_boxes_inside(scenes, np.array([name] * 2), np.array([inside[0], box], np.float32))


def test_each_box_is_judged_by_its_own_image(scenes: PersonSearchDataset) -> None:
    names = scenes.train.names[[1, 0, 1]]
    boxes = np.array([[1, 1, 9, 9], [-20, 1, -10, 9], [-40, 1, -30, 9]], np.float32)
    with pytest.raises(AnnotationError) as caught:
        check_boxes_inside(scenes, names, boxes)
    assert caught.value.where == str(scenes.image_path(names[1]))
    assert "2 of 3 boxes" in caught.value.found and "[-20, 1, 10, 8]" in caught.value.found
    assert f"verify {scenes.root}" in caught.value.hint


def test_training_scenes_are_checked(scenes: PersonSearchDataset) -> None:
    check_training_scenes(scenes)
    broken = dataclasses.replace(scenes, train=moved(scenes.train, 2, [-5000, 1, -4990, 50]))
    with pytest.raises(AnnotationError, match=f"1 of {scenes.train.num_persons} boxes"):
        check_training_scenes(broken)
    with pytest.raises(InputFileError, match="training images"):
        check_training_scenes(dataclasses.replace(scenes, image_dir=scenes.root / "none"))


def test_training_scenes_without_a_person_are_refused(scenes: PersonSearchDataset) -> None:
    train = scenes.train
    nobody = SceneTable.from_scenes(
        [
            Scene(name, np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, np.bool_))
            for name in train.names.tolist()
        ]
    )
    with pytest.raises(AnnotationError, match=f"no person in {len(train)} training images"):
        check_training_scenes(dataclasses.replace(scenes, train=nobody))


def test_queries_and_persons_of_the_gallery_are_checked(scenes: PersonSearchDataset) -> None:
    protocol = open_protocol(scenes, protocol_of_size(scenes, 4))
    plan = ImagePlan.of(scenes, [protocol])
    name = plan.names[0]
    row = int(np.flatnonzero(scenes.test.names[scenes.test.scene_of_person] == name)[0])
    for broken_set, broken_protocol in (
        (dataclasses.replace(scenes, test=moved(scenes.test, row, [1, -90, 50, -9])), protocol),
        (scenes, dataclasses.replace(protocol, query_boxes=protocol.query_boxes + 5000)),
    ):
        with pytest.raises(AnnotationError, match="no part in their image"):
            ImagePlan.of(broken_set, [broken_protocol])
