"""RoIAlign by matrix products against torchvision's kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from maskps.model.roi_align import RegionGrid

SIZE = (9, 12)


def _maps(channels: int = 3, *, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *SIZE, generator=torch.Generator().manual_seed(0))


BOXES = {
    "inside": [[20.0, 10, 90, 120], [3.3, 4.7, 160.2, 99.9]],
    "at the borders": [[0.0, 0, 192, 144], [0, 0, 16, 16], [176, 128, 192, 144]],
    "beyond the borders": [[-60.0, -40, 50, 60], [150, 100, 260, 300], [-200, -200, -100, -100]],
    "thinner than a cell": [[50.0, 50, 51, 120], [33.3, 70, 33.4, 70.1]],
    "without area": [[40.0, 40, 40, 40], [60, 20, 60, 90]],
    "a line long": [[3.0, 40, 190, 41], [-30, 143, 200, 144], [100, -8, 101, 160]],
}


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("kind", list(BOXES))
def test_values_and_gradients_are_those_of_torchvisions_roi_align(kind: str, aligned: bool) -> None:
    boxes = [torch.tensor(BOXES[kind]), torch.tensor(BOXES[kind][:1])]
    maps, same = _maps().requires_grad_(), _maps().requires_grad_()
    pooled = RegionGrid(boxes, SIZE, 14, aligned=aligned).pool(maps)
    expected = roi_align(same, boxes, 14, 1 / 16, sampling_ratio=2, aligned=aligned)
    torch.testing.assert_close(pooled, expected, atol=2e-5, rtol=1e-5)
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1))
    for output in (pooled, expected):
        (output * weights).sum().backward()
    torch.testing.assert_close(maps.grad, same.grad, atol=1e-4, rtol=1e-5)


def test_a_stride_of_two_is_every_second_cell() -> None:
    grid = RegionGrid([torch.tensor(BOXES["inside"])], SIZE, 14)
    maps = _maps(batch=1)
    torch.testing.assert_close(grid.pool(maps, stride=2), grid.pool(maps)[:, :, ::2, ::2])


def test_regions_computed_in_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = RegionGrid([torch.tensor(BOXES["inside"] * 4)], SIZE, 6)
    whole = grid.pool(_maps(batch=1))
    monkeypatch.setattr("maskps.model.roi_align._CHUNK_ELEMENTS", 500)
    torch.testing.assert_close(grid.pool(_maps(batch=1)), whole)


def test_regions_reduced_chunk_by_chunk_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = RegionGrid([torch.tensor(BOXES["inside"] * 4)] * 2, SIZE, 6)
    expected = grid.pool(_maps()).amax(dim=(2, 3))
    monkeypatch.setattr("maskps.model.roi_align._CHUNK_ELEMENTS", 500)
    sizes = []

    def largest(regions: torch.Tensor) -> torch.Tensor:
        sizes.append(len(regions))
        return regions.amax(dim=(2, 3))

    torch.testing.assert_close(grid.pool(_maps(), then=largest), expected)
    assert len(sizes) > 2 and sum(sizes) == len(expected)


def test_images_without_boxes_give_no_regions() -> None:
    pooled = RegionGrid([torch.zeros(0, 4), torch.zeros(0, 4)], SIZE, 14).pool(_maps())
    assert pooled.shape == (0, 3, 14, 14)


def test_gradients_are_those_of_the_function() -> None:
    grid = RegionGrid([torch.tensor(BOXES["inside"])], SIZE, 4)
    maps = _maps(2, batch=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: grid.pool(x, stride=2), maps)


def test_under_autocast_it_is_computed_in_float32() -> None:
    grid = RegionGrid([torch.tensor(BOXES["inside"])], SIZE, 14)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = grid.pool(_maps(batch=1))
    assert torch.equal(pooled, grid.pool(_maps(batch=1)))
