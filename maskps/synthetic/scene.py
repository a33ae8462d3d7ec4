"""Scenes: people on a camera's ground, drawn far to near, and the outlines of their visible parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely import MultiPolygon, box, intersects, make_valid, prepare, union_all
from shapely.affinity import translate

from maskps.synthetic.appearance import Appearance
from maskps.synthetic.camera import SWAY, Camera, CameraPlan
from maskps.synthetic.furniture import Sprite
from maskps.synthetic.person import person_shapes, silhouette
from maskps.synthetic.pose import draw_pose
from maskps.synthetic.shapes import Light, Shape, paint

_LEAST_VISIBLE = 0.35  # a person with a smaller visible share is not annotated
_TRIES = 8


@dataclass(frozen=True)
class RenderedScene:
    """A picture of people, with its ground truth.

    Attributes:
        image: (H, W, 3) uint8.
        boxes: (n, 4) int64 x, y, w, h of the whole figures, hidden parts included, cut at the image and
            rounded outwards. The persons are in the order in which they were asked for.
        outlines: the visible part of each person, (multi)polygons in image pixels.
        visible: (n,) float64, the visible share of each figure, 0..1.
        owner: (H, W) int16, the person (row) that each pixel shows, -1 for nobody.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    outlines: tuple[MultiPolygon, ...]
    visible: NDArray[np.float64]
    owner: NDArray[np.int16]


def place_people(
    camera: CameraPlan, count: int, *, rng: np.random.Generator, small: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Returns (count, 3) float64: x and y of each foot in image pixels, and the height there.

    People stand anywhere on the ground, some of them in pairs. They hide each other only so much that most
    of everybody stays visible. `small` persons keep to the far half.
    """
    width, height = camera.size
    ground = camera.ground
    first = ground.base - SWAY + 0.04 * height
    last = float(height)
    best, best_seen = np.zeros((count, 3)), -1.0
    for attempt in range(30):
        depth = rng.random(count) ** 0.8
        if small is not None:
            depth = np.where(small, 0.55 * depth, depth)
        y = first + depth * (last - first)
        tall = np.array([ground.height_at(row + SWAY) for row in y])
        x = rng.random(count) * (width + 0.1 * tall) - 0.05 * tall
        for i in range(1, count):
            if rng.random() < 0.3:  # walks beside the previous person
                y[i] = y[i - 1] + rng.normal(0, 0.02) * height
                y[i] = np.clip(y[i], first, last)
                tall[i] = ground.height_at(y[i] + SWAY)
                x[i] = x[i - 1] + rng.choice((-1, 1)) * rng.uniform(0.26, 0.42) * tall[i]
        x = np.clip(x, 0.08 * tall, width - 0.08 * tall)
        people = np.stack([x, y, tall], axis=1)
        seen = _least_seen(people)
        if seen > best_seen:
            best, best_seen = people, seen
        if seen > 0.5 - 0.01 * attempt:
            break
    return best


def _least_seen(people: NDArray[np.float64]) -> float:
    """Returns the visible share of the most hidden person. Everyone counts as a slim rectangle."""
    if len(people) == 0:
        return 1.0
    x, y, tall = people.T[:, :, None]
    px, py = x + _BODY[0] * tall, y - _BODY[1] * tall  # (n, points)
    before = (y < y.T)[..., None]  # who stands nearer to the camera
    inside = (np.abs(px[:, None] - x) < 0.13 * tall) & (py[:, None] > y - tall) & (py[:, None] < y)
    hidden = (inside & before).any(axis=1).sum(axis=1)
    return 1.0 - float(hidden.max()) / px.shape[1]


_BODY = np.stack(
    [points.ravel() for points in np.meshgrid(np.linspace(-0.11, 0.11, 5), np.linspace(0.03, 0.97, 10))]
)


def render_scene(
    camera: Camera,
    people: Sequence[Appearance],
    *,
    rng: np.random.Generator,
    small: NDArray[np.bool_] | None = None,
) -> RenderedScene:
    """Returns a picture of these people by this camera.

    Pose, place, light and the camera's small movements are drawn from `rng`; people's appearance is given.
    At least about a third of everyone is visible.

    Args:
        small: (n,) bool, who keeps to the far part of the ground.
    """
    sway = rng.integers(0, 2 * SWAY + 1, 2)
    sprites = _present_furniture(camera, sway, rng)
    best: tuple[float, list[list[Shape]], list[MultiPolygon], list[MultiPolygon], NDArray] | None = None
    for attempt in range(_TRIES):
        standing = place_people(camera.plan, len(people), rng=rng, small=small)
        poses = [draw_pose(rng, bag=person.bag, bag_side=person.bag_side) for person in people]
        figures = [
            person_shapes(person, pose, foot=(float(x), float(y)), height=float(tall))
            for person, pose, (x, y, tall) in zip(people, poses, standing, strict=True)
        ]
        whole = [silhouette(shapes) for shapes in figures]
        if attempt == _TRIES // 2:
            sprites = []  # hides too much
        outlines = _visible_parts(whole, standing[:, 1], sprites, camera.plan.size)
        share = [seen.area / full.area for seen, full in zip(outlines, whole, strict=True)]
        least = min(share, default=1.0)
        if best is None or least > best[0]:
            best = least, figures, whole, outlines, standing
            kept = sprites
        if least >= _LEAST_VISIBLE:
            break
    assert best is not None
    _, figures, whole, outlines, standing = best
    image, owner = _draw(camera, figures, standing, kept, sway, rng)
    width, height = camera.plan.size
    boxes = np.zeros((len(people), 4), dtype=np.int64)
    for row, full in enumerate(whole):
        x0, y0, x1, y1 = full.bounds
        left, top = max(int(np.floor(x0)), 0), max(int(np.floor(y0)), 0)
        right, bottom = min(int(np.ceil(x1)), width), min(int(np.ceil(y1)), height)
        boxes[row] = left, top, right - left, bottom - top
    visible = np.array([seen.area / full.area for seen, full in zip(outlines, whole, strict=True)])
    return RenderedScene(image, boxes, tuple(outlines), visible, owner)


def _present_furniture(camera: Camera, sway: NDArray, rng: np.random.Generator) -> list[Sprite]:
    """Returns the camera's furniture in the frame of the image; sometimes a piece is missing."""
    return [
        Sprite(
            thing.foot - sway[1],
            (thing.corner[0] - int(sway[0]), thing.corner[1] - int(sway[1])),
            thing.colour,
            thing.cover,
            translate(thing.outline, -float(sway[0]), -float(sway[1])),
        )
        for thing in camera.furniture
        if rng.random() < 0.8
    ]


def _visible_parts(
    whole: list[MultiPolygon], feet: NDArray[np.float64], sprites: list[Sprite], size: tuple[int, int]
) -> list[MultiPolygon]:
    """Returns the visible part of each silhouette: inside the image and not behind anything."""
    frame = box(0, 0, *size)
    result: list[MultiPolygon] = []
    for row, full in enumerate(whole):
        seen = full.intersection(frame)
        prepare(full)
        before = [
            other
            for at, other in enumerate(whole)
            if (feet[at], at) > (feet[row], row) and intersects(full, other)
        ]
        before += [
            thing.outline for thing in sprites if thing.foot > feet[row] and intersects(full, thing.outline)
        ]
        if before:
            seen = seen.difference(union_all(before))
        result.append(_polygons(seen))
    return result


def _polygons(geometry: Any) -> MultiPolygon:
    """Returns the areas of a geometry, without slivers under half a pixel."""
    valid = geometry if geometry.is_valid else make_valid(geometry)
    parts = [valid] if valid.geom_type == "Polygon" else list(getattr(valid, "geoms", []))
    return MultiPolygon([part for part in parts if part.geom_type == "Polygon" and part.area >= 0.5])


def _draw(
    camera: Camera,
    figures: list[list[Shape]],
    standing: NDArray[np.float64],
    sprites: list[Sprite],
    sway: NDArray,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    width, height = camera.plan.size
    canvas = camera.background[sway[1] : sway[1] + height, sway[0] : sway[0] + width].copy()
    owner = np.full((height, width), -1, dtype=np.int16)
    turn = rng.normal(0, 0.25)
    lx, ly, lz = camera.light.direction
    direction = np.array([lx + turn, ly, lz])
    direction /= np.linalg.norm(direction)
    for x, y, tall in standing:
        _shadow(canvas, float(x - 0.16 * tall * direction[0]), float(y), float(tall))
    order = [(foot, row, None) for row, foot in enumerate(standing[:, 1])]
    order += [(thing.foot, len(figures) + at, thing) for at, thing in enumerate(sprites)]  # type: ignore[misc]
    for _, row, thing in sorted(order, key=lambda item: item[:2]):
        if thing is not None:
            _stamp(canvas, owner, thing)
            continue
        near = rng.uniform(0.86, 1.12)  # not everyone stands in the same light
        light = Light(
            (float(direction[0]), float(direction[1]), float(direction[2])),
            camera.light.ambient * near,
            camera.light.diffuse * near,
        )
        sheet = _folds(int(np.clip(standing[row, 2] // 60, 1, 5)), height, width)
        ox, oy = rng.integers(0, 64, 2)
        folds = sheet[oy : oy + height, ox : ox + width]
        for shape in figures[row]:
            paint(canvas, shape, light, folds=folds, owner=owner, number=row)
    return _develop(canvas, camera, rng), owner


def _shadow(canvas: NDArray[np.float32], x: float, y: float, tall: float) -> None:
    """Darkens the ground around a foot."""
    height, width = canvas.shape[:2]
    wide, deep = 0.32 * tall, 0.07 * tall
    x0, x1 = max(int(x - 2 * wide), 0), min(int(x + 2 * wide) + 1, width)
    y0, y1 = max(int(y - 2 * deep), 0), min(int(y + 2 * deep) + 1, height)
    if x0 >= x1 or y0 >= y1:
        return
    across = ((np.arange(x0, x1) + 0.5 - x) / wide) ** 2
    down = ((np.arange(y0, y1) + 0.5 - y) / deep) ** 2
    dark = 1.0 - 0.5 * np.exp(-1.8 * (across[None, :] + down[:, None]))
    canvas[y0:y1, x0:x1] *= dark[..., None].astype(np.float32)


def _stamp(canvas: NDArray[np.float32], owner: NDArray[np.int16], thing: Sprite) -> None:
    height, width = canvas.shape[:2]
    tall, wide = thing.cover.shape
    x, y = thing.corner
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + wide, width), min(y + tall, height)
    if x0 >= x1 or y0 >= y1:
        return
    cut = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
    cover = thing.cover[cut]
    patch = canvas[y0:y1, x0:x1]
    patch *= 1.0 - cover[..., None]
    patch += thing.colour[cut]
    owner[y0:y1, x0:x1][cover >= 0.5] = -1


@lru_cache(maxsize=8)
def _folds(size: int, height: int, width: int) -> NDArray[np.float32]:
    """Returns brightness factors that look like creases; `size` is about a sixtieth of a person's height."""
    rng = np.random.default_rng(size)
    height, width = height + 64, width + 64
    total = np.ones((height, width), dtype=np.float32)
    for step, strength in ((2 * size, 0.05), (5 * size, 0.06)):
        knots = rng.standard_normal((height // step + 2, width // step + 2)).astype(np.float32)
        grown = Image.fromarray(knots).resize((width, height), Image.Resampling.BICUBIC)
        total += strength * np.clip(np.asarray(grown), -1.6, 1.6)
    return total


def _develop(canvas: NDArray[np.float32], camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turns the drawn scene into a photo: exposure, colour cast, contrast, blur, noise."""
    height, width = canvas.shape[:2]
    exposure = rng.uniform(0.8, 1.18)
    gain = camera.gain * (1 + rng.normal(0, 0.02, 3)) * exposure
    slope_x, slope_y = rng.normal(0, 0.08, 2)
    field = (
        1
        + slope_x * np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        + slope_y * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    )
    grey = 118.0
    canvas *= field[..., None]
    canvas *= gain.astype(np.float32)
    canvas -= np.float32(grey)
    canvas *= np.float32(camera.contrast)
    canvas += np.float32(grey)
    if camera.blur > 0.05:
        canvas = _blurred(canvas, camera.blur)
    canvas = canvas + rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(camera.noise)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _blurred(canvas: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Blurs slightly, in steps: neighbours are weighted so that the variance is `radius` squared."""
    passes = int(np.ceil(2.0 * radius * radius))
    share = np.float32(radius * radius / (2.0 * passes))
    for _ in range(passes):
        for axis in (0, 1):
            step = np.diff(canvas, axis=axis) * share
            inner, outer = [slice(None)] * 3, [slice(None)] * 3
            inner[axis], outer[axis] = slice(None, -1), slice(1, None)
            canvas[tuple(inner)] += step
            canvas[tuple(outer)] -= step
    return canvas
