"""The scenes of a subset, found by the names of their images, with their sizes and persons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.findings import Finding, Level
from maskps.masks.coco_categories import Categories
from maskps.structures import SceneTable

Elsewhere = Literal["outside-subset", "test-image", "ambiguous-image", "unknown-image"]
"""Why a file name is not of an image of the subset: code of a finding."""

ELSEWHERE: dict[str, tuple[Level, str]] = {
    "outside-subset": ("info", "of training images that the subset does not hold"),
    "test-image": ("warning", "of test images, whose masks are never used"),
    "ambiguous-image": ("warning", "of images whose name fits several images of the data set"),
    "unknown-image": ("warning", "of images that the data set does not have, or has in another folder"),
}
"""Level and text of these findings."""


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
        test_names: file names of the test images, whose masks are never used.
    """

    train: SceneTable
    rows: NDArray[np.int64]
    ids: NDArray[np.str_]
    sizes: Mapping[int, tuple[int, int]]
    fingerprint: str
    images: Mapping[int, int]
    test_names: Iterable[str] = ()

    def find(self, name: str, *, has_ending: bool = True) -> int | Elsewhere:
        """Returns the row of the subset's scene with this file name, or why the subset has none.

        Folders before the name count: a name belongs to a scene if both are equal, or if one of them is the
        end of the other, folder by folder. The longest match decides.

        Args:
            has_ending: whether `name` has the ending of the image; otherwise any ending fits.
        """
        parts = _parts(name)
        best, found = 0, list[int | None]()
        candidates = self._by_last_part.get(parts[-1], ()) if parts else ()
        if not has_ending and parts:
            candidates = [*self._by_stem.get(parts[-1], ()), *candidates]
        for folders, row in candidates:
            shared = min(len(folders), len(parts) - 1)
            if folders[len(folders) - shared :] != parts[len(parts) - 1 - shared : -1]:
                continue
            # Equal paths are closer than one that is the end of the other.
            closeness = 2 * shared + (len(folders) == len(parts) - 1) + 1
            if closeness > best:
                best, found = closeness, []
            if closeness == best and row not in found:
                found.append(row)
        if not found:
            return "unknown-image"
        if len(found) > 1:
            return "ambiguous-image"
        row = found[0]
        if row is None:
            return "test-image"
        return row if row in self._chosen else "outside-subset"

    def person_of_id(self, scene: int, identity: str) -> int | None:
        """Returns the row of the person with this identity, None if nobody in the scene has it, or two."""
        pid = self._pid_of_id.get(identity)
        if pid is None:
            return None
        named = [row for row in self.train.persons_of(scene) if self.train.pids[row] == pid]
        return named[0] if len(named) == 1 else None

    @cached_property
    def _by_last_part(self) -> dict[str, list[tuple[tuple[str, ...], int | None]]]:
        """Last part of a name -> the folders before it and its training row, None for a test image."""
        names: dict[str, list[tuple[tuple[str, ...], int | None]]] = {}
        for row, name in enumerate(self.train.names.tolist()):
            *folders, last = _parts(name) or ("",)
            names.setdefault(last, []).append((tuple(folders), row))
        for name in self.test_names:
            *folders, last = _parts(str(name)) or ("",)
            names.setdefault(last, []).append((tuple(folders), None))
        return names

    @cached_property
    def _by_stem(self) -> dict[str, list[tuple[tuple[str, ...], int | None]]]:
        """The same for names without their endings."""
        stems: dict[str, list[tuple[tuple[str, ...], int | None]]] = {}
        for name, places in self._by_last_part.items():
            stems.setdefault(PurePosixPath(name).stem, []).extend(places)
        return stems

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


def odd_category(source: Path, categories: Categories) -> Iterator[Finding]:
    """Yields a warning if the only category, label or class of a source is not named "person"."""
    if categories.odd_name is not None:
        found = f"the only category is {categories.odd_name}; its masks are used as those of persons"
        yield Finding("category-name", "warning", str(source), found)


def files_elsewhere(source: Path, names: Mapping[Elsewhere, list[str]]) -> Iterator[Finding]:
    """Yields one finding for each reason why files are not of images of the subset."""
    for reason, files in names.items():
        level, text = ELSEWHERE[reason]
        yield Finding(
            reason, level, str(source), f"{len(files)} files {text}, the first: {files[0]}; not used"
        )


def _parts(name: str) -> tuple[str, ...]:
    """Returns the folders and the last part of a path of any system; "." and a drive are left out."""
    parts = name.replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", ".") and not part.endswith(":"))
