"""From boxes to regions, and from regions to one vector each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from maskps.model.precision import max_over_cells, mean_over_cells
from maskps.model.recomputing import recomputed
from maskps.model.roi_align import RegionGrid
from maskps.model.stages import Res5

Pooling = Literal["mean", "max"]

STRIDE = 16
"""Pixels of the image per cell of the features of res4."""

_LEAST_WEIGHT = 1e-3
"""Sum of the weights of an empty mask, so that its mean is 0 and not undefined."""


@dataclass(frozen=True)
class RegionPooler:
    """How every head looks at its boxes.

    Attributes:
        size: cells per side of RoIAlign; a mask has as many.
        pooling: "mean" of the cells of a region (Sec. 3.2), or their maximum, as in SeqNet and NAE.
        aligned: False shifts RoIAlign by half a cell, as torchvision's detectors and SeqNet do.
    """

    size: int = 14
    pooling: Pooling = "mean"
    aligned: bool = True

    def align(self, features: Tensor, boxes: Sequence[Tensor], *, stride: int = STRIDE) -> Tensor:
        """Returns the regions of these features by RoIAlign: (R, C, size, size).

        Args:
            features: (B, C, h, w).
            boxes: per image (r, 4), xyxy, pixels of the resized image.
            stride: pixels of the image per cell of the features.
        """
        return self.grid(features, boxes, stride).pool(features)

    def pooled(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Returns `self.over_cells(self.align(features, boxes))`, (R, C), without holding all regions."""
        return self.grid(features, boxes, STRIDE).pool(features, then=self.over_cells)

    def res5(self, res5: Res5, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Returns F_p (R, C5, m, m): `res5(self.align(features, boxes))` up to rounding, in less time."""
        grid = self.grid(features, boxes, STRIDE)
        if res5.recompute:
            return recomputed(res5.pool, features, grid, part=res5)
        return res5.pool(features, grid)

    def over_cells(self, regions: Tensor) -> Tensor:
        """Returns (R, C), float32 or wider, of regions (R, C, m, m)."""
        return mean_over_cells(regions) if self.pooling == "mean" else max_over_cells(regions)

    def grid(self, features: Tensor, boxes: Sequence[Tensor], stride: int) -> RegionGrid:
        """Returns where the regions of boxes lie on these features; arguments as `align`."""
        height, width = features.shape[2:]
        return RegionGrid(boxes, (height, width), self.size, spatial_scale=1 / stride, aligned=self.aligned)


def masked_mean(regions: Tensor, logits: Tensor) -> Tensor:
    """Returns the mean (R, C) of regions over their cells, weighted by the predicted masks.

    Args:
        regions: (R, C, m, m).
        logits: (R, M, M), of the mask branch, M >= m. They get no gradient.
    """
    kind = torch.promote_types(regions.dtype, torch.float32)
    weights = F.adaptive_avg_pool2d(logits.detach().to(kind).sigmoid()[:, None], regions.shape[-1])
    weighted = (regions.to(kind) * weights).sum(dim=(2, 3))
    return weighted / weights.sum(dim=(2, 3)).clamp(min=_LEAST_WEIGHT)
