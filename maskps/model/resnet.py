"""ResNets cut in two at res4 | res5 (Sec. 3.2), with frozen batch norms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck

from maskps.model.roi_align import RegionGrid
from maskps.model.stages import Res5, Stem

STAGES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "resnet50": (64, (64, 128, 256, 512), (3, 4, 6, 3)),
    "resnet101": (64, (64, 128, 256, 512), (3, 4, 23, 3)),
    "tiny": (16, (16, 32, 64, 128), (1, 2, 2, 1)),
}
"""Per backbone: channels of conv1, and planes and blocks of res2..res5 (a stage puts out 4 x planes)."""


def build_resnet(name: str, *, frozen_stages: int, freeze_batch_norm: str) -> tuple[ResNetStem, ResNetRes5]:
    """Returns the two parts with random weights; arguments as `maskps.model.backbone.split_backbone`."""
    first, planes, blocks = STAGES[name]
    norms = [
        FrozenBatchNorm if freeze_batch_norm != "none" or stage < frozen_stages else nn.BatchNorm2d
        for stage in range(4)
    ]
    stem = ResNetStem(first, planes, blocks, norms)
    last_norm = FrozenBatchNorm if freeze_batch_norm == "all" else nn.BatchNorm2d
    res5 = ResNetRes5(planes[2] * 4, planes[3], blocks[3], last_norm)
    for module in [*stem.modules(), *res5.modules()]:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stem, res5


class FrozenBatchNorm(nn.BatchNorm2d):
    """A batch norm that stays in evaluation mode: x * scale + shift, with nothing in it that trains.

    Computed as just that, in one pass: the backward pass of nn.BatchNorm2d does not know that all is fixed
    (forward and backward together take a third longer on a CPU) and keeps the features for it.
    torchvision's FrozenBatchNorm2d takes two passes, and leaves `num_batches_tracked` out of the state dict.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> FrozenBatchNorm:
        super().train(False)
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Returns the normalised features (B, C, h, w), of their dtype and memory format."""
        assert self.running_mean is not None and self.running_var is not None
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        scale, shift = (values.to(features.dtype)[:, None, None] for values in (scale, shift))
        return torch.addcmul(shift, features, scale)


class ResNetStem(Stem):
    """conv1 to res4: (B, 3, H, W) -> (B, `out_channels`, H/16, W/16), Sec. 3.2."""

    def __init__(
        self, first: int, planes: Sequence[int], blocks: Sequence[int], norms: Sequence[type[nn.BatchNorm2d]]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3, bias=False)
        self.bn1 = norms[0](first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(first, planes[0], blocks[0], norms[1], stride=1)
        self.layer2 = _stage(planes[0] * 4, planes[1], blocks[1], norms[2], stride=2)
        self.layer3 = _stage(planes[1] * 4, planes[2], blocks[2], norms[3], stride=2)
        self.out_channels = planes[2] * 4

    def forward(self, images: Tensor) -> Tensor:
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer3(self.layer2(self.layer1(features)))

    @property
    def groups(self) -> list[list[nn.Module]]:
        # The norms in them are frozen by their class.
        return [[self.conv1], [self.layer1], [self.layer2], [self.layer3]]


class ResNetRes5(Res5):
    """The last stage: (R, C4, 14, 14) of RoIAlign -> F_p (R, `out_channels`, 7, 7), Sec. 3.2."""

    def __init__(self, in_channels: int, planes: int, blocks: int, norm: type[nn.BatchNorm2d]) -> None:
        super().__init__()
        self.layer4 = _stage(in_channels, planes, blocks, norm, stride=2)
        self.out_channels = planes * 4

    def forward(self, regions: Tensor) -> Tensor:
        return self.layer4(regions)

    def pool(self, features: Tensor, grid: RegionGrid) -> Tensor:
        """Returns `self(grid.pool(features))`, up to rounding, at a lower price; arguments as `Res5.pool`.

        The first layers of res5 are two 1x1 convolutions without bias, and these commute with RoIAlign,
        which is linear. So they are computed once per cell of the map rather than once per cell of every
        region, and the one of the shortcut is pooled only where its stride of 2 looks.
        """
        block: Bottleneck = self.layer4[0]
        convolution, norm = block.downsample
        shortcut = norm(grid.pool(F.conv2d(features, convolution.weight), stride=2))
        hidden = block.relu(block.bn1(grid.pool(block.conv1(features))))
        hidden = block.relu(block.bn2(block.conv2(hidden)))
        return self.layer4[1:](block.relu(block.bn3(block.conv3(hidden)) + shortcut))


def _stage(
    in_channels: int, planes: int, blocks: int, norm: type[nn.BatchNorm2d], *, stride: int
) -> nn.Sequential:
    shortcut = nn.Sequential(
        nn.Conv2d(in_channels, planes * 4, 1, stride=stride, bias=False), norm(planes * 4)
    )
    first = Bottleneck(in_channels, planes, stride, shortcut, norm_layer=norm)
    return nn.Sequential(first, *(Bottleneck(planes * 4, planes, norm_layer=norm) for _ in range(blocks - 1)))
