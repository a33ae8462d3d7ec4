"""Learning rates (Sec. 4.2) and the optimiser's groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from maskps.model import build_model
from maskps.training import TrainConfig
from maskps.training.schedule import build_optimizer, learning_rate, set_learning_rate


def test_the_paper_divides_the_rate_by_ten_at_every_fourth_epoch() -> None:
    rates = [learning_rate(TrainConfig(), step, steps_per_epoch=100) for step in range(1200)]
    assert rates[:400] == [4e-4] * 400
    assert rates[400:800] == pytest.approx([4e-5] * 400)
    assert rates[800:] == pytest.approx([4e-6] * 400)


def test_the_cosine_falls_from_the_rate_towards_zero() -> None:
    config = TrainConfig(schedule="cosine", learning_rate=1.0, epochs=2)
    rates = [learning_rate(config, step, steps_per_epoch=50) for step in range(100)]
    assert rates[0] == 1
    assert rates[50] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert rates == sorted(rates, reverse=True)


def test_the_warm_up_rises_linearly_to_the_rate() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=4)
    rates = [learning_rate(config, step, steps_per_epoch=100) for step in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1]


def test_the_warm_up_may_be_given_in_epochs() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_epochs=0.5)
    rates = [learning_rate(config, step, steps_per_epoch=8) for step in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1]


def test_biases_learn_twice_as_fast_and_norms_do_not_and_neither_decays() -> None:
    """As lr_mult and decay_mult in models/psdb/resnet50/train.prototxt of the OIM release."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))
    optimizer = build_optimizer(model, TrainConfig())
    set_learning_rate(optimizer, 0.5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        ([names[id(one)] for one in group["params"]], group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
    ]
    assert groups == [
        (["0.weight", "2.weight"], 0.5, 5e-4),
        (["0.bias", "2.bias"], 1.0, 0.0),
        (["1.weight", "1.bias"], 0.5, 0.0),
    ]
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}


def test_adamw_has_the_same_groups(make_config: Callable[..., TrainConfig]) -> None:
    model = build_model(make_config(), 3)
    sgd, adamw = (build_optimizer(model, make_config(optimizer=name)) for name in ("sgd", "adamw"))
    assert isinstance(adamw, torch.optim.AdamW) and isinstance(sgd, torch.optim.SGD)
    for one, other in zip(sgd.param_groups, adamw.param_groups, strict=True):
        assert all(a is b for a, b in zip(one["params"], other["params"], strict=True))
        assert all(one[key] == other[key] for key in ("lr", "weight_decay", "rate_factor"))


def test_layer_norms_and_layer_scales_do_not_decay(make_config: Callable[..., TrainConfig]) -> None:
    config = make_config(backbone="convnext_tiny", optimizer="adamw")
    model = build_model(config, 3)
    weights, biases, norms = (
        {id(one) for one in group["params"]} for group in build_optimizer(model, config).param_groups
    )
    of_stem = dict(model.stem.named_parameters())
    assert id(of_stem["features.1.0.layer_scale"]) in norms
    assert {id(of_stem[f"features.1.0.block.2.{name}"]) for name in ("weight", "bias")} <= norms
    assert {id(of_stem[f"features.2.0.{name}"]) for name in ("weight", "bias")} <= norms
    assert id(of_stem["features.1.0.block.3.weight"]) in weights
    assert id(of_stem["features.1.0.block.3.bias"]) in biases


@pytest.mark.parametrize("freeze_batch_norm", ["none", "stem", "all"])
def test_every_parameter_that_trains_is_in_one_group_and_frozen_ones_in_none(
    make_config: Callable[..., TrainConfig], freeze_batch_norm: str
) -> None:
    config = make_config(frozen_stages=1, freeze_batch_norm=freeze_batch_norm)
    model = build_model(config, 3)
    grouped = [id(one) for group in build_optimizer(model, config).param_groups for one in group["params"]]
    assert sorted(grouped) == sorted(id(one) for one in model.parameters() if one.requires_grad)
    assert id(model.stem.conv1.weight) not in grouped
