"""The total loss, Eq. (7)."""

from __future__ import annotations

import pytest
import torch

from maskps.errors import ConfigError
from maskps.losses import LOSS_NAMES, total_loss


def _losses() -> dict[str, torch.Tensor]:
    return {name: torch.tensor(2.0**row, requires_grad=True) for row, name in enumerate(LOSS_NAMES)}


def test_six_losses_have_the_names_of_the_paper() -> None:
    assert set(LOSS_NAMES) == {
        "loss_rpn_cls",
        "loss_rpn_reg",
        "loss_rcnn_cls",
        "loss_rcnn_reg",
        "loss_id",
        "loss_mask",
    }


def test_the_total_is_the_plain_sum() -> None:
    assert total_loss(_losses()).item() == 63


def test_a_mask_weight_of_zero_leaves_the_other_five_and_a_zero_gradient() -> None:
    losses = _losses()
    total = total_loss(losses, {"loss_mask": 0.0})
    total.backward()
    assert total.item() == 31
    assert losses["loss_mask"].grad == 0 and losses["loss_id"].grad == 1


def test_a_weight_for_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="loss_masks"):
        total_loss(_losses(), {"loss_masks": 1.0})


def test_a_missing_loss_is_noticed() -> None:
    losses = _losses()
    del losses["loss_mask"]
    with pytest.raises(AssertionError):
        total_loss(losses)
