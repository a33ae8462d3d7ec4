"""Street furniture in front of people. It is drawn once per camera, with its exact outline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, box, union_all
from shapely.geometry import Point

from maskps.synthetic.appearance import cloth_colour
from maskps.synthetic.shapes import Colour
from maskps.synthetic.tones import scaled

_ROWS = 4  # sampled in each row of pixels
_Part = tuple[Polygon, Colour]  # in body heights around the foot, y down


@dataclass(frozen=True)
class Sprite:
    """A thing that occludes. Pixels of the camera's frame.

    Attributes:
        foot: row on which it stands; things that stand lower in the image are in front of it.
        corner: x and y of the patch's first pixel.
        cover: (h, w) float32, the covered share of each pixel.
        colour: (h, w, 3) float32, 0..255, already multiplied by `cover`.
        outline: of the covered area.
    """

    foot: float
    corner: tuple[int, int]
    colour: NDArray[np.float32]
    cover: NDArray[np.float32]
    outline: MultiPolygon


def draw_furniture(kind: str, *, x: float, foot: float, height: float, rng: np.random.Generator) -> Sprite:
    """Returns a thing of this kind at (x, foot), where a person is `height` pixels tall."""
    parts = _MAKERS[kind](rng)
    outline = union_all([part for part, _ in parts])
    low_x, low_y, high_x, high_y = (value * height for value in outline.bounds)
    x0, y0 = int(np.floor(x + low_x)) - 1, int(np.floor(foot + low_y)) - 1
    width, tall = int(np.ceil(high_x - low_x)) + 4, int(np.ceil(high_y - low_y)) + 4
    cover = np.zeros((tall, width), dtype=np.float32)
    pixels = np.zeros((tall, width, 3), dtype=np.float32)
    for part, colour in parts:
        ring = np.asarray(part.exterior.coords) * height + [x - x0, foot - y0]
        left, top = np.floor(ring.min(axis=0)).astype(int)
        right, bottom = np.ceil(ring.max(axis=0)).astype(int)
        window = slice(top, bottom), slice(left, right)
        share = _area_cover(ring - [left, top], right - left, bottom - top)
        patch = pixels[window]
        patch += (np.clip(colour, 0, 255).astype(np.float32) - patch) * share[..., None]
        cover[window] += (1.0 - cover[window]) * share
    shade = np.linspace(1.06, 0.8, tall, dtype=np.float32)[:, None, None]
    grain = rng.normal(1.0, 0.03, (tall, width, 1)).astype(np.float32)
    placed = _moved(outline, height, x, foot)
    return Sprite(foot, (x0, y0), pixels * shade * grain, cover, placed)


def _area_cover(ring: NDArray[np.float64], width: int, height: int) -> NDArray[np.float32]:
    """Returns (height, width) float32: the share of each pixel inside a closed ring, exact along rows."""
    y = (np.arange(height * _ROWS) + 0.5)[:, None] / _ROWS
    (x0, y0), (x1, y1) = ring[:-1].T, ring[1:].T
    crossed = (y0 <= y) != (y1 <= y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    at = np.sort(np.where(crossed, x0 + (y - y0) * (x1 - x0) / rise, width + 1.0), axis=1)
    pixel = np.arange(width)
    cover = np.zeros((height * _ROWS, width))
    for pair in range(0, int(crossed.sum(axis=1).max()), 2):
        enter, leave = at[:, pair, None], at[:, pair + 1, None]
        cover += np.clip(np.minimum(leave, pixel + 1) - np.maximum(enter, pixel), 0.0, 1.0)
    return cover.reshape(height, _ROWS, width).mean(axis=1).astype(np.float32)


def _moved(outline: Any, scale: float, x: float, y: float) -> MultiPolygon:
    parts = [outline] if outline.geom_type == "Polygon" else list(outline.geoms)
    moved = [
        Polygon(
            np.asarray(part.exterior.coords) * scale + [x, y],
            [np.asarray(ring.coords) * scale + [x, y] for ring in part.interiors],
        )
        for part in parts
        if part.geom_type == "Polygon"
    ]
    return MultiPolygon(moved)


def _bench(rng: np.random.Generator) -> list[_Part]:
    wood, iron = _tone((128, 92, 60), rng), (52, 54, 56)
    half = rng.uniform(0.45, 0.65)
    legs = [(box(at - 0.025, -0.26, at + 0.025, 0.0), iron) for at in (-0.8 * half, 0.8 * half)]
    slats = [(box(-half, -y - 0.06, half, -y), _tone(wood, rng)) for y in (0.21, 0.31, 0.4)]
    return legs + slats


def _bollard(rng: np.random.Generator) -> list[_Part]:
    colour = _tone(((60, 62, 64), (176, 176, 172), (170, 50, 44))[int(rng.integers(0, 3))], rng)
    half = rng.uniform(0.045, 0.075)
    tall = rng.uniform(0.4, 0.58)
    return [
        (box(-half, -tall, half, 0.0), colour),
        (Point(0, -tall).buffer(half, quad_segs=6), colour),
        (box(-half, -tall * 0.85, half, -tall * 0.72), (222, 216, 200)),
    ]


def _bin(rng: np.random.Generator) -> list[_Part]:
    colour = _tone(((52, 84, 60), (78, 80, 84), (44, 62, 92), (110, 88, 62))[int(rng.integers(0, 4))], rng)
    half = rng.uniform(0.12, 0.18)
    return [
        (Polygon([(-half, -0.52), (half, -0.52), (0.85 * half, 0), (-0.85 * half, 0)]), colour),
        (box(-1.1 * half, -0.58, 1.1 * half, -0.5), scaled(colour, 0.68)),
        (box(-0.5 * half, -0.44, 0.5 * half, -0.36), (26, 26, 28)),
    ]


def _bush(rng: np.random.Generator) -> list[_Part]:
    leaf = _tone((74, 106, 56), rng)
    half, parts = rng.uniform(0.3, 0.6), []
    for _ in range(60):
        x, y = rng.uniform(-half, half), -rng.uniform(0.05, 0.45)
        parts.append((Point(x, y).buffer(rng.uniform(0.04, 0.09), quad_segs=3), _tone(leaf, rng, 16)))
    return parts


def _planter(rng: np.random.Generator) -> list[_Part]:
    half = rng.uniform(0.25, 0.45)
    parts = []
    for _ in range(22):
        x, y = rng.uniform(-half, half), -rng.uniform(0.28, 0.48)
        colour = cloth_colour(rng) if rng.random() < 0.35 else _tone((80, 112, 58), rng, 16)
        parts.append((Point(x, y).buffer(rng.uniform(0.035, 0.085), quad_segs=4), colour))
    return [
        *parts,
        (
            Polygon([(-1.05 * half, -0.3), (1.05 * half, -0.3), (0.95 * half, 0), (-0.95 * half, 0)]),
            _tone((150, 140, 126), rng),
        ),
    ]


def _sign(rng: np.random.Generator) -> list[_Part]:
    half, tall = rng.uniform(0.14, 0.24), rng.uniform(0.5, 0.72)
    colour, inner = cloth_colour(rng), cloth_colour(rng)
    parts: list[_Part] = [
        (Polygon([(-half, -tall), (half, -tall), (1.1 * half, 0), (-1.1 * half, 0)]), (70, 58, 48)),
        (box(-0.85 * half, -0.94 * tall, 0.85 * half, -0.12 * tall), colour),
    ]
    for row in range(3):
        y = -tall * (0.8 - 0.22 * row)
        parts.append((box(-0.6 * half, y, half * rng.uniform(0.1, 0.6), y + 0.08 * tall), inner))
    return parts


def _car(rng: np.random.Generator) -> list[_Part]:
    paint, long, tall = cloth_colour(rng), 2.3, 0.8
    flip = -1 if rng.random() < 0.5 else 1

    def area(*points: tuple[float, float]) -> Polygon:
        return Polygon([(flip * (x - 0.5) * long, -y * tall) for x, y in points])

    parts: list[_Part] = [
        (
            area(
                (0, 0.14),
                (0.01, 0.5),
                (0.06, 0.56),
                (0.2, 0.62),
                (0.33, 0.97),
                (0.4, 1.0),
                (0.66, 1.0),
                (0.74, 0.96),
                (0.87, 0.62),
                (0.98, 0.54),
                (1.0, 0.4),
                (1.0, 0.14),
            ),
            paint,
        ),
        (area((0.25, 0.62), (0.35, 0.93), (0.5, 0.94), (0.5, 0.62)), (70, 82, 92)),
        (area((0.53, 0.62), (0.53, 0.94), (0.69, 0.93), (0.81, 0.62)), (64, 76, 86)),
        (area((0.0, 0.14), (0.0, 0.24), (1.0, 0.24), (1.0, 0.14)), scaled(paint, 0.68)),
        (area((0.0, 0.42), (0.0, 0.5), (0.035, 0.5), (0.035, 0.42)), (236, 226, 180)),
        (area((0.97, 0.4), (0.97, 0.48), (1.0, 0.48), (1.0, 0.4)), (170, 34, 34)),
    ]
    for share in (0.19, 0.8):
        hub = (flip * (share - 0.5) * long, -0.15)
        parts += [
            (Point(hub).buffer(0.165, quad_segs=8), (30, 30, 32)),
            (Point(hub).buffer(0.085, quad_segs=6), (164, 166, 168)),
        ]
    return parts


def _railing(rng: np.random.Generator) -> list[_Part]:
    colour, half = _tone((74, 80, 84), rng), rng.uniform(0.6, 1.0)
    bars = [(box(at - 0.011, -0.5, at + 0.011, 0.0), colour) for at in np.arange(-half, half + 0.01, 0.13)]
    return [*bars, (box(-half, -0.53, half, -0.49), colour), (box(-half, -0.1, half, -0.07), colour)]


def _post(rng: np.random.Generator) -> list[_Part]:
    colour, plate = (84, 86, 90), cloth_colour(rng)
    tall = rng.uniform(1.3, 1.6)
    return [
        (box(-0.025, -tall, 0.025, 0.0), colour),
        (Point(0, -tall).buffer(rng.uniform(0.13, 0.18), quad_segs=8), (224, 222, 218)),
        (Point(0, -tall).buffer(0.11, quad_segs=8), plate),
    ]


def _boxes(rng: np.random.Generator) -> list[_Part]:
    parts: list[_Part] = []
    for row in range(int(rng.integers(1, 3))):
        for at in (-0.17, 0.16):
            colour = cloth_colour(rng)
            parts += [
                (box(at - 0.15, -0.2 * row - 0.2, at + 0.15, -0.2 * row), colour),
                (box(at - 0.12, -0.2 * row - 0.15, at + 0.12, -0.2 * row - 0.11), scaled(colour, 0.68)),
            ]
    return parts


_MAKERS: dict[str, Callable[[np.random.Generator], list[_Part]]] = {
    "bench": _bench,
    "bollard": _bollard,
    "bin": _bin,
    "bush": _bush,
    "planter": _planter,
    "sign": _sign,
    "car": _car,
    "railing": _railing,
    "post": _post,
    "boxes": _boxes,
}
FURNITURE: dict[str, tuple[str, ...]] = {
    "street": ("bollard", "bin", "car", "post", "sign", "railing"),
    "shops": ("sign", "planter", "bin", "boxes", "bench", "post"),
    "plaza": ("bench", "planter", "bollard", "bin", "sign"),
    "hall": ("bench", "bin", "sign", "boxes", "railing", "planter"),
    "park": ("bench", "bush", "bush", "bin", "post", "planter"),
}


def _tone(colour: Colour, rng: np.random.Generator, spread: float = 8.0) -> Colour:
    shift = rng.normal(0, spread)
    return colour[0] + shift, colour[1] + shift, colour[2] + shift
