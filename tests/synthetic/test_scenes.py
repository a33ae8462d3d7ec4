"""Scenes: boxes, visible outlines, occlusion."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import contains_xy, union_all

from maskps.synthetic import RenderedScene, draw_appearance, open_camera, plan_camera, render_scene
from maskps.synthetic.camera import Camera
from maskps.synthetic.furniture import FURNITURE, draw_furniture
from maskps.synthetic.scene import place_people


@pytest.fixture(scope="module")
def cameras() -> list[Camera]:
    return [open_camera(plan_camera((3, number), longest=320, heights=(0.17, 0.42))) for number in range(3)]


@pytest.fixture(scope="module")
def scenes(cameras: list[Camera]) -> list[tuple[Camera, RenderedScene]]:
    result = []
    for number in range(12):
        rng = np.random.default_rng(number)
        people = [draw_appearance(rng) for _ in range(2 + number % 6)]
        camera = cameras[number % len(cameras)]
        result.append((camera, render_scene(camera, people, rng=rng)))
    return result


def test_the_picture_has_the_cameras_size(scenes: list[tuple[Camera, RenderedScene]]) -> None:
    for camera, scene in scenes:
        assert scene.image.shape == (camera.plan.size[1], camera.plan.size[0], 3)
        assert scene.image.dtype == np.uint8


def test_the_outline_of_each_person_is_the_pixels_that_show_them(
    scenes: list[tuple[Camera, RenderedScene]],
) -> None:
    agreement = []
    for _, scene in scenes:
        height, width = scene.owner.shape
        y, x = np.mgrid[:height, :width] + 0.5
        for row, outline in enumerate(scene.outlines):
            inside = contains_xy(outline, x.ravel(), y.ravel()).reshape(height, width)
            shown = scene.owner == row
            agreement.append((inside & shown).sum() / (inside | shown).sum())
    assert min(agreement) > 0.95
    assert np.mean(agreement) > 0.985


def test_outlines_lie_in_the_image_and_in_their_boxes(scenes: list[tuple[Camera, RenderedScene]]) -> None:
    for camera, scene in scenes:
        width, height = camera.plan.size
        for (x, y, w, h), outline in zip(scene.boxes, scene.outlines, strict=True):
            x0, y0, x1, y1 = outline.bounds
            assert 0 <= x <= x0 + 1e-9 and x1 <= x + w + 1e-9 and x + w <= width
            assert 0 <= y <= y0 + 1e-9 and y1 <= y + h + 1e-9 and y + h <= height


def test_no_pixel_belongs_to_two_people(scenes: list[tuple[Camera, RenderedScene]]) -> None:
    for _, scene in scenes:
        total = sum(outline.area for outline in scene.outlines)
        assert union_all(list(scene.outlines)).area == pytest.approx(total, rel=1e-6)


def test_enough_of_everybody_is_visible(scenes: list[tuple[Camera, RenderedScene]]) -> None:
    for _, scene in scenes:
        assert (scene.visible > 0.3).all() and (scene.visible <= 1 + 1e-9).all()


def test_some_people_are_partly_hidden(scenes: list[tuple[Camera, RenderedScene]]) -> None:
    visible = np.concatenate([scene.visible for _, scene in scenes])
    assert 0.1 < (visible < 0.95).mean() < 0.9


def test_the_same_seed_gives_the_same_picture(cameras: list[Camera]) -> None:
    person = draw_appearance(np.random.default_rng(0))
    first, second = (render_scene(cameras[0], [person], rng=np.random.default_rng(5)) for _ in range(2))
    assert (first.image == second.image).all() and (first.boxes == second.boxes).all()


def test_a_scene_without_people_is_the_place_alone(cameras: list[Camera]) -> None:
    scene = render_scene(cameras[0], [], rng=np.random.default_rng(0))
    assert scene.boxes.shape == (0, 4) and scene.outlines == () and (scene.owner == -1).all()


def test_nearer_people_are_taller(cameras: list[Camera]) -> None:
    for camera in cameras:
        people = place_people(camera.plan, 8, rng=np.random.default_rng(0))
        order = np.argsort(people[:, 1])
        assert (np.diff(people[order, 2]) >= 0).all()


@pytest.mark.parametrize("kind", sorted({kind for kinds in FURNITURE.values() for kind in kinds}))
def test_the_outline_of_furniture_is_its_pixels(kind: str) -> None:
    thing = draw_furniture(kind, x=150.3, foot=180.3, height=101.0, rng=np.random.default_rng(0))
    y, x = np.mgrid[: thing.cover.shape[0], : thing.cover.shape[1]] + 0.5
    inside = contains_xy(thing.outline, (x + thing.corner[0]).ravel(), (y + thing.corner[1]).ravel())
    shown = (thing.cover >= 0.5).ravel()
    assert (inside & shown).sum() / (inside | shown).sum() > 0.96
    assert thing.cover.sum() == pytest.approx(thing.outline.area, rel=0.02)
