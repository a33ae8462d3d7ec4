"""From a mask, a bitmap, to its outline: along the edges of the pixels, so that the bitmap can be given back.

Every part is one group of pixels that share sides. Where two pixels touch only at a corner, the corner
belongs to both rings and neither crosses the other: rings stay simple, parts disjoint, and holes within their
part, as `maskps.masks.outlines` requires.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from maskps.masks.outlines import Outline, outline_from_shapely


def mask_to_outline(mask: NDArray[np.bool_], *, origin: tuple[int, int] = (0, 0)) -> Outline:
    """Returns the outline of exactly the pixels of a mask, with corners at whole pixels.

    `outline_to_mask` gives the same mask back. An empty mask gives an empty outline.

    Args:
        mask: (H, W) bool.
        origin: x, y of the mask's upper left corner in the frame of the outline, for a mask that was cut out.
    """
    # One box for each run of pixels in a row.
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    y, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1]
    x, y = np.array([first, last]) + origin[0], y + origin[1]
    outline = outline_from_shapely(shapely.union_all(shapely.box(x[0], y, x[1], y + 1)))
    return Outline(tuple(_corners(ring) for ring in outline.rings))


def _corners(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a ring of level and upright edges without the points on straight lines that the union keeps."""
    is_level = ring[:, 1] == np.roll(ring[:, 1], -1)
    return ring[is_level != np.roll(is_level, 1)]
