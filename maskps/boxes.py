"""Box arithmetic: xyxy float boxes, without the "+1" of integer pixel boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def xywh_to_xyxy(boxes: NDArray) -> NDArray[np.float32]:
    """Returns (n, 4) float32 corners of (n, 4) boxes given as x, y, width, height.

    The sum is computed in float64: CUHK-SYSU stores uint8, in which x + w overflows.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32)


def xyxy_to_xywh(boxes: NDArray) -> NDArray[np.float64]:
    """Returns (n, 4) float64 x, y, width, height of (n, 4) xyxy boxes.

    The difference is computed in float64, so that adding it again gives the same float32 corners.
    """
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def box_text(box: NDArray) -> str:
    """Returns the numbers of a (4,) box for messages, e.g. "[1, 2.5, 30, 90]"."""
    return f"[{', '.join(f'{value:g}' for value in box.tolist())}]"


def has_area(boxes: NDArray) -> NDArray[np.bool_]:
    """Returns (n,) bool: the xyxy boxes (n, 4) that have a width and a height.

    Call it with float32 corners, not with the width in a file: added to a large x, a small width vanishes.
    """
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def is_outside(boxes: NDArray, sizes: NDArray) -> NDArray[np.bool_]:
    """Returns (n,) bool: the xyxy boxes (n, 4) with no part in their image of width and height (n, 2)."""
    return np.asarray(((boxes[:, :2] >= sizes) | (boxes[:, 2:] <= 0)).any(axis=1))


def box_area(boxes: NDArray) -> NDArray[np.float64]:
    """Returns the (n,) areas of (n, 4) xyxy boxes in pixels squared; 0 if a side is negative."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)


def box_iou(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Returns the (n, m) intersection over union of (n, 4) and (m, 4) xyxy boxes; 0 / 0 gives 0."""
    first = np.asarray(first, dtype=np.float64).reshape(-1, 4)
    second = np.asarray(second, dtype=np.float64).reshape(-1, 4)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    intersection = np.prod(np.maximum(high - low, 0.0), axis=2)
    union = box_area(first)[:, None] + box_area(second)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def clip_boxes(boxes: NDArray, width: float, height: float) -> NDArray[np.float32]:
    """Returns (n, 4) xyxy boxes cut at the borders of a width x height image."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    limit = np.array([width, height, width, height], dtype=np.float32)
    return np.clip(boxes, 0, limit)


def flip_boxes(boxes: NDArray, width: float) -> NDArray[np.float32]:
    """Returns (n, 4) xyxy boxes mirrored left-right in an image of this width: x becomes width - x.

    Coordinates are continuous, so the mirror is about `width`, not `width - 1`.
    """
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
