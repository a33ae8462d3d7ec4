"""The losses of the RPN and of the box head, Eqs. (1) and (2): a loop, and gradients in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from maskps.model import MaskGuidedPersonSearch
from maskps.model.detection import box_losses
from maskps.model.proposals import build_rpn
from maskps.model.rois import SampledRois

LABELS = [torch.tensor([1.0, 0, -1, 1, 0]), torch.tensor([0.0, -1, 0, 0, 1])]
"""Of the anchors of two images: a person, background, neither. All that count are sampled: 4 and 4."""


def _anchors() -> tuple[Tensor, Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    objectness, deltas, wanted = (
        torch.randn(10, width, generator=generator, dtype=torch.float64) for width in (1, 4, 4)
    )
    return objectness, deltas, list(wanted.split(5))


def test_the_losses_of_the_rpn_are_the_loops_of_eqs_1_and_2() -> None:
    """Eq. (2) scaled, quadratic below 1/9; each image's mean over its anchors, then the mean over images."""
    objectness, deltas, wanted = _anchors()
    found = build_rpn(8).compute_loss(objectness, deltas, LABELS, wanted)
    loss_cls = loss_reg = 0.0
    for image in range(2):
        sampled = [row for row in range(5) if LABELS[image][row] >= 0]
        for row in sampled:
            is_person = bool(LABELS[image][row])
            p = 1 / (1 + math.exp(-objectness[image * 5 + row].item()))
            loss_cls -= math.log(p if is_person else 1 - p) / len(sampled) / 2
            for delta, value in zip(
                deltas[image * 5 + row].tolist(), wanted[image][row].tolist(), strict=True
            ):
                d = abs(delta - value)
                distance = 4.5 * d**2 if d < 1 / 9 else d - 1 / 18
                loss_reg += is_person * distance / len(sampled) / 2
    assert [loss.item() for loss in found] == pytest.approx([loss_cls, loss_reg], rel=1e-6)


def test_gradients_of_the_rpns_losses_are_those_of_the_functions() -> None:
    objectness, deltas, wanted = _anchors()
    rpn = build_rpn(8)
    labels = [rows.double() for rows in LABELS]
    assert torch.autograd.gradcheck(
        lambda scores, moves: sum(rpn.compute_loss(scores, moves, labels, wanted)),
        (objectness.requires_grad_(), deltas.requires_grad_()),
    )


def test_gradients_of_the_box_heads_losses_are_those_of_the_functions(
    small_model: Callable[..., MaskGuidedPersonSearch],
) -> None:
    heads = small_model().roi_heads.double()
    head = heads.box_head
    boxes = torch.tensor([[0.0, 0, 10, 20], [5, 5, 25, 45], [50, 50, 60, 90]], dtype=torch.float64)
    matched = torch.tensor([[1.0, 2, 12, 20], [5, 6, 23, 50], [50, 50, 60, 90]], dtype=torch.float64)
    foreground = torch.tensor([True, True, False])
    rois = SampledRois([boxes], foreground, torch.tensor([1, -1, 0]), torch.tensor([0, 1, -1]), matched)
    pooled = torch.randn(3, heads.res5.out_channels, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda features: box_losses(head.logits(features), head.deltas(features, foreground), rois),
        pooled.requires_grad_(),
    )
