"""From a mask, a bitmap, to its outline: along the edges of the pixels, so that the bitmap can be given back.

Every part is one group of pixels that share sides. Where two pixels touch at a corner only, the corner
belongs to both rings and neither crosses the other: rings stay simple, parts disjoint, and holes within their
part, which is what `maskps.masks.outlines` asks of an outline.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from maskps.masks.outlines import Outline, ring_area

_RIGHT, _DOWN, _LEFT, _UP = range(4)
"""Directions in which a ring walks, as seen on the screen: each a turn to the right from the one before."""


def mask_to_outline(mask: NDArray[np.bool_], *, origin: tuple[int, int] = (0, 0)) -> Outline:
    """Returns the outline of exactly the pixels of a mask, with corners at whole pixels.

    `outline_to_mask` gives the same mask back. An empty mask gives an empty outline.

    Args:
        mask: (H, W) bool.
        origin: x, y of the mask's upper left corner in the frame of the outline, for a mask that was cut out.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Outline(())
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    starts, following, parts = _segments(inner)
    shift = np.array([columns[0] + origin[0], rows[0] + origin[1]], dtype=np.float64)
    rings = [(int(parts[ring[0]]), starts[ring] + shift) for ring in _cycles(following)]
    # The one outer ring of each part comes first, its holes after it.
    rings.sort(key=lambda ring: (ring[0], ring_area(ring[1]) < 0))
    return Outline(tuple(ring for _, ring in rings))


def _segments(
    mask: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns the straight pieces of all rings: start (n, 2) x, y, which piece follows, and the part.

    The pixels of the part lie on the right hand of one who walks there, seen on the screen.
    """
    height, width = mask.shape
    part, _ = ndimage.label(mask)
    padded = np.pad(mask, 1)
    is_top, is_bottom = mask & ~padded[:-2, 1:-1], mask & ~padded[2:, 1:-1]
    is_left, is_right = mask & ~padded[1:-1, :-2], mask & ~padded[1:-1, 2:]

    # (n, 2) x, y of start and end, and the part: rows of pixels first, then columns.
    pieces = []
    for edge, below, forwards in ((is_top, 0, True), (is_bottom, 1, False)):
        y, first, last = _runs(edge)
        low, high = np.stack([first, y + below], axis=1), np.stack([last, y + below], axis=1)
        pieces.append((*((low, high) if forwards else (high, low)), part[y, first]))
    for edge, beyond, forwards in ((is_right, 1, True), (is_left, 0, False)):
        x, first, last = _runs(edge.T)
        low, high = np.stack([x + beyond, first], axis=1), np.stack([x + beyond, last], axis=1)
        pieces.append((*((low, high) if forwards else (high, low)), part[first, x]))
    directions = np.repeat([_RIGHT, _LEFT, _DOWN, _UP], [len(piece[2]) for piece in pieces])
    starts, ends, parts = (np.concatenate(column) for column in zip(*pieces, strict=True))

    # Which piece begins at each corner of the grid, by direction; -1: none.
    begins = np.full((4, height + 1, width + 1), -1, dtype=np.int64)
    begins[directions, starts[:, 1], starts[:, 0]] = np.arange(len(starts))
    to_right = begins[(directions + 1) % 4, ends[:, 1], ends[:, 0]]
    to_left = begins[(directions + 3) % 4, ends[:, 1], ends[:, 0]]
    # Both where pixels touch at a corner only. Of two parts, each ring stays with its own; within one part,
    # turning left keeps the ring of a hole, or the outer one, from touching itself.
    is_same_part = (to_left >= 0) & (parts[to_left] == parts)
    return starts, np.where((to_right < 0) | is_same_part, to_left, to_right), parts


def _runs(edge: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns line, first and last + 1 of every run of marked places along the lines of an array."""
    steps = np.diff(np.pad(edge, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, first = np.nonzero(steps == 1)
    return line, first, np.nonzero(steps == -1)[1]


def _cycles(following: NDArray[np.int64]) -> list[list[int]]:
    """Returns the cycles of a permutation."""
    after = following.tolist()
    cycles = []
    for start in range(len(after)):
        cycle = []
        at = start
        while after[at] >= 0:
            cycle.append(at)
            after[at], at = -1, after[at]
        if cycle:
            cycles.append(cycle)
    return cycles
