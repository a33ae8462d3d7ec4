"""Boxes as deltas: a value worked out by hand, the inverse, and the limit."""

from __future__ import annotations

import math

import pytest
import torch

from maskps.model.box_deltas import apply_deltas, deltas_to

START = torch.tensor([[10.0, 20, 30, 60]])  # centre (20, 40), 20 x 40 pixels


def test_deltas_worked_out_by_hand() -> None:
    # Centre (25, 30), 40 x 20 pixels: shifts of 5/20 and -10/40, sizes of 2 and 1/2.
    deltas = deltas_to(torch.tensor([[5.0, 20, 45, 40]]), start=START)
    expected = [10 * 0.25, 10 * -0.25, 5 * math.log(2), 5 * math.log(0.5)]
    assert deltas[0].tolist() == pytest.approx(expected)


def test_no_deltas_are_the_box_itself() -> None:
    assert torch.equal(apply_deltas(torch.zeros(1, 4), start=START), START)


def test_applying_the_deltas_to_a_box_gives_it_back() -> None:
    generator = torch.Generator().manual_seed(0)
    corners, sizes = torch.rand(2, 50, 4, generator=generator).mul(90).add(1).split(2, dim=2)
    boxes, start = torch.cat([corners, corners + sizes], dim=2)
    torch.testing.assert_close(apply_deltas(deltas_to(boxes, start=start), start=start), boxes)


@pytest.mark.parametrize("delta", [5 * math.log(1000 / 16), 21.0, 1e6])
def test_a_box_grows_to_at_most_a_thousand_sixteenths(delta: float) -> None:
    (box,) = apply_deltas(torch.tensor([[0.0, 0, delta, 0]]), start=START)
    assert (box[2] - box[0]).item() == pytest.approx(20 * 62.5, rel=1e-5)
    assert (box[3] - box[1]).item() == 40


def test_no_boxes_have_no_deltas() -> None:
    nothing = torch.zeros(0, 4)
    assert deltas_to(nothing, start=nothing).shape == apply_deltas(nothing, start=nothing).shape == (0, 4)
