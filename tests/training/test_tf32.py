"""TF32 is off, but in the training steps of `precision = "tf32"`. The flags are checked; no GPU is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import maskps.training.loop
from maskps.datasets import open_dataset
from maskps.model.processes import open_device
from maskps.training import TrainConfig, initial_predictor, train


def is_allowed() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(autouse=True)
def allowed_before() -> Iterator[None]:
    """As a program may have set them; the first is torch's default."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def test_an_opened_device_computes_in_float32() -> None:
    open_device("cpu")
    assert is_allowed() == (False, False)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_only_the_steps_of_a_tf32_run_allow_it(
    precision: str,
    few_scenes: Path,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forward and backward pass, and the passes for statistics of norms, but not the evaluation."""
    seen: dict[str, set[tuple[bool, bool]]] = {"forward": set(), "backward": set(), "evaluation": set()}

    def forward(module: nn.Module, arguments: tuple[Tensor]) -> None:
        seen["forward" if module.training else "evaluation"].add(is_allowed())

    def build(config: TrainConfig, num_pids: int) -> nn.Module:
        model = build_model(config, num_pids)
        model.rpn.register_forward_pre_hook(forward)
        model.stem.conv1.weight.register_hook(lambda gradient: seen["backward"].add(is_allowed()))
        return model

    build_model = maskps.training.loop.build_model
    monkeypatch.setattr(maskps.training.loop, "build_model", build)
    settings = {"precision": precision, "masks": False, "epochs": 1, "batch_size": 6, "precise_bn_images": 2}
    config = make_config(**settings, eval_every=1, eval_gallery_size=4)
    train(config, open_dataset(few_scenes), None, tmp_path / "run")
    in_steps = {(precision == "tf32",) * 2}
    assert seen == {"forward": in_steps, "backward": in_steps, "evaluation": {(False, False)}}
    assert is_allowed() == (False, False)


def test_a_predictor_of_an_untrained_network_computes_in_float32(
    few_scenes: Path, make_config: Callable[..., TrainConfig]
) -> None:
    initial_predictor(make_config(precision="tf32"), open_dataset(few_scenes))
    assert is_allowed() == (False, False)
