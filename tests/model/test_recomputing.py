"""Activation checkpointing: the same step to the bit, with less kept for the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from maskps.losses import total_loss
from maskps.model import MaskGuidedPersonSearch

Model = Callable[..., MaskGuidedPersonSearch]
Target = Callable[..., dict[str, Any]]

FIELD = {"head": "sequential", "pooling": "max", "embedding_norm": True, "embedding_features": "res4_res5"}

STEPS = {
    "paper": ({"frozen_stages": 1, "freeze_batch_norm": "stem"}, "fp32"),
    "field": (FIELD, "fp32"),
    "field, bf16": (FIELD, "bf16"),
    "frozen": (FIELD | {"frozen_stages": 4, "freeze_batch_norm": "all"}, "fp32"),
}
"""Settings and precision."""


@pytest.mark.parametrize(("settings", "precision"), STEPS.values(), ids=STEPS)
def test_a_step_is_the_same_to_the_bit(
    small_model: Model, images: list[Tensor], target: Target, settings: dict[str, Any], precision: str
) -> None:
    """Losses, gradients, running statistics with their counts, and the random numbers that follow."""
    targets = [target([1, -1], masks=True, seed=None), target([2], masks=False, seed=None)]
    steps = []
    for recompute in (False, True):
        model = small_model(**settings, activation_checkpointing=recompute)
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            losses = model(images, targets)
        total_loss(losses).backward()
        gradients = {name: value.grad for name, value in model.named_parameters() if value.requires_grad}
        steps.append({**losses, **gradients, **dict(model.named_buffers()), "random": torch.rand(1)})
    kept, recomputed = steps
    assert set(kept) == set(recomputed)
    assert not [name for name, value in kept.items() if not torch.equal(value, recomputed[name])]


@pytest.mark.parametrize("head", ["single", "sequential"])
def test_a_tenth_is_kept_for_the_backward_pass(
    small_model: Model, images: list[Tensor], target: Target, head: str
) -> None:
    """Of 6 blocks with some 10 maps each the results of the stages remain, and those of each res5."""
    numbers = []
    for recompute in (False, True):
        model = small_model(head=head, activation_checkpointing=recompute)
        maps: dict[int, int] = {}

        def keep(value: Tensor, maps: dict[int, int] = maps) -> Tensor:
            if value.dim() == 4:
                maps[value.untyped_storage().data_ptr()] = value.numel()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            losses = model(images, [target([1, 2], masks=True), target([3], masks=False)])
        assert losses["loss_mask"].requires_grad  # so the maps are still there
        numbers.append(sum(maps.values()))
    assert numbers[1] < 0.1 * numbers[0]
