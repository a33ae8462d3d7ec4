"""The settings of a training run: one frozen, flat record whose defaults are the paper's values (Sec. 4.2).

Where the paper says nothing, the default is that of the OIM release (Xiao et al. 2017), on which the paper
builds. Each setting names its source. A recipe is a TOML file with the keys that differ from the defaults;
`key=value` overrides come on top. Every run saves its resolved settings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import itertools
import json
import math
import operator
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from maskps.errors import ConfigError, InputFileError, shown_value
from maskps.io.files import explained_reading, read_text, written_atomically

_MOST_ENTRIES = 100
_NOT_TOML = (ValueError, RecursionError)
"""What tomllib raises; also for a number of 5,000 digits, or 1,000 lists within each other."""

_BEFORE = {"activation_checkpointing": False, "mask_size": 14}
"""Settings that older runs lack, with the value that gives what the run was trained with."""


def _setting(
    default: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    rising: bool = False,
) -> Any:
    """Returns a dataclass field whose value (or each of its entries) must be >= low, > above, <= high."""
    limits = {"low": low, "above": above, "high": high, "choices": choices, "rising": rising}
    return dataclasses.field(default=default, metadata=limits)


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run. Lengths are pixels of the resized image unless a comment says otherwise.

    "[4.2]" is a section of the paper, "[OIM]" the OIM release where the paper is silent, "[ours]" a choice of
    this project.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """

    # -- network (Sec. 3.2) -----------------------------------------------------------------------------
    backbone: str = _setting("resnet50")  # [4.2]; any of maskps.model.backbone.BACKBONES
    pretrained: str = _setting("imagenet")  # [4.2]; also "shipped", "none", or the path of a weight file
    frozen_stages: int = _setting(1, low=0, high=4)  # [OIM] 1 = conv1 and its norm, 2 = also res2, ...
    freeze_batch_norm: str = _setting("stem", choices=("stem", "all", "none"))  # [OIM]
    embedding_dim: int = _setting(256, low=1, high=16384)  # [3.2] d of f_id
    roi_pool: int = _setting(14, low=2, high=64)  # [3.2] RoIAlign output; res5 halves it to m, masks have 2m
    mask_channels: int = _setting(256, low=1, high=16384)  # Mask R-CNN, as [4.2]: of the mask branch
    mask_size: int = _setting(14, low=14, high=28)  # [4.2] cells of a mask per side; Mask R-CNN: 28
    mask_features: str = _setting("res5", choices=("res5", "res2", "res3"))  # [3.2] res5: F_p alone
    mask_pooling: bool = _setting(False)  # [ours] embed F_p averaged with the predicted mask as weights
    head: str = _setting("single", choices=("single", "norm_aware", "sequential"))  # [3.2]; NAE; SeqNet
    embedding_norm: bool = _setting(False)  # SeqNet, NAE: a batch norm behind the projection to f_id
    embedding_features: str = _setting("res5", choices=("res5", "res4_res5"))  # [3.2]; NAE, SeqNet: both
    pooling: str = _setting("mean", choices=("mean", "max"))  # [3.2] mean over the cells of F_p; SeqNet: max
    roi_align_aligned: bool = _setting(True)  # [ours] as Detectron2; SeqNet, torchvision: false
    detection_feature: str = _setting("proposal", choices=("proposal", "detection"))  # [OIM] pooled in it

    # -- images (Sec. 4.2) ------------------------------------------------------------------------------
    shorter_side: int = _setting(600, low=16, high=8192)  # [4.2]
    longest_side: int = _setting(1000, low=16, high=16384)  # [OIM] upper limit; shorter_side gives way to it
    resize: str = _setting("antialiased", choices=("antialiased", "torchvision"))  # [ours], SeqNet's
    size_divisor: int = _setting(16, low=16, high=4096)  # [ours] pad to the stride; SeqNet: to 32
    flips: str = _setting("doubled", choices=("doubled", "random", "none"))  # [4.2] flips; [OIM] doubles
    background_replacement: float = _setting(0.0, low=0, high=1)  # [ours] share of images with pasted persons

    # -- region proposals -------------------------------------------------------------------------------
    anchor_sizes: tuple[int, ...] = _setting((128, 256, 512), low=1, high=16384)  # [OIM] 8, 16, 32 x stride
    anchor_ratios: tuple[float, ...] = _setting((0.5, 1.0, 2.0), low=0.01, high=100)  # [OIM] height / width
    rpn_channels: int = _setting(512, low=1, high=16384)  # [OIM] of its 3x3 convolution
    rpn_batch_size: int = _setting(256, low=1, high=10**6)  # [OIM] anchors per image
    rpn_pre_nms_top_n_train: int = _setting(12000, low=1, high=10**6)  # [OIM]
    rpn_pre_nms_top_n_test: int = _setting(6000, low=1, high=10**6)  # [OIM]
    rpn_post_nms_top_n_train: int = _setting(2000, low=1, high=10**5)  # [OIM]
    rpn_post_nms_top_n_test: int = _setting(300, low=1, high=10**5)  # [OIM]
    rpn_nms: float = _setting(0.7, low=0, high=1)  # [OIM]

    # -- regions of interest ----------------------------------------------------------------------------
    rois_per_image: int = _setting(128, low=1, high=10**5)  # [OIM]
    roi_foreground_fraction: float = _setting(0.25, low=0, high=1)  # [OIM]
    box_score_threshold: float = _setting(0.05, low=0, high=1)  # [OIM] at test time; search uses >= 0.5
    first_nms: float = _setting(0.4, low=0, high=1)  # SeqNet: of the first head of "sequential"
    box_nms: float = _setting(0.4, low=0, high=1)  # [OIM] of the head whose boxes are the detections
    detections_per_image: int = _setting(300, low=1, high=10**5)  # [OIM] the number of proposals
    score_weighted_similarity: bool = _setting(False)  # SeqNet: gallery embeddings times their scores

    # -- losses (Eqs. 1-7) ------------------------------------------------------------------------------
    oim_temperature: float = _setting(0.1, low=1e-4, high=10**3)  # [OIM] tau of Eq. (3)
    oim_momentum: float = _setting(0.5, low=0, high=1)  # [OIM] beta of Eq. (4)
    oim_queue_length: int = _setting(5000, low=0, high=10**6)  # [OIM] Q of Eq. (3)
    oim_mean: str = _setting("images", choices=("images", "rois"))  # decision 8; SeqNet: rois of a batch
    masks: bool = _setting(True)  # False: the same run and data order without any mask
    mask_target: str = _setting("binary", choices=("binary", "soft"))  # [ours] area >= 0.5, or the area
    mask_loss_reduction: str = _setting("mean", choices=("mean", "sum"))  # Mask R-CNN; Eq. (6) has a sum
    allow_missing_masks: bool = _setting(False)  # [ours] train even if outlines of the subset are missing
    shuffle_masks: bool = _setting(False)  # [ours] control: everyone trains on somebody else's outline
    rpn_cls_weight: float = _setting(1.0, low=0, high=10**6)  # Eq. (7): every weight is 1
    rpn_reg_weight: float = _setting(1.0, low=0, high=10**6)
    first_cls_weight: float = _setting(1.0, low=0, high=10**6)  # of the first head of "sequential"
    first_reg_weight: float = _setting(1.0, low=0, high=10**6)
    rcnn_cls_weight: float = _setting(1.0, low=0, high=10**6)
    rcnn_reg_weight: float = _setting(1.0, low=0, high=10**6)
    id_weight: float = _setting(1.0, low=0, high=10**6)
    mask_weight: float = _setting(1.0, low=0, high=10**6)  # lambda of images with masks; others have 0

    # -- optimisation (Sec. 4.2) ------------------------------------------------------------------------
    epochs: int = _setting(12, low=1, high=10**5)  # [4.2]
    batch_size: int = _setting(1, low=1, high=10**4)  # [4.2] images per process and micro-batch
    accumulate: int = _setting(1, low=1, high=10**4)  # [ours] micro-batches per step and process
    optimizer: str = _setting("sgd", choices=("sgd", "adamw"))  # [4.2] sgd
    precision: str = _setting("fp32", choices=("fp32", "tf32", "bf16"))  # [ours] of training; eval is fp32
    learning_rate: float = _setting(4e-4, above=0, high=10**3)  # [4.2]
    schedule: str = _setting("steps", choices=("steps", "cosine"))  # [4.2] steps; cosine: down to 0
    lr_steps: tuple[float, ...] = _setting((4.0, 8.0), above=0, high=10**5, rising=True)  # [4.2] "every 4"
    lr_factor: float = _setting(0.1, above=0, high=1)  # [4.2] at each of lr_steps
    warmup_steps: int = _setting(0, low=0, high=10**9)  # [ours] none; the rate rises linearly
    warmup_epochs: float = _setting(0.0, low=0, high=10**5)  # [ours] the same in epochs; not both
    momentum: float = _setting(0.9, low=0, high=1)  # [OIM] of sgd; adamw has torch's own betas
    weight_decay: float = _setting(5e-4, low=0, high=10**3)  # [OIM] of weights; norms do not decay
    bias_lr_factor: float = _setting(2.0, above=0, high=10**3)  # [OIM] biases learn twice as fast ...
    bias_weight_decay: float = _setting(0.0, low=0, high=10**3)  # [OIM] ... and do not decay
    activation_checkpointing: bool = _setting(False)  # [ours] compute twice to keep less; same results
    gradient_clip: float = _setting(0.0, low=0, high=10**9)  # [ours] largest gradient norm; 0 = not limited
    precise_bn_images: int = _setting(0, low=0, high=10**6)  # [ours] at the end; 0 = running averages

    # -- the run ----------------------------------------------------------------------------------------
    seed: int = _setting(0, low=0, high=2**31 - 1)  # of weights, order, flips and sampling
    num_workers: int = _setting(2, low=0, high=128)  # processes that load images; no result depends on it
    checkpoint_every: int = _setting(1000, low=0, high=10**9)  # steps; 0 = at the end of every epoch only
    keep_checkpoints: int = _setting(2, low=1, high=10**6)  # the last ones; older ones are deleted
    eval_every: int = _setting(0, low=0, high=10**5)  # epochs between evaluations, for best.pt; 0 = never
    eval_gallery_size: int = _setting(100, low=1, high=10**9)  # of those evaluations (Sec. 4.1)
    tensorboard: bool = _setting(False)  # also write curves and example images for TensorBoard
    image_every: int = _setting(500, low=1, high=10**9)  # steps between those example images

    def __post_init__(self) -> None:
        types = _types()
        for field in dataclasses.fields(self):
            value = _checked(field.name, getattr(self, field.name), types[field.name])
            object.__setattr__(self, field.name, value)
            _check_range(field, value)
        if self.longest_side < self.shorter_side:
            raise ConfigError(
                "longest_side",
                expected=f"at least shorter_side = {self.shorter_side}",
                found=f"{self.longest_side}",
                hint="raise longest_side or lower shorter_side",
            )
        if self.roi_pool % 2 and self.mask_features != "res5":
            raise ConfigError(
                "roi_pool",
                expected=f"an even number with mask_features = {self.mask_features}: masks have as many",
                found=f"{self.roi_pool}",
                hint="14, as in Sec. 3.2, or mask_features = res5",
            )
        if self.mask_size not in (14, 28):
            hint = "14, as in Sec. 4.2, or 28, as Mask R-CNN on a feature pyramid"
            raise ConfigError("mask_size", expected="14 or 28", found=f"{self.mask_size}", hint=hint)
        if self.mask_size == 28 and self.roi_pool not in (13, 14):
            raise ConfigError(
                "mask_size",
                expected=f"14 with roi_pool = {self.roi_pool}: 28 is four times the 7 cells of F_p",
                found="28",
                hint="leave roi_pool at 14, as in Sec. 3.2",
            )
        if self.embedding_features == "res4_res5" and self.embedding_dim < 2:
            raise ConfigError(
                "embedding_dim",
                expected="at least 2 with embedding_features = res4_res5: each of the two has half of them",
                found=f"{self.embedding_dim}",
                hint="256, as in NAE and SeqNet",
            )
        if self.size_divisor % 16:
            raise ConfigError(
                "size_divisor",
                expected="a multiple of 16, the stride of the features",
                found=f"{self.size_divisor}",
                hint="16, or 32 as in torchvision and SeqNet",
            )
        if self.warmup_steps and self.warmup_epochs:
            raise ConfigError(
                "warmup_epochs",
                expected="warmup_steps or warmup_epochs, not both",
                found=f"warmup_steps = {self.warmup_steps} and warmup_epochs = {self.warmup_epochs:g}",
                hint="set the other one to 0",
            )
        if self.background_replacement and not self.masks:
            raise ConfigError(
                "background_replacement",
                expected="0 without masks: persons are cut out by their outlines",
                found=f"{self.background_replacement:g} and masks = false",
                hint="to load the outlines but leave out the mask loss, set masks = true and mask_weight = 0",
            )
        if self.mask_pooling and not (self.masks and self.mask_weight):
            raise ConfigError(
                "mask_pooling",
                expected="false without the mask loss: nothing else trains the masks that it pools with",
                found=f"true, masks = {setting_text(self.masks)} and mask_weight = {self.mask_weight:g}",
                hint="leave out mask_pooling, or train with masks",
            )

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each loss, by its name: the six of the paper, and two of a first head."""
        first = ("first_cls", "first_reg") if self.head == "sequential" else ()
        names = ("rpn_cls", "rpn_reg", *first, "rcnn_cls", "rcnn_reg", "id", "mask")
        return {f"loss_{name}": getattr(self, f"{name}_weight") for name in names}


def load_config(recipe: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Returns the settings of a recipe with `key=value` overrides on top; later overrides win.

    Args:
        recipe: a name of `recipe_names()`, or the path of a TOML file (see `is_recipe_file`).
        overrides: values are TOML of the setting's type; text needs no quotes.

    Raises:
        ConfigError: an unknown recipe, key or value.
        InputFileError: the TOML file is missing or cannot be read.
    """
    where, text = _recipe_text(recipe)
    try:
        values = tomllib.loads(text)
    except _NOT_TOML as error:
        raise ConfigError(where, expected="a TOML file of settings", found=str(error)[:200]) from error
    _check_keys(values, where)
    types = _types()
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigError(
                f"--set {override}", expected="key=value", found="no '='", hint="for example epochs=6"
            )
        _check_keys({key: value}, f"--set {override}")
        values[key] = _parsed(key, value.strip(), types[key])
    try:
        return TrainConfig(**values)
    except ConfigError as error:
        raise ConfigError(
            f"{error.where} (recipe {where})", expected=error.expected, found=error.found, hint=error.hint
        ) from error


def read_config(path: Path) -> TrainConfig:
    """Returns the settings that `write_config` saved, also before this version had some of them.

    Raises:
        ConfigError: as `load_config`.
        InputFileError: as `load_config`, or settings are missing. Today's default may not be the value that
            the run was trained with.
    """
    config = load_config(path)
    keys = _BEFORE | tomllib.loads(read_text(path))
    if missing := [name for name in _types() if name not in keys]:
        raise InputFileError(
            path,
            expected="every setting of a run",
            found=f"{len(missing)} are missing: {', '.join(missing)}",
            hint="the file was edited, or comes from another version of maskps; put it back or use that one",
        )
    return dataclasses.replace(config, **{name: keys[name] for name in _BEFORE})


def write_config(path: Path, config: TrainConfig) -> None:
    """Writes all settings as flat TOML, in the order of `TrainConfig`; `read_config` gives them back."""
    lines = [
        f"{field.name} = {setting_text(getattr(config, field.name))}" for field in dataclasses.fields(config)
    ]
    with written_atomically(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def setting_text(value: bool | int | float | str | tuple[float, ...]) -> str:
    """Returns a setting's value as TOML, which JSON is for these types, except for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def recipe_names() -> list[str]:
    """Returns the names of the recipes that come with maskps, sorted."""
    files = resources.files("maskps").joinpath("recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def is_recipe_file(recipe: str) -> bool:
    """Whether this is the path of a file rather than a name: it ends in ".toml" or has a path separator."""
    return recipe.endswith(".toml") or "/" in recipe or "\\" in recipe


def _recipe_text(recipe: str | Path) -> tuple[str, str]:
    if isinstance(recipe, Path) or is_recipe_file(recipe):
        hint = f"the recipes that come with maskps are named {', '.join(recipe_names())}"
        with explained_reading(Path(recipe), what="a TOML file of settings", hint=hint):
            return str(recipe), read_text(Path(recipe))
    names = recipe_names()
    if recipe not in names:
        raise ConfigError(
            f"recipe '{recipe}'",
            expected=f"one of {', '.join(names)}, or the path of a .toml file",
            found="an unknown name",
            hint=_did_you_mean(recipe, names),
        )
    file = resources.files("maskps").joinpath("recipes").joinpath(f"{recipe}.toml")
    return recipe, file.read_text(encoding="utf-8")


def _check_keys(values: Mapping[str, Any], where: str) -> None:
    known = list(_types())
    for key, value in values.items():
        if key not in known:
            raise ConfigError(
                where,
                expected="settings that TrainConfig knows",
                found=f"the unknown {'table' if isinstance(value, dict) else 'key'} '{key}'",
                hint=_did_you_mean(key, known),
            )


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"did you mean '{nearest[0]}'?"


def _types() -> dict[str, Any]:
    return typing.get_type_hints(TrainConfig)


def _checked(key: str, value: Any, wanted: Any) -> Any:
    """Returns `value` as the type `wanted`. Converts only whole numbers to floats and lists to tuples."""
    if typing.get_origin(wanted) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_checked(key, entry, typing.get_args(wanted)[0]) for entry in value)
    elif wanted is float:
        if type(value) in (int, float):
            with contextlib.suppress(OverflowError):  # a whole number of 400 digits
                if math.isfinite(value):
                    return float(value)
    elif type(value) is wanted:
        return value
    raise ConfigError(
        key,
        expected=_type_name(wanted),
        found=setting_text(value)[:60] if isinstance(value, bool | str) else shown_value(value),
    )


def _parsed(key: str, text: str, wanted: Any) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
        if set(values) == {"value"} and not (wanted is str and not isinstance(values["value"], str)):
            return values["value"]
    except _NOT_TOML:
        pass
    if wanted is str:
        return text
    raise ConfigError(f"--set {key}={text[:60]}", expected=_type_name(wanted), found=f"'{text[:60]}'")


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    limits = field.metadata
    if limits["choices"] and value not in limits["choices"]:
        hint = _did_you_mean(value, limits["choices"])
        expected = f"one of {', '.join(limits['choices'])}"
        raise ConfigError(field.name, expected=expected, found=shown_value(value), hint=hint)
    entries = value if isinstance(value, tuple) else (value,)
    for key, is_fine, sign in (
        ("low", operator.ge, ">="),
        ("above", operator.gt, ">"),
        ("high", operator.le, "<="),
    ):
        if limits[key] is None:
            continue
        if not all(is_fine(entry, limits[key]) for entry in entries):
            raise ConfigError(field.name, expected=f"{sign} {limits[key]:,}", found=shown_value(value))
    if len(entries) > _MOST_ENTRIES:
        raise ConfigError(
            field.name, expected=f"at most {_MOST_ENTRIES} numbers", found=f"{len(entries)} numbers"
        )
    if limits["rising"] and any(b <= a for a, b in itertools.pairwise(entries)):
        raise ConfigError(field.name, expected="rising numbers", found=shown_value(list(value)))
    if isinstance(value, tuple) and not value and not limits["rising"]:
        raise ConfigError(field.name, expected="at least one number", found="an empty list")


def _type_name(wanted: Any) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(
        wanted, "a list of numbers, as in [4, 8]"
    )
