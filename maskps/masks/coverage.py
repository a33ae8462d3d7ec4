"""Exact mask targets: the covered fraction of every cell of a grid in a box, without a bitmap.

Only cells that an edge crosses are computed. In cell units of the box, each edge is cut where it crosses a
row line, and each part again where it crosses a column line. Rings with the orientation of
`maskps.masks.outlines` go down on the right of the covered area and up on its left, so a piece that goes
down by dy subtracts, and one that goes up adds,

    |dy| m   in its own cell, where m is the mean share of the cell's width on the right of the piece,
    |dy|     in every cell on the right of that.

Both are stored as steps between neighbouring cells of a row; the running sum along the row is the coverage
(docs/decisions/0007). A piece left of the box counts in full for the whole row, one right of it not at all:
boxes may cut the person anywhere.

The same code runs on numpy arrays and torch tensors; torch is never imported here. Computation is float64:
there are few pieces, so it is cheap. The result carries no gradient.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5 - 1e-6
"""A cell belongs to a binary target from this coverage on: half of it, up to rounding."""

SMALLEST_SIDE = 1e-6
"""A box with a side below this, in the unit of the edges, has no cells that could be covered."""

_UNIT = 2.0**48
"""Tensors are summed in whole numbers of 1 / _UNIT: accelerators add in any order, which must not matter."""


def coverage(edges: Any, boxes: Any, size: int = 14) -> Any:
    """Returns the covered fraction of each cell of a size x size grid in each box.

    Args:
        edges: (N, E, 4) x0, y0, x1, y1 per edge, numpy or torch, one outline per box (`pad_edges`), or
            (E, 4): one outline for all boxes. Zero-length edges change nothing.
        boxes: (N, 4) xyxy in the frame of the edges, anywhere in it.

    Returns:
        (N, size, size) in [0, 1], rows from the top, in the floating type of the edges (the wider of the two
        for numpy), exact up to rounding. All zero for a box that is not finite or has a side below
        `SMALLEST_SIDE`.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(edges, torch.Tensor):
        with torch.no_grad():
            rows, boxes = edges.to(torch.float64), boxes.to(edges.device, torch.float64)
            return _coverage(rows, boxes, size, torch).to(edges.dtype)
    kind: Any = np.result_type(edges, boxes, np.float32)
    return _coverage(np.asarray(edges, float), np.asarray(boxes, float), size, np).astype(kind)


def mask_targets(edges: Any, boxes: Any, *, size: int = 14, soft: bool = False) -> Any:
    """Returns the mask targets (Sec. 4.2) of proposals: bool (N, size, size), or the coverage if soft.

    The paper says only that ground truth masks are resized to 14 x 14. We crop at the proposal and take the
    cells of which half or more is covered. The arguments are those of `coverage`.
    """
    fractions = coverage(edges, boxes, size)
    return fractions if soft else fractions >= THRESHOLD


def coverage_in_chunks(
    edges: Sequence[NDArray[np.float64]], boxes: NDArray[np.float32], size: int = 14, *, chunk: int = 64
) -> NDArray[np.float64]:
    """Returns `coverage` of many outlines, computed in chunks to save memory.

    Args:
        edges: N arrays (E_i, 4).
        boxes: (N, 4) xyxy.
    """
    result = np.zeros((len(edges), size, size))
    order = np.argsort([len(part) for part in edges], kind="stable")  # similar lengths together
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        result[rows] = coverage(pad_edges([edges[row] for row in rows]), boxes[rows], size)
    return result


def pad_edges(edges: Sequence[Any]) -> Any:
    """Returns (N, Emax, 4) of N edge arrays (E_i, 4), padded with zero-length edges; numpy or torch.

    For N = 0 the result is an empty numpy array (0, 0, 4) float64.
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
    count = len(boxes)
    boxes = xp.where(xp.isfinite(boxes).all(1)[:, None], boxes, 0.0)[:, None]
    corner, extent = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    is_box = (extent >= SMALLEST_SIDE).all(-1)  # (N, 1)
    cell = xp.where(is_box[..., None], extent, 1.0) / size
    edges = xp.broadcast_to(edges, (count, edges.shape[-2], 4))
    (u0, v0), (u1, v1) = [((edges[..., i : i + 2] - corner) / cell).reshape(-1, 2).T for i in (0, 2)]
    box = _repeat(_numbers(count, edges, xp), edges.shape[1], xp)

    # An edge that is level, above, below or right of the box, or has no box, changes nothing.
    top, bottom, left = xp.minimum(v0, v1), xp.maximum(v0, v1), xp.minimum(u0, u1)
    counts = (top < bottom) & (bottom > 0) & (top < size) & (left < size) & is_box[box, 0]
    u0, v0, u1, v1, top, bottom, box = [one[counts] for one in (u0, v0, u1, v1, top, bottom, box)]

    # The part of each edge inside each row of cells, and the abscissae of its two ends.
    edge, row, begin, end = _cut(xp.clip(top, 0, size), xp.clip(bottom, 0, size), size, xp)
    u0, v0, run, rise = [one[edge] for one in (u0, v0, u1 - u0, v1 - v0)]
    ua, ub = [u0 + run * ((level - v0) / rise) for level in (begin, end)]
    dy, row = (end - begin) * xp.sign(rise), box[edge] * size + row

    # The piece of each part inside each cell; whatever is left of the box is one piece, moved to its border.
    left, right = xp.minimum(ua, ub), xp.maximum(ua, ub)
    part, column, begin, end = _cut(left, right, size, xp)
    width = (right - left)[part]
    dy = dy[part] * xp.where(width > 0, (end - begin) / xp.where(width > 0, width, 1.0), 1.0)
    column = xp.clip(column, 0, None)
    own = dy * xp.clip(column + 1 - (begin + end) / 2, 0, 1)

    # Steps from cell to cell along the rows; two more columns hold what is right of the box.
    place = row[part] * (size + 2) + column
    place, step = xp.concatenate([place, place + 1]), xp.concatenate([own, dy - own])
    steps = _sum_at(place, step, count * size * (size + 2), xp).reshape(count, size, size + 2)
    return xp.clip(-steps.cumsum(-1)[..., :size], 0, 1)


def _cut(low: Any, high: Any, size: int, xp: Any) -> tuple[Any, Any, Any, Any]:
    """Cuts the intervals low..high at 0, 1, ..., size; what lies beyond stays in one piece.

    Returns:
        For each piece its interval, the whole number below it (-1 for all below 0, `size` for all above),
        and its two ends.
    """
    first = xp.clip(xp.floor(low), -1, size)
    last = xp.maximum(first, xp.clip(xp.ceil(high) - 1, -1, size))
    pieces = _whole(last - first) + 1
    which = _repeat(_numbers(len(low), low, xp), pieces, xp)
    rank = _numbers(len(which), low, xp) - (pieces.cumsum(0) - pieces)[which]
    whole = _whole(first)[which] + rank
    begin = xp.where(rank == 0, low[which], whole)
    end = xp.where(rank == pieces[which] - 1, high[which], whole + 1)
    return which, whole, begin, end


def _sum_at(place: Any, values: Any, count: int, xp: Any) -> Any:
    """Returns (count,) the sum of the values at each place, the same to the bit in every run."""
    if xp is np:
        return np.bincount(place, values, count)
    whole = _whole(xp.round(values * _UNIT))
    return whole.new_zeros(count).index_add_(0, place, whole).to(values.dtype) / _UNIT


def _repeat(values: Any, times: Any, xp: Any) -> Any:
    return np.repeat(values, times) if xp is np else values.repeat_interleave(times)


def _numbers(count: int, like: Any, xp: Any) -> Any:
    return np.arange(count) if xp is np else xp.arange(count, device=like.device)


def _whole(values: Any) -> Any:
    return values.astype(np.int64) if isinstance(values, np.ndarray) else values.long()
