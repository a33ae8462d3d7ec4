"""Exact mask targets: the covered fraction of every cell of a grid in a box, without a bitmap.

For each edge and each row of cells, take the part of the edge inside the row: its signed height dy and its
end abscissae, with minimum a and maximum b. The area to the right of that part, up to the column line t, is
dy G(t) with

    G(t) = 0                       t <= a
           (t - a)^2 / (2 (b - a)) a <= t <= b
           t - (a + b) / 2         t >= b

Rings that keep the orientation of `maskps.masks.outlines` walk down (dy > 0) on the right of the covered
area and up on its left, so minus the sum over edges, differenced over t = 0, 1, ..., size, is the covered
area of each cell. Parts left of the box count in full, parts right of it not at all: boxes may cut the
person anywhere.

One expression for numpy and torch; torch is never imported here. The result carries no gradient.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5 - 1e-6
"""A cell belongs to a binary target from this coverage on: half of it, up to rounding."""

_LEVEL = 1e-12
"""In cells: an edge that rises less counts for nothing that can be seen, but its slope could overflow."""


def coverage(edges: Any, boxes: Any, size: int = 14) -> Any:
    """Returns the covered fraction of each cell of a size x size grid in each box.

    Args:
        edges: (N, E, 4) x0, y0, x1, y1 per edge, numpy or torch, one outline per box (`pad_edges`), or
            (E, 4): one outline for all boxes. Zero-length edges count nothing.
        boxes: (N, 4) xyxy in the frame of the edges.

    Returns:
        (N, size, size) in [0, 1], rows from the top, in the floating type of the edges (the wider of the two
        for numpy); float32 is good to 1e-5. All zero for a box without a positive width and height.
    """
    edges, boxes, xp = _same_kind(edges, boxes)
    if edges.ndim == 2:
        edges = edges[None]
    with _without_gradient(xp):
        return _coverage(edges, boxes, size, xp)


def mask_targets(edges: Any, boxes: Any, *, size: int = 14, soft: bool = False) -> Any:
    """Returns the mask targets (Sec. 4.2) of proposals: bool (N, size, size), or the coverage if soft.

    The paper says only that ground truth masks are resized to 14 x 14. We cut at the proposal and take the
    cells of which half or more is covered; arguments as of `coverage`.
    """
    fractions = coverage(edges, boxes, size)
    return fractions if soft else fractions >= THRESHOLD


def coverage_in_chunks(
    edges: Sequence[NDArray[np.float64]], boxes: NDArray[np.float32], size: int = 14, *, chunk: int = 4
) -> NDArray[np.float64]:
    """Returns `coverage` of many outlines, a few at a time, so that memory stays small.

    Args:
        edges: N arrays (E_i, 4).
        boxes: (N, 4) xyxy.
    """
    result = np.zeros((len(edges), size, size))
    order = np.argsort([len(part) for part in edges], kind="stable")  # alike in length: little padding
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        result[rows] = coverage(pad_edges([edges[row] for row in rows]), boxes[rows], size)
    return result


def pad_edges(edges: Sequence[Any]) -> Any:
    """Returns (N, Emax, 4) of N edge arrays (E_i, 4), filled up with zero-length edges; numpy or torch.

    For N = 0 it is an empty numpy array (0, 0, 4) float64.
    """
    if not len(edges):
        return np.zeros((0, 0, 4))
    longest = max(len(part) for part in edges)
    first = edges[0]
    shape = (len(edges), longest, 4)
    padded = np.zeros(shape, first.dtype) if isinstance(first, np.ndarray) else first.new_zeros(shape)
    for row, part in zip(padded, edges, strict=True):
        row[: len(part)] = part
    return padded


def _coverage(edges: Any, boxes: Any, size: int, xp: Any) -> Any:
    low, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    is_box = (extent > 0).all(-1)[..., None]  # (N, 1, 1)
    cell = xp.where(is_box, extent, xp.ones_like(extent)) / size
    # Into cells of the box before anything else: keeps float32 exact far from the origin. (N, E, 1) each.
    u0, v0 = [((edges[..., :2] - low) / cell)[..., axis, None] for axis in (0, 1)]
    u1, v1 = [((edges[..., 2:] - low) / cell)[..., axis, None] for axis in (0, 1)]

    # The part of each edge inside each row: (N, E, size).
    row = _range(size, edges, xp)
    va, vb = xp.clip(v0 - row, 0, 1), xp.clip(v1 - row, 0, 1)
    dy = vb - va
    rise = v1 - v0
    slope = (u1 - u0) / xp.where(abs(rise) < _LEVEL, xp.ones_like(rise), rise)
    ua, ub = u0 + (va + row - v0) * slope, u0 + (vb + row - v0) * slope
    a, b = xp.minimum(ua, ub), xp.maximum(ua, ub)

    # Left of the box it counts in full; what is left of the part starts at 0 or right of it.
    a_in, b_in = xp.clip(a, 0, None), xp.clip(b, 0, None)
    outside = xp.where(b > a, ((b - a) - (b_in - a_in)) / _or_one(b - a, xp), _as(b < 0, edges))
    full_rows = (dy * outside).sum(1)[..., None]  # (N, size, 1)
    dy = (dy * (1 - outside))[..., None]

    # G at the column lines: (N, E, size, size + 1).
    width = (b_in - a_in)[..., None]
    beyond = xp.clip(_range(size + 1, edges, xp) - a_in[..., None], 0, None)
    inside = xp.minimum(beyond, width)
    area = (dy * (beyond - inside * (1 - inside / _or_one(2 * width, xp)))).sum(1)
    fractions = -full_rows - (area[..., 1:] - area[..., :-1])
    return xp.where(is_box, xp.clip(fractions, 0, 1), xp.zeros_like(fractions))


def _or_one(divisor: Any, xp: Any) -> Any:
    return xp.where(divisor == 0, xp.ones_like(divisor), divisor)


def _range(count: int, like: Any, xp: Any) -> Any:
    place = {} if xp is np else {"device": like.device}
    return xp.arange(count, dtype=like.dtype, **place)


def _as(values: Any, like: Any) -> Any:
    return values.astype(like.dtype) if isinstance(values, np.ndarray) else values.to(like.dtype)


def _same_kind(edges: Any, boxes: Any) -> tuple[Any, Any, Any]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(edges, torch.Tensor):
        return edges, boxes.to(edges), torch
    kind: Any = np.result_type(edges, boxes, np.float32)
    return np.asarray(edges, dtype=kind), np.asarray(boxes, dtype=kind), np


def _without_gradient(xp: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if xp is np else xp.no_grad()
