"""Settings: the paper's values, recipes, overrides, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from maskps import config
from maskps.errors import ConfigError, InputFileError
from maskps.losses import LOSS_NAMES
from maskps.training import TrainConfig, load_config, recipe_names, write_config

PAPER = {
    "backbone": "resnet50",
    "pretrained": "imagenet",
    "embedding_dim": 256,
    "roi_pool": 14,
    "pooling": "mean",
    "mask_features": "res5",
    "mask_pooling": False,
    "embedding_norm": False,
    "shorter_side": 600,
    "flips": "doubled",
    "background_replacement": 0.0,
    "shuffle_masks": False,
    "epochs": 12,
    "batch_size": 1,
    "learning_rate": 0.0004,
    "schedule": "steps",
    "lr_steps": (4.0, 8.0),
    "lr_factor": 0.1,
    "warmup_steps": 0,
    "warmup_epochs": 0.0,
    "accumulate": 1,
    "optimizer": "sgd",
    "precision": "fp32",
    "gradient_clip": 0.0,
    "masks": True,
}
"""Sec. 3.2 and 4.2 of the paper; that flips double the set is how both of its bases do it."""

OIM_RELEASE = {
    "frozen_stages": 1,
    "freeze_batch_norm": "stem",
    "longest_side": 1000,
    "anchor_sizes": (128, 256, 512),
    "anchor_ratios": (0.5, 1.0, 2.0),
    "rpn_channels": 512,
    "rpn_batch_size": 256,
    "rpn_pre_nms_top_n_train": 12000,
    "rpn_pre_nms_top_n_test": 6000,
    "rpn_post_nms_top_n_train": 2000,
    "rpn_post_nms_top_n_test": 300,
    "rpn_nms": 0.7,
    "rois_per_image": 128,
    "roi_foreground_fraction": 0.25,
    "box_score_threshold": 0.05,
    "box_nms": 0.4,
    "detections_per_image": 300,
    "detection_feature": "proposal",
    "oim_temperature": 0.1,
    "oim_momentum": 0.5,
    "oim_queue_length": 5000,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "bias_lr_factor": 2.0,
    "bias_weight_decay": 0.0,
    "precise_bn_images": 0,
}
"""experiments/cfgs/resnet50.yml, lib/fast_rcnn/config.py and models/psdb/resnet50 of the release."""


@pytest.mark.parametrize(("key", "value"), [*PAPER.items(), *OIM_RELEASE.items()])
def test_the_paper_recipe_has_the_value_of_its_source(key: str, value: object) -> None:
    assert getattr(load_config("paper"), key) == value


def test_the_defaults_are_the_paper_recipe() -> None:
    assert TrainConfig() == load_config("paper")


def test_every_loss_of_the_paper_has_weight_one() -> None:
    assert TrainConfig().loss_weights == dict.fromkeys(LOSS_NAMES, 1.0)


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_that_ships_loads(recipe: str) -> None:
    assert isinstance(load_config(recipe), TrainConfig)


@pytest.mark.parametrize("recipe", recipe_names())
def test_written_settings_come_back_equal(recipe: str, tmp_path: Path) -> None:
    config = load_config(recipe, [r'pretrained="C:\\weights \"a\" ü.pth"', "learning_rate=1e-7"])
    write_config(tmp_path / "config.toml", config)
    assert load_config(tmp_path / "config.toml") == config


def test_written_settings_name_every_setting(tmp_path: Path) -> None:
    write_config(tmp_path / "config.toml", TrainConfig())
    names = [line.split(" = ")[0] for line in (tmp_path / "config.toml").read_text().splitlines()]
    assert names == [field.name for field in dataclasses.fields(TrainConfig)]


def test_a_file_needs_only_what_differs_from_the_paper(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("epochs = 3\n")
    assert load_config(tmp_path / "mine.toml") == TrainConfig(epochs=3)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("epochs=6", "epochs", 6),
        ("learning_rate = 1e-3", "learning_rate", 0.001),
        ("learning_rate=1", "learning_rate", 1.0),
        ("masks=false", "masks", False),
        ("lr_steps=[2, 3.5]", "lr_steps", (2.0, 3.5)),
        ("lr_steps=[]", "lr_steps", ()),
        ("backbone=resnet101", "backbone", "resnet101"),
        ('backbone="resnet101"', "backbone", "resnet101"),
        ("pretrained=a=b.pth", "pretrained", "a=b.pth"),
    ],
)
def test_an_override_is_read_by_the_type_of_its_setting(override: str, key: str, value: object) -> None:
    found = getattr(load_config("paper", [override]), key)
    assert (found, type(found)) == (value, type(value))


def test_the_last_override_wins() -> None:
    assert load_config("paper", ["epochs=6", "epochs=7"]).epochs == 7


@pytest.mark.parametrize(
    ("override", "found", "hint"),
    [
        ("epoch=3", "unknown key 'epoch'", "did you mean 'epochs'"),
        ("lr=3", "unknown key 'lr'", "did you mean"),
        ("mask=false", "unknown key 'mask'", "did you mean 'masks'"),
        ("epochs", "no '='", "epochs=6"),
        ("epochs=many", "'many'", ""),
        ("epochs=1.5", "1.5", ""),
        ("epochs=true", "true", ""),
        ("epochs=0", "0", ""),
        ("masks=1", "1", ""),
        ("masks=", "''", ""),
        ("learning_rate=nan", "nan", ""),
        ("learning_rate=0", "0", ""),
        ("lr_steps=4", "4", ""),
        ("lr_steps=[8, 4]", "[8.0, 4.0]", ""),
        ("anchor_sizes=[]", "empty list", ""),
        ("anchor_sizes=[1.5]", "1.5", ""),
        ("schedule=cosinus", "'cosinus'", "did you mean 'cosine'"),
        ("longest_side=300", "300", "shorter_side"),
        ("precision=bfloat16", "'bfloat16'", "did you mean 'bf16'"),
        ("optimizer=adam", "'adam'", "did you mean 'adamw'"),
        ("flips=doublet", "doublet", "doubled"),
        ("resize=torch", "'torch'", "did you mean 'torchvision'"),
        ("size_divisor=24", "24", "32"),
        ("size_divisor=0", "0", ""),
        ("epochs=1\nseed=2", "1\nseed=2", ""),
    ],
)
def test_a_wrong_override_is_named(override: str, found: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", [override])
    assert found in caught.value.found
    assert hint in caught.value.hint


@pytest.mark.parametrize("value", ["1e308", "1" + 23 * "0", 400 * "9", 5000 * "9", 3000 * "["])
@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "bias_lr_factor", "embedding_dim", "epochs", "lr_steps"]
)
def test_an_extreme_value_is_refused_with_a_short_message(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        load_config("paper", [f"{name}={value}"])
    assert len(str(caught.value)) < 400


def test_every_number_has_a_highest_value_which_is_taken_itself() -> None:
    for field in dataclasses.fields(TrainConfig):
        if field.type in ("bool", "str"):
            continue
        high = field.metadata["high"]
        values = (high, high * 2) if field.type == "int" else (float(high), high * 1.01)
        entries = [(value,) if field.type.startswith("tuple") else value for value in values]
        if field.type == "tuple[int, ...]":
            entries = [(int(high),), (int(high) + 1,)]
        sizes = {"longest_side": 16384} if field.name == "shorter_side" else {}
        assert getattr(TrainConfig(**{**sizes, field.name: entries[0]}), field.name) == entries[0]
        with pytest.raises(ConfigError, match=f"(?s){field.name}.*<= "):
            TrainConfig(**{**sizes, field.name: entries[1]})


@pytest.mark.parametrize(
    ("overrides", "where", "expected"),
    [
        (["embedding_features=res4_res5", "embedding_dim=1"], "embedding_dim", "at least 2"),
        (["mask_size=28", "roi_pool=16"], "mask_size", "14 with roi_pool = 16"),
        (["mask_features=res3", "roi_pool=13"], "roi_pool", "an even number with mask_features = res3"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    overrides: list[str], where: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", overrides)
    assert caught.value.where.startswith(where) and caught.value.expected.startswith(expected)
    assert caught.value.hint
    for override in overrides:
        load_config("paper", [override])  # one of them alone is fine


def test_a_list_has_an_end() -> None:
    TrainConfig(anchor_sizes=(16,) * 100)
    with pytest.raises(ConfigError, match="101 numbers"):
        TrainConfig(anchor_sizes=(16,) * 101)


def test_the_warm_up_is_given_once() -> None:
    with pytest.raises(ConfigError, match="not both"):
        TrainConfig(warmup_steps=10, warmup_epochs=1)


@pytest.mark.parametrize("without", [{"masks": False}, {"mask_weight": 0.0}])
def test_mask_pooling_needs_the_loss_that_trains_its_masks(without: dict[str, bool | float]) -> None:
    TrainConfig(mask_pooling=True)
    with pytest.raises(ConfigError, match=r"(?s)mask_pooling.*nothing else trains"):
        TrainConfig(mask_pooling=True, **without)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        load_config("papper")


def test_a_missing_file_says_which_recipes_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=", ".join(recipe_names())):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("epochs = ", "Invalid value"),
        ("[network]\nepochs = 3", "unknown table 'network'"),
        ('epochs = "3"', '"3"'),
    ],
)
def test_a_wrong_file_is_named(text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.toml") as caught:
        load_config(tmp_path / "mine.toml")
    assert found in caught.value.found


def test_a_run_older_than_a_setting_keeps_what_it_was_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    write_config(path, TrainConfig(mask_size=28, activation_checkpointing=True))
    assert config.read_config(path) == TrainConfig(mask_size=28, activation_checkpointing=True)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(one for one in lines if not one.startswith(("mask_size", "activation_"))))
    assert config.read_config(path) == TrainConfig(mask_size=14, activation_checkpointing=False)
    monkeypatch.setitem(config._BEFORE, "mask_size", 28)  # and not today's default
    assert config.read_config(path).mask_size == 28


def test_lists_become_tuples_so_that_settings_can_be_compared() -> None:
    assert TrainConfig(lr_steps=[4, 8]) == TrainConfig()  # type: ignore[arg-type]
