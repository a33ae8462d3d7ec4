"""SeqNet's state dict under our names: every entry has one place, and whatever does not fit is listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from seqnet_oracle import SeqNetOracle
from torch import Tensor

from maskps.errors import InputFileError
from maskps.model.build import build_model
from maskps.model.seqnet_weights import SeqNetWeights, read_seqnet_state
from maskps.training import TrainConfig
from maskps.training.imported import SEQNET_SETTINGS

FILE = Path("epoch_19.pth")
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def theirs() -> State:
    """A state dict of SeqNet in which no two tensors, and no two rows of one, are alike."""
    state = SeqNetOracle(7, 5).state_dict()
    for number, value in enumerate(state.values()):
        rows = torch.linspace(0, 0.5, len(value)) if value.dim() else torch.zeros(())
        value.copy_((number + rows).view(-1, *[1] * (value.dim() - 1)) if value.dim() else number + rows)
    return state


@pytest.fixture(scope="module")
def ours() -> State:
    config = TrainConfig(**SEQNET_SETTINGS, pretrained="none", oim_queue_length=5)
    return build_model(config, 7).state_dict()


@pytest.fixture(scope="module")
def read(theirs: State, ours: State) -> SeqNetWeights:
    return read_seqnet_state(theirs, ours, where=FILE)


@pytest.fixture
def few_of_theirs(theirs: State) -> dict[str, Any]:
    """Without the stages of the ResNets, which are large."""
    return {name: value for name, value in theirs.items() if ".layer" not in name}


@pytest.fixture
def few_of_ours(ours: State) -> State:
    return {name: value for name, value in ours.items() if ".layer" not in name}


def test_every_tensor_of_ours_but_the_mask_branch_is_filled(read: SeqNetWeights, ours: State) -> None:
    left = {name for name in ours if name not in read.state}
    assert {name for name in left if "mask_branch" not in name} == {"roi_heads.id_loss.queue_position"}
    assert all(value.shape == ours[name].shape for name, value in read.state.items())


def test_every_number_of_theirs_is_used_once_or_named(read: SeqNetWeights, theirs: State) -> None:
    halves = [value.numel() // 2 for name, value in theirs.items() if f"{name}, rows 0 to 3" in read.unused]
    counters = [name for name in theirs if name in read.unused]
    assert len(halves) == 8 and len(counters) == 1 and len(read.unused) == 9
    used = sum(value.numel() for value in theirs.values()) - sum(halves) - len(counters)
    assert sum(value.numel() for value in read.state.values()) == used
    first_numbers = {float(value.flatten()[0]) for value in read.state.values()}
    assert len(first_numbers) == len(read.state) == 416 - 5  # the norms of two parts are one of 5 tensors


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("stem.layer3.5.bn3.running_var", "backbone.layer3.5.bn3.running_var"),
        ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
        ("rpn.head.objectness.bias", "rpn.head.cls_logits.bias"),
        ("rpn.head.deltas.bias", "rpn.head.bbox_pred.bias"),
        ("roi_heads.first.res5.layer4.0.conv1.weight", "roi_heads.box_head.layer4.0.conv1.weight"),
        ("roi_heads.res5.layer4.0.conv1.weight", "roi_heads.reid_head.layer4.0.conv1.weight"),
        ("roi_heads.first.box_head.classifier.bias", "roi_heads.faster_rcnn_predictor.cls_score.bias"),
        ("roi_heads.box_head.rescaler.running_mean", "roi_heads.embedding_head.rescaler.running_mean"),
        ("roi_heads.embedding.projections.0.bias", "roi_heads.embedding_head.projectors.feat_res4.0.bias"),
        ("roi_heads.embedding.projections.1.bias", "roi_heads.embedding_head.projectors.feat_res5.0.bias"),
        ("roi_heads.id_loss.lookup_table", "roi_heads.reid_loss.lut"),
        ("roi_heads.id_loss.circular_queue", "roi_heads.reid_loss.cq"),
    ],
)
def test_a_tensor_has_the_numbers_of_its_source(
    name: str, source: str, read: SeqNetWeights, theirs: State
) -> None:
    assert torch.equal(read.state[name], theirs[source])


def test_of_regressors_the_rows_of_a_person_are_taken(read: SeqNetWeights, theirs: State) -> None:
    for name, source in (
        ("roi_heads.first.box_head.regressor.weight", "roi_heads.faster_rcnn_predictor.bbox_pred.weight"),
        ("roi_heads.box_head.regressor.bias", "roi_heads.box_predictor.bbox_pred.0.bias"),
        ("roi_heads.box_head.regressor_norm.running_var", "roi_heads.box_predictor.bbox_pred.1.running_var"),
    ):
        assert torch.equal(read.state[name], theirs[source][4:8])


def test_the_norms_of_both_parts_of_an_embedding_are_one(read: SeqNetWeights, theirs: State) -> None:
    part = "roi_heads.embedding_head.projectors.feat_res{}.1.bias"
    parts = [theirs[part.format(level)] for level in (4, 5)]
    assert torch.equal(read.state["roi_heads.embedding.norm.bias"], torch.cat(parts))


def test_the_spelling_of_older_torchvisions_is_read(
    few_of_theirs: dict[str, Any], few_of_ours: State, read: SeqNetWeights
) -> None:
    older = {name.replace("conv.0.0.", "conv."): value for name, value in few_of_theirs.items()}
    assert older.keys() != few_of_theirs.keys()
    found = read_seqnet_state(older, few_of_ours, where=FILE).state
    assert all(torch.equal(value, read.state[name]) for name, value in found.items())


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: state.pop(name)


def _with(name: str, change: Callable[[Tensor], Any]) -> Callable[[dict[str, Any]], object]:
    return lambda state: state.__setitem__(name, change(state[name]))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_without("rpn.head.cls_logits.bias"), "1 missing (rpn.head.cls_logits.bias)"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 unknown (extra)"),
        (
            _with("backbone.bn1.bias", lambda value: value[1:]),
            "1 of another shape or type (backbone.bn1",
        ),
        (_with("backbone.bn1.bias", Tensor.long), "(backbone.bn1.bias: [64] of int64, not [64])"),
        (_with("backbone.bn1.bias", lambda value: "text"), "(backbone.bn1.bias: str, not [64])"),
        (_with("backbone.bn1.num_batches_tracked", Tensor.int), "_tracked: [] of int32, not [])"),
        (
            lambda state: state.update({"rpn.head.conv.weight": torch.zeros(1)}),  # beside its newer name
            "1 unknown (rpn.head.conv.0.0.weight)",
        ),
        (lambda state: state.update({5000 * "x": torch.zeros(1)}), f"1 unknown ({117 * 'x'}...)"),
        (_with("backbone.bn1.bias", lambda value: value / 0), "1 not finite, or a variance below 0"),
        (_with("backbone.bn1.running_var", lambda value: -1 - value), "(backbone.bn1.running_var)"),
        (
            _with("roi_heads.reid_loss.lut", lambda value: value[:, :9]),
            "(roi_heads.reid_loss.lut: [7, 9] of float32, not [7, 256])",
        ),
        (_without("roi_heads.reid_loss.cq"), "1 missing (roi_heads.reid_loss.cq)"),
        (dict.clear, "44 missing (backbone.conv1.weight, backbone.bn1.weight, backbone.bn1.bias, ...)"),
    ],
)
def test_what_does_not_fit_is_listed(
    change: Callable[[dict[str, Any]], object], found: str, few_of_theirs: dict[str, Any], few_of_ours: State
) -> None:
    change(few_of_theirs)
    with pytest.raises(InputFileError) as caught:
        read_seqnet_state(few_of_theirs, few_of_ours, where=FILE)
    assert found in caught.value.found


@pytest.mark.parametrize(
    ("entry", "network"),
    [
        ("roi_heads.box_head_2nd.transformer_encoder.0.weight", "COAT"),
        ("backbone.bb.conv1.weight", "GLCNet"),
        ("roi_heads.prop_head.head.weight", "GFN"),
        ("roi_heads.box_predictor.bbox_cls.weight", "OIMNet++"),
        ("roi_heads.box_predictor.cls_score.weight", "NAE"),
        ("roi_heads.box_predictor.bbox_pred.weight", "SeqNet without a batch norm"),
        ("roi_heads.id_loss.lookup_table", "maskps"),
    ],
)
def test_another_network_is_named(
    entry: str, network: str, few_of_theirs: dict[str, Any], few_of_ours: State
) -> None:
    with pytest.raises(InputFileError) as caught:
        read_seqnet_state({**few_of_theirs, entry: torch.zeros(1)}, few_of_ours, where=FILE)
    assert f"by its names, {network}" in caught.value.found and "docs/weights.md" in caught.value.hint


def test_half_precision_becomes_float32(few_of_theirs: dict[str, Any], few_of_ours: State) -> None:
    few_of_theirs["roi_heads.reid_loss.lut"] = torch.full((7, 256), 0.5, dtype=torch.float16)
    table = read_seqnet_state(few_of_theirs, few_of_ours, where=FILE).state["roi_heads.id_loss.lookup_table"]
    assert table.dtype == torch.float32 and bool((table == 0.5).all())
