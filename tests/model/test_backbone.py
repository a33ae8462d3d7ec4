"""The split ResNets, their frozen layers and their weight files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision

from maskps.errors import ConfigError, InputFileError
from maskps.losses import LOSS_NAMES
from maskps.model import build_model
from maskps.model.backbone import (
    BACKBONES,
    Backbone,
    backbone_state,
    load_backbone,
    pretrained_path,
    split_backbone,
)
from maskps.model.freezing import FrozenBatchNorm, freeze
from maskps.model.roi_align import RegionGrid
from maskps.training.schedule import build_optimizer

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the backbone of docs/extend/backbone.md, by the code printed there: a file and a row."""
    file, row = re.findall(r"```python\n(.*?)```", (DOCS / "extend/backbone.md").read_text(), re.DOTALL)
    added: dict[str, Backbone] = {}
    names = {"Backbone": Backbone, "BACKBONES": added, **vars(torchvision.models)}
    exec(file, names)
    exec(row, names)
    monkeypatch.setitem(BACKBONES, "resnet18", added["resnet18"])


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize("name", [*BACKBONES, "resnet18"])
def test_a_backbone_keeps_what_stages_promise(name: str) -> None:
    """Shapes, names that the parts do not share, and groups that are the whole stem from the front."""
    stem, res5 = split_backbone(name, frozen_stages=0, freeze_batch_norm="none")
    with torch.no_grad():
        first, *others = stem.stages(torch.rand(1, 3, 64, 96))
        regions = res5(torch.rand(2, stem.channels[-1], 14, 14))
    _, res2, res3, res4 = stem.channels
    assert first.shape[:2] == (1, stem.channels[0])
    assert [features.shape for features in others] == [(1, res2, 16, 24), (1, res3, 8, 12), (1, res4, 4, 6)]
    assert regions.shape == (2, res5.out_channels, 7, 7)
    assert not set(stem.state_dict()) & set(res5.state_dict())
    grouped = [id(value) for group in stem.groups for top in group for value in top.parameters()]
    assert grouped == [id(value) for value in stem.parameters()] and len(stem.groups) == 4


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize("name", [*BACKBONES, "resnet18"])
def test_the_network_trains_on_every_backbone(
    name: str, config: Callable[..., Any], target: Callable[..., Any]
) -> None:
    settings = config(backbone=name, frozen_stages=1, freeze_batch_norm="stem", rois_per_image=4)
    model = build_model(settings, 7)
    losses = model([torch.rand(3, 96, 96)], [target([1, -1], masks=True)])
    assert set(losses) == set(LOSS_NAMES)
    sum(losses.values()).backward()
    weights, biases, norms = (group["params"] for group in build_optimizer(model, settings).param_groups)
    assert all(
        value.grad is not None and value.grad.isfinite().all() for value in [*weights, *biases, *norms]
    )
    assert all(value.dim() > 1 for value in weights), "a norm whose parameters decay"


@pytest.mark.parametrize("name", BACKBONES)
def test_the_docs_list_every_backbone(name: str) -> None:
    assert f"`{name}`" in (DOCS / "training.md").read_text()


def test_the_two_parts_are_torchvisions_resnet50() -> None:
    reference = torchvision.models.resnet50(weights=None).eval()
    stem, res5 = split_backbone("resnet50")
    state = {key: value for key, value in reference.state_dict().items() if not key.startswith("fc.")}
    assert set(backbone_state(stem, res5)) == set(state)
    stem.load_state_dict({key: state[key] for key in stem.state_dict()})
    res5.load_state_dict({key: state[key] for key in res5.state_dict()})
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = stem.eval()(image)
        output = res5.eval()(features)
        early = reference.maxpool(reference.relu(reference.bn1(reference.conv1(image))))
        middle = reference.layer3(reference.layer2(reference.layer1(early)))
        expected = reference.layer4(middle)
    assert features.shape == (1, 1024, 4, 4) and output.shape == (1, 2048, 2, 2)
    torch.testing.assert_close(output, expected)


def test_resnet101_has_23_blocks_in_res4() -> None:
    with torch.device("meta"):
        stem, res5 = split_backbone("resnet101")
    assert len(stem.layer3) == 23 and (stem.channels[-1], res5.out_channels) == (1024, 2048)


def test_tiny_has_stride_16_and_halves_regions() -> None:
    stem, res5 = split_backbone("tiny")
    features = stem(torch.rand(1, 3, 64, 96))
    assert features.shape == (1, stem.channels[-1], 4, 6)
    assert res5(torch.rand(2, stem.channels[-1], 14, 14)).shape == (2, res5.out_channels, 7, 7)


def test_pooling_after_the_first_convolutions_is_pooling_before_them() -> None:
    stem, res5 = split_backbone("tiny", freeze_batch_norm="none")
    features = torch.randn(2, stem.channels[-1], 9, 12, generator=torch.Generator().manual_seed(0))
    boxes = [torch.tensor([[10.0, 20, 80, 140], [-20, -30, 220, 200]]), torch.tensor([[0.0, 0, 50, 90]])]
    grid = RegionGrid(boxes, (9, 12), 14)
    torch.testing.assert_close(res5.pool(features, grid), res5(grid.pool(features)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("stages", range(5))
def test_frozen_stages_have_no_gradient_and_the_others_have(stages: int) -> None:
    stem, res5 = split_backbone("tiny", frozen_stages=stages, freeze_batch_norm="none")
    groups = ["conv1", "layer1", "layer2", "layer3"]
    frozen = {name.split(".")[0] for name, value in stem.named_parameters() if not value.requires_grad}
    assert frozen - {"bn1"} == set(groups[:stages])
    assert all(value.requires_grad for value in res5.parameters())


@pytest.mark.parametrize(
    ("choice", "changing"), [("none", {"stem", "res5"}), ("stem", {"res5"}), ("all", set())]
)
def test_frozen_norms_keep_their_statistics_in_training_mode(choice: str, changing: set[str]) -> None:
    stem, res5 = split_backbone("tiny", frozen_stages=0, freeze_batch_norm=choice)
    before = {key: value.clone() for key, value in backbone_state(stem, res5).items()}
    res5.train()(stem.train()(torch.rand(2, 3, 64, 64)))
    after = backbone_state(stem, res5)
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    assert {"res5" if key.startswith("layer4") else "stem" for key in changed} == changing


def test_batch_norms_of_frozen_stages_keep_their_statistics() -> None:
    stem, res5 = split_backbone("tiny", frozen_stages=2, freeze_batch_norm="none")
    before = {key: value.clone() for key, value in backbone_state(stem, res5).items()}
    res5.train()(stem.train()(torch.rand(2, 3, 64, 64)))
    after = backbone_state(stem, res5)
    changed = {key.split(".")[0] for key in after if not torch.equal(before[key], after[key])}
    assert changed == {"layer2", "layer3", "layer4"}


def test_a_frozen_norm_has_the_eps_of_the_norm_it_replaces() -> None:
    stem, res5 = BACKBONES["tiny"].build()
    for module in stem.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.25
    freeze(stem, res5, stages=0, batch_norm="stem")
    norms = [module for module in stem.modules() if isinstance(module, FrozenBatchNorm)]
    assert norms and {norm.eps for norm in norms} == {0.25}


def _frozen_norm() -> FrozenBatchNorm:
    generator = torch.Generator().manual_seed(0)
    norm = FrozenBatchNorm(5)
    for part in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(part, generator=generator)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2, generator=generator)
    return norm.train()


def test_a_frozen_norm_computes_what_torchvisions_does() -> None:
    ours, theirs = _frozen_norm(), torchvision.ops.FrozenBatchNorm2d(5)
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(features), theirs(features))
    assert not any(parameter.requires_grad for parameter in ours.parameters())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_frozen_norm_has_the_outputs_and_gradients_of_a_batch_norm(layout: torch.memory_format) -> None:
    ours, theirs = _frozen_norm(), torch.nn.BatchNorm2d(5).eval().requires_grad_(False)
    theirs.load_state_dict(ours.state_dict())
    generator = torch.Generator().manual_seed(1)
    features, above = (torch.randn(2, 5, 7, 9, generator=generator).to(memory_format=layout) for _ in "fa")
    results = []
    for norm in (ours, theirs):
        leaf = features.clone().requires_grad_()
        output = norm(leaf)
        output.backward(above)
        assert output.is_contiguous(memory_format=layout)
        results.append((output, leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-6)


def test_a_frozen_norm_keeps_no_features_for_the_way_back() -> None:
    sizes = []
    features = torch.randn(2, 5, 7, 9, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: sizes.append(kept.numel()), lambda kept: kept):
        _frozen_norm()(features)
    assert sizes and max(sizes) == 5


def test_a_frozen_norm_keeps_half_precision() -> None:
    assert _frozen_norm()(torch.zeros(1, 5, 2, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_go_through_a_file_unchanged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    state = backbone_state(*split_backbone("tiny"))
    if suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    loaded = backbone_state(*split_backbone("tiny", pretrained=path, freeze_batch_norm="none"))
    assert all(torch.equal(state[key], value) for key, value in loaded.items())


def test_a_classifier_in_the_file_is_left_out_and_counters_may_lack(tmp_path: Path) -> None:
    stem, res5 = split_backbone("tiny")
    state = {k: v for k, v in backbone_state(stem, res5).items() if not k.endswith("num_batches_tracked")}
    torch.save(state | {"fc.weight": torch.zeros(3, 3)}, tmp_path / "weights.pth")
    load_backbone(stem, res5, tmp_path / "weights.pth")


def test_imagenet_weights_that_are_not_there_say_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputFileError) as caught:
        split_backbone("resnet50", pretrained="imagenet")
    text = str(caught.value)
    assert str(tmp_path / "checkpoints" / "resnet50-0676ba61.pth") in text
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in text


def test_imagenet_weights_of_tiny_do_not_exist() -> None:
    with pytest.raises(ConfigError, match="tiny"):
        split_backbone("tiny", pretrained="imagenet")


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"weights\."):
        split_backbone("tiny", pretrained=path)


@pytest.mark.parametrize(
    "change", [lambda t: t * torch.nan, lambda t: t.to(torch.int64), lambda t: t.to(torch.complex64)]
)
def test_weights_that_are_not_finite_numbers_are_refused(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    state = backbone_state(*split_backbone("tiny"))
    torch.save(state | {"conv1.weight": change(state["conv1.weight"])}, tmp_path / "odd.pth")
    with pytest.raises(InputFileError, match=r"conv1\.weight.*finite"):
        split_backbone("tiny", pretrained=tmp_path / "odd.pth")


def test_half_precision_weights_are_taken(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in backbone_state(*split_backbone("tiny")).items()}
    counters = {key: value.long() for key, value in state.items() if key.endswith("num_batches_tracked")}
    torch.save(state | counters, tmp_path / "half.pth")
    split_backbone("tiny", pretrained=tmp_path / "half.pth")


def test_the_shipped_weights_and_torchs_are_checked_by_the_digest_in_their_name(tmp_path: Path) -> None:
    shipped = pretrained_path("tiny", "shipped")
    split_backbone("tiny", pretrained="shipped")
    content = bytearray(shipped.read_bytes())
    content[len(content) // 2] ^= 64
    (tmp_path / shipped.name).write_bytes(content)
    with pytest.raises(InputFileError, match="whose digest is in its name"):
        split_backbone("tiny", pretrained=tmp_path / shipped.name)


def test_weights_of_another_architecture_are_refused_by_name(tmp_path: Path) -> None:
    state = backbone_state(*split_backbone("tiny"))
    torch.save(state | {"conv1.weight": torch.zeros(8, 3, 7, 7)}, tmp_path / "wide.pth")
    with pytest.raises(InputFileError, match=r"conv1\.weight"):
        split_backbone("tiny", pretrained=tmp_path / "wide.pth")
    del state["layer2.0.conv1.weight"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(InputFileError, match=r"layer2\.0\.conv1\.weight"):
        split_backbone("tiny", pretrained=tmp_path / "short.pth")


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Path("a class that weights_only refuses")}, tmp_path / "evil.pth")
    with pytest.raises(InputFileError):
        split_backbone("tiny", pretrained=tmp_path / "evil.pth")


@pytest.mark.parametrize(
    "settings", [{"name": "vgg"}, {"frozen_stages": 5}, {"frozen_stages": -1}, {"freeze_batch_norm": "some"}]
)
def test_unknown_choices_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        split_backbone(**({"name": "tiny"} | settings))
