"""ResNets of bottleneck blocks, cut in two at res4 | res5 (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck

from maskps.model.roi_align import RegionGrid
from maskps.model.stages import Res5, Stem


def build_resnet(first: int, planes: Sequence[int], blocks: Sequence[int]) -> tuple[ResNetStem, ResNetRes5]:
    """Returns the two parts with random weights.

    Args:
        first: channels of conv1.
        planes: of res2 to res5, each of which has four times as many channels.
        blocks: of res2 to res5.
    """
    stem = ResNetStem(first, planes, blocks)
    res5 = ResNetRes5(planes[2] * 4, planes[3], blocks[3])
    for module in [*stem.modules(), *res5.modules()]:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stem, res5


class ResNetStem(Stem):
    """conv1 to res4: (B, 3, H, W) -> (B, C4, H/16, W/16), Sec. 3.2."""

    def __init__(self, first: int, planes: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(first, planes[0], blocks[0], stride=1)
        self.layer2 = _stage(planes[0] * 4, planes[1], blocks[1], stride=2)
        self.layer3 = _stage(planes[1] * 4, planes[2], blocks[2], stride=2)
        self.channels = (first, planes[0] * 4, planes[1] * 4, planes[2] * 4)

    @property
    def groups(self) -> list[list[nn.Module]]:
        return [[self.conv1, self.bn1, self.relu, self.maxpool], [self.layer1], [self.layer2], [self.layer3]]


class ResNetRes5(Res5):
    """The last stage: (R, C4, 14, 14) of RoIAlign -> F_p (R, `out_channels`, 7, 7), Sec. 3.2."""

    def __init__(self, in_channels: int, planes: int, blocks: int) -> None:
        super().__init__()
        self.layer4 = _stage(in_channels, planes, blocks, stride=2)
        self.out_channels = planes * 4

    def forward(self, regions: Tensor) -> Tensor:
        return self.layer4(regions)

    def pool(self, features: Tensor, grid: RegionGrid) -> Tensor:
        """Returns `self(grid.pool(features))`, up to rounding, in less time; arguments as `Res5.pool`.

        res5 begins with two 1x1 convolutions without bias. RoIAlign is linear, so they commute with it: they
        run once per cell of the map instead of once per cell of every region. The shortcut's convolution has
        stride 2, so its map is pooled at every second cell only.
        """
        block: Bottleneck = self.layer4[0]
        convolution, norm = block.downsample
        shortcut = norm(grid.pool(F.conv2d(features, convolution.weight), stride=2))
        hidden = block.relu(block.bn1(grid.pool(block.conv1(features))))
        hidden = block.relu(block.bn2(block.conv2(hidden)))
        return self.layer4[1:](block.relu(block.bn3(block.conv3(hidden)) + shortcut))


def _stage(in_channels: int, planes: int, blocks: int, *, stride: int) -> nn.Sequential:
    shortcut = nn.Sequential(
        nn.Conv2d(in_channels, planes * 4, 1, stride=stride, bias=False), nn.BatchNorm2d(planes * 4)
    )
    first = Bottleneck(in_channels, planes, stride, shortcut)
    return nn.Sequential(first, *(Bottleneck(planes * 4, planes) for _ in range(blocks - 1)))
