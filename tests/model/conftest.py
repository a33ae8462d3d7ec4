"""A small network, and targets of every kind, for the tests of the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from maskps.config import TrainConfig
from maskps.model import MaskGuidedPersonSearch, build_model

NUM_PIDS = 7


def small_config(**settings: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "backbone": "tiny",
        "pretrained": "none",
        "frozen_stages": 0,
        "freeze_batch_norm": "none",
        "anchor_sizes": (32, 64),
        "anchor_ratios": (2.0,),
        "rpn_channels": 16,
        "rpn_batch_size": 16,
        "rpn_pre_nms_top_n_train": 60,
        "rpn_pre_nms_top_n_test": 40,
        "rpn_post_nms_top_n_train": 30,
        "rpn_post_nms_top_n_test": 12,
        "rois_per_image": 12,
        "roi_foreground_fraction": 0.5,
        "embedding_dim": 32,
        "oim_queue_length": 5,
        "mask_channels": 8,
    }
    return TrainConfig(**(values | settings))


@pytest.fixture
def config() -> Callable[..., TrainConfig]:
    """Makes the settings of a small network; keywords change some."""
    return small_config


@pytest.fixture
def small_model() -> Callable[..., MaskGuidedPersonSearch]:
    """Makes a small network for 7 identities; keywords change settings."""
    return lambda **settings: build_model(small_config(**settings), NUM_PIDS)


@pytest.fixture
def images() -> list[Tensor]:
    """Two images of different sizes, neither a multiple of 16."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, 100, 120, generator=generator), torch.rand(3, 90, 131, generator=generator)]


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Tensor:
    """Returns the (4, 4) edges of a rectangle's outline, clockwise on the screen (positive area)."""
    return torch.tensor([[x0, y0, x1, y0], [x1, y0, x1, y1], [x1, y1, x0, y1], [x0, y1, x0, y0]])


def target_of(pids: list[int], *, masks: bool, seed: int | None = 1) -> dict[str, Any]:
    """Returns a target with a person of 26 x 60 pixels per pid; the mask is the upper half of the box."""
    lefts = [6.0 + 30 * row for row in range(len(pids))]
    boxes = torch.tensor([[x, 20, x + 26, 80] for x in lefts], dtype=torch.float32).reshape(-1, 4)
    present = torch.tensor([masks and pid > 0 for pid in pids], dtype=torch.bool)
    edges = [
        rectangle(x, 20, x + 26, 50) if has_mask else torch.zeros(0, 4)
        for x, has_mask in zip(lefts, present.tolist(), strict=True)
    ]
    target = {
        "boxes": boxes,
        "pids": torch.tensor(pids, dtype=torch.int64),
        "mask_edges": edges,
        "mask_present": present,
    }
    return target if seed is None else target | {"seed": seed}


@pytest.fixture
def target() -> Callable[..., dict[str, Any]]:
    """Makes a target: a list of pids, and whether the labeled ones have masks."""
    return target_of
