"""The optimiser and its learning rate (Sec. 4.2)."""

from __future__ import annotations

import math

import torch
from torch import nn

from maskps.training.config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """Returns SGD over the parameters that train, in three groups: weights, biases and norms.

    The paper says SGD and the rate only. As in the OIM release, the biases of convolutions and linear layers
    learn `bias_lr_factor` times as fast and have a weight decay of their own, `bias_weight_decay`; scales and
    shifts of batch norms learn as fast as weights and do not decay. (In the release the bias of the box
    regressor alone does decay; here it is a bias like the others.)
    """
    of_norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.BatchNorm2d)
        for parameter in module.parameters()
    }
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_bias = name.endswith("bias")
            group = norms if id(parameter) in of_norms else biases if is_bias else weights
            group.append(parameter)
    return torch.optim.SGD(
        [
            {"params": weights, "weight_decay": config.weight_decay, "rate_factor": 1.0},
            {
                "params": biases,
                "weight_decay": config.bias_weight_decay,
                "rate_factor": config.bias_lr_factor,
            },
            {"params": norms, "weight_decay": 0.0, "rate_factor": 1.0},
        ],
        lr=config.learning_rate,
        momentum=config.momentum,
    )


def learning_rate(config: TrainConfig, step: int, *, steps_per_epoch: int) -> float:
    """Returns the rate of a step, counted from 0, for weights and norms; biases have it times their factor.

    - "steps" (Sec. 4.2): multiplied by `lr_factor` from the first step after each of `lr_steps` epochs;
    - "cosine": half a cosine from `learning_rate` down to 0 at the end of the run.

    Over the first `warmup_steps` steps it also rises linearly; the paper has none.
    """
    if config.schedule == "cosine":
        rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / (config.epochs * steps_per_epoch)))
    else:
        passed = sum(step >= round(epochs * steps_per_epoch) for epochs in config.lr_steps)
        rate = config.learning_rate * config.lr_factor**passed
    return rate * min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else rate


def set_learning_rate(optimizer: torch.optim.SGD, rate: float) -> None:
    """Gives every group of `build_optimizer` this rate times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
