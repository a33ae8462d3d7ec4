"""A data set of a few scenes, and the same on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from maskps.datasets import cache, write_cuhk_sysu
from maskps.protocols import SearchProtocol
from maskps.structures import Scene, SceneTable


@dataclass(frozen=True)
class SmallDataset:
    train: SceneTable
    test: SceneTable
    train_ids: NDArray[np.str_]
    test_ids: NDArray[np.str_]
    protocols: dict[str, SearchProtocol]

    def write(self, root: Path) -> None:
        write_cuhk_sysu(
            root,
            train=self.train,
            test=self.test,
            train_ids=self.train_ids,
            test_ids=self.test_ids,
            protocols=self.protocols,
        )


def scene(name: str, *persons: tuple[int, int, int, int, int], hard: int = -1) -> Scene:
    """A scene of persons given as x, y, width, height, pid; `hard` is the index of a hard one."""
    boxes = np.array([person[:4] for person in persons], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Scene(
        name=name,
        boxes=boxes,
        pids=np.array([person[4] for person in persons], np.int64),
        is_hard=np.arange(len(persons)) == hard,
    )


def protocol_of(
    test: SceneTable, galleries: list[list[int]], truths: list[list[int]], ids: list[str]
) -> SearchProtocol:
    """A protocol whose query q is the first person of scene q; a true box is a scene's first one."""
    queries = np.arange(len(galleries))
    positions = np.array([place for row in truths for place in row], np.int32)
    query_of_truth = np.repeat(queries, [len(row) for row in truths])
    table = np.array(galleries, np.int32)
    first = test.offsets[:-1]
    persons = first[table[query_of_truth, positions]]
    return SearchProtocol(
        image_names=test.names,
        query_scenes=queries.astype(np.int32),
        query_boxes=test.boxes[first[queries]],
        query_ids=np.array(ids),
        query_hard=test.is_hard[first[queries]],
        galleries=table,
        truth_offsets=np.concatenate([[0], np.cumsum([len(row) for row in truths])]).astype(np.int64),
        truth_positions=positions,
        truth_boxes=test.boxes[persons],
        truth_hard=test.is_hard[persons],
    )


@pytest.fixture
def small() -> SmallDataset:
    """Training ids p7 (2 appearances) and p12; test ids p3 and p44; boxes in 8 and in 16 bits."""
    train = SceneTable.from_scenes(
        [
            scene("s1.jpg", (10, 20, 30, 90, 1), (300, 20, 100, 500, -1), hard=0),
            scene("s10.jpg", (138, 175, 73, 241, 2), (5, 6, 20, 60, 1)),
            scene("s2.jpg", (1, 1, 7, 20, -1)),
            scene("s3.jpg"),
        ]
    )
    test = SceneTable.from_scenes(
        [
            scene("s9.jpg", (10, 20, 30, 90, 1), (100, 20, 30, 90, -1)),
            scene("s8.jpg", (400, 20, 130, 390, 2), hard=0),
            scene("s7.jpg", (50, 60, 40, 100, 1)),
            scene("s6.jpg", (51, 61, 41, 101, 2), hard=0),
        ]
    )
    ids = ["p3", "p44"]
    protocols = {
        "TestG3": protocol_of(test, [[2, 1, 3], [3, 0, 2]], [[0], [0]], ids),
        "TestG2": protocol_of(test, [[2, 1], [3, 0]], [[0], [0]], ids),
        "Occlusion": protocol_of(test, [[2, 3, 1]], [[0]], ids[:1]),
        "Resolution": protocol_of(test, [[1, 3, 2]], [[2]], ids[:1]),
    }
    return SmallDataset(train, test, np.array(["p7", "p12"]), np.array(ids), protocols)


@pytest.fixture
def root(small: SmallDataset, tmp_path: Path) -> Path:
    """The small data set on disk."""
    small.write(tmp_path / "ssm")
    return tmp_path / "ssm"


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, which keeps also what was changed just now."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_SETTLED", 0.0)
    return tmp_path / "cache"
