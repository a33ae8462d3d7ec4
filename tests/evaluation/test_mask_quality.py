"""Predicted masks against true ones and constant ones."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError
from maskps.evaluation.mask_quality import MaskQuality, cross_entropy, mask_ious, measure_masks
from maskps.masks import Outline, outline_from_polygons
from maskps.masks.outlined_persons import PersonOutlines
from maskps.structures import PersonSearchDataset, Scene, SceneTable

SIZE = 14
BOX = (10.0, 10.0, 38.0, 66.0)  # cells of 2 x 4 pixels


def cells(*, columns: slice = slice(None), rows: slice = slice(None)) -> NDArray[np.bool_]:
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[rows, columns] = True
    return mask


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Outline:
    return outline_from_polygons([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], where="person")


LEFT, LOWER = rectangle(10, 10, 24, 66), rectangle(10, 52, 38, 66)
"""The left half of the box, seven columns; and 3.5 rows at its bottom, of which 4 count as covered."""
TRUE = np.stack([cells(columns=slice(0, 7)), cells(rows=slice(10, 14))])


def table(folder: Path, *names: str) -> SceneTable:
    scenes = []
    for name in names:
        Image.new("RGB", (60, 80)).save(folder / name)
        boxes = np.array([BOX], np.float32)
        scenes.append(Scene(name, boxes, np.array([1]), np.array([False])))
    return SceneTable.from_scenes(scenes)


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    train, test = table(tmp_path, "a.png", "b.png"), table(tmp_path, "c.png")
    ids = np.array(["p1"])
    return PersonSearchDataset(tmp_path, "coco", tmp_path, train, test, ids, ids, "f" * 64)


class Fixed:
    """A network that gives the same probabilities for every box, and counts its passes."""

    def __init__(self, probabilities: NDArray) -> None:
        self.probabilities, self.passes = probabilities.astype(np.float32), 0

    def masks(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        self.passes += 1
        return np.repeat(self.probabilities[None], len(boxes), axis=0)


def test_masks_are_compared_with_the_targets_of_training(dataset: PersonSearchDataset) -> None:
    outlines = PersonOutlines(train={1: LEFT}, test={0: LOWER})
    found = measure_masks(Fixed(np.where(TRUE[0], 0.9, 0.2)), dataset, outlines)  # type: ignore[arg-type]
    shared = 4 * 7 / (14 * 7 + 4 * 7)
    assert found.iou == pytest.approx((1 + shared) / 2)
    assert found.iou_all_ones == pytest.approx((7 / 14 + 4 / 14) / 2)
    assert found.iou_mean_mask == pytest.approx((7 * 14 / 126 + 4 * 14 / 126) / 2)  # every cell of either
    of_left = -np.log([0.9, 0.8]).mean()  # half of the cells each
    of_lower = -np.log([0.9] * 28 + [0.2] * 28 + [0.1] * 70 + [0.8] * 70).mean()
    assert found.bce == pytest.approx((of_left + of_lower) / 2)
    assert (found.test_persons, found.train_persons, found.persons) == (1, 1, 2)


def test_finer_masks_are_compared_with_finer_targets(dataset: PersonSearchDataset) -> None:
    fine = TRUE[0].repeat(2, axis=0).repeat(2, axis=1)
    fine[:, 13] = False  # half a cell of 14
    found = measure_masks(Fixed(np.where(fine, 0.9, 0.1)), dataset, PersonOutlines(test={0: LEFT}))  # type: ignore[arg-type]
    assert found.iou == pytest.approx(13 / 14)


def test_a_probability_of_a_half_is_the_person(dataset: PersonSearchDataset) -> None:
    network = Fixed(np.where(TRUE[0], 0.5, 0.49))
    assert measure_masks(network, dataset, PersonOutlines(test={0: LEFT})).iou == 1  # type: ignore[arg-type]


def test_cross_entropy_is_that_of_eq_6() -> None:
    targets = np.array([[[True, False], [True, False]]])
    probabilities = np.array([[[0.9, 0.2], [0.5, 0.9]]])
    assert cross_entropy(probabilities, targets) == pytest.approx(-np.log([0.9, 0.8, 0.5, 0.1]).mean())


def test_wrong_certainty_is_finite() -> None:
    targets = np.array([[[True]]])
    assert cross_entropy(np.zeros((1, 1, 1), np.float32), targets) == pytest.approx(-np.log(1e-7))
    assert cross_entropy(np.ones((1, 1, 1), np.float32), targets) == pytest.approx(0, abs=1e-6)


def test_each_person_has_an_iou() -> None:
    small, large = np.zeros((2, 2), np.bool_), np.ones((2, 2), np.bool_)
    small[0, 0] = True
    targets = np.stack([small, large])
    assert mask_ious(targets, targets).tolist() == [1, 1]
    assert mask_ious(True, targets).tolist() == [1 / 4, 1]
    assert mask_ious(np.zeros((2, 2, 2), np.bool_), targets).tolist() == [0, 0]
    assert mask_ious(False, np.zeros((1, 2, 2), np.bool_)).tolist() == [1]


def test_no_constant_mask_has_a_lower_cross_entropy_than_the_mean_mask(dataset: PersonSearchDataset) -> None:
    outlines = PersonOutlines(train={0: LEFT, 1: LOWER}, test={0: LEFT})
    mean = (2 * TRUE[0] + TRUE[1]) / 3
    for constant in (mean, 0.9 * mean + 0.05, TRUE[0] * 1.0):
        found = measure_masks(Fixed(constant), dataset, outlines)  # type: ignore[arg-type]
        assert found.bce_mean_mask <= found.bce + 1e-7
    assert measure_masks(Fixed(mean), dataset, outlines).bce == pytest.approx(found.bce_mean_mask)  # type: ignore[arg-type]


def test_each_image_goes_through_the_network_once(dataset: PersonSearchDataset) -> None:
    network, seen = Fixed(np.ones((SIZE, SIZE))), []
    outlines = PersonOutlines(train={0: LEFT, 1: LEFT}, test={0: LEFT})
    measure_masks(network, dataset, outlines, progress=lambda *done: seen.append(done))  # type: ignore[arg-type]
    assert network.passes == 3 and seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("learned", "warns"), [(True, False), (False, True)])
def test_a_network_below_the_mean_mask_is_warned_about(
    learned: bool, warns: bool, dataset: PersonSearchDataset, caplog: pytest.LogCaptureFixture
) -> None:
    network = Fixed(TRUE[0] == learned)
    with caplog.at_level(logging.WARNING):
        measure_masks(network, dataset, PersonOutlines(test={0: LEFT}))  # type: ignore[arg-type]
    assert ("worse than one constant mask" in caplog.text) == warns


def test_outlines_of_images_used_in_training_are_left_out(dataset: PersonSearchDataset) -> None:
    outlines = PersonOutlines(train={0: LEFT, 1: LOWER}, test={0: LOWER})
    left = outlines.without_images(["b.png", "elsewhere.png"], dataset)
    assert (dict(left.train), dict(left.test)) == ({0: LEFT}, {0: LOWER})
    with pytest.raises(AnnotationError, match="test images"):
        measure_masks(Fixed(TRUE[0]), dataset, PersonOutlines())  # type: ignore[arg-type]


def test_images_come_with_their_persons_in_order(dataset: PersonSearchDataset) -> None:
    images = list(PersonOutlines(train={1: LOWER, 0: LEFT}, test={0: LEFT}).images(dataset))
    assert [one.name for one in images] == ["a.png", "b.png", "c.png"]
    assert images[1].outlines == (LOWER,) and images[1].boxes.tolist() == [list(BOX)]


def test_quality_knows_its_persons() -> None:
    assert MaskQuality(3, 4, 0.5, 0.6, 0.4, 0.3, 0.4).persons == 7
