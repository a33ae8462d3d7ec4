"""Distributions of a data set or a subset: the numbers behind the pictures of `maskps-data stats`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset.build import Subset
from maskps.subset.nested import FULL
from maskps.subset.targets import targets_of


@dataclass(frozen=True)
class Series:
    """One number for each of n items.

    Attributes:
        name: of the items, e.g. "images with masks".
        values: (n,) numbers, in no particular order.
    """

    name: str
    values: NDArray[Any]


@dataclass(frozen=True)
class Distributions:
    """Series to compare: of the images with masks and without; or, without a subset, of both splits.

    Attributes:
        persons_per_image: number of annotated persons, labeled or not, of each image.
        labeled_heights, unlabeled_heights: box height in pixels of each person.
        images_per_identity: number of images of each identity that is in at least one.
        mask_shares: covered share of the box, 0 to 1, of each outline of the subset.
    """

    persons_per_image: tuple[Series, ...]
    labeled_heights: tuple[Series, ...]
    unlabeled_heights: tuple[Series, ...]
    images_per_identity: tuple[Series, ...]
    mask_shares: tuple[Series, ...]


def distributions(dataset: PersonSearchDataset, subset: Subset | None = None) -> Distributions:
    """Returns the distributions of a data set, or of a subset beside the other training images."""
    parts: list[tuple[str, SceneTable, NDArray[np.bool_]]]
    if subset is None:
        parts = [
            (name, table, np.ones(len(table), dtype=np.bool_))
            for name, table in (("training", dataset.train), ("test", dataset.test))
        ]
    else:
        is_kept = np.zeros(len(dataset.train), dtype=np.bool_)
        is_kept[subset.kept_rows] = True
        which = "" if subset.proportion == FULL else f" ({subset.proportion})"
        parts = [
            (f"with masks{which}", dataset.train, is_kept),
            ("without masks", dataset.train, ~is_kept),
        ]
    return Distributions(
        persons_per_image=tuple(Series(name, np.diff(table.offsets)[rows]) for name, table, rows in parts),
        labeled_heights=tuple(Series(name, _heights(table, rows, True)) for name, table, rows in parts),
        unlabeled_heights=tuple(Series(name, _heights(table, rows, False)) for name, table, rows in parts),
        images_per_identity=tuple(
            Series(name, images_per_identity(table, rows)) for name, table, rows in parts
        ),
        mask_shares=() if subset is None else (Series(parts[0][0], mask_shares(dataset.train, subset)),),
    )


def images_per_identity(table: SceneTable, scenes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the number of these scenes that show each identity, by rising pid, without zeros.

    A scene that shows an identity twice counts once.

    Args:
        scenes: (S,) bool.
    """
    wanted = table.is_labeled & scenes[table.scene_of_person]
    pairs = np.stack([table.pids[wanted], table.scene_of_person[wanted]])
    return np.unique(np.unique(pairs, axis=1)[0], return_counts=True)[1]


def mask_shares(train: SceneTable, subset: Subset) -> NDArray[np.float64]:
    """Returns (n,) the exact share of its box that each outline covers."""
    return targets_of(train, subset.masks).coverage.mean(axis=(1, 2), dtype=np.float64)


def _heights(table: SceneTable, scenes: NDArray[np.bool_], is_labeled: bool) -> NDArray[np.float32]:
    wanted = scenes[table.scene_of_person] & (table.is_labeled == is_labeled)
    return table.boxes[wanted, 3] - table.boxes[wanted, 1]
