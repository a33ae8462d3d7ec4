"""The interface of a backbone: two parts, cut before its last stage (Sec. 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from maskps.model.recomputing import recomputed
from maskps.model.roi_align import RegionGrid


class Stem(nn.Module):
    """All stages but the last, of stride 16: conv1 to res4 of a ResNet.

    Parameters have torchvision's names, so that its weight files load.

    Attributes:
        channels: of the outputs of the four groups. The last three have strides 4, 8 and 16.
        groups: all modules in the order of the forward pass, in four groups: conv1 to res4 of a ResNet;
            `frozen_stages` freezes the first of them.
        recompute: keep the outputs of the groups only; the backward pass computes the rest again.
    """

    channels: tuple[int, int, int, int]
    recompute = False

    @property
    def groups(self) -> list[list[nn.Module]]:
        raise NotImplementedError

    def stages(self, images: Tensor) -> list[Tensor]:
        """Returns the output of each group: (B, channels, H/stride, W/stride).

        Args:
            images: (B, 3, H, W), normalised; H and W are multiples of 16.
        """
        outputs = []
        features = images
        for group in self.groups:
            part = nn.Sequential(*group)
            features = recomputed(part, features, part=part) if self.recompute else part(features)
            outputs.append(features)
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """Returns the last of the `stages`, the features of res4."""
        return self.stages(images)[-1]


class Res5(nn.Module):
    """The last stage, res5 of a ResNet, which runs once per region.

    `forward` takes regions of the stem's features (R, C4, 14, 14) and returns F_p (R, `out_channels`, 7, 7).
    Parameters have torchvision's names; the stem has none of the same name.

    Attributes:
        recompute: keep F_p only; the backward pass computes the rest again, RoIAlign included.
    """

    out_channels: int
    recompute = False

    def pool(self, features: Tensor, grid: RegionGrid) -> Tensor:
        """Returns `self(grid.pool(features))`, up to rounding; override it if there is a cheaper way.

        Args:
            features: (B, C4, h, w), of the stem.
            grid: where the regions lie.
        """
        return self(grid.pool(features))
