"""What stays in float32 when the network runs under autocast."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator


class FullPrecisionLinear(nn.Linear):
    """A linear layer that autocast leaves alone: (R, C) of any float dtype -> (R, D) in that of its weight.

    For the outputs that persons are compared, scored and placed by: bfloat16 has 8 significant bits, and
    these layers are too small to be worth saving on.
    """

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.to(self.weight.dtype))


class FullPrecisionAnchors(AnchorGenerator):
    """torchvision's anchors, never narrower than float32.

    torchvision gives them the dtype of the feature maps, under autocast bfloat16, in which the next number
    after 512 is 516.
    """

    def set_cell_anchors(self, dtype: torch.dtype, device: torch.device) -> None:
        super().set_cell_anchors(torch.promote_types(dtype, torch.float32), device)


def mean_over_cells(regions: Tensor) -> Tensor:
    """Returns the pooled features f_p (R, C) of F_p (R, C, m, m), float32 or wider."""
    return regions.mean(dim=(2, 3), dtype=torch.promote_types(regions.dtype, torch.float32))
