"""Parts of the network that stay in float32 under autocast."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator


class FullPrecisionLinear(nn.Linear):
    """A linear layer that ignores autocast: (R, C) of any float dtype -> (R, D) in the dtype of its weight.

    Embeddings, scores and box deltas come from such layers. bfloat16 has only 8 significant bits, and the
    layers are so small that it would save nothing.
    """

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.to(self.weight.dtype))


class FullPrecisionAnchors(AnchorGenerator):
    """torchvision's anchors in float32 or wider.

    torchvision gives them the dtype of the feature maps. Under autocast that is bfloat16, in which the next
    number after 512 is 516.
    """

    def set_cell_anchors(self, dtype: torch.dtype, device: torch.device) -> None:
        super().set_cell_anchors(torch.promote_types(dtype, torch.float32), device)


def mean_over_cells(regions: Tensor) -> Tensor:
    """Returns the pooled features f_p (R, C) of F_p (R, C, m, m), float32 or wider."""
    return regions.mean(dim=(2, 3), dtype=torch.promote_types(regions.dtype, torch.float32))
