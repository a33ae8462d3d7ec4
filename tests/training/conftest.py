"""A data set of six tiny scenes drawn on the spot, and settings with which a step takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskps.masks.mask_file import PersonMasks
from maskps.masks.outlines import outline_from_polygons
from maskps.structures import UNLABELED_PID, MaskState, PersonSearchDataset, Scene, SceneTable
from maskps.subset import Subset, SubsetRecord
from maskps.training import TrainConfig

WIDTH, HEIGHT = 96, 64
PIDS = ([1, 2, UNLABELED_PID], [3], [UNLABELED_PID, UNLABELED_PID], [], [1, UNLABELED_PID], [2, 3])
"""Per scene; the third has no labeled person, the fourth nobody at all."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    """Six scenes with coloured blocks as persons, in the first three columns of a noisy picture."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "images"
    folder.mkdir()
    scenes = []
    for row, pids in enumerate(PIDS):
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        boxes = [[4 + 30 * k, 6 + 2 * k, 22 + 30 * k, 56 - 3 * k] for k in range(len(pids))]
        for (x0, y0, x1, y1), pid in zip(boxes, pids, strict=True):
            pixels[y0:y1, x0:x1] = (60 * pid + 70, 90, 255 - 60 * pid) if pid > 0 else (128, 128, 128)
        Image.fromarray(pixels).save(folder / f"s{row}.jpg")
        scenes.append(
            Scene(
                name=f"s{row}.jpg",
                boxes=np.array(boxes, np.float32).reshape(-1, 4),
                pids=np.array(pids, np.int64),
                is_hard=np.zeros(len(pids), np.bool_),
            )
        )
    table = SceneTable.from_scenes(scenes)
    ids = np.array(["p1", "p2", "p3"])
    return PersonSearchDataset(tmp_path, "cuhk-sysu", folder, table, table, ids, ids, "f" * 64)


@pytest.fixture
def subset(dataset: PersonSearchDataset) -> Subset:
    """Masks of the labeled persons of the first and fifth scene: triangles with their tips at the right."""
    train = dataset.train
    kept = np.array([0, 4])
    states = np.full(train.num_persons, MaskState.NOT_APPLICABLE, np.int8)
    is_wanted = train.is_labeled & np.isin(train.scene_of_person, kept)
    states[is_wanted] = MaskState.PRESENT
    outlines = {}
    for row in np.flatnonzero(is_wanted).tolist():
        x0, y0, x1, y1 = train.boxes[row].tolist()
        corners = np.array([[x0, y0], [x1, (y0 + y1) / 2], [x0, y1]])
        outlines[row] = outline_from_polygons([corners], where=f"person {row}")
    record = SubsetRecord(
        fingerprint=dataset.fingerprint,
        portion_size=3,
        seed=0,
        generator="test",
        drawn=("s0.jpg", "s4.jpg"),
        kept=("s0.jpg", "s4.jpg"),
        counts={},
    )
    return Subset(record, kept, PersonMasks(states, outlines))


@pytest.fixture
def make_config() -> Callable[..., TrainConfig]:
    """Returns settings of a very small network; keyword arguments override them."""

    def make(**changes: object) -> TrainConfig:
        values = {
            "backbone": "tiny",
            "pretrained": "none",
            "frozen_stages": 0,
            "freeze_batch_norm": "none",
            "embedding_dim": 16,
            "mask_channels": 8,
            "shorter_side": 64,
            "longest_side": 96,
            "flips": "random",
            "anchor_sizes": (24, 40),
            "anchor_ratios": (2.0,),
            "rpn_channels": 16,
            "rpn_batch_size": 16,
            "rpn_pre_nms_top_n_train": 40,
            "rpn_pre_nms_top_n_test": 40,
            "rpn_post_nms_top_n_train": 10,
            "rpn_post_nms_top_n_test": 10,
            "rois_per_image": 6,
            "oim_queue_length": 8,
            "epochs": 2,
            "batch_size": 2,
            "learning_rate": 0.01,
            "lr_steps": (1.0,),
            "gradient_clip": 10.0,
            "num_workers": 0,
            "checkpoint_every": 0,
        }
        return TrainConfig(**(values | changes))

    return make
