"""RoIAlign as two matrix products.

Bilinear sampling on a grid is separable: a pooled region is L F C^T, with one small interpolation matrix for
its lines and one for its columns. BLAS computes that faster than torchvision's CPU kernel, whose backward
pass is serial (30 % of a training step of the `tiny` network). It needs no atomic additions, so gradients are
the same from run to run on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from maskps.model.precision import float32_or_wider

_CHUNK_ELEMENTS = 2**22
"""Upper limit of an intermediate product, in numbers: 16 MiB of float32."""


class RegionGrid:
    """The sampling grid of some boxes on a feature map; `pool` applies it to any map of that size.

    Args:
        boxes: per image (r, 4), xyxy, pixels of the image; r may be 0.
        map_size: (H, W) of the maps.
        size: cells per side of a pooled region.
        spatial_scale: cells of the map per pixel.
        sampling_ratio: samples per cell and axis.
        aligned: the first cell's centre is half a cell from the border. False, as in torchvision's detectors:
            it is on the border, and a region is at least one cell of the map wide and high.
    """

    def __init__(
        self,
        boxes: Sequence[Tensor],
        map_size: tuple[int, int],
        size: int = 14,
        *,
        spatial_scale: float = 1 / 16,
        sampling_ratio: int = 2,
        aligned: bool = True,
    ) -> None:
        self.map_size = map_size
        corners = [_corners(rows.detach(), spatial_scale, aligned=aligned) for rows in boxes]
        self.lines = [_weights(rows[:, 1], rows[:, 3], size, sampling_ratio, map_size[0]) for rows in corners]
        self.columns = [
            _weights(rows[:, 0], rows[:, 2], size, sampling_ratio, map_size[1]) for rows in corners
        ]

    def pool(
        self, features: Tensor, *, stride: int = 1, then: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Returns (R, C, size, size), as `torchvision.ops.roi_align` with the grid's `aligned`.

        Computed in float32 also under autocast (in float64 for maps of float64).

        Args:
            features: (B, C, H, W) float, one map for each image of `boxes`.
            stride: 2 computes only every second cell per axis, the first included.
            then: what to make of some regions at a time; its results are joined instead. If it reduces them,
                all regions never exist at once.
        """
        height, width = self.map_size
        assert features.shape[2:] == (height, width), f"a grid for {self.map_size}, {tuple(features.shape)}"
        pooled = []
        with torch.autocast(features.device.type, enabled=False):
            features = float32_or_wider(features)
            for image, lines, columns in zip(features, self.lines, self.columns, strict=True):
                flat = image.permute(1, 2, 0).reshape(height, -1)
                lines = lines[:, ::stride].to(features.dtype)
                columns = columns[:, ::stride].to(features.dtype)
                cells, channels = lines.shape[1], features.shape[1]
                elements = cells * flat.shape[1]
                chunks = zip(self.chunks(lines, elements), self.chunks(columns, elements), strict=True)
                for line, column in chunks:
                    strips = (line.reshape(-1, height) @ flat).view(-1, cells, width, channels)
                    regions = column[:, None] @ strips
                    pooled.append(regions if then is None else then(regions.permute(0, 3, 1, 2)))
        joined = torch.cat(pooled)
        return joined.permute(0, 3, 1, 2) if then is None else joined

    def chunks(self, weights: Tensor, elements: int) -> Sequence[Tensor]:
        """Returns the weights of an image's regions in the parts that one product takes.

        Args:
            weights: (r, size, length).
            elements: numbers of the product for one region.
        """
        return weights.split(max(1, _CHUNK_ELEMENTS // elements))


def _corners(boxes: Tensor, scale: float, *, aligned: bool) -> Tensor:
    """Returns (r, 4): the regions of boxes in cells of the map, with the centre of its first cell at 0."""
    boxes = float32_or_wider(boxes) * scale
    if aligned:
        return boxes - 0.5
    low, high = boxes.split(2, dim=1)
    return torch.cat([low, high.maximum(low + 1)], dim=1)


def _weights(low: Tensor, high: Tensor, size: int, sampling_ratio: int, length: int) -> Tensor:
    """Returns (R, size, length): the weight of each cell of an axis in each bin of the regions [low, high].

    A bin is the mean of its samples. A sample between the centres of two cells interpolates linearly. Up to
    one cell outside the outermost centres it takes the value of the border's cell; further out it is zero.
    """
    samples = size * sampling_ratio
    steps = (torch.arange(samples, dtype=low.dtype, device=low.device) + 0.5) / samples
    points = low[:, None] + (high - low)[:, None] * steps
    inside = (points >= -1) & (points <= length)
    points = points.clamp(0, length - 1)
    cells = torch.arange(length, dtype=low.dtype, device=low.device)
    weights = (1 - (points[..., None] - cells).abs()).clamp(min=0) * inside[..., None]
    return weights.unflatten(1, (size, sampling_ratio)).mean(dim=2)
