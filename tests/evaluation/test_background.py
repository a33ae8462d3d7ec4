"""Background sensitivity: 0 for a network that ignores the outside, largest for one that sees only it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError, InputFileError
from maskps.evaluation.background import (
    BACKGROUNDS,
    BackgroundSensitivity,
    measure_background_sensitivity,
    pasted_images,
    plan_cutouts,
)
from maskps.masks import outline_from_polygons
from maskps.masks.outlined_persons import PersonOutlines
from maskps.structures import PersonSearchDataset, Scene, SceneTable

WIDTH, HEIGHT, SCENES = 48, 40, 16
BOX = (16, 8, 32, 36)


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    """Test images of one colour each, with one person of another colour; all persons at the same place."""
    rng = np.random.default_rng(5)
    scenes = []
    for row in range(SCENES):
        pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        pixels[:] = rng.integers(0, 256, 3)
        pixels[10:34, 18:30] = rng.integers(0, 256, 3)
        Image.fromarray(pixels).save(tmp_path / f"s{row}.png")
        scenes.append(
            Scene(f"s{row}.png", np.array([BOX], np.float32), np.array([row + 1]), np.array([False]))
        )
    test = SceneTable.from_scenes(scenes)
    ids = np.array([f"p{row + 1}" for row in range(SCENES)])
    none = test.select([])
    return PersonSearchDataset(tmp_path, "coco", tmp_path, none, test, ids[:0], ids, "f" * 64)


@pytest.fixture
def outlines() -> PersonOutlines:
    shape = outline_from_polygons([[[18, 10], [30, 10], [30, 34], [18, 34]]], where="person")
    return PersonOutlines(test=dict.fromkeys(range(SCENES), shape))


class Colours:
    """A network whose embedding is made of the colours of some pixels."""

    def __init__(self, colours: Callable[[NDArray], NDArray]) -> None:
        self.colours = colours

    def embed(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        assert image.shape == (HEIGHT, WIDTH, 3) and boxes.tolist() == [list(BOX)]
        vector = self.colours(image.astype(np.float64) - 127)
        return (vector / np.linalg.norm(vector))[None].astype(np.float32)


def sensitivity(network: Colours, dataset: PersonSearchDataset, outlines: PersonOutlines) -> float:
    cutouts = plan_cutouts(dataset, outlines)
    return measure_background_sensitivity(network, dataset, cutouts).sensitivity  # type: ignore[arg-type]


def test_it_is_0_for_the_inside_and_largest_for_the_outside(
    dataset: PersonSearchDataset, outlines: PersonOutlines
) -> None:
    inside = sensitivity(Colours(lambda image: image[20, 20]), dataset, outlines)
    outside = sensitivity(Colours(lambda image: image[20, 5]), dataset, outlines)
    both = sensitivity(
        Colours(lambda image: np.concatenate([image[20, 20], image[20, 5]])), dataset, outlines
    )
    assert inside == pytest.approx(0, abs=1e-6)
    assert 0.2 < both < 0.8 < 1 < outside


def test_distances_are_between_versions_and_between_identities() -> None:
    """Person 1 turns by a right angle, 2 and 3 (the same identity) stay; hand values."""
    x, y, z = np.eye(3)
    found = BackgroundSensitivity.of(np.array([[x, y], [z, z], [-z, -z]]), np.array([1, 2, 2]))
    assert found.between_backgrounds == pytest.approx((1 + 0 + 0) / 3)
    assert found.between_persons == pytest.approx(1)  # x and y against z and -z; z against -z does not count
    assert found.sensitivity == pytest.approx(1 / 3)
    assert (found.persons, found.backgrounds) == (3, 2)


def test_all_pairs_of_versions_count() -> None:
    x, y, z = np.eye(3)
    found = BackgroundSensitivity.of(np.array([[x, x, y], [z, z, z]]), np.array([1, 2]))
    assert found.between_backgrounds == pytest.approx((0 + 1 + 1) / 3 / 2)


def test_embeddings_that_are_all_alike_give_0() -> None:
    assert BackgroundSensitivity.of(np.ones((2, 2, 1)), np.array([1, 2])).sensitivity == 0


def test_versions_show_the_person_before_other_scenes(
    dataset: PersonSearchDataset, outlines: PersonOutlines
) -> None:
    cutout = plan_cutouts(dataset, outlines)[3]
    assert cutout.image == "s3.png" and len(set(cutout.backgrounds) - {"s3.png"}) == BACKGROUNDS
    own = np.array(Image.open(dataset.image_path("s3.png")))
    for name, version in zip(cutout.backgrounds, pasted_images(dataset, cutout), strict=True):
        other = np.array(Image.open(dataset.image_path(name)))
        assert (version[10:34, 18:30] == own[20, 20]).all()
        assert (version[:, :18] == other[:, :18]).all() and (version[34:] == other[34:]).all()


def test_scenes_without_persons_in_the_box_are_preferred(
    dataset: PersonSearchDataset, outlines: PersonOutlines
) -> None:
    boxes = dataset.test.boxes.copy()
    boxes[3:6] = (0, 0, 15, 40)  # beside the box of all others
    table = SceneTable(
        dataset.test.names, dataset.test.offsets, boxes, dataset.test.pids, dataset.test.is_hard
    )
    moved = PersonSearchDataset(**{**vars(dataset), "test": table})
    assert set(plan_cutouts(moved, outlines)[0].backgrounds) == {"s3.png", "s4.png", "s5.png"}


def test_a_background_of_another_size_is_resized(
    dataset: PersonSearchDataset, outlines: PersonOutlines
) -> None:
    for row in range(1, SCENES):
        Image.new("RGB", (96, 20), (row, 0, 0)).save(dataset.image_path(f"s{row}.png"))
    (cutout, *_) = plan_cutouts(dataset, outlines)
    for name, version in zip(cutout.backgrounds, pasted_images(dataset, cutout), strict=True):
        assert version.shape == (HEIGHT, WIDTH, 3)
        assert (version[:8] == (int(name[1:-4]), 0, 0)).all()


def test_the_choice_depends_on_the_data_alone(dataset: PersonSearchDataset, outlines: PersonOutlines) -> None:
    first, again = plan_cutouts(dataset, outlines), plan_cutouts(dataset, outlines)
    assert [one.backgrounds for one in first] == [one.backgrounds for one in again]
    assert len({one.backgrounds for one in first}) > 1


def test_boxes_of_a_background_of_another_size_are_resized_with_it(
    dataset: PersonSearchDataset, outlines: PersonOutlines
) -> None:
    """Twice as large, the boxes of three scenes lie beside the person's; without resizing, on it."""
    boxes = dataset.test.boxes.copy()
    boxes[3:6] = (0, 0, 31, 80)
    for row in range(3, 6):
        Image.new("RGB", (2 * WIDTH, 2 * HEIGHT)).save(dataset.image_path(f"s{row}.png"))
    boxes[6:9] = (0, 0, 17, 40)
    moved = replace(dataset, test=replace(dataset.test, boxes=boxes))
    assert set(plan_cutouts(moved, outlines)[0].backgrounds) == {"s3.png", "s4.png", "s5.png"}


def test_nobody_is_put_before_the_own_scene(dataset: PersonSearchDataset, outlines: PersonOutlines) -> None:
    four = replace(dataset, test=dataset.test.select(range(BACKGROUNDS + 1)))
    drawn = PersonOutlines(test={row: outlines.test[row] for row in range(BACKGROUNDS + 1)})
    for cutout in plan_cutouts(four, drawn):
        assert {cutout.image, *cutout.backgrounds} == {"s0.png", "s1.png", "s2.png", "s3.png"}


def test_of_many_persons_some_are_drawn(
    dataset: PersonSearchDataset, outlines: PersonOutlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskps.evaluation.background.MOST_PERSONS", 5)
    drawn = [cutout.image for cutout in plan_cutouts(dataset, outlines)]
    assert len(set(drawn)) == 5 and drawn != [f"s{row}.png" for row in range(5)]


def test_what_is_missing_is_named(dataset: PersonSearchDataset, outlines: PersonOutlines) -> None:
    with pytest.raises(AnnotationError, match="outlines of 1 identities"):
        plan_cutouts(dataset, PersonOutlines(test={0: outlines.test[0]}))
    three = replace(dataset, test=dataset.test.select(range(BACKGROUNDS)))
    with pytest.raises(AnnotationError, match="3 test images"):
        plan_cutouts(three, PersonOutlines(test={row: outlines.test[row] for row in range(BACKGROUNDS)}))
    dataset.image_path("s7.png").unlink()
    with pytest.raises(InputFileError, match=r"s7\.png"):
        plan_cutouts(dataset, outlines)
