"""Backbones by name: how each is built, where its weights come from, and which of them do not decay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import (
    ConvNeXt_Base_Weights,
    ConvNeXt_Tiny_Weights,
    MobileNet_V2_Weights,
    MobileNet_V3_Large_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    WeightsEnum,
    convnext_base,
    convnext_tiny,
    mobilenet_v2,
    mobilenet_v3_large,
)

from maskps.errors import ConfigError, InputFileError
from maskps.model.convnext import build_convnext
from maskps.model.freezing import freeze
from maskps.model.mobilenet import build_mobilenet
from maskps.model.resnet import build_resnet
from maskps.model.stages import Res5, Stem
from maskps.model.tensor_files import is_sound, read_tensors


class Backbone(NamedTuple):
    """What maskps knows of a backbone; see docs/extend/backbone.md.

    Attributes:
        build: returns its two parts with random weights.
        imagenet: torchvision's weights, for `pretrained = "imagenet"`; None if there are none.
        norms: layers whose parameters never decay.
        no_decay: endings of the names of other parameters that never decay.
    """

    build: Callable[[], tuple[Stem, Res5]]
    imagenet: WeightsEnum | None = None
    norms: tuple[type[nn.Module], ...] = (nn.BatchNorm2d, nn.BatchNorm1d)
    no_decay: tuple[str, ...] = ()


BACKBONES = {
    "resnet50": Backbone(
        partial(build_resnet, 64, (64, 128, 256, 512), (3, 4, 6, 3)), ResNet50_Weights.IMAGENET1K_V1
    ),
    "resnet101": Backbone(
        partial(build_resnet, 64, (64, 128, 256, 512), (3, 4, 23, 3)), ResNet101_Weights.IMAGENET1K_V1
    ),
    "convnext_tiny": Backbone(
        partial(build_convnext, convnext_tiny),
        ConvNeXt_Tiny_Weights.IMAGENET1K_V1,
        norms=(nn.LayerNorm, nn.BatchNorm1d),
        no_decay=("layer_scale",),
    ),
    "convnext_base": Backbone(
        partial(build_convnext, convnext_base),
        ConvNeXt_Base_Weights.IMAGENET1K_V1,
        norms=(nn.LayerNorm, nn.BatchNorm1d),
        no_decay=("layer_scale",),
    ),
    "mobilenet_v2": Backbone(partial(build_mobilenet, mobilenet_v2, 14), MobileNet_V2_Weights.IMAGENET1K_V1),
    "mobilenet_v3_large": Backbone(
        partial(build_mobilenet, mobilenet_v3_large, 13), MobileNet_V3_Large_Weights.IMAGENET1K_V2
    ),
    "tiny": Backbone(partial(build_resnet, 16, (16, 32, 64, 128), (1, 2, 2, 1))),
}
"""By the name that the setting `backbone` takes."""


def split_backbone(
    name: str,
    *,
    pretrained: str | Path = "none",
    frozen_stages: int = 1,
    freeze_batch_norm: str = "stem",
) -> tuple[Stem, Res5]:
    """Returns the two parts of a backbone, cut before its last stage: res4 | res5 in a ResNet (Sec. 3.2).

    Args:
        name: one of `BACKBONES`.
        pretrained: "imagenet" (torchvision's weights, from the local torch hub folder), "shipped" (the file
            that comes with the package), "none", or the path of a .pth or .safetensors file with
            torchvision's parameter names.
        frozen_stages: how many stages do not train: 1 freezes conv1, 2 also res2, 3 also res3, 4 also res4.
            The paper does not say; 1 is the OIM release's.
        freeze_batch_norm: "none", "stem" or "all": the parts whose batch norms keep their statistics, scales
            and shifts. The OIM release freezes those of the stem, which are unstable with one image a batch;
            those of res5 see a batch of RoIs, and train. Other norms keep no statistics, and train unless
            `frozen_stages` freezes them.

    Raises:
        ConfigError: an unknown name or choice.
        InputFileError: a file of weights that is missing, or does not fit.
    """
    if name not in BACKBONES:
        raise ConfigError("backbone", expected=f"one of {', '.join(BACKBONES)}", found=repr(name))
    stem, res5 = BACKBONES[name].build()
    freeze(stem, res5, stages=frozen_stages, batch_norm=freeze_batch_norm)
    if str(pretrained) != "none":
        load_backbone(stem, res5, pretrained_path(name, pretrained))
    return stem, res5


def pretrained_path(name: str, pretrained: str | Path) -> Path:
    """Returns the file that "imagenet", "shipped" or a path stands for; it need not exist.

    Raises:
        ConfigError: "imagenet" for a backbone without ImageNet weights.
    """
    if pretrained == "imagenet":
        weights = BACKBONES[name].imagenet
        if weights is None:
            known = [one for one, backbone in BACKBONES.items() if backbone.imagenet is not None]
            raise ConfigError(
                "pretrained",
                expected=f'"imagenet" with one of {", ".join(known)}',
                found=f'backbone "{name}"',
                hint='"shipped", "none", or the path of a file',
            )
        return Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
    if pretrained == "shipped":
        folder = Path(__file__).parent / "weights"
        return next(folder.glob(f"{name}-*.safetensors"), folder / f"{name}.safetensors")
    return Path(pretrained)


def load_backbone(stem: Stem, res5: Res5, path: Path) -> None:
    """Loads weights with torchvision's names; ignores those of the classifier.

    Raises:
        InputFileError: no such file, a damaged one, not a file of weights, or not of this architecture.
    """
    state = read_tensors(
        path,
        what="the weights of a backbone, as .safetensors or as .pth of tensors",
        if_missing=_where_to_get(path),
        if_broken="the file may be cut off; copy it again",
    )
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputFileError(path, expected="a mapping of names to tensors", found=type(state).__name__)
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
        if key in state and not (
            is_sound(state[key]) and state[key].is_floating_point() == value.is_floating_point()
        ):
            raise InputFileError(
                path,
                expected=f'"{key}" as finite numbers, {value.dtype}',
                found=f"{state[key].dtype}, or numbers that are not finite",
                hint="the file is damaged, or quantized; take the original one",
            )
    for part in (stem, res5):
        part.load_state_dict({key: state[key] for key in part.state_dict() if key in state}, strict=False)


def backbone_state(stem: Stem, res5: Res5) -> dict[str, Tensor]:
    """Returns both parts' parameters and statistics as `load_backbone` reads them: contiguous, under
    torchvision's names."""
    state = {**stem.state_dict(), **res5.state_dict()}
    return {key: value.contiguous() for key, value in state.items()}


def _where_to_get(path: Path) -> str:
    for weights in (backbone.imagenet for backbone in BACKBONES.values()):
        if weights is not None and weights.url.endswith(path.name):
            return f'download {weights.url} and save it there, or set pretrained to its path, or to "none"'
    return 'set pretrained to the path of a .pth or .safetensors file, or to "none"'
