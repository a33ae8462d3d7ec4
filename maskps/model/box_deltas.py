"""Boxes as deltas from other boxes: what the box head learns (Ren et al. 2015, Sec. 3.1.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SHIFT_SCALE, _SIZE_SCALE = 10.0, 5.0
"""The deltas are divided by standard deviations of 0.1 and 0.2, as in Fast R-CNN and the OIM release."""

_LARGEST_GROWTH = math.log(1000 / 16)
"""Upper limit of a size delta, so that `exp` cannot overflow."""


def deltas_to(boxes: Tensor, *, start: Tensor) -> Tensor:
    """Returns the deltas (R, 4) that lead from `start` to `boxes`: x, y, width, height.

    Args:
        boxes: (R, 4) float, xyxy, with a width and a height; R may be 0.
        start: (R, 4) float, xyxy, likewise.
    """
    centers, sizes = _centers_and_sizes(boxes)
    start_centers, start_sizes = _centers_and_sizes(start)
    shifts = _SHIFT_SCALE * (centers - start_centers) / start_sizes
    return torch.cat([shifts, _SIZE_SCALE * torch.log(sizes / start_sizes)], dim=1)


def apply_deltas(deltas: Tensor, *, start: Tensor) -> Tensor:
    """Returns the boxes (R, 4), xyxy, to which `deltas` lead from `start`; the inverse of `deltas_to`."""
    start_centers, start_sizes = _centers_and_sizes(start.to(deltas.dtype))
    centers = deltas[:, :2] / _SHIFT_SCALE * start_sizes + start_centers
    sizes = torch.exp((deltas[:, 2:] / _SIZE_SCALE).clamp(max=_LARGEST_GROWTH)) * start_sizes
    return torch.cat([centers - 0.5 * sizes, centers + 0.5 * sizes], dim=1)


def _centers_and_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sizes = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + 0.5 * sizes, sizes
