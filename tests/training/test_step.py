"""Which passes run under autocast."""

from __future__ import annotations

import pytest
import torch

from maskps.errors import ConfigError
from maskps.training import TrainConfig
from maskps.training.step import autocast_for

CPU = torch.device("cpu")


def test_float32_runs_without_autocast() -> None:
    with autocast_for(TrainConfig(), CPU):
        assert not torch.is_autocast_enabled("cpu")


def test_bf16_runs_under_autocast_and_ends_it() -> None:
    with autocast_for(TrainConfig(precision="bf16"), CPU):
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_a_device_without_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    with pytest.raises(ConfigError, match=r"Tesla V100(?s:.*)precision=fp32"):
        autocast_for(TrainConfig(precision="bf16"), torch.device("cuda"))
