"""The mask loss, Eq. (6), against a loop written from it, and lambda of Eq. (7) in a batch."""

from __future__ import annotations

import math

import pytest
import torch

from maskps.losses import batch_mask_loss, mask_loss


def _example(count: int = 3, size: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, size, size, generator=generator, dtype=torch.float64)
    return logits, torch.rand(count, size, size, generator=generator) > 0.5


def _slow_sum(logits: torch.Tensor, targets: torch.Tensor) -> float:
    total = 0.0
    for logit, y in zip(logits.flatten().tolist(), targets.double().flatten().tolist(), strict=True):
        x = 1 / (1 + math.exp(-logit))
        total += -y * math.log(x) - (1 - y) * math.log(1 - x)
    return total


def test_the_sum_is_the_loop_of_eq_6() -> None:
    logits, targets = _example()
    assert mask_loss(logits, targets, reduction="sum").item() == pytest.approx(_slow_sum(logits, targets))


def test_the_default_is_the_mean_over_cells_and_proposals() -> None:
    logits, targets = _example()
    assert mask_loss(logits, targets).item() == pytest.approx(_slow_sum(logits, targets) / 48)


def test_soft_targets_weigh_both_terms() -> None:
    logits, _ = _example()
    targets = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
    assert mask_loss(logits, targets).item() == pytest.approx(_slow_sum(logits, targets) / 48, rel=1e-6)


def test_an_undecided_mask_costs_log_2_per_cell() -> None:
    assert mask_loss(torch.zeros(2, 14, 14), torch.ones(2, 14, 14) > 0).item() == pytest.approx(math.log(2))


def test_gradients_are_those_of_the_function() -> None:
    logits, targets = _example()
    assert torch.autograd.gradcheck(lambda x: mask_loss(x, targets), logits.requires_grad_())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_without_a_proposal_with_mask_it_is_zero_and_has_a_gradient(reduction: str) -> None:
    logits = torch.zeros(0, 14, 14, requires_grad=True)
    loss = mask_loss(logits, torch.zeros(0, 14, 14, dtype=torch.bool), reduction=reduction)
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, targets = _example()
    assert mask_loss(logits.to(torch.bfloat16), targets).dtype == torch.float32


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_images_without_masks_dilute_the_loss_of_a_batch(reduction: str) -> None:
    logits, targets = _example()
    alone = mask_loss(logits, targets, reduction=reduction)
    batch = batch_mask_loss(logits, targets, [0, 3, 0, 0], reduction=reduction)
    assert batch.item() == alone.item() / 4


def test_images_weigh_the_same_however_many_proposals_they_have() -> None:
    logits, targets = _example()
    first, rest = mask_loss(logits[:1], targets[:1]), mask_loss(logits[1:], targets[1:])
    assert batch_mask_loss(logits, targets, [1, 2]).item() == pytest.approx((first + rest).item() / 2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_of_one_is_its_image_to_the_bit(reduction: str) -> None:
    logits, targets = _example()
    results = []
    for loss in (
        lambda x: mask_loss(x, targets, reduction=reduction),
        lambda x: batch_mask_loss(x, targets, [3], reduction=reduction),
    ):
        leaf = logits.float().requires_grad_()
        value = loss(leaf)
        value.backward()
        results.append((value.detach(), leaf.grad))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_a_batch_without_any_mask_is_zero_and_has_a_gradient() -> None:
    logits = torch.zeros(0, 14, 14, requires_grad=True)
    loss = batch_mask_loss(logits, torch.zeros(0, 14, 14, dtype=torch.bool), [0, 0])
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None


def test_half_precision_images_with_and_without_masks_make_a_batch() -> None:
    logits, targets = _example()
    assert batch_mask_loss(logits.to(torch.bfloat16), targets, [3, 0]).dtype == torch.float32
