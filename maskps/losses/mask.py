"""The mask loss of an image, Eq. (6), and of a batch, with the lambda of Eq. (7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

MaskReduction = Literal["mean", "sum"]


def mask_loss(logits: Tensor, targets: Tensor, *, reduction: MaskReduction = "mean") -> Tensor:
    """Returns the binary cross entropy of an image's predicted masks, Eq. (6), a scalar, float32 or wider.

    Eq. (6) is a sum over the S proposals with mask and their T cells. With T = 196 cells that sum would
    outweigh the five other losses by far. Mask R-CNN, which the paper cites for the loss, takes the mean;
    so do we by default.

    Args:
        logits: (S, M, M) float, before the sigmoid.
        targets: (S, M, M) bool or float in [0, 1] (soft targets); the true masks in the proposals.
        reduction: "mean" over cells and proposals, or "sum" as Eq. (6) is written.

    Returns:
        For S = 0 a zero that still has a gradient, of zeros.
    """
    assert logits.shape == targets.shape, f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)}"
    logits = logits.float() if logits.itemsize < 4 else logits
    if logits.numel() == 0:
        return logits.sum()
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction=reduction)


def batch_mask_loss(
    logits: Tensor, targets: Tensor, counts: Sequence[int], *, reduction: MaskReduction = "mean"
) -> Tensor:
    """Returns lambda L_mask of Eq. (7) for a batch: the mean over its images of each image's `mask_loss`.

    This is lambda: it belongs to the input image, so an image without proposals with mask enters the mean as
    0. The other losses of a batch are means over all its images, too.

    Args:
        logits: (S, M, M) float, before the sigmoid; the images' proposals with mask one after the other.
        targets: (S, M, M), as for `mask_loss`.
        counts: how many of the S rows belong to each image of the batch; 0 for an image without masks.
        reduction: of one image, see `mask_loss`.
    """
    rows = list(counts)
    images = zip(logits.split(rows), targets.split(rows), strict=True)
    return torch.stack([mask_loss(*image, reduction=reduction) for image in images]).mean()
