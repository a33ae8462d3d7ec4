"""The one resize that training, detection and query features share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from maskps.model.prediction import Resize, resized_size


def resize_image(
    image: NDArray[np.uint8], shorter_side: int, longest_side: int, mode: Resize = "antialiased"
) -> tuple[Tensor, tuple[float, float]]:
    """Returns the resized image as (3, h, w) float32 in 0..1, and its exact scale (sx, sy).

    A point (x, y) of the original moves to (sx x, sy y). sx and sy are new size over old size after rounding,
    so that boxes and outlines stay on the pixels.

    Args:
        image: (H, W, 3) uint8, RGB.
        shorter_side: pixels of the shorter side, see `resized_size`.
        longest_side: upper limit of the longer side in pixels.
        mode: "antialiased": bilinear with antialiasing, in uint8. "torchvision": as its detectors
            (`GeneralizedRCNNTransform`), bilinear without antialiasing, in float32.
    """
    height, width = image.shape[:2]
    size = resized_size(height, width, shorter_side, longest_side, mode)
    # A (1, 3, H, W) view of HWC memory is channels-last, for which the uint8 kernel is fastest.
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if mode == "torchvision":
        pixels = _floats(pixels)
    if size != (height, width):
        antialias = mode == "antialiased"
        pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=antialias, align_corners=False)
    if mode == "antialiased":
        pixels = _floats(pixels)
    return pixels[0], (size[1] / width, size[0] / height)


def _floats(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32, memory_format=torch.contiguous_format) / 255.0
