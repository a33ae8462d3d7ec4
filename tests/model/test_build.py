"""From settings to a network."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable

import pytest
import torch

from maskps.config import TrainConfig
from maskps.errors import ConfigError
from maskps.losses import OIMLoss
from maskps.model import MaskGuidedPersonSearch, Predictor, build_model, build_predictor, resize_image
from maskps.model.detection import BoxFilter
from maskps.model.mask_branch import MaskBranch
from maskps.model.proposals import build_rpn
from maskps.model.region_pooler import RegionPooler
from maskps.model.roi_align import RegionGrid
from maskps.model.roi_heads import RoIHeads

Config = Callable[..., TrainConfig]


def test_settings_reach_the_parts_they_are_for(config: Config) -> None:
    model = build_model(
        config(
            embedding_dim=24,
            oim_queue_length=3,
            oim_temperature=0.2,
            oim_momentum=0.25,
            mask_channels=5,
            rpn_channels=9,
            rpn_nms=0.6,
            roi_pool=10,
            rois_per_image=13,
            roi_foreground_fraction=0.4,
            box_score_threshold=0.3,
            box_nms=0.35,
            detections_per_image=17,
            detection_feature="detection",
            mask_target="soft",
            mask_loss_reduction="sum",
            size_divisor=48,
        ),
        num_pids=11,
    )
    heads = model.roi_heads
    assert heads.id_loss.lookup_table.shape == (11, 24) and heads.id_loss.circular_queue.shape == (3, 24)
    assert (heads.id_loss.temperature, heads.id_loss.momentum) == (0.2, 0.25)
    branch, sampler = heads.mask_branch, heads.sampler.balanced
    assert branch.head.upsample.out_channels == 5 and model.rpn.head.conv.out_channels == 9
    assert (model.rpn.nms_thresh, heads.pooler.size) == (0.6, 10)
    assert (sampler.batch_size_per_image, sampler.positive_fraction) == (13, 0.4)
    assert heads.box_filter == BoxFilter(0.3, 0.35, 17) and heads.first is None
    assert (heads.detection_feature, branch.target, branch.reduction) == ("detection", "soft", "sum")
    assert model.size_divisor == 48


@pytest.mark.parametrize(
    ("part", "names"),
    [
        (
            OIMLoss,
            {
                "dim": "embedding_dim",
                "queue_length": "oim_queue_length",
                "temperature": "oim_temperature",
                "momentum": "oim_momentum",
            },
        ),
        (
            build_rpn,
            {
                "channels": "rpn_channels",
                "anchor_sizes": "anchor_sizes",
                "anchor_ratios": "anchor_ratios",
                "batch_size": "rpn_batch_size",
                "nms": "rpn_nms",
            },
        ),
        (MaskGuidedPersonSearch, {"size_divisor": "size_divisor"}),
        (Predictor, {name: name for name in ("shorter_side", "longest_side", "resize")}),
        (resize_image, {"mode": "resize"}),
        (RegionGrid, {"aligned": "roi_align_aligned"}),
        (RoIHeads, {"detection_feature": "detection_feature", "oim_mean": "oim_mean"}),
        (MaskBranch, {"target": "mask_target", "reduction": "mask_loss_reduction"}),
        (RegionPooler, {"size": "roi_pool", "pooling": "pooling", "aligned": "roi_align_aligned"}),
    ],
)
def test_a_part_alone_has_the_defaults_of_the_settings(part: Callable[..., object], names: dict) -> None:
    defaults = {name: inspect.signature(part).parameters[name].default for name in names}
    assert defaults == {name: getattr(TrainConfig(), setting) for name, setting in names.items()}


def test_the_rpn_alone_keeps_as_many_proposals_as_the_settings() -> None:
    config, defaults = TrainConfig(), inspect.signature(build_rpn).parameters
    before = (config.rpn_pre_nms_top_n_train, config.rpn_pre_nms_top_n_test)
    after = (config.rpn_post_nms_top_n_train, config.rpn_post_nms_top_n_test)
    assert (defaults["pre_nms_top_n"].default, defaults["post_nms_top_n"].default) == (before, after)


def test_a_predictor_resizes_as_the_training_does(config: Config) -> None:
    settings = config(shorter_side=48, longest_side=100, resize="torchvision")
    predictor = build_predictor(
        settings, build_model(settings, 3), "cpu", feature="pooled", unit_length=False
    )
    assert (predictor.shorter_side, predictor.longest_side, predictor.resize) == (48, 100, "torchvision")
    assert (predictor.feature, predictor.unit_length) == ("pooled", False)


@pytest.mark.parametrize("roi_pool", [10, 13, 14])
def test_any_pooling_size_trains(config: Config, roi_pool: int, target: Callable[..., dict]) -> None:
    model = build_model(config(roi_pool=roi_pool), num_pids=3)
    losses = model([torch.rand(3, 96, 96)], [target([1], masks=True)])
    assert torch.isfinite(losses["loss_mask"]) and losses["loss_mask"] > 0


@pytest.mark.parametrize("features", ["res5", "res2"])
def test_masks_of_28_cells_train_and_all_else_starts_alike(
    config: Config, features: str, target: Callable[..., dict]
) -> None:
    small, fine = (build_model(config(mask_size=size, mask_features=features), 3) for size in (14, 28))
    others = [name for name in small.state_dict() if ".mask_branch." not in name]
    assert all(torch.equal(small.state_dict()[name], fine.state_dict()[name]) for name in others)
    loss = fine([torch.rand(3, 96, 96)], [target([1], masks=True)])["loss_mask"]
    loss.backward()
    assert all(weights.grad.abs().sum() > 0 for weights in fine.roi_heads.mask_branch.parameters())
    (masks,) = fine.eval().predict_masks([torch.rand(3, 96, 96)], [torch.tensor([[5.0, 5, 30, 70]])])
    assert masks.shape == (1, 28, 28)


def test_the_seed_decides_the_weights_and_the_default_generator_is_left_alone(config: Config) -> None:
    state = torch.get_rng_state()
    first, again, other = (build_model(config(seed=seed), 4).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["stem.conv1.weight"], other["stem.conv1.weight"])


def test_the_papers_network_has_its_sizes(config: Config) -> None:
    with torch.device("meta"):
        model = build_model(TrainConfig(pretrained="none"), 5532)
    heads = model.roi_heads
    assert model.stem.channels[-1] == 1024 and heads.res5.out_channels == 2048
    assert heads.id_loss.lookup_table.shape == (5532, 256)
    assert heads.embedding.projections[0].weight.shape == (256, 2048)
    assert heads.box_head.classifier.weight.shape == (2, 2048) and heads.box_head.regressor.weight.shape == (
        4,
        2048,
    )
    assert sum(p.numel() for p in model.stem.parameters() if not p.requires_grad) > 0


def test_weights_that_memory_cannot_hold_are_refused_before_any_is_made(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150,000 x 16,384 numbers of 4 bytes in the queue alone, on a machine of 8 GiB."""
    real = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: 2**21 if name == "SC_PHYS_PAGES" else real(name))
    build_model(config(oim_queue_length=1000), num_pids=3)
    with pytest.raises(ConfigError, match=r"8\.6 GB of weights[^$]*9\.9 GB"):
        build_model(config(oim_queue_length=150_000, embedding_dim=16384), num_pids=3)


def test_all_but_the_mask_branch_starts_alike_whatever_it_sees(config: Config) -> None:
    plain = build_model(config(), 7).state_dict()
    fine = build_model(config(mask_features="res2"), 7).state_dict()
    for name, value in plain.items():
        assert "mask_branch" in name or torch.equal(value, fine[name]), name
