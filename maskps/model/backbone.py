"""ResNets cut in two at res4 | res5 (Sec. 3.2), with weights from a file, and frozen layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet50_Weights, ResNet101_Weights
from torchvision.models.resnet import Bottleneck

from maskps.errors import ConfigError, InputFileError
from maskps.model.roi_align import RegionGrid

STAGES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "resnet50": (64, (64, 128, 256, 512), (3, 4, 6, 3)),
    "resnet101": (64, (64, 128, 256, 512), (3, 4, 23, 3)),
    "tiny": (16, (16, 32, 64, 128), (1, 2, 2, 1)),
}
"""Per backbone: channels of conv1, and planes and blocks of res2..res5 (a stage puts out 4 x planes)."""

_IMAGENET = {
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": ResNet101_Weights.IMAGENET1K_V1,
}


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


class Stem(nn.Module):
    """conv1 to res4 of a ResNet: (B, 3, H, W) -> (B, `out_channels`, H/16, W/16), Sec. 3.2.

    Parameters carry torchvision's names (conv1, bn1, layer1..layer3), whatever was trained with them loads.
    """

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


class Res5(nn.Module):
    """The last stage: (R, C4, 14, 14) of RoIAlign -> F_p (R, `out_channels`, 7, 7), Sec. 3.2."""

    def __init__(self, in_channels: int, planes: int, blocks: int, norm: type[nn.BatchNorm2d]) -> None:
        super().__init__()
        self.layer4 = _stage(in_channels, planes, blocks, norm, stride=2)
        self.out_channels = planes * 4

    def forward(self, regions: Tensor) -> Tensor:
        return self.layer4(regions)

    def pool(self, features: Tensor, grid: RegionGrid) -> Tensor:
        """Returns `self(grid.pool(features))`, up to rounding, at a lower price.

        The first layers of res5 are two 1x1 convolutions without bias, and these commute with RoIAlign,
        which is linear. So they are computed once per cell of the map rather than once per cell of every
        region, and the one of the shortcut is pooled only where its stride of 2 looks.

        Args:
            features: (B, C4, h, w), of the stem.
            grid: where the regions lie.
        """
        block: Bottleneck = self.layer4[0]
        convolution, norm = block.downsample
        shortcut = norm(grid.pool(F.conv2d(features, convolution.weight), stride=2))
        hidden = block.relu(block.bn1(grid.pool(block.conv1(features))))
        hidden = block.relu(block.bn2(block.conv2(hidden)))
        return self.layer4[1:](block.relu(block.bn3(block.conv3(hidden)) + shortcut))


def split_resnet(
    name: str,
    *,
    pretrained: str | Path = "none",
    frozen_stages: int = 1,
    freeze_batch_norm: str = "stem",
) -> tuple[Stem, Res5]:
    """Returns the two parts of a ResNet, cut between res4 and res5.

    Args:
        name: "resnet50", "resnet101", or "tiny": the same architecture, narrow and shallow, for a CPU.
        pretrained: "imagenet" (torchvision's IMAGENET1K_V1, from the local torch hub folder), "shipped"
            (the file that comes with the package), "none", or the path of a .pth or .safetensors file
            with torchvision's parameter names.
        frozen_stages: 0 trains all, 1 freezes conv1, 2 also res2, 3 also res3, 4 also res4. The paper does
            not say; 1 is the OIM release's.
        freeze_batch_norm: "none", "stem" or "all": whose batch norms keep their statistics and affine
            parameters. With one image a batch, those of the stem are unstable (the release freezes them);
            res5's see a batch of RoIs, and train in the release.

    Raises:
        ConfigError: an unknown name or choice.
        InputFileError: a file of weights that is missing, or does not fit.
    """
    if name not in STAGES:
        raise ConfigError("backbone", expected=f"one of {', '.join(STAGES)}", found=repr(name))
    if freeze_batch_norm not in ("none", "stem", "all"):
        raise ConfigError("freeze_batch_norm", expected="none, stem or all", found=repr(freeze_batch_norm))
    if not 0 <= frozen_stages <= 4:
        raise ConfigError("frozen_stages", expected="0 to 4", found=str(frozen_stages))
    first, planes, blocks = STAGES[name]
    norms = [
        FrozenBatchNorm if freeze_batch_norm != "none" or stage < frozen_stages else nn.BatchNorm2d
        for stage in range(4)
    ]
    stem = Stem(first, planes, blocks, norms)
    last_norm = FrozenBatchNorm if freeze_batch_norm == "all" else nn.BatchNorm2d
    res5 = Res5(planes[2] * 4, planes[3], blocks[3], last_norm)
    for module in [*stem.modules(), *res5.modules()]:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if str(pretrained) != "none":
        load_backbone(stem, res5, pretrained_path(name, pretrained))
    for part in [stem.conv1, stem.layer1, stem.layer2, stem.layer3][:frozen_stages]:
        part.requires_grad_(False)
    return stem, res5


def pretrained_path(name: str, pretrained: str | Path) -> Path:
    """Returns the file that "imagenet", "shipped" or a path stands for; it need not exist.

    Raises:
        ConfigError: "imagenet" for a backbone that torchvision has no weights of.
    """
    if pretrained == "imagenet":
        if name not in _IMAGENET:
            raise ConfigError(
                "pretrained",
                expected=f'"imagenet" with one of {", ".join(_IMAGENET)}',
                found=f'backbone "{name}"',
                hint='"shipped", "none", or the path of a file',
            )
        return Path(torch.hub.get_dir()) / "checkpoints" / _IMAGENET[name].url.rsplit("/", 1)[1]
    if pretrained == "shipped":
        return Path(__file__).parent / "weights" / f"{name}.safetensors"
    return Path(pretrained)


def load_backbone(stem: Stem, res5: Res5, path: Path) -> None:
    """Loads weights with torchvision's names; the classifier "fc" is left out.

    Raises:
        InputFileError: no such file, not a file of weights, or not of this architecture.
    """
    if not path.is_file():
        raise InputFileError(
            path, expected="the weights of the backbone", found="no such file", hint=_where_to_get(path)
        )
    state = _read_weights(path)
    parts = {**stem.state_dict(keep_vars=True), **res5.state_dict(keep_vars=True)}
    for key, value in parts.items():
        if key not in state and not key.endswith("num_batches_tracked"):
            raise InputFileError(
                path, expected=f'a tensor "{key}" {tuple(value.shape)}', found="no such tensor in the file"
            )
        if key in state and state[key].shape != value.shape:
            raise InputFileError(
                path,
                expected=f'"{key}" of shape {tuple(value.shape)}',
                found=f"shape {tuple(state[key].shape)}",
                hint="the file belongs to another backbone",
            )
    for part in (stem, res5):
        part.load_state_dict({key: state[key] for key in part.state_dict() if key in state}, strict=False)


def backbone_state(stem: Stem, res5: Res5) -> dict[str, Tensor]:
    """Returns both parts' parameters and statistics under torchvision's names, as `load_backbone` reads.

    Contiguous, as safetensors wants them.
    """
    state = {**stem.state_dict(), **res5.state_dict()}
    return {key: value.contiguous() for key, value in state.items()}


def _stage(
    in_channels: int, planes: int, blocks: int, norm: type[nn.BatchNorm2d], *, stride: int
) -> nn.Sequential:
    shortcut = nn.Sequential(
        nn.Conv2d(in_channels, planes * 4, 1, stride=stride, bias=False), norm(planes * 4)
    )
    first = Bottleneck(in_channels, planes, stride, shortcut, norm_layer=norm)
    return nn.Sequential(first, *(Bottleneck(planes * 4, planes, norm_layer=norm) for _ in range(blocks - 1)))


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, safetensors.SafetensorError) as error:
        raise InputFileError(
            path,
            expected="weights as .safetensors, or as .pth of tensors",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            hint="the file may be cut off; copy it again",
        ) from error
    except Exception as error:
        # pickle.UnpicklingError and whatever else a file that is no checkpoint makes the unpickler raise
        raise InputFileError(path, expected="a .pth file of tensors", found=type(error).__name__) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputFileError(path, expected="a mapping of names to tensors", found=type(content).__name__)
    return content


def _where_to_get(path: Path) -> str:
    for weights in _IMAGENET.values():
        if weights.url.endswith(path.name):
            return f'download {weights.url} and save it there, or set pretrained to its path, or to "none"'
    return 'set pretrained to the path of a .pth or .safetensors file, or to "none"'
