"""MobileNetV2 (Sandler et al. 2018), torchvision's, cut in two before its last stage; for small machines."""

from __future__ import annotations

from collections import OrderedDict

import torchvision
from torch import Tensor, nn
from torchvision.models import MobileNetV2

from maskps.model.stages import Res5, Stem

_STEM = 14  # blocks of stride 16


def build_mobilenet_v2() -> tuple[MobileNetStem, MobileNetRes5]:
    """Returns the two parts with torchvision's random weights."""
    network = torchvision.models.mobilenet_v2(weights=None)
    return MobileNetStem(network), MobileNetRes5(network)


class MobileNetStem(Stem):
    """features.0 to features.13: (B, 3, H, W) -> (B, 96, H/16, W/16)."""

    channels = (16, 24, 32, 96)

    def __init__(self, network: MobileNetV2) -> None:
        super().__init__()
        self.features = network.features[:_STEM]

    @property
    def groups(self) -> list[list[nn.Module]]:
        blocks = list(self.features)
        return [blocks[:2], blocks[2:4], blocks[4:7], blocks[7:]]  # strides 2, 4, 8, 16


class MobileNetRes5(Res5):
    """features.14 to features.18, all that is left but the classifier: (R, 96, 14, 14) -> (R, 1280, 7, 7)."""

    out_channels = 1280

    def __init__(self, network: MobileNetV2) -> None:
        super().__init__()
        parts = OrderedDict((str(index), network.features[index]) for index in range(_STEM, 19))
        self.features = nn.Sequential(parts)

    def forward(self, regions: Tensor) -> Tensor:
        return self.features(regions)
