"""From an outline to its mask, a bitmap of the whole image, for readers that need one.

Our own targets are cut from outlines (`maskps.masks.coverage`): a bitmap moves the border by half a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.columns import ragged_ranges
from maskps.masks.outlines import Outline


def outline_to_mask(outline: Outline, width: int, height: int) -> NDArray[np.bool_]:
    """Returns the (height, width) bool mask of the pixels whose centre lies inside the outline.

    Pixel (i, j) has its centre at x = j + 0.5, y = i + 0.5. A centre exactly on the border belongs to the
    area on its right or below it, so that two neighbours cover each pixel once. What lies outside the image
    is cut off.
    """
    mask = np.zeros((height, width), dtype=np.bool_)
    x0, y0, x1, y1 = outline.edges().T
    # The centres of rows first .. last - 1 lie between the ends of an edge; none for a level edge.
    ends = np.clip(np.ceil(np.stack([y0, y1]) - 0.5), 0, height).astype(np.int64)
    first, last = ends.min(axis=0), ends.max(axis=0)
    if not (last > first).any():
        return mask
    edge = np.repeat(np.arange(len(first)), last - first)
    row = ragged_ranges(first, last - first)
    way = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]  # from 0 to 1, however flat the edge
    x = x0[edge] + way * (x1 - x0)[edge]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)

    # The ring goes up on the left of its area, down on its right.
    top, left = int(first.min()), int(column.min())
    shape = (int(last.max()) - top, int(column.max()) - left + 1)
    step = np.zeros(shape, dtype=np.int32)
    np.add.at(step, (row - top, column - left), np.where(y1 > y0, -1, 1)[edge])
    inside = step.cumsum(axis=1)[:, :-1] > 0
    mask[top : top + shape[0], left : left + shape[1] - 1] = inside
    return mask
