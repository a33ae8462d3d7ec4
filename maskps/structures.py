"""The records that all packages share: scenes with persons, mask states, the data set.

Arrays are row-aligned and checked once, on construction. Boxes are xyxy in pixels of the original
scene, in the continuous frame whose origin is the outer corner of the first pixel; pixel (row i,
column j) covers [j, j+1) x [i, i+1).
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.columns import check_offsets, check_unique, offsets_of, owners_of, ragged_ranges, rows_of_names
from maskps.errors import AnnotationError, shown_value
from maskps.io.paths import path_inside

UNLABELED_PID = -1
"""pid of an annotated person without an identity. Such a person is still foreground."""

BACKGROUND_PID = 0
"""pid of a region that holds no person. Labeled persons have pids 1..N."""


class MaskState(enum.IntEnum):
    """What is known about a person's mask. Partial labeling (Sec. 3.1) is a state, not an absent key."""

    NOT_APPLICABLE = 0
    """Unlabeled person, or an image outside the mask subset: no mask is needed."""
    MISSING = 1
    """Labeled person in an image of the subset whose outline has not been drawn yet."""
    PRESENT = 2
    """The outline is there."""


@dataclass(frozen=True)
class Scene:
    """One full image and its annotated persons.

    Attributes:
        name: file name of the image, e.g. "s15538.jpg".
        boxes: (n, 4) float32, xyxy, pixels of the original scene.
        pids: (n,) int64; 1..N labeled, `UNLABELED_PID` otherwise.
        is_hard: (n,) bool, the "ishard" mark of CUHK-SYSU.
        camera: camera number, if the data set has cameras.
        size: (width, height) in pixels, if the annotation states it.
    """

    name: str
    boxes: NDArray[np.float32]
    pids: NDArray[np.int64]
    is_hard: NDArray[np.bool_]
    camera: int | None = None
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.pids)

    @property
    def is_labeled(self) -> NDArray[np.bool_]:
        """(n,) bool: the persons with an identity."""
        return self.pids > BACKGROUND_PID


@dataclass(frozen=True)
class SceneTable:
    """Scenes and their persons as columns; `table[i]` is a `Scene` view of row i.

    Persons of scene i are the rows `offsets[i]:offsets[i + 1]` of the person columns, so that counting and
    filtering are array operations.

    Attributes:
        names: (S,) str, unique file names.
        offsets: (S + 1,) int64, from 0 to P, never decreasing.
        boxes: (P, 4) float32, xyxy, pixels of the original scene.
        pids: (P,) int64; 1..N labeled, `UNLABELED_PID` otherwise, never 0.
        is_hard: (P,) bool.
        camera: (S,) int64 or None.
        size: (S, 2) int64 (width, height) or None.

    Raises:
        AnnotationError: shapes that do not agree, doubled names, a pid that is 0 or below -1, a box that is
            not finite.
    """

    names: NDArray[np.str_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    pids: NDArray[np.int64]
    is_hard: NDArray[np.bool_]
    camera: NDArray[np.int64] | None = None
    size: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        scenes, persons = len(self.names), len(self.pids)
        _check_shape("SceneTable.offsets", self.offsets, (scenes + 1,))
        _check_shape("SceneTable.boxes", self.boxes, (persons, 4))
        _check_shape("SceneTable.is_hard", self.is_hard, (persons,))
        if self.camera is not None:
            _check_shape("SceneTable.camera", self.camera, (scenes,))
        if self.size is not None:
            _check_shape("SceneTable.size", self.size, (scenes, 2))
        check_offsets("SceneTable.offsets", self.offsets, persons, what="persons")
        hint = "remove the doubled entry from the annotation"
        check_unique("SceneTable.names", self.names, expected="every scene once", hint=hint)
        for bad, what in (
            (self.pids == BACKGROUND_PID, "pid 0, which means background"),
            (self.pids < UNLABELED_PID, "a pid below -1"),
            (~np.isfinite(self.boxes).all(axis=1), "a box that is not finite"),
        ):
            if bad.any():
                scene = self.names[self.scene_of_person[np.flatnonzero(bad)[0]]]
                raise AnnotationError(str(scene), expected="pids 1..N or -1 and finite boxes", found=what)

    @classmethod
    def from_scenes(cls, scenes: Sequence[Scene]) -> SceneTable:
        """Returns the table of these scenes, in their order; camera and size only if all have them."""
        counts = [len(scene) for scene in scenes]
        return cls(
            names=np.array([scene.name for scene in scenes], dtype=np.str_),
            offsets=offsets_of(counts),
            boxes=_concatenate([scene.boxes for scene in scenes], (0, 4), np.float32),
            pids=_concatenate([scene.pids for scene in scenes], (0,), np.int64),
            is_hard=_concatenate([scene.is_hard for scene in scenes], (0,), np.bool_),
            camera=_column([scene.camera for scene in scenes], len(scenes)),
            size=_column([scene.size for scene in scenes], len(scenes)),
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Scene:
        if not -len(self) <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        index %= len(self)
        persons = self.persons_of(index)
        rows = slice(persons.start, persons.stop)
        return Scene(
            name=str(self.names[index]),
            boxes=self.boxes[rows],
            pids=self.pids[rows],
            is_hard=self.is_hard[rows],
            camera=None if self.camera is None else int(self.camera[index]),
            size=None if self.size is None else (int(self.size[index, 0]), int(self.size[index, 1])),
        )

    @property
    def num_persons(self) -> int:
        return len(self.pids)

    def persons_of(self, scene: int) -> range:
        """Returns the person rows of a scene."""
        return range(int(self.offsets[scene]), int(self.offsets[scene + 1]))

    def person_name(self, row: int) -> str:
        """Returns a person row for messages, e.g. "s1.jpg box 2 (pid 7)"."""
        if not 0 <= row < self.num_persons:
            return f"person row {row} of {self.num_persons}"
        scene = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return f"{self.names[scene]} box {row - int(self.offsets[scene])} (pid {self.pids[row]})"

    @property
    def is_labeled(self) -> NDArray[np.bool_]:
        """(P,) bool: the persons with an identity."""
        return self.pids > BACKGROUND_PID

    @property
    def scene_of_person(self) -> NDArray[np.int64]:
        """(P,) int64: the scene row of each person."""
        return owners_of(self.offsets)

    @property
    def labeled_per_scene(self) -> NDArray[np.int64]:
        """(S,) int64: the number of labeled persons in each scene."""
        return np.bincount(self.scene_of_person[self.is_labeled], minlength=len(self)).astype(np.int64)

    def fingerprint(self) -> str:
        """Returns the sha256 (hex) of names, boxes and pids, which identifies the data."""
        digest = hashlib.sha256("\n".join(self.names.tolist()).encode("utf-8"))
        for column in (self.offsets, self.boxes, self.pids):
            digest.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def rows_of(self, names: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Returns the (n,) int64 rows of these scene names, in the order given.

        Raises:
            AnnotationError: a name that is not in the table.
        """
        rows = rows_of_names(self.names, names)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            raise AnnotationError(
                f"scene {shown_value(str(names[missing[0]]))}",
                expected=f"one of the {len(self)} scenes of the table",
                found=f"{len(missing)} of {len(names)} names that are not in it",
            )
        return rows

    def select(self, rows: NDArray[np.int64] | Sequence[int]) -> SceneTable:
        """Returns the table of these scene rows, in the order given."""
        rows = np.asarray(rows, dtype=np.int64)
        counts = np.diff(self.offsets)[rows]
        offsets = offsets_of(counts)
        persons = ragged_ranges(self.offsets[rows], counts)
        return SceneTable(
            names=self.names[rows],
            offsets=offsets,
            boxes=self.boxes[persons],
            pids=self.pids[persons],
            is_hard=self.is_hard[persons],
            camera=None if self.camera is None else self.camera[rows],
            size=None if self.size is None else self.size[rows],
        )


@dataclass(frozen=True)
class PersonSearchDataset:
    """A person-search data set on disk: its parsed annotation, and the folder of its images.

    Attributes:
        root: folder that the data set was opened from.
        kind: on-disk format, e.g. "cuhk-sysu".
        image_dir: folder that holds the images of `train`, and of `test` without `test_image_dir`.
        train: training scenes; labeled pids are 1..`num_train_ids` without holes.
        test: test scenes; their pids are unrelated to those of `train`.
        train_ids: (N,) str, the data set's own identity of training pid i at [i - 1].
        test_ids: (M,) str, likewise for `test`.
        fingerprint: sha256 (hex) of the training annotation's content: names, boxes and pids.
        warnings: what the reader left out or decided, one sentence each, with the file's name.
            `open_dataset` logs them.
        test_image_dir: folder that holds the images of `test`, None if that is `image_dir`.
    """

    root: Path
    kind: str
    image_dir: Path
    train: SceneTable
    test: SceneTable
    train_ids: NDArray[np.str_]
    test_ids: NDArray[np.str_]
    fingerprint: str
    warnings: tuple[str, ...] = ()
    test_image_dir: Path | None = None

    @property
    def test_folder(self) -> Path:
        """The folder that holds the images of `test`."""
        return self.test_image_dir or self.image_dir

    @cached_property
    def _test_names(self) -> frozenset[str]:
        return frozenset(self.test.names.tolist())

    @property
    def num_train_ids(self) -> int:
        return len(self.train_ids)

    def image_path(self, name: str) -> Path:
        """Returns the path of the image with this name; the file is not opened.

        Raises:
            AnnotationError, InputFileError: a name or a link that leaves the folder, as `path_inside`.
        """
        folder = self.test_folder if self.test_image_dir and name in self._test_names else self.image_dir
        return path_inside(folder, name, root=self.root)


def _check_shape(where: str, array: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise AnnotationError(where, expected=f"shape {shape}", found=f"shape {array.shape}")


def _concatenate(parts: list[NDArray], empty: tuple[int, ...], dtype: type) -> NDArray:
    return np.concatenate([np.zeros(empty, dtype), *parts]).astype(dtype)


def _column(values: list, count: int) -> NDArray[np.int64] | None:
    if count == 0 or any(value is None for value in values):
        return None
    return np.array(values, dtype=np.int64)
