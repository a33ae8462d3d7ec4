"""What "the loss of a step" means: the mean over its images of each image's loss (decision 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def images_of_rows(counts: Sequence[int], device: torch.device) -> Tensor:
    """Returns (sum of counts,) int64: the image that each row of a batch belongs to, 0, 1, ..."""
    images = torch.arange(len(counts), device=device)
    return images.repeat_interleave(torch.tensor(counts, device=device), output_size=sum(counts))


def image_mean_weights(images: Tensor, num_images: int) -> Tensor:
    """Returns (R,) float32 weights: the sum of values times weights is the mean over images of image means.

    A row of an image with n rows weighs 1 / (n `num_images`). The loss is then the same whether images come
    in a batch, one after the other, or spread over processes. An image without rows counts as 0.

    Args:
        images: (R,) int64, the image of each row, below `num_images`; R may be 0.
    """
    rows = torch.bincount(images, minlength=num_images)
    return 1.0 / (rows[images] * num_images)
