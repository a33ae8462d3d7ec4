"""The optimiser and its learning rate (Sec. 4.2)."""

from __future__ import annotations

import math

import torch
from torch import nn

from maskps.config import TrainConfig
from maskps.model.backbone import BACKBONES


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Returns the optimiser of the parameters that train, in three groups: weights, biases and norms.

    SGD with momentum (Sec. 4.2 names only it and the rate), or AdamW with torch's betas, on the same groups:

    - weights of convolutions and linear layers decay by `weight_decay`;
    - their biases learn `bias_lr_factor` times as fast and decay by `bias_weight_decay`, as in the OIM
      release (there the bias of the box regressor decays; here it is treated like the others);
    - the parameters of norms, and those the backbone's row of `BACKBONES` lists (such as the layer scales of
      a ConvNeXt, which begin at 1e-6 and only gate their block), learn as fast as weights and do not decay.
    """
    backbone = BACKBONES[config.backbone]
    of_norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, backbone.norms)
        for parameter in module.parameters()
    }
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            never_decays = id(parameter) in of_norms or name.endswith(backbone.no_decay)
            group = norms if never_decays else biases if name.endswith("bias") else weights
            group.append(parameter)
    groups = [
        {"params": weights, "weight_decay": config.weight_decay, "rate_factor": 1.0},
        {"params": biases, "weight_decay": config.bias_weight_decay, "rate_factor": config.bias_lr_factor},
        {"params": norms, "weight_decay": 0.0, "rate_factor": 1.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate)
    return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)


def learning_rate(config: TrainConfig, step: int, *, steps_per_epoch: int) -> float:
    """Returns the rate of a step, counted from 0, for weights and norms; biases have it times their factor.

    - "steps" (Sec. 4.2): multiplied by `lr_factor` from the first step after each of `lr_steps` epochs;
    - "cosine": half a cosine from `learning_rate` down to 0 at the end of the run.

    It also rises linearly over the first `warmup_steps` steps, or `warmup_epochs` epochs; the paper has none.
    """
    if config.schedule == "cosine":
        rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / (config.epochs * steps_per_epoch)))
    else:
        passed = sum(step >= round(epochs * steps_per_epoch) for epochs in config.lr_steps)
        rate = config.learning_rate * config.lr_factor**passed
    warmup = config.warmup_steps or round(config.warmup_epochs * steps_per_epoch)
    return rate * min(1.0, (step + 1) / warmup) if warmup else rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives every group of `build_optimizer` this rate times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
