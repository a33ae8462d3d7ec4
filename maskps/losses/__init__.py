"""The losses: the six of Sec. 4.2 (of the RPN, the RoI head, OIM and the masks), and their sum."""

from __future__ import annotations

from maskps.losses.image_means import image_mean_weights, images_of_rows
from maskps.losses.mask import batch_mask_loss, mask_loss
from maskps.losses.oim import OIMLoss
from maskps.losses.total import FIRST_HEAD_LOSS_NAMES, LOSS_NAMES, total_loss

__all__ = [
    "FIRST_HEAD_LOSS_NAMES",
    "LOSS_NAMES",
    "OIMLoss",
    "batch_mask_loss",
    "image_mean_weights",
    "images_of_rows",
    "mask_loss",
    "total_loss",
]
