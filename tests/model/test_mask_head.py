"""The mask branch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from maskps.model.mask_head import MaskHead


@pytest.mark.parametrize("count", [0, 3])
def test_a_mask_has_twice_the_cells_of_the_features(count: int) -> None:
    assert MaskHead(16, 4)(torch.zeros(count, 16, 7, 7)).shape == (count, 14, 14)


@pytest.mark.parametrize("fine", [0, 5])
def test_a_doubled_mask_has_four_times_the_cells(fine: int) -> None:
    finer = torch.zeros(3, fine, 14, 14) if fine else None
    assert MaskHead(16, 4, fine, doubled=True)(torch.zeros(3, 16, 7, 7), finer).shape == (3, 28, 28)


def test_a_doubled_head_draws_borders_within_a_cell_of_the_smaller_mask() -> None:
    """A border at three quarters of a cell of 14: the smaller mask cannot tell it from one at a half."""
    torch.manual_seed(0)
    features = torch.rand(8, 16, 7, 7) * (torch.rand(8, 1, 7, 7) > 0.5)
    wanted = torch.zeros(8, 7, 4, 7, 4)
    wanted[:, :, :3] = (features.sum(1) > 0).float()[:, :, None, :, None]  # the upper three of four rows
    wanted = wanted.reshape(8, 28, 28)
    head = MaskHead(16, 32, doubled=True)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(head(features), wanted)
        loss.backward()
        optimizer.step()
    assert ((head(features) > 0) == (wanted > 0)).float().mean() > 0.99


def test_each_cell_of_the_features_decides_its_own_four_cells_of_the_mask() -> None:
    head, features = MaskHead(3, 4), torch.randn(1, 3, 7, 7)
    changed = features.clone()
    changed[0, :, 2, 5] += 1
    differs = head(features) != head(changed)
    rows, columns = torch.where(differs[0])
    assert set(rows.tolist()) <= {4, 5} and set(columns.tolist()) <= {10, 11} and differs.any()


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize(("channels", "width", "fine"), [(2048, 256, 0), (512, 64, 0), (512, 64, 64)])
def test_the_logits_start_at_the_size_of_the_features(
    channels: int, width: int, fine: int, doubled: bool
) -> None:
    """A start near 0 is a saddle: the gradient into F_p is in proportion to the last layer's weights."""
    torch.manual_seed(0)
    head = MaskHead(channels, width, fine, doubled=doubled)
    features = torch.randn(20, channels, 7, 7).relu()
    finer = torch.randn(20, fine, 14, 14).relu() if fine else None
    size = head(features, finer).std() / features.pow(2).mean().sqrt()
    assert 0.5 < size < 3


def test_sgd_learns_a_mask_from_small_and_sparse_features() -> None:
    """As F_p of the shipped backbone: a mean square of 0.04, 9 of 10 numbers 0."""
    torch.manual_seed(0)
    masks = (torch.rand(16, 1, 7, 7) > 0.5).float()
    features = torch.rand(16, 512, 7, 7) * (torch.rand(16, 512, 7, 7) > 0.9)
    features[:, :50] *= masks
    wanted = masks.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, 0]
    head = MaskHead(512, 64)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.05, momentum=0.9)
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(head(features), wanted)
        loss.backward()
        optimizer.step()
    assert loss < 0.45  # a start at a deviation of 0.001 is still at 0.635


def test_a_cell_of_the_finer_features_decides_the_cells_within_four_of_it() -> None:
    """Four 3x3 convolutions reach four cells in each direction."""
    torch.manual_seed(0)
    head, features, fine = MaskHead(3, 8, 5), torch.randn(1, 3, 7, 7), torch.randn(1, 5, 14, 14)
    changed = fine.clone()
    changed[0, :, 4, 9] += 3
    rows, columns = torch.where((head(features, fine) != head(features, changed))[0])
    assert set(rows.tolist()) == set(range(9)) and set(columns.tolist()) == set(range(5, 14))
