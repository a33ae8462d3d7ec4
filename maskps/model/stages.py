"""The interface of a backbone: two parts, cut before its last stage (Sec. 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from maskps.model.roi_align import RegionGrid


class Stem(nn.Module):
    """All stages but the last, of stride 16: conv1 to res4 of a ResNet.

    `forward` takes normalised images (B, 3, H, W), H and W multiples of 16, and returns features
    (B, `out_channels`, H/16, W/16). Parameters have torchvision's names, so that its weight files load.

    Attributes:
        groups: all modules in the order of the forward pass, in four groups; `frozen_stages` freezes the
            first of them.
    """

    out_channels: int

    @property
    def groups(self) -> list[list[nn.Module]]:
        raise NotImplementedError


class Res5(nn.Module):
    """The last stage, res5 of a ResNet, which runs once per region.

    `forward` takes regions of the stem's features (R, C4, 14, 14) and returns F_p (R, `out_channels`, 7, 7).
    Parameters have torchvision's names; the stem has none of the same name.
    """

    out_channels: int

    def pool(self, features: Tensor, grid: RegionGrid) -> Tensor:
        """Returns `self(grid.pool(features))`, up to rounding; override it if there is a cheaper way.

        Args:
            features: (B, C4, h, w), of the stem.
            grid: where the regions lie.
        """
        return self(grid.pool(features))
