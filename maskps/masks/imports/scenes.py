"""The scenes that masks of another source are looked for in: by name, by size, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskps.structures import SceneTable


@dataclass(frozen=True)
class ImportScenes:
    """The scenes of a subset, as masks of another source see them.

    Attributes:
        train: the training table.
        rows: (K,) int64, rows of the subset's scenes.
        ids: (N,) str, the data set's own identity of pid i at [i - 1].
        sizes: scene row -> (width, height) in pixels, where known.
        fingerprint: of the data set.
        images: image id -> scene row in the subset's own mask file.
    """

    train: SceneTable
    rows: NDArray[np.int64]
    ids: NDArray[np.str_]
    sizes: Mapping[int, tuple[int, int]]
    fingerprint: str
    images: Mapping[int, int]

    def scene_of_file(self, name: str) -> int | None:
        """Returns the row of the scene of this file name, None if there is none in the training set.

        Folders before the name are left out where the whole does not fit, if that leaves no doubt.
        """
        row = self._by_name.get(name)
        return self._by_last_part.get(_last_part(name)) if row is None else row

    def scene_of_stem(self, stem: str) -> int | None:
        """Returns the row of the scene whose file name without ending is this, None if none or several."""
        return self._by_stem.get(stem)

    def has(self, scene: int) -> bool:
        """Whether the scene belongs to the subset."""
        return scene in self._chosen

    def person_of_id(self, scene: int, identity: str) -> int | None:
        """Returns the row of the person with this identity, None if nobody in the scene has it, or two."""
        pid = self._pid_of_id.get(identity)
        if pid is None:
            return None
        first, last = int(self.train.offsets[scene]), int(self.train.offsets[scene + 1])
        named = np.flatnonzero(self.train.pids[first:last] == pid)
        return first + int(named[0]) if len(named) == 1 else None

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {str(name): row for row, name in enumerate(self.train.names)}

    @cached_property
    def _by_last_part(self) -> dict[str, int]:
        return _without_doubt([_last_part(str(name)) for name in self.train.names])

    @cached_property
    def _by_stem(self) -> dict[str, int]:
        return _without_doubt([PurePosixPath(_last_part(str(name))).stem for name in self.train.names])

    @cached_property
    def _chosen(self) -> frozenset[int]:
        return frozenset(self.rows.tolist())

    @cached_property
    def _pid_of_id(self) -> dict[str, int]:
        return {str(identity): pid for pid, identity in enumerate(self.ids, start=1)}


def _last_part(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _without_doubt(names: list[str]) -> dict[str, int]:
    """Returns name -> row of the names that are there once."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        rows[name] = -1 if name in rows else row
    return {name: row for name, row in rows.items() if row >= 0}
