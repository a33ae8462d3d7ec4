"""Layers of a backbone that do not train: whole stages, and batch norms with fixed statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskps.errors import ConfigError
from maskps.model.stages import Res5, Stem


def freeze(stem: Stem, res5: Res5, *, stages: int, batch_norm: str) -> None:
    """Freezes the first stages of a backbone, and some of its batch norms.

    Args:
        stages: how many of `stem.groups` do not train, 0 to 4. Their batch norms are frozen, too.
        batch_norm: "none", "stem" or "all": the parts whose batch norms are frozen in every stage.

    Raises:
        ConfigError: another value.
    """
    if batch_norm not in ("none", "stem", "all"):
        raise ConfigError("freeze_batch_norm", expected="none, stem or all", found=repr(batch_norm))
    if not 0 <= stages <= 4:
        raise ConfigError("frozen_stages", expected="0 to 4", found=str(stages))
    tops = [top for group in stem.groups[:stages] for top in group]
    frozen = {module for top in tops for module in top.modules()}
    if batch_norm != "none":
        frozen.update(stem.modules())
    if batch_norm == "all":
        frozen.update(res5.modules())
    for parent in [*stem.modules(), *res5.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d) and child in frozen:
                setattr(parent, name, FrozenBatchNorm(child.num_features, child.eps))
    for top in tops:
        top.requires_grad_(False)


class FrozenBatchNorm(nn.BatchNorm2d):
    """A batch norm that stays in evaluation mode: x * scale + shift, without anything that trains.

    One pass computes it. The backward pass of nn.BatchNorm2d does not know that all is fixed: it keeps the
    features, and forward and backward together take a third longer on a CPU. torchvision's FrozenBatchNorm2d
    takes two passes, and leaves `num_batches_tracked` out of the state dict.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps)
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
