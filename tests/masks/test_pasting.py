"""Persons before other backgrounds: exact inside and outside, mixed at the border."""

from __future__ import annotations

import numpy as np
import pytest

from maskps.masks import outline_from_polygons
from maskps.masks.coverage import coverage
from maskps.masks.pasting import paste, pixel_shares


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return outline_from_polygons([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], where="person").edges()


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def test_a_pixel_has_the_share_of_it_that_is_covered() -> None:
    shares = pixel_shares(rectangle(2.25, 1, 4, 2.5), 1, 1, 4, 2)
    assert shares == pytest.approx(np.array([[0, 0.75, 1, 0], [0, 0.375, 0.5, 0]]))
    assert shares.sum() == pytest.approx(1.75 * 1.5)


@pytest.mark.parametrize(("width", "height"), [(3, 7), (7, 3), (5, 5)])
def test_shares_are_those_of_coverage_pixel_by_pixel(width: int, height: int) -> None:
    edges = outline_from_polygons([[[1, 1], [9, 2], [4, 10]]], where="person").edges()
    places = [(2 + column, 1 + row) for row in range(height) for column in range(width)]
    boxes = np.array([[x, y, x + 1, y + 1] for x, y in places], float)
    alone = coverage(edges, boxes, 1).reshape(height, width)
    assert pixel_shares(edges, 2, 1, width, height) == pytest.approx(alone)


def test_the_person_is_exact_inside_and_the_background_outside() -> None:
    background, image = noise(0), noise(1)
    before = background.copy()
    pasted = paste(background, image, rectangle(3, 2, 9.5, 7))
    assert (pasted[2:7, 3:9] == image[2:7, 3:9]).all()
    mean = (image[2:7, 9].astype(float) + background[2:7, 9]) / 2
    assert (pasted[2:7, 9] == np.rint(mean)).all()
    outside = np.ones((12, 20), np.bool_)
    outside[2:7, 3:10] = False
    assert (pasted[outside] == background[outside]).all()
    assert (background == before).all()


def test_a_person_who_leaves_the_picture_is_cut_off() -> None:
    background, image = noise(0), noise(1)
    assert (paste(background, image, rectangle(-5, -5, 50, 50)) == image).all()
    assert (paste(background, image, rectangle(-9, 2, -3, 8)) == background).all()
    assert (paste(background, image, rectangle(30, 2, 33, 8)) == background).all()
