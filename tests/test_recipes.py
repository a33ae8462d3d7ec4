"""The recipes that ship: their sources, what they have in common, and that each of them trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from maskps.losses import total_loss
from maskps.model import build_model
from maskps.training import load_config, recipe_names
from maskps.training.data import images_per_epoch, images_per_step, steps_per_epoch
from maskps.training.schedule import build_optimizer, learning_rate, set_learning_rate
from maskps.training.step import autocast_for
from maskps_manifest.cuhk_sysu import TRAIN

FIELD = {
    "shorter_side": 900,
    "longest_side": 1500,
    "anchor_sizes": (32, 64, 128, 256, 512),
    "anchor_ratios": (0.5, 1.0, 2.0),
    "rpn_batch_size": 256,
    "rpn_pre_nms_top_n_train": 12000,
    "rpn_post_nms_top_n_test": 300,
    "rois_per_image": 128,
    "roi_foreground_fraction": 0.5,
    "box_nms": 0.4,
    "oim_temperature": 1 / 30,
    "oim_queue_length": 5000,
    "rcnn_reg_weight": 10,
    "epochs": 20,
    "lr_steps": (16,),
    "lr_factor": 0.1,
    "warmup_epochs": 1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "bias_lr_factor": 1,
    "gradient_clip": 10,
    "frozen_stages": 1,
}
"""configs/cuhk_sysu.yaml and defaults.py of SeqNet, which NAE, COAT, GLCNet and OIMNet++ share."""

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


@pytest.mark.parametrize(("key", "value"), FIELD.items())
def test_modern_900_has_the_value_of_the_field(key: str, value: object) -> None:
    assert getattr(load_config("modern-900"), key) == value


def test_the_rate_is_that_of_the_field_per_image() -> None:
    config = load_config("modern")
    assert config.learning_rate / config.batch_size == pytest.approx(0.003 / 5)


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
def test_only_the_recipes_of_the_paper_double_the_set(recipe: str) -> None:
    assert load_config(recipe).flips == ("doubled" if recipe.startswith("paper") else "random")


def test_modern_differs_from_modern_900_in_the_size_of_the_images_only() -> None:
    assert _differences("modern", "modern-900") == {"shorter_side", "longest_side"}


def test_convnext_is_modern_with_another_backbone_and_its_optimiser() -> None:
    assert _differences("modern", "convnext") == {
        *("backbone", "freeze_batch_norm", "optimizer", "learning_rate", "weight_decay")
    }


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


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_takes_a_step(recipe: str) -> None:
    config = load_config(recipe, ["pretrained=none", "rois_per_image=6"])
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
