"""The picture of a training image: which boxes and masks are drawn where."""

from __future__ import annotations

import numpy as np
from PIL import Image

from maskps.pictures.drawing import BLUE, EMPTY, ORANGE, VERMILION
from maskps.pictures.progress import TrainingPicture, training_sheet


def _picture(*, persons: int = 2, found: int = 1, masked: int = 1) -> TrainingPicture:
    boxes = np.array([[10, 10, 40, 90], [60, 10, 90, 90]], np.float32)
    half = np.zeros((14, 14), bool)
    half[:, :7] = True
    return TrainingPicture(
        name="s1.jpg",
        image=np.full((100, 160, 3), 255, np.uint8),
        boxes=boxes[:persons],
        pids=np.array([3, -1])[:persons],
        found=np.array([[110, 20, 150, 80]], np.float32)[:found],
        scores=np.array([0.75], np.float32)[:found],
        masked=np.arange(masked),
        true_masks=np.array([half] * masked).reshape(-1, 14, 14),
        predicted_masks=np.array([~half] * masked, dtype=np.float32).reshape(-1, 14, 14),
    )


def _count(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == colour).all(axis=-1).sum())


def _scene(sheet: Image.Image) -> Image.Image:
    return sheet.crop((0, 40, 992, sheet.height))


def test_each_kind_of_box_has_its_colour() -> None:
    scene = _scene(training_sheet(_picture()))
    assert all(_count(scene, colour) > 500 for colour in (BLUE, ORANGE, VERMILION))


def test_boxes_that_are_not_there_are_not_drawn() -> None:
    scene = _scene(training_sheet(_picture(persons=0, found=0, masked=0)))
    assert not any(_count(scene, colour) for colour in (BLUE, ORANGE, VERMILION))


def test_the_true_and_the_predicted_mask_stand_beside_the_person() -> None:
    sheet = training_sheet(_picture())
    for left, is_left_half in ((992 + 16 + 212, True), (992 + 16 + 2 * 212, False)):
        halves = (sheet.crop((x, 40, x + 98, 40 + 196)) for x in (left, left + 98))
        assert [_count(half, BLUE) > 10_000 for half in halves] == [is_left_half, not is_left_half]


def test_without_masks_there_is_only_the_scene() -> None:
    with_masks, without = training_sheet(_picture()), training_sheet(_picture(masked=0))
    assert without.width < with_masks.width and _count(without, EMPTY) == 0
