"""People: what is drawn is what the outline says, and views agree with each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import contains_xy

from maskps.synthetic import draw_appearance
from maskps.synthetic.person import person_shapes, silhouette
from maskps.synthetic.pose import draw_pose, skeleton
from maskps.synthetic.shapes import Light, Shape, capsule, column, ellipse, paint

LIGHT = Light((0.0, 0.0, 1.0), 0.5, 0.5)


def _painted(shapes: list[Shape], height: int = 200, width: int = 200) -> np.ndarray:
    canvas = np.zeros((height, width, 3), dtype=np.float32)
    owner = np.full((height, width), -1, dtype=np.int16)
    for shape in shapes:
        paint(canvas, shape, LIGHT, owner=owner, number=0)
    return owner == 0


def _inside(geometry: object, height: int = 200, width: int = 200) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return contains_xy(geometry, x.ravel(), y.ravel()).reshape(height, width)


@pytest.mark.parametrize(
    "shape",
    [
        capsule((60, 40), (120, 150), (12.0, 18.0, 7.0), (200, 0, 0)),
        capsule((60, 100), (60, 100), (20.0, 20.0), (200, 0, 0)),
        capsule((140, 40), (70, 150), (12.0, 18.0), (200, 0, 0), flat_end=True, flat_start=True),
        ellipse((90, 90), 30, 50, (200, 0, 0), tilt=0.4),
        column((100, 20), (90, 180), (0.0, 0.3, 1.0), (10, 30, 22), (200, 0, 0), shift=(0.0, 0.0, 14.0)),
    ],
)
def test_the_pixels_of_a_shape_are_those_of_its_polygon(shape: Shape) -> None:
    painted, inside = _painted([shape]), _inside(silhouette([shape]))
    assert (painted & inside).sum() / (painted | inside).sum() > 0.985


def test_a_capsule_covers_a_disc_and_a_rectangle() -> None:
    # 2 r length + pi r^2, less what the corners of an 16-sided cap miss
    area = silhouette([capsule((50, 50), (50, 150), (10.0, 10.0), (0, 0, 0))]).area
    assert area == pytest.approx(2 * 10 * 100 + np.pi * 100, rel=0.005)


def test_full_light_from_the_front_gives_the_colour_itself_in_the_middle() -> None:
    canvas = np.zeros((60, 60, 3), dtype=np.float32)
    paint(canvas, capsule((30, 10), (30, 50), (8.0, 8.0), (200.0, 100.0, 50.0)), LIGHT)
    np.testing.assert_allclose(canvas[30, 30], (200, 100, 50), rtol=0.01)


def test_nothing_happens_outside_the_picture() -> None:
    assert not _painted([capsule((-80, -80), (-60, -60), (8.0, 8.0), (9, 9, 9))]).any()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_person_is_one_figure_of_human_size_on_its_feet(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = draw_appearance(rng)
    pose = draw_pose(rng, bag=person.bag, bag_side=person.bag_side)
    outline = silhouette(person_shapes(person, pose, foot=(100.0, 180.0), height=150.0))
    assert outline.is_valid
    x0, y0, x1, y1 = outline.bounds
    tall = y1 - y0
    assert 0.93 < tall / (150.0 * person.stature) < 1.12
    assert abs(y1 - 180.0) < 0.13 * 150.0 * person.stature
    body = max(outline.geoms, key=lambda part: part.area)
    assert body.area > 0.85 * outline.area
    assert (x1 - x0) < 1.2 * tall


def test_the_lower_foot_stands_on_the_ground() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        joints = skeleton(draw_pose(rng, bag="none", bag_side=1), build=1.0, hips=1.0)
        lowest = min(joints[name][2] for name in ("lheel", "rheel", "ltoe", "rtoe"))
        assert lowest == pytest.approx(0.017)


def test_who_a_person_is_depends_on_the_seed_alone() -> None:
    assert draw_appearance(np.random.default_rng(8)) == draw_appearance(np.random.default_rng(8))
    assert draw_appearance(np.random.default_rng(8)) != draw_appearance(np.random.default_rng(9))


def test_a_backpack_is_seen_from_behind_and_hidden_from_the_front() -> None:
    rng = np.random.default_rng(1)
    person = replace(
        draw_appearance(rng), bag="backpack", bag_colour=(0.0, 255.0, 0.0), bag_second=(0.0, 255.0, 0.0)
    )
    pose = draw_pose(rng, bag="backpack", bag_side=1)

    def green(yaw: float) -> int:
        canvas = np.zeros((200, 200, 3), dtype=np.float32)
        for shape in person_shapes(person, replace(pose, yaw=yaw), foot=(100.0, 190.0), height=170.0):
            paint(canvas, shape, LIGHT)
        return int(((canvas[..., 1] > 60) & (canvas[..., 0] < 20)).sum())

    assert green(np.pi) > 4 * green(0.0)
