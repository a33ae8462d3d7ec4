"""Persons cut out by their outlines, and put before other backgrounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.masks.coverage import coverage


def pixel_shares(
    edges: NDArray[np.float64], left: int, top: int, width: int, height: int
) -> NDArray[np.float64]:
    """Returns the covered share of every pixel of a part of an image: (height, width) float64 in [0, 1].

    Args:
        edges: (E, 4) of an outline, in pixels of the image.
        left, top, width, height: the part, in whole pixels, anywhere.
    """
    side = max(width, height, 1)  # `coverage` takes square grids
    around = np.array([[left, top, left + side, top + side]], dtype=np.float64)
    return np.asarray(coverage(edges, around, side)[0, :height, :width])


def paste(
    background: NDArray[np.uint8], image: NDArray[np.uint8], edges: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Returns a background with a person before it, who keeps the place in the picture.

    A pixel at the border of the outline is a mixture by its covered share, so that the cut is soft.

    Args:
        background: (H, W, 3) RGB.
        image: (H, W, 3) RGB, the picture of the person.
        edges: (E, 4) of the person's outline, E > 0, in pixels; what lies outside the picture is cut off.
    """
    points, size = edges.reshape(-1, 2), image.shape[1::-1]
    left, top = np.clip(np.floor(points.min(axis=0)), 0, size).astype(np.int64).tolist()
    right, bottom = np.clip(np.ceil(points.max(axis=0)), 0, size).astype(np.int64).tolist()
    share = pixel_shares(edges, left, top, right - left, bottom - top)[..., None]
    spot = (slice(top, bottom), slice(left, right))
    result = background.copy()
    result[spot] = np.rint(background[spot] * (1 - share) + image[spot] * share).astype(np.uint8)
    return result
