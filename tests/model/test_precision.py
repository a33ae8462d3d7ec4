"""Under autocast the network computes in bfloat16 what may be, and everything else in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from maskps.model import MaskGuidedPersonSearch
from maskps.model.precision import (
    FullPrecisionAnchors,
    FullPrecisionLinear,
    max_over_cells,
    mean_over_cells,
)

Model = Callable[..., MaskGuidedPersonSearch]
Target = Callable[..., dict[str, Any]]


def _bf16(enabled: bool = True) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


@pytest.fixture
def features() -> Tensor:
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


def test_a_full_precision_layer_is_that_layer_without_autocast(features: Tensor) -> None:
    layer = FullPrecisionLinear(8, 3)
    with _bf16():
        inside = layer(features)
    assert torch.equal(inside, layer(features)) and inside.dtype == torch.float32


def test_a_full_precision_layer_takes_features_of_half_precision(features: Tensor) -> None:
    layer = FullPrecisionLinear(8, 3)
    with _bf16():
        inside = layer(features.bfloat16())
    assert torch.equal(inside, layer(features.bfloat16().float()))


def test_anchors_do_not_depend_on_the_dtype_of_the_features() -> None:
    """In bfloat16 they would be off by several pixels: 8 bits, and images of 1,000 pixels."""
    images = ImageList(torch.zeros(1, 3, 640, 1008), [(640, 1008)])
    found = [
        FullPrecisionAnchors(((37, 301),), ((0.5, 2.0),))(images, [torch.zeros(1, 4, 40, 63, dtype=dtype)])[0]
        for dtype in (torch.float32, torch.bfloat16, torch.float64)
    ]
    assert [anchors.dtype for anchors in found] == [torch.float32, torch.float32, torch.float64]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0].double(), found[2])


def test_the_mean_over_cells_is_not_rounded() -> None:
    regions = torch.full((1, 1, 7, 7), 256.0, dtype=torch.bfloat16)
    regions[0, 0, 0, 0] = 258
    assert mean_over_cells(regions).item() == pytest.approx(256 + 2 / 49, abs=1e-3)
    assert mean_over_cells(regions.double()).dtype == torch.float64


def test_maxima_keep_their_places_and_not_the_regions() -> None:
    """Also of equal maxima: only one of them gets the gradient."""
    regions = torch.rand(5, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    regions[0, 0, 2, 3] = regions[0, 0, 6, 1] = 2.0
    regions = regions.contiguous(memory_format=torch.channels_last).requires_grad_()
    kept: list[int] = []

    def keep(value: torch.Tensor) -> torch.Tensor:
        kept.append(value.numel())
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        pooled = max_over_cells(regions)
    assert torch.equal(pooled, regions.amax(dim=(2, 3))) and kept == [15]
    pooled.sum().backward()
    assert regions.grad is not None and torch.equal(regions.grad.sum(dim=(2, 3)), torch.ones(5, 3))
    assert torch.equal((regions * regions.grad).sum(dim=(2, 3)), pooled)
    assert int(regions.grad.count_nonzero()) == 15
    assert max_over_cells(regions.bfloat16()).dtype == torch.float32
    assert max_over_cells(regions[:0]).shape == (0, 3)


def test_the_stem_computes_in_bfloat16(small_model: Model) -> None:
    with _bf16():
        assert small_model().stem(torch.zeros(1, 3, 64, 64)).dtype == torch.bfloat16


@pytest.mark.parametrize("freeze_batch_norm", ["none", "all"])
def test_losses_are_float32_and_close_to_those_without_autocast(
    small_model: Model, images: list[Tensor], target: Target, freeze_batch_norm: str
) -> None:
    """On the same proposals: rounding changes their order, and so which of them are sampled."""
    targets = [target([1, 2, -1], masks=True), target([3], masks=True)]
    proposals = [target["boxes"] + torch.tensor([3.0, -4, 5, 2]) for target in targets]
    found = []
    for enabled in (False, True):
        model = small_model(freeze_batch_norm=freeze_batch_norm)
        torch.nn.init.eye_(model.roi_heads.id_loss.lookup_table)
        model.rpn.filter_proposals = lambda *scored: (proposals, [])
        with _bf16(enabled):
            found.append(model(images, targets))
    assert all(loss.dtype == torch.float32 for loss in found[1].values())
    for name, exact in found[0].items():
        assert found[1][name].item() == pytest.approx(exact.item(), rel=0.02), name


def test_gradients_of_all_parameters_are_float32(
    small_model: Model, images: list[Tensor], target: Target
) -> None:
    model = small_model()
    with _bf16():
        losses = model(images, [target([1, 2], masks=True), target([], masks=False)])
    sum(losses.values()).backward()
    gradients = [value.grad for value in model.parameters() if value.requires_grad]
    assert all(grad is not None and grad.dtype == torch.float32 for grad in gradients)


def test_detections_are_float32(small_model: Model, images: list[Tensor]) -> None:
    with _bf16(), torch.no_grad():
        found = small_model(box_score_threshold=0.0).eval()(images)
    assert len(found[0].boxes)
    assert {value.dtype for one in found for value in one} == {torch.float32}


def test_embeddings_of_given_boxes_are_of_unit_length(small_model: Model, images: list[Tensor]) -> None:
    boxes = torch.tensor([[5.0, 5, 40, 80]])
    with _bf16(), torch.no_grad():
        (embeddings, _) = small_model().eval().embed_boxes(images, [boxes, boxes])
    assert embeddings.norm().item() == pytest.approx(1, abs=1e-6)
