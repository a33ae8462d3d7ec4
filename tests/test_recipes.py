"""The recipes that ship: their sources, what they have in common, and that each of them trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from maskps.losses import total_loss
from maskps.model import build_model, split_backbone
from maskps.training import load_config, recipe_names
from maskps.training.data import images_per_epoch, images_per_step, steps_per_epoch
from maskps.training.schedule import build_optimizer, learning_rate, set_learning_rate
from maskps.training.step import autocast_for
from maskps_manifest.cuhk_sysu import TRAIN

SEQNET = {
    "head": "sequential",
    "pooling": "max",
    "embedding_norm": True,
    "embedding_features": "res4_res5",
    "embedding_dim": 256,
    "score_weighted_similarity": True,
    "shorter_side": 900,
    "longest_side": 1500,
    "anchor_sizes": (32, 64, 128, 256, 512),
    "anchor_ratios": (0.5, 1.0, 2.0),
    "rpn_channels": 1024,
    "rpn_batch_size": 256,
    "rpn_pre_nms_top_n_train": 12000,
    "rpn_pre_nms_top_n_test": 6000,
    "rpn_post_nms_top_n_train": 2000,
    "rpn_post_nms_top_n_test": 300,
    "rpn_nms": 0.7,
    "rois_per_image": 128,
    "roi_foreground_fraction": 0.5,
    "box_score_threshold": 0.5,
    "first_nms": 0.4,
    "box_nms": 0.5,
    "detections_per_image": 300,
    "oim_temperature": 1 / 30,
    "oim_momentum": 0.5,
    "oim_queue_length": 5000,
    "oim_mean": "rois",
    "first_cls_weight": 1,
    "first_reg_weight": 10,
    "rcnn_cls_weight": 1,
    "rcnn_reg_weight": 1,
    "id_weight": 1,
    "epochs": 20,
    "batch_size": 5,
    "learning_rate": 0.003,
    "lr_steps": (16,),
    "lr_factor": 0.1,
    "warmup_epochs": 1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "bias_weight_decay": 5e-4,
    "bias_lr_factor": 1,
    "gradient_clip": 10,
    "frozen_stages": 1,
    "freeze_batch_norm": "none",
}
"""defaults.py, configs/cuhk_sysu.yaml, models/seqnet.py, models/resnet.py and train.py of SeqNet."""

DEEP_PS = {
    "head": "single",
    "pooling": "max",
    "embedding_norm": True,
    "embedding_features": "res5",
    "shorter_side": 600,
    "longest_side": 1000,
    "rpn_channels": 1024,
    "rois_per_image": 64,
    "roi_foreground_fraction": 0.5,
    "box_score_threshold": 0.05,
    "box_nms": 0.4,
    "detections_per_image": 100,
    "oim_temperature": 1 / 30,
    "oim_mean": "rois",
    "id_weight": 0.5,
    "rcnn_reg_weight": 1,
    "batch_size": 5,
    "weight_decay": 1e-4,
    "bias_weight_decay": 0,
    "bias_lr_factor": 1,
    "frozen_stages": 0,
    "freeze_batch_norm": "none",
}
"""lib/engine/{oim,twostage}.py, lib/detector/OIM.py, lib/cfg/config.py, lib/loss/getloss.py of
deepalchemist/deep-person-search, with the options of the command in lib/engine/oim.py."""

JWYANG = {
    "frozen_stages": 2,
    "freeze_batch_norm": "all",
    "rois_per_image": 256,
    "box_nms": 0.3,
    "lr_steps": (4, 9),
    "weight_decay": 1e-4,
    "bias_lr_factor": 1,
}
"""cfgs/res50.yml, lib/model/utils/config.py and trainval_net.py of faster-rcnn.pytorch."""


@pytest.mark.parametrize(("key", "value"), SEQNET.items())
def test_modern_900_has_the_value_of_seqnet(key: str, value: object) -> None:
    assert getattr(load_config("modern-900"), key) == value


@pytest.mark.parametrize(("key", "value"), DEEP_PS.items())
def test_oim_600_has_the_value_of_deep_person_search(key: str, value: object) -> None:
    assert getattr(load_config("oim-600"), key) == value


def test_oim_600_takes_seven_epochs_of_the_doubled_set_and_the_last_two_at_a_tenth() -> None:
    config = load_config("oim-600")
    per_epoch = steps_per_epoch(images_per_epoch(config, TRAIN.images), images_per_step(config))
    assert (per_epoch, config.epochs) == (4483, 7)
    ends = [learning_rate(config, per_epoch * epoch - 1, steps_per_epoch=per_epoch) for epoch in range(1, 8)]
    assert ends == pytest.approx([3e-3] * 5 + [3e-4] * 2)


def _differences(first: str, second: str) -> set[str]:
    one, other = (dataclasses.asdict(load_config(name)) for name in (first, second))
    return {key for key in one if one[key] != other[key]}


def test_the_papers_recipe_takes_268_944_steps_on_cuhk_sysu() -> None:
    """12 epochs of 11,206 images and their mirrors, one per step; a tenth of the rate after 4 and 8."""
    config = load_config("paper")
    per_epoch = steps_per_epoch(images_per_epoch(config, TRAIN.images), images_per_step(config))
    assert per_epoch * config.epochs == 268_944
    at = [learning_rate(config, step, steps_per_epoch=per_epoch) for step in (89_647, 89_648, 179_296)]
    assert at == pytest.approx([4e-4, 4e-5, 4e-6])


def test_paper_jwyang_differs_from_paper_in_the_values_of_that_code_only() -> None:
    config = load_config("paper-jwyang")
    assert _differences("paper", "paper-jwyang") == set(JWYANG)
    assert {key: getattr(config, key) for key in JWYANG} == JWYANG
    rates = [learning_rate(config, epoch, steps_per_epoch=1) for epoch in range(12)]
    assert rates == pytest.approx([4e-4] * 4 + [4e-5] * 5 + [4e-6] * 3)


@pytest.mark.parametrize("recipe", recipe_names())
def test_the_paper_and_deep_person_search_double_the_set(recipe: str) -> None:
    doubles = recipe.startswith("paper") or recipe == "oim-600"
    assert load_config(recipe).flips == ("doubled" if doubles else "random")


def test_modern_differs_from_modern_900_in_the_size_of_the_images_only() -> None:
    assert _differences("modern", "modern-900") == {"shorter_side", "longest_side"}


def test_convnext_is_modern_900_with_the_backbone_and_the_solver_of_gfn_and_seas() -> None:
    config = load_config("convnext")
    assert _differences("modern-900", "convnext") == {
        *("backbone", "embedding_dim", "rpn_channels", "optimizer", "learning_rate"),
        *("weight_decay", "bias_weight_decay", "lr_steps"),
    }
    assert (config.backbone, config.embedding_dim, config.rpn_channels) == ("convnext_base", 2048, 512)
    assert (config.optimizer, config.learning_rate, config.lr_steps) == ("adamw", 1e-4, (8, 14))
    assert config.weight_decay == config.bias_weight_decay == 0  # Adam


def test_mobile_is_modern_on_a_mobilenet_with_fewer_proposals() -> None:
    config = load_config("mobile")
    assert _differences("modern", "mobile") == {
        *("backbone", "rpn_channels", "rpn_pre_nms_top_n_test", "rpn_post_nms_top_n_test", "precision")
    }
    with torch.device("meta"):
        stem, _ = split_backbone(config.backbone)
    assert config.rpn_channels == stem.channels[-1]


def test_tiny_mobilenet_is_tiny_with_another_backbone() -> None:
    assert _differences("tiny", "tiny-mobilenet") == {"backbone", "pretrained", "epochs"}


def test_the_recipe_of_the_docs_differs_from_the_papers_in_two_settings(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "extend" / "recipe.md"
    (tmp_path / "my.toml").write_text(page.read_text().split("```toml\n")[1].split("```")[0])
    config = load_config(str(tmp_path / "my.toml"))
    assert config == load_config("paper", ["flips=random", "precise_bn_images=200"])


@pytest.mark.parametrize("recipe", recipe_names())
def test_masks_are_one_switch(recipe: str) -> None:
    on, off = load_config(recipe), load_config(recipe, ["masks=false"])
    assert on.masks and dataclasses.replace(on, masks=False) == off


SMALLER = {"convnext": ("backbone=convnext_tiny", "rpn_channels=384")}
"""As docs/training.md offers it; a step of two ConvNeXt-B takes ten seconds."""


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_takes_a_step(recipe: str) -> None:
    config = load_config(recipe, ["pretrained=none", "rois_per_image=6", *SMALLER.get(recipe, ())])
    model = build_model(config, 3)
    torch.nn.init.eye_(model.roi_heads.id_loss.lookup_table)  # empty, it has no gradient to give
    optimizer = build_optimizer(model, config)
    set_learning_rate(optimizer, learning_rate(config, 0, steps_per_epoch=10))
    outline = torch.tensor([[10.0, 5, 40, 50], [40, 50, 10, 90], [10, 90, 10, 5]])
    target = {
        "boxes": torch.tensor([[10.0, 5, 40, 90]]),
        "pids": torch.tensor([2]),
        "mask_edges": [outline],
        "mask_present": torch.tensor([True]),
        "seed": 1,
    }
    before = [value.clone() for value in model.parameters()]
    with autocast_for(config, torch.device("cpu")):
        losses = model([torch.rand(3, 96, 64)], [target])
    total_loss(losses, config.loss_weights).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0, error_if_nonfinite=True)
    optimizer.step()
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.isfinite(new).all()
        assert torch.equal(old, new) or new.requires_grad
    trained = [value for value in model.parameters() if value.requires_grad and value.dim() > 1]
    assert all(value.grad is not None and value.grad.any() for value in trained)
