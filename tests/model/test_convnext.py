"""ConvNeXt, cut in two, against torchvision's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from maskps.config import TrainConfig
from maskps.errors import InputFileError
from maskps.losses import LOSS_NAMES
from maskps.model import backbone_state, build_model, split_backbone
from maskps.model.roi_align import RegionGrid
from maskps.model.stages import Res5, Stem


@pytest.fixture(scope="module", params=["convnext_tiny", "convnext_base"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def reference(name: str) -> torchvision.models.ConvNeXt:
    """torchvision's network, with layer scales and norms that do something."""
    with torch.device("meta"):
        network = getattr(torchvision.models, name)(weights=None).eval().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for key, parameter in network.named_parameters():
        bounds = (0.5, 1.5) if parameter.dim() == 1 or key.endswith("layer_scale") else (-0.05, 0.05)
        torch.nn.init.uniform_(parameter, *bounds, generator=generator)
    return network


@pytest.fixture(scope="module")
def parts(name: str, reference: torchvision.models.ConvNeXt) -> tuple[Stem, Res5]:
    """Ours, with the tensors of the reference, by their names; no copies."""
    with torch.device("meta"):
        stem, res5 = split_backbone(name)
    state = reference.state_dict()
    for part in (stem, res5):
        part.load_state_dict({key: state[key] for key in part.state_dict()}, assign=True)
    return stem, res5


def test_both_parts_together_have_torchvisions_parameters_but_its_last_layer(
    reference: torchvision.models.ConvNeXt, parts: tuple[Stem, Res5]
) -> None:
    shapes = {key: value.shape for key, value in reference.state_dict().items()}
    expected = {key: shape for key, shape in shapes.items() if not key.startswith("classifier.2")}
    assert {key: value.shape for key, value in backbone_state(*parts).items()} == expected


def test_its_files_load(tmp_path: Path) -> None:
    network = torchvision.models.convnext_tiny(weights=None)
    torch.save(network.state_dict(), tmp_path / "convnext.pth")
    found = backbone_state(*split_backbone("convnext_tiny", pretrained=tmp_path / "convnext.pth"))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in found.items())


def test_features_are_torchvisions_on_the_same_weights(
    reference: torchvision.models.ConvNeXt, parts: tuple[Stem, Res5]
) -> None:
    stem, res5 = parts
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = stem(image)
        expected = reference.features[6][0](reference.features[:6](image))
        torch.testing.assert_close(features, expected)
        torch.testing.assert_close(res5(features), reference.classifier[0](reference.features(image)))
    assert features.shape == (1, stem.channels[-1], 4, 6)


def test_it_halves_regions(parts: tuple[Stem, Res5]) -> None:
    stem, res5 = parts
    maps = torch.randn(1, stem.channels[-1], 5, 6, generator=torch.Generator().manual_seed(0))
    grid = RegionGrid([torch.tensor([[10.0, 5, 60, 70], [0, 0, 96, 80]])], (5, 6), 14)
    with torch.no_grad():
        regions = res5.pool(maps, grid)
        assert regions.shape == (2, res5.out_channels, 7, 7)
        torch.testing.assert_close(regions, res5(grid.pool(maps)))


@pytest.mark.parametrize(
    ("stages", "frozen"),
    [(0, set()), (1, {"0"}), (2, {"0", "1"}), (3, {*"0123"}), (4, {*"0123456"})],
)
def test_stages_are_frozen_from_the_front(stages: int, frozen: set[str]) -> None:
    with torch.device("meta"):
        stem, res5 = split_backbone("convnext_tiny", frozen_stages=stages)
    found = {name.split(".")[1] for name, value in stem.named_parameters() if not value.requires_grad}
    training = {name.split(".")[1] for name, value in stem.named_parameters() if value.requires_grad}
    assert found == frozen and not found & training
    assert all(value.requires_grad for value in res5.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_network_trains_on_it(
    config: Callable[..., TrainConfig], images: list[Tensor], target: Callable[..., Any], precision: str
) -> None:
    model = build_model(config(backbone="convnext_tiny", rois_per_image=4), 7)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        losses = model(images, [target([1, 2], masks=True), target([-1], masks=False)])
    assert set(losses) == set(LOSS_NAMES) and all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.requires_grad}
    assert all(grad is not None and torch.isfinite(grad).all() for grad in gradients.values())
    assert gradients["stem.features.1.0.layer_scale"].any()


def test_imagenet_weights_that_are_not_there_say_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputFileError) as caught:
        split_backbone("convnext_tiny", pretrained="imagenet")
    text = str(caught.value)
    assert str(tmp_path / "checkpoints" / "convnext_tiny-983f1562.pth") in text
    assert "https://download.pytorch.org/models/convnext_tiny-983f1562.pth" in text
