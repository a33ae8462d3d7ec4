"""The numbers a step computes with: float32, or bfloat16 where that does no harm."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from maskps.config import TrainConfig
from maskps.errors import ConfigError


def autocast_for(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    """Returns what the network's forward pass, and it alone, is to run within: one is needed per pass.

    With `precision = "bf16"` convolutions run in bfloat16, whose range is that of float32: losses need no
    scaling. Weights, gradients and the optimiser stay in float32; so do, within the pass, RoIAlign, the box,
    score and embedding layers, anchors and box coding, OIM, and all six losses.

    Raises:
        ConfigError: the device has no bfloat16.
    """
    if config.precision == "fp32":
        return nullcontext()
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            "precision",
            expected="a device with bfloat16 (NVIDIA: Ampere, of 2020, or later)",
            found=torch.cuda.get_device_name(device),
            hint="--set precision=fp32",
        )
    return torch.autocast(device.type, dtype=torch.bfloat16)
