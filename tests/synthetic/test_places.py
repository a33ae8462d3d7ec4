"""Places without people: what a pen draws, and a place whose shapes run out of room."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from maskps.synthetic import open_camera, plan_camera
from maskps.synthetic.ground import Ground
from maskps.synthetic.pen import ZOOM, Pen
from maskps.synthetic.plan import SCALES

RED = (200.0, 20.0, 20.0)


@pytest.fixture
def image() -> Image.Image:
    return Image.new("RGB", (20 * ZOOM, 10 * ZOOM))


@pytest.fixture
def pen(image: Image.Image) -> Pen:
    ground = Ground(width=20, height=10, base=6.0, base_height=3.0, horizon=2.0)
    return Pen(ImageDraw.Draw(image), np.random.default_rng(0), ground)


def drawn(image: Image.Image) -> int:
    """Returns the number of enlarged pixels with a colour."""
    return int(np.asarray(image).any(axis=2).sum())


@pytest.mark.parametrize("end", [(9.0, 3.2), (2.2, 7.0), (9.0, 3.0), (9.0, 1.0), (1.0, 7.0)])
def test_a_box_without_a_whole_enlarged_pixel_draws_nothing(
    pen: Pen, image: Image.Image, end: tuple[float, float]
) -> None:
    pen.box(2.0, 3.0, *end, RED)
    assert drawn(image) == 0


def test_a_box_of_one_enlarged_pixel_is_drawn(pen: Pen, image: Image.Image) -> None:
    pen.box(2.0, 3.0, 2.0 + 1 / ZOOM, 3.0 + 1 / ZOOM, RED)
    assert drawn(image) == 1


def test_an_oval_with_a_negative_radius_draws_nothing(pen: Pen, image: Image.Image) -> None:
    pen.oval(5.0, 5.0, -1.0, 2.0, RED)
    pen.oval(5.0, 5.0, 2.0, -1.0, RED)
    assert drawn(image) == 0
    pen.oval(5.0, 5.0, 2.0, 2.0, RED)
    assert drawn(image) > 0


def test_a_poster_narrower_than_its_frame_is_drawn_without_an_error(pen: Pen) -> None:
    for _ in range(20):  # each of its styles
        pen.poster(4.0, 2.0, 5.0, 3.5)


def test_a_hall_with_hardly_a_row_above_its_walls_is_drawn() -> None:
    scale = SCALES["tiny"]
    plan = plan_camera((100, 0, 1, 4), longest=scale.longest, heights=scale.heights)
    assert plan.place == "hall"
    assert 0 < plan.ground.base - 2.3 * plan.ground.base_height < 1 / ZOOM
    assert np.isfinite(open_camera(plan).background).all()
