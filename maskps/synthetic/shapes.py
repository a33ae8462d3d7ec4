"""The one drawing primitive of a figure: a shape given by its half-widths along an axis.

The same nodes give the vector outline (a polygon) and the raster (anti-aliased, shaded as if round). So the
picture and the true outline always agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
# (across in [-1, 1], along in pixels from the start) -> (h, w, 3) colours, 0..255
Fill = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
Point = tuple[float, float]

_CAP = np.sin(np.linspace(0.0, np.pi / 2, 5)[:-1])  # half-width of a round end at its nodes
_CAP_AT = 1.0 - np.cos(np.linspace(0.0, np.pi / 2, 5)[:-1])


@dataclass(frozen=True)
class Light:
    """The light: a unit vector (right, down, towards the camera) to where it comes from, and its share."""

    direction: tuple[float, float, float]
    ambient: float
    diffuse: float


@dataclass(frozen=True)
class Shape:
    """A region around an axis, in image pixels.

    Attributes:
        start, end: the axis, x and y.
        nodes: (K,) rising from 0 at `start` to 1 at `end`.
        low, high: (K,) signed offsets in pixels, low <= high, to the right-hand side of the axis seen
            from above (for an axis that points down: towards larger x).
        fill: colour of the shape, or a function that gives the colour of each pixel.
        roundness: 0 flat, 1 shaded like a cylinder.
    """

    start: Point
    end: Point
    nodes: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    fill: Colour | Fill
    roundness: float = 1.0

    @cached_property
    def polygon(self) -> NDArray[np.float64]:
        """Returns (2K, 2) float64, the outline, xy pixels, not closed."""
        (x, y), (dx, dy) = self.start, (self.end[0] - self.start[0], self.end[1] - self.start[1])
        length = max(math.hypot(dx, dy), 1e-9)
        at = np.concatenate([self.nodes, self.nodes[::-1]])
        off = np.concatenate([self.high, self.low[::-1]]) / length
        points = np.empty((len(at), 2))
        points[:, 0] = x + at * dx + off * dy
        points[:, 1] = y + at * dy - off * dx
        return points


def capsule(
    start: Point,
    end: Point,
    radii: tuple[float, ...],
    fill: Colour | Fill,
    *,
    flat_end: bool = False,
    flat_start: bool = False,
    roundness: float = 1.0,
) -> Shape:
    """Returns a limb: half-widths `radii` spread evenly from `start` to `end`, with round ends."""
    x0, y0 = start
    x1, y1 = end
    length = float(np.hypot(x1 - x0, y1 - y0))
    dx, dy = ((x1 - x0) / length, (y1 - y0) / length) if length > 1e-6 else (0.0, 1.0)
    head = 0.0 if flat_start else radii[0]
    tail = 0.0 if flat_end else radii[-1]
    middle = np.linspace(head, head + length, len(radii))
    at = [_CAP_AT * head] if head else []
    width = [_CAP * radii[0]] if head else []
    at.append(middle)
    width.append(np.asarray(radii, dtype=np.float64))
    if tail:
        at.append(head + length + tail - (_CAP_AT * tail)[::-1])
        width.append((_CAP * radii[-1])[::-1])
    total = head + length + tail
    half = np.concatenate(width)
    return Shape(
        (x0 - dx * head, y0 - dy * head),
        (x1 + dx * tail, y1 + dy * tail),
        np.concatenate(at) / total,
        -half,
        half,
        fill,
        roundness,
    )


def ellipse(
    centre: Point,
    half_width: float,
    half_height: float,
    fill: Colour | Fill,
    *,
    tilt: float = 0.0,
    roundness: float = 1.0,
) -> Shape:
    """Returns an ellipse. `tilt` turns its long (vertical) axis, in radians."""
    dx, dy = np.sin(tilt) * half_height, np.cos(tilt) * half_height
    angle = np.linspace(0.0, np.pi, 15)
    half = np.sin(angle) * half_width
    half[0] = half[-1] = 0.0
    return Shape(
        (centre[0] - dx, centre[1] - dy),
        (centre[0] + dx, centre[1] + dy),
        (1.0 - np.cos(angle)) / 2.0,
        -half,
        half,
        fill,
        roundness,
    )


def column(
    start: Point,
    end: Point,
    nodes: tuple[float, ...],
    half: tuple[float, ...],
    fill: Colour | Fill,
    *,
    shift: tuple[float, ...] | None = None,
    roundness: float = 1.0,
) -> Shape:
    """Returns a smooth body: half-widths at the nodes, joined by a monotone curve."""
    at = np.asarray(nodes, dtype=np.float64)
    fine = np.unique(np.concatenate([at, np.linspace(0.0, 1.0, 13)]))
    width = np.maximum(_smooth(at, np.asarray(half, dtype=np.float64), fine), 0.0)
    offset = 0.0 if shift is None else _smooth(at, np.asarray(shift, dtype=np.float64), fine)
    return Shape(start, end, fine, offset - width, offset + width, fill, roundness)


def _smooth(at: NDArray, values: NDArray, fine: NDArray) -> NDArray:
    """Returns the monotone cubic through (at, values), by Fritsch and Carlson."""
    step = np.diff(at)
    slope = np.diff(values) / step
    inner = np.where(
        slope[:-1] * slope[1:] > 0,
        2.0 * slope[:-1] * slope[1:] / np.where(slope[:-1] + slope[1:] == 0, 1.0, slope[:-1] + slope[1:]),
        0.0,
    )
    tangent = np.concatenate([slope[:1], inner, slope[-1:]])
    cell = np.clip(np.searchsorted(at, fine, side="right") - 1, 0, len(step) - 1)
    t = (fine - at[cell]) / step[cell]
    width = step[cell]
    return (
        values[cell] * (1 + 2 * t) * (1 - t) ** 2
        + tangent[cell] * width * t * (1 - t) ** 2
        + values[cell + 1] * t * t * (3 - 2 * t)
        + tangent[cell + 1] * width * t * t * (t - 1)
    )


def paint(
    canvas: NDArray[np.float32],
    shape: Shape,
    light: Light,
    *,
    folds: NDArray[np.float32] | None = None,
    owner: NDArray[np.int16] | None = None,
    number: int = 0,
) -> None:
    """Draws `shape` into `canvas` (H, W, 3) float32, 0..255, in place, anti-aliased.

    Args:
        folds: (h, w) float32 brightness factors of the shape, at least as large as the canvas.
        owner: (H, W) int16, set to `number` where the shape covers at least half of a pixel.
    """
    height, width = canvas.shape[:2]
    outline = shape.polygon
    (x0, y0), (x1, y1) = np.floor(outline.min(0)).astype(int) - 1, np.ceil(outline.max(0)).astype(int) + 1
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        return
    sx, sy = shape.start
    dx, dy = shape.end[0] - sx, shape.end[1] - sy
    length = max(float(np.hypot(dx, dy)), 1e-6)
    dx, dy = dx / length, dy / length
    ax, ay = dy, -dx
    column_x = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5 - sx)
    row_y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - sy)
    along = column_x * np.float32(dx) + row_y * np.float32(dy)
    across = column_x * np.float32(ax) + row_y * np.float32(ay)

    entries = int(2 * length) + 16
    grid = (np.arange(entries) + 0.5) / entries
    low = np.interp(grid, shape.nodes, shape.low)
    high = np.interp(grid, shape.nodes, shape.high)
    table = np.empty((4, entries), dtype=np.float32)
    table[0] = (low + high) / 2.0
    table[1] = np.maximum((high - low) / 2.0, 1e-3)
    table[2, 1:-1] = (table[1, 2:] - table[1, :-2]) * np.float32(entries / (2.0 * length))
    table[2, 0], table[2, -1] = table[2, 1], table[2, -2]
    table[2] = 1.0 / np.sqrt(1.0 + table[2] ** 2)  # distance to a slanting border, not along the row
    table[3] = 1.0 / table[1]
    index = (along * np.float32(entries / length)).astype(np.int32)
    np.maximum(index, 0, out=index)
    np.minimum(index, entries - 1, out=index)
    middle, half_width, slant, inverse = table[:, index]
    across -= middle
    cover = (half_width - np.abs(across)) * slant
    np.minimum(cover, along, out=cover)
    np.minimum(cover, np.float32(length) - along, out=cover)
    cover += np.float32(0.5)
    np.maximum(cover, np.float32(0.0), out=cover)
    np.minimum(cover, np.float32(1.0), out=cover)

    side = across * inverse
    np.maximum(side, np.float32(-1.0), out=side)
    np.minimum(side, np.float32(1.0), out=side)
    lx, ly, lz = light.direction
    bend = np.float32(shape.roundness * lz)
    shade = np.sqrt(np.float32(1.0) - side * side)
    shade *= bend
    shade += np.float32(lz) - bend
    shade += side * np.float32((ax * lx + ay * ly) * shape.roundness)
    np.maximum(shade, np.float32(0.0), out=shade)
    shade *= np.float32(light.diffuse)
    shade += np.float32(light.ambient)
    if folds is not None:
        shade *= folds[y0:y1, x0:x1]
    if callable(shape.fill):
        colour = shape.fill(side, along) * shade[..., None]
    else:
        colour = shade[..., None] * np.asarray(shape.fill, dtype=np.float32)
    patch = canvas[y0:y1, x0:x1]
    patch += (colour - patch) * cover[..., None]
    if owner is not None:
        owner[y0:y1, x0:x1][cover >= 0.5] = number
