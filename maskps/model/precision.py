"""What is computed in float32: parts of the network under autocast, and everything unless TF32 is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
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


def float32_or_wider(tensor: Tensor) -> Tensor:
    """Returns the tensor in float32; in float64 if it is that already, so that a network can be checked."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def mean_over_cells(regions: Tensor) -> Tensor:
    """Returns the pooled features f_p (R, C) of F_p (R, C, m, m), float32 or wider."""
    return regions.mean(dim=(2, 3), dtype=torch.promote_types(regions.dtype, torch.float32))


def use_tf32(allowed: bool) -> None:
    """Lets NVIDIA GPUs since 2020 (Ampere) round the inputs of float32 products to 10 bits, or forbids it.

    It holds for all convolutions and matrix products of this process. torch allows it for convolutions unless
    it is forbidden.
    """
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


@contextmanager
def tf32_within(allowed: bool) -> Iterator[None]:
    """Allows TF32 in this block only, if `allowed`; outside, float32 is float32. See `use_tf32`."""
    use_tf32(allowed)
    try:
        yield
    finally:
        use_tf32(False)


def max_over_cells(regions: Tensor) -> Tensor:
    """Returns the maxima (R, C) of regions (R, C, m, m), float32 or wider.

    One of equal maxima gets the gradient, as in SeqNet. The backward pass needs its place only; `amax` and
    adaptive pooling would keep the regions for it, and with `amax` it would take four times as long.
    """
    return float32_or_wider(regions.permute(0, 2, 3, 1).flatten(1, 2).max(dim=1).values)


class FullPrecisionNorm(nn.BatchNorm1d):
    """A batch norm that ignores autocast, (R, D); behind a projection it is the "neck" of SeqNet and NAE.

    One row has no variance, so a training step with a single row uses the running statistics.
    """

    def forward(self, rows: Tensor) -> Tensor:
        with torch.autocast(rows.device.type, enabled=False):
            if self.training and len(rows) < 2:
                return F.batch_norm(
                    rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
                )
            return super().forward(rows)
