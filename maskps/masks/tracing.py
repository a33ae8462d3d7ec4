"""From a mask, a bitmap, to its outline: along the edges of the pixels, so that the bitmap can be given back.

Every part is one group of pixels that share sides. Where two pixels touch only at a corner, the corner
belongs to both rings and neither crosses the other: rings stay simple, parts disjoint, and holes within their
part, as `maskps.masks.outlines` requires.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.masks.outlines import Outline, outline_from_shapely

RUNS_PER_ROW = 10
"""Runs of one person's pixels in a row, on average; more, beyond `FREE_RUNS`, are noise."""

FREE_RUNS = 2_000
"""Runs that a mask of any height may have: traced in a fraction of a second."""

CROWD = 5
"""A bitmap of many persons may have the runs of this many persons who are as tall as it, at the limit."""

MOST_NUMBERS = 1_000
"""Numbers in one bitmap; more are a picture, not persons."""


def mask_to_outline(
    mask: NDArray[np.bool_], *, origin: tuple[int, int] = (0, 0), where: str | Path = "the mask"
) -> Outline:
    """Returns the outline of exactly the pixels of a mask, with corners at whole pixels.

    `outline_to_mask` gives the same mask back. An empty mask gives an empty outline.

    Args:
        mask: (H, W) bool.
        origin: x, y of the mask's upper left corner in the frame of the outline, for a mask that was cut out.
        where: file and entry, for the error message.

    Raises:
        AnnotationError: noise. Its outline would have hundreds of thousands of corners.
    """
    for _, outline in outlines_of_numbers(mask, origin=origin, where=where):
        return outline
    return Outline(())


def outlines_of_numbers(
    numbers: NDArray[np.generic], *, origin: tuple[int, int] = (0, 0), where: str | Path = "the mask"
) -> Iterator[tuple[int, Outline]]:
    """Yields each number of a bitmap but 0, rising, with the outline of exactly its pixels.

    Args:
        numbers: (H, W), whole numbers or bool.
        origin, where: as `mask_to_outline`.

    Raises:
        AnnotationError: as `mask_to_outline`, or more than `MOST_NUMBERS` numbers.
    """
    value, x, y = _runs(numbers)
    values, count = np.unique(value, return_counts=True)
    order = np.argsort(value, kind="stable")
    ends = np.cumsum(count)
    found = f"{len(values):,} numbers" if len(values) > MOST_NUMBERS else ""
    if len(value) > CROWD * _most_runs(len(numbers)):
        found = f"{len(value):,} runs of pixels in {len(numbers):,} rows"
    for end, runs in zip(ends.tolist(), count.tolist(), strict=True):
        rows = y[order[end - runs : end]]
        height = int(rows[-1] - rows[0]) + 1
        if not found and runs > _most_runs(height):
            found = f"{runs:,} runs of pixels in {height:,} rows"
    if found:
        expected = f"persons: at most {MOST_NUMBERS:,}, each of some {RUNS_PER_ROW} runs in a row or fewer"
        hint = "this looks like noise or a picture; save masks without compression losses and smoothing"
        raise AnnotationError(where, expected=expected, found=found, hint=hint)
    for number, end, runs in zip(values.tolist(), ends.tolist(), count.tolist(), strict=True):
        rows = order[end - runs : end]
        left, top = x[:, rows] + origin[0], y[rows] + origin[1]
        boxes = shapely.box(left[0], top, left[1], top + 1)
        outline = outline_from_shapely(shapely.union_all(boxes))
        yield int(number), Outline(tuple(_corners(ring) for ring in outline.rings))


def _most_runs(height: int) -> int:
    return FREE_RUNS + RUNS_PER_ROW * height


def _runs(numbers: NDArray[np.generic]) -> tuple[NDArray[np.generic], NDArray[np.int64], NDArray[np.int64]]:
    """Returns the R runs of equal numbers but 0 in the rows: (R,) number, (2, R) x of both ends, (R,) y."""
    padded = np.pad(numbers, ((0, 0), (0, 1)))  # 0 between the rows
    flat = padded.reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1]).astype(np.int64)
    ends = np.append(starts[1:], flat.size)
    is_set = flat[starts] != 0 if flat.size else np.zeros(len(starts), dtype=np.bool_)
    starts, ends = starts[is_set], ends[is_set]
    y, first = np.divmod(starts, padded.shape[1])
    return flat[starts], np.stack([first, first + ends - starts]), y


def _corners(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a ring of level and upright edges without the points on straight lines that the union keeps."""
    is_level = ring[:, 1] == np.roll(ring[:, 1], -1)
    return ring[is_level != np.roll(is_level, 1)]
