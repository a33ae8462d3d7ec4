"""The mask branch."""

from __future__ import annotations

import pytest
import torch

from maskps.model.mask_head import MaskHead


@pytest.mark.parametrize("count", [0, 3])
def test_a_mask_has_twice_the_cells_of_the_features(count: int) -> None:
    assert MaskHead(16, 4)(torch.zeros(count, 16, 7, 7)).shape == (count, 14, 14)


def test_each_cell_of_the_features_decides_its_own_four_cells_of_the_mask() -> None:
    head, features = MaskHead(3, 4), torch.randn(1, 3, 7, 7)
    changed = features.clone()
    changed[0, :, 2, 5] += 1
    differs = head(features) != head(changed)
    rows, columns = torch.where(differs[0])
    assert set(rows.tolist()) <= {4, 5} and set(columns.tolist()) <= {10, 11} and differs.any()
