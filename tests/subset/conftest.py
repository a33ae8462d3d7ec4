"""A small data set that is only a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskps.structures import PersonSearchDataset, SceneTable


def scene_table(names: list[str], pids: list[list[int]]) -> SceneTable:
    """Scenes with these names and persons; each box is 10 pixels wide and 20 high."""
    flat = [pid for row in pids for pid in row]
    return SceneTable(
        names=np.array(names, dtype=np.str_),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in pids])]).astype(np.int64),
        boxes=np.tile(np.array([0, 0, 10, 20], dtype=np.float32), (len(flat), 1)),
        pids=np.array(flat, dtype=np.int64),
        is_hard=np.zeros(len(flat), dtype=np.bool_),
    )


@pytest.fixture
def street(tmp_path: Path) -> PersonSearchDataset:
    """40 training scenes s001.jpg to s040.jpg, every eighth without a labeled person; 3 test scenes."""
    numbers = range(1, 41)
    train = scene_table(
        [f"s{number:03}.jpg" for number in numbers],
        [[number, -1] if number % 8 else [-1] for number in numbers],
    )
    return PersonSearchDataset(
        root=tmp_path / "street",
        kind="cuhk-sysu",
        image_dir=tmp_path / "street",
        train=train,
        test=scene_table(["t1.jpg", "t2.jpg", "t3.jpg"], [[1], [1, -1], [2]]),
        train_ids=np.array([f"p{number}" for number in numbers]),
        test_ids=np.array(["p101", "p102"]),
        fingerprint="f" * 64,
    )
