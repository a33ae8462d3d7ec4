"""The scenes of a subset, found by file name, with their sizes and persons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.structures import SceneTable


@dataclass(frozen=True)
class ImportScenes:
    """The scenes of a subset, as an import of masks needs them.

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
        """Returns the row of the training scene with this file name, None if there is none.

        If the whole name does not match, folders before it are ignored, unless that is ambiguous.
        """
        row = self._by_name.get(name)
        return self._by_last_part.get(_last_part(name)) if row is None else row

    def scene_of_stem(self, stem: str) -> int | None:
        """Returns the row of the scene with this file name without ending, None if not exactly one has it."""
        return self._by_stem.get(stem)

    def has(self, scene: int) -> bool:
        """Whether the scene belongs to the subset."""
        return scene in self._chosen

    def person_of_id(self, scene: int, identity: str) -> int | None:
        """Returns the row of the person with this identity, None if nobody in the scene has it, or two."""
        pid = self._pid_of_id.get(identity)
        if pid is None:
            return None
        named = [row for row in self.train.persons_of(scene) if self.train.pids[row] == pid]
        return named[0] if len(named) == 1 else None

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {str(name): row for row, name in enumerate(self.train.names)}

    @cached_property
    def _by_last_part(self) -> dict[str, int]:
        return _unique([_last_part(str(name)) for name in self.train.names])

    @cached_property
    def _by_stem(self) -> dict[str, int]:
        return _unique([PurePosixPath(_last_part(str(name))).stem for name in self.train.names])

    @cached_property
    def _chosen(self) -> frozenset[int]:
        return frozenset(self.rows.tolist())

    @cached_property
    def _pid_of_id(self) -> dict[str, int]:
        return {str(identity): pid for pid, identity in enumerate(self.ids, start=1)}


def check_size(size: tuple[int, int], known: tuple[int, int] | None, where: str | Path) -> None:
    """Raises AnnotationError if the image's (width, height) is known, and is not that of a mask."""
    if known is not None and size != known:
        raise AnnotationError(
            where,
            expected=f"the image's size, {known[0]} x {known[1]} pixels",
            found=f"{size[0]} x {size[1]}",
            hint="make the masks from the images of this data set; they are not scaled",
        )


def _last_part(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _unique(names: list[str]) -> dict[str, int]:
    """Returns name -> row for the names that occur once."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        rows[name] = -1 if name in rows else row
    return {name: row for name, row in rows.items() if row >= 0}
