"""Backbones by name, cut in two before their last stage, with weights from a file, and frozen layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torchvision.models import ConvNeXt_Tiny_Weights, ResNet50_Weights, ResNet101_Weights

from maskps.errors import ConfigError, InputFileError
from maskps.model.convnext import build_convnext_tiny
from maskps.model.resnet import STAGES, build_resnet
from maskps.model.stages import Res5, Stem

BACKBONES = (*STAGES, "convnext_tiny")

_IMAGENET = {
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": ResNet101_Weights.IMAGENET1K_V1,
    "convnext_tiny": ConvNeXt_Tiny_Weights.IMAGENET1K_V1,
}


def split_backbone(
    name: str,
    *,
    pretrained: str | Path = "none",
    frozen_stages: int = 1,
    freeze_batch_norm: str = "stem",
) -> tuple[Stem, Res5]:
    """Returns the two parts of a backbone, cut before its last stage: res4 | res5 in a ResNet (Sec. 3.2).

    Args:
        name: "resnet50", "resnet101" (Table 3), "convnext_tiny", or "tiny": a ResNet, narrow and shallow, for
            a CPU.
        pretrained: "imagenet" (torchvision's IMAGENET1K_V1, from the local torch hub folder), "shipped"
            (the file that comes with the package), "none", or the path of a .pth or .safetensors file
            with torchvision's parameter names.
        frozen_stages: 0 trains all, 1 freezes conv1, 2 also res2, 3 also res3, 4 also res4; of a ConvNeXt
            likewise the first convolution and its norm, then a stage after the other. The paper does not
            say; 1 is the OIM release's.
        freeze_batch_norm: "none", "stem" or "all": whose batch norms keep their statistics and affine
            parameters. With one image a batch, those of the stem are unstable (the release freezes them);
            res5's see a batch of RoIs, and train in the release. A ConvNeXt has no batch norms, and its
            layer norms no statistics: they train unless `frozen_stages` freezes them.

    Raises:
        ConfigError: an unknown name or choice.
        InputFileError: a file of weights that is missing, or does not fit.
    """
    if name not in BACKBONES:
        raise ConfigError("backbone", expected=f"one of {', '.join(BACKBONES)}", found=repr(name))
    if freeze_batch_norm not in ("none", "stem", "all"):
        raise ConfigError("freeze_batch_norm", expected="none, stem or all", found=repr(freeze_batch_norm))
    if not 0 <= frozen_stages <= 4:
        raise ConfigError("frozen_stages", expected="0 to 4", found=str(frozen_stages))
    stem: Stem
    res5: Res5
    if name == "convnext_tiny":
        stem, res5 = build_convnext_tiny()
    else:
        stem, res5 = build_resnet(name, frozen_stages=frozen_stages, freeze_batch_norm=freeze_batch_norm)
    if str(pretrained) != "none":
        load_backbone(stem, res5, pretrained_path(name, pretrained))
    for group in stem.groups[:frozen_stages]:
        for module in group:
            module.requires_grad_(False)
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
