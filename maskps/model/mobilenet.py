"""MobileNetV2 (Sandler et al. 2018) and V3-Large (Howard et al. 2019), torchvision's, cut in two before the
last stage; for small machines."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import MobileNetV2, MobileNetV3

from maskps.model.stages import Res5, Stem

_REGIONS = 32
"""How many regions a CPU takes at once: their features stay in its cache. For 300 at once it needs twice the
time."""


def build_mobilenet(
    network_of: Callable[..., MobileNetV2 | MobileNetV3], cut: int
) -> tuple[MobileNetStem, MobileNetRes5]:
    """Returns the two parts with torchvision's random weights; only its classifier is missing.

    Args:
        network_of: torchvision's function that builds it: `mobilenet_v2` or `mobilenet_v3_large`.
        cut: its first block of stride 32.
    """
    features = network_of(weights=None).features
    return MobileNetStem(features[:cut]), MobileNetRes5(features, cut)


class MobileNetStem(Stem):
    """The blocks before the cut: (B, 3, H, W) -> (B, C4, H/16, W/16).

    In V3 some blocks weigh their channels by means over the whole map, which includes the padding of an image
    in a batch of larger ones.
    """

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.features = blocks
        first, two, three, four = (_channels(group[-1]) for group in self.groups)
        self.channels = (first, two, three, four)

    @property
    def groups(self) -> list[list[nn.Module]]:
        blocks = list(self.features)
        return [blocks[:2], blocks[2:4], blocks[4:7], blocks[7:]]  # strides 2, 4, 8, 16


class MobileNetRes5(Res5):
    """The blocks from the cut on: (R, C4, 14, 14) -> (R, C5, 7, 7)."""

    def __init__(self, features: nn.Sequential, cut: int) -> None:
        super().__init__()
        parts = OrderedDict((str(index), features[index]) for index in range(cut, len(features)))
        self.features = nn.Sequential(parts)
        self.out_channels = _channels(features[-1])

    def forward(self, regions: Tensor) -> Tensor:
        is_known = isinstance(regions.shape[0], int)  # not so while a graph is exported
        if self.training or regions.device.type != "cpu" or not is_known:
            return self.features(regions)
        return torch.cat([self.features(some) for some in regions.split(_REGIONS)])


def _channels(block: nn.Module) -> int:
    """Returns how many channels a block of torchvision's puts out."""
    count = block.out_channels
    assert isinstance(count, int)
    return count
