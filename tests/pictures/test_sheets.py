"""The two sheets: complete, of plain inputs, and the same every time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskps import InputFileError
from maskps.evaluation.methods import METHODS
from maskps.evaluation.ranking import RankedHit
from maskps.masks.outlines import outline_from_polygons
from maskps.pictures.drawing import BLUE, GREEN, ORANGE, VERMILION, Colour
from maskps.pictures.sheets import (
    MaskPicture,
    RankingPicture,
    SubsetPicture,
    hit_number,
    mask_sheet,
    ranking_sheet,
    subset_sheet,
)

SCENE = np.full((300, 400, 3), 120, dtype=np.uint8)
BOXES = np.array([[40, 40, 120, 240], [200, 50, 260, 220], [300, 20, 380, 280]], dtype=np.float32)


def share_of(sheet: Image.Image, colour: Colour) -> float:
    return float((np.asarray(sheet) == colour).all(axis=2).mean())


@pytest.fixture
def subset_picture() -> SubsetPicture:
    square = np.array([[50, 50], [110, 50], [110, 230], [50, 230]], dtype=float)
    return SubsetPicture(
        name="s1.jpg",
        image=SCENE,
        boxes=BOXES,
        pids=np.array([7, -1, 9]),
        outlines={0: outline_from_polygons([square], where="test")},
        targets={0: np.ones((14, 14), dtype=bool)},
    )


@pytest.fixture
def ranking() -> RankingPicture:
    hits = [RankedHit("g1.jpg", BOXES[0], 0.91, True), RankedHit("g2.jpg", BOXES[1], 0.64, False)]
    return RankingPicture("p7", "s1.jpg", SCENE, BOXES[2], hits, truths=3, average_precision=1 / 3)


def test_subset_sheet_tells_labeled_from_unlabeled(subset_picture: SubsetPicture) -> None:
    mixed = subset_sheet([subset_picture])
    labeled = subset_sheet([dataclasses.replace(subset_picture, pids=np.array([7, 8, 9]))])
    assert share_of(mixed, ORANGE) > share_of(labeled, ORANGE)
    assert share_of(mixed, BLUE) > 0


def test_subset_sheet_grows_with_its_scenes(subset_picture: SubsetPicture) -> None:
    one, two = subset_sheet([subset_picture]), subset_sheet([subset_picture, subset_picture])
    assert one.width == two.width == 2400 and two.height > 1.6 * one.height


@pytest.mark.parametrize("shape", [(300, 800, 3), (800, 300, 3), (40, 60, 3)])
def test_subset_sheet_takes_scenes_of_any_shape(subset_picture: SubsetPicture, shape: tuple) -> None:
    subset_sheet([dataclasses.replace(subset_picture, image=np.zeros(shape, np.uint8))])


def test_subset_sheet_of_a_scene_without_persons(subset_picture: SubsetPicture) -> None:
    empty = dataclasses.replace(
        subset_picture, boxes=np.zeros((0, 4)), pids=np.zeros(0, int), outlines={}, targets={}
    )
    assert subset_sheet([empty]).height > 500


def test_subset_sheet_takes_soft_targets(subset_picture: SubsetPicture) -> None:
    soft = dataclasses.replace(subset_picture, targets={0: np.full((14, 14), 0.5, np.float32)})
    assert subset_sheet([soft]).tobytes() != subset_sheet([subset_picture]).tobytes()


def test_subset_sheet_shows_at_most_the_wanted_number_of_persons(subset_picture: SubsetPicture) -> None:
    targets = {row: np.ones((14, 14), bool) for row in range(3)}
    crowd = dataclasses.replace(subset_picture, pids=np.array([1, 2, 3]), targets=targets)
    assert share_of(subset_sheet([crowd], max_persons=1), BLUE) < share_of(subset_sheet([crowd]), BLUE)


def test_ranking_sheet_frames_right_and_wrong_answers(ranking: RankingPicture) -> None:
    both = ranking_sheet([ranking], lambda _: SCENE)
    wrong = [dataclasses.replace(hit, is_match=False) for hit in ranking.hits]
    none = ranking_sheet([dataclasses.replace(ranking, hits=wrong)], lambda _: SCENE)
    assert share_of(both, GREEN) > share_of(none, GREEN)
    assert share_of(none, VERMILION) > share_of(both, VERMILION)


@pytest.mark.parametrize(
    ("similarity", "method", "shown"),
    [(0.826, "cosine", "0.83"), (-0.712, "euclidean", "d 0.71"), (-12.34, "euclidean", "d 12.3")],
)
def test_the_number_of_an_answer_says_what_it_is(similarity: float, method: str, shown: str) -> None:
    assert hit_number(RankedHit("g.jpg", BOXES[0], similarity, True), METHODS[method]) == shown


def test_ranking_sheet_asks_for_the_images_of_the_shown_results_only(ranking: RankingPicture) -> None:
    asked: list[str] = []

    def image_of(name: str) -> np.ndarray:
        asked.append(name)
        return SCENE

    ranking_sheet([ranking], image_of, k=1)
    assert asked == ["g1.jpg"]


@pytest.mark.parametrize("hits", [0, 1, 3, 10])
def test_ranking_sheet_of_few_or_many_results(ranking: RankingPicture, hits: int) -> None:
    many = dataclasses.replace(ranking, hits=[ranking.hits[0]] * hits, truths=12)
    assert ranking_sheet([many, ranking], lambda _: SCENE, k=10).width == 2400


def mask_picture(**changes: object) -> MaskPicture:
    square = np.array([[50, 50], [110, 50], [110, 230], [50, 230]], dtype=float)
    values = {
        "image": SCENE,
        "image_name": "s1.jpg",
        "box": BOXES[0],
        "outline": outline_from_polygons([square], where="test"),
        "target": np.ones((14, 14), dtype=bool),
        "predicted": np.ones((14, 14), np.float32),
        "iou": 1.0,
    }
    return MaskPicture(**(values | changes))  # type: ignore[arg-type]


def test_a_mask_sheet_shows_the_person_through_both_masks() -> None:
    """What a mask leaves out is dark: nothing here, half of one of the two, and all of both."""
    off = np.zeros((14, 14))
    half = np.where(np.arange(14) < 7, 1.0, 0.0) * np.ones((14, 1))
    dark = [
        float((np.asarray(mask_sheet([one])).max(axis=2) < 80).mean())
        for one in (
            mask_picture(),
            mask_picture(predicted=half),
            mask_picture(predicted=off),
            mask_picture(predicted=off, target=off),
        )
    ]
    steps = np.diff(dark)
    assert steps[0] == pytest.approx(steps[1], rel=0.02) and steps[0] > 0.01
    assert steps[2] == pytest.approx(2 * steps[0], rel=0.02)


def test_a_probability_is_a_shade() -> None:
    shades = [
        np.asarray(mask_sheet([mask_picture(predicted=np.full((14, 14), value))])).mean()
        for value in (0, 0.3, 0.6, 1)
    ]
    assert shades == sorted(shades) and len(set(shades)) == 4


def test_an_outline_lies_on_the_person_in_a_box_of_any_place() -> None:
    """The crop is moved and scaled with its outline: the whole box is blue veil, or only a part."""
    whole = outline_from_polygons([[[40, 40], [120, 40], [120, 240], [40, 240]]], where="test")
    upper = outline_from_polygons([[[40, 40], [120, 40], [120, 140], [40, 140]]], where="test")
    moved = np.array(BOXES[0]) + np.array([100, 30, 100, 30])
    shifted = outline_from_polygons([[[140, 70], [220, 70], [220, 170], [140, 170]]], where="test")
    sheets = [
        mask_sheet([mask_picture(outline=whole)]),
        mask_sheet([mask_picture(outline=upper)]),
        mask_sheet([mask_picture(outline=shifted, box=moved)]),
    ]
    assert sheets[0].tobytes() != sheets[1].tobytes()
    assert sheets[1].tobytes() == sheets[2].tobytes()


def test_a_mask_sheet_has_four_persons_a_row() -> None:
    heights = [mask_sheet([mask_picture()] * count).height for count in (0, 1, 4, 5, 8)]
    assert heights[0] < heights[1] == heights[2] < heights[3] == heights[4]


def test_no_rows_give_a_sheet_with_its_title() -> None:
    assert subset_sheet([]).width == ranking_sheet([], lambda _: SCENE).width == 2400


def test_same_input_gives_the_same_pixels(subset_picture: SubsetPicture, ranking: RankingPicture) -> None:
    assert subset_sheet([subset_picture]).tobytes() == subset_sheet([subset_picture]).tobytes()
    first, second = (ranking_sheet([ranking], lambda _: SCENE) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_images_may_be_arrays_pillow_images_or_paths(subset_picture: SubsetPicture, tmp_path: Path) -> None:
    path = tmp_path / "s1.png"
    Image.fromarray(SCENE).save(path)
    sheets = [
        subset_sheet([dataclasses.replace(subset_picture, image=image)])
        for image in (SCENE, Image.fromarray(SCENE), path)
    ]
    assert len({sheet.tobytes() for sheet in sheets}) == 1


def test_missing_image_is_named(ranking: RankingPicture, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"g1\.jpg"):
        ranking_sheet([ranking], lambda name: tmp_path / name)


def test_inputs_are_left_as_they_are(subset_picture: SubsetPicture) -> None:
    image = Image.fromarray(SCENE)
    boxes = BOXES.copy()
    subset_sheet([dataclasses.replace(subset_picture, image=image, boxes=boxes)])
    assert image.tobytes() == SCENE.tobytes() and (boxes == BOXES).all()
