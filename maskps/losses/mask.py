"""The mask loss, Eq. (6)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

MaskReduction = Literal["mean", "sum"]


def mask_loss(logits: Tensor, targets: Tensor, *, reduction: MaskReduction = "mean") -> Tensor:
    """Returns the binary cross entropy of the predicted masks, a scalar of the logits' dtype, Eq. (6).

    Eq. (6) is written as a sum over the S proposals with mask and their T cells. With T = 196 cells that
    sum would outweigh the five other losses by far; the paper cites Mask R-CNN for the loss, which takes
    the mean, and so do we unless told otherwise.

    Args:
        logits: (S, M, M) float, before the sigmoid.
        targets: (S, M, M) bool or float in [0, 1] (soft targets); the true masks in the proposals.
        reduction: "mean" over cells and proposals, or "sum" as Eq. (6) is written.

    Returns:
        For S = 0 (lambda = 0 in Eq. (7)) a zero that still has a gradient, of zeros.
    """
    assert logits.shape == targets.shape, f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)}"
    if logits.numel() == 0:
        return logits.sum()
    logits = logits.float() if logits.itemsize < 4 else logits
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction=reduction)
