"""Reads the annotation files of CUHK-SYSU as they are: nothing is left out, corrected or compared.

The reader and the checks both start here. With a list for problems, an entry that is not a text or a box is
left out, and its error is added to the list. Without one, the first such entry raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import has_area, xywh_to_xyxy
from maskps.columns import offsets_of, owners_of
from maskps.errors import AnnotationError
from maskps.io.matlab import open_mat

EntryErrors = list[AnnotationError]
Where = Callable[[int], str]
_T = TypeVar("_T")


@dataclass(frozen=True)
class RawImages:
    """Images.mat: all scenes with their boxes, in the order of the file.

    Attributes:
        path: of the file.
        names: S names; the file may list one twice.
        offsets: (S + 1,) int64; boxes of scene i are the rows offsets[i]:offsets[i + 1].
        boxes: (P, 4) float64, x, y, width, height; some may be empty.
        is_hard: (P,) bool; False for a box without width or height.
    """

    path: Path
    names: list[str]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float64]
    is_hard: NDArray[np.bool_]

    @property
    def has_area(self) -> NDArray[np.bool_]:
        """(P,) bool: width and height are above 0, also in float32.

        A box with a size but with numbers beyond float32 counts, so that it is refused instead of left out.
        """
        with np.errstate(over="ignore"):
            corners = xywh_to_xyxy(self.boxes)
        has_size = (self.boxes[:, 2] > 0) & (self.boxes[:, 3] > 0)
        return has_area(corners) | (has_size & ~np.isfinite(corners).all(axis=1))

    @property
    def scene_of_person(self) -> NDArray[np.int64]:
        """(P,) int64: the row of the scene of each box."""
        return owners_of(self.offsets)


@dataclass(frozen=True)
class RawTrain:
    """Train.mat: the training identities and where they appear.

    Attributes:
        path: of the file.
        ids: N names of identities; the file may list one twice.
        identity: (A,) int64, the row of `ids` of each appearance, rising.
        names: A names of scenes.
        boxes: (A, 4) float64, x, y, width, height.
    """

    path: Path
    ids: list[str]
    identity: NDArray[np.int64]
    names: list[str]
    boxes: NDArray[np.float64]


def read_raw_images(path: Path, problems: EntryErrors | None = None) -> RawImages:
    """Returns the scenes and boxes of Images.mat.

    Raises:
        InputFileError: the file is missing or cannot be read.
        AnnotationError: without `problems`, a scene without a name, or an entry that is not a box.
    """
    variable = open_mat(path, "Img")
    names: list[str] = []
    counts, boxes, marks = [np.zeros(0, np.int64)], [np.zeros((0, 4))], [np.zeros(0, bool)]
    for chunk in variable.chunks():
        matrices = chunk.matrices
        where = partial(_place, path, "scene", chunk.first)
        named, texts = _read(matrices.texts, chunk.rows[:, variable.column("imname")], where, problems)
        names += texts
        parents = chunk.rows[named, variable.column("box")]
        in_scene = partial(_of, where, named)
        filled, (box_rows, mark_rows) = _read(
            matrices.elements, parents, in_scene, problems, ("idlocate", "ishard")
        )
        scenes = np.repeat(filled, matrices.size[parents[filled]])
        in_box = partial(_inner_place, path, texts, "box", scenes)
        kept, part = _read(matrices.numbers, box_rows, in_box, problems, 4)
        hard = np.zeros(len(kept), dtype=bool)
        has_area = np.flatnonzero((part[:, 2:] > 0).all(axis=1))
        with_mark, mark = _read(
            matrices.numbers, mark_rows[kept[has_area]], partial(_of, in_box, kept[has_area]), problems, 1
        )
        hard[has_area[with_mark]] = mark[:, 0] != 0
        boxes.append(part)
        marks.append(hard)
        counts.append(np.bincount(scenes[kept], minlength=len(texts)))
    return RawImages(
        path=path,
        names=names,
        offsets=offsets_of(np.concatenate(counts)),
        boxes=np.concatenate(boxes),
        is_hard=np.concatenate(marks),
    )


def read_raw_pool(path: Path, problems: EntryErrors | None = None) -> list[str]:
    """Returns the names of the test scenes in pool.mat; the file may list one twice.

    Raises:
        InputFileError, AnnotationError: as `read_raw_images`.
    """
    names: list[str] = []
    for chunk in open_mat(path, "pool").chunks():
        where = partial(_place, path, "scene", chunk.first)
        names += _read(chunk.matrices.texts, chunk.rows[:, 0], where, problems)[1]
    return names


def read_raw_train(path: Path, problems: EntryErrors | None = None) -> RawTrain:
    """Returns the identities of Train.mat and their appearances.

    Raises:
        InputFileError, AnnotationError: as `read_raw_images`.
    """
    ids: list[str] = []
    names: list[str] = []
    boxes, identities = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for chunk in open_mat(path, "Train").chunks():
        matrices = chunk.matrices
        where = partial(_place, path, "identity", chunk.first)
        whole, (id_rows, scene_rows) = _read(
            matrices.single, chunk.rows[:, 0], where, problems, ("idname", "scene")
        )
        named, texts = _read(matrices.texts, id_rows, partial(_of, where, whole), problems)
        parents = scene_rows[named]
        filled, (image_rows, box_rows) = _read(
            matrices.elements, parents, partial(_of, where, whole[named]), problems, ("imname", "idlocate")
        )
        row = np.repeat(filled, matrices.size[parents[filled]])
        in_scene = partial(_inner_place, path, texts, "scene", row)
        with_name, scenes = _read(matrices.texts, image_rows, in_scene, problems)
        with_box, part = _read(
            matrices.numbers, box_rows[with_name], partial(_of, in_scene, with_name), problems, 4
        )
        names += scenes if len(with_box) == len(scenes) else [scenes[index] for index in with_box]
        boxes.append(part)
        identities.append(len(ids) + row[with_name[with_box]])
        ids += texts
    return RawTrain(path, ids, np.concatenate(identities), names, np.concatenate(boxes))


def _read(
    read: Callable[..., _T],
    rows: NDArray[np.int64],
    where: Where,
    problems: EntryErrors | None,
    *choices: object,
) -> tuple[NDArray[np.int64], _T]:
    """Returns the rows that can be read, and their content.

    Without `problems` an error raises; otherwise it is added there.

    Args:
        read: a method of Matrices: takes rows, `choices`, and the names of places.
    """
    try:
        return np.arange(len(rows)), read(rows, *choices, where)
    except AnnotationError:
        if problems is None:
            raise
    kept = np.concatenate([np.zeros(0, np.int64), *_readable(read, rows, where, problems, choices)])
    return kept, read(rows[kept], *choices, partial(_of, where, kept))


def _readable(
    read: Callable[..., object],
    rows: NDArray[np.int64],
    where: Where,
    problems: EntryErrors,
    choices: Sequence[object],
) -> Iterator[NDArray[np.int64]]:
    """Yields the rows that can be read, in order; halves what cannot be read, down to single rows."""
    left = [(0, len(rows))]
    while left:
        first, last = left.pop()
        part = np.arange(first, last)
        try:
            read(rows[part], *choices, partial(_of, where, part))
            yield part
        except AnnotationError as error:
            if last - first == 1:
                problems.append(error)
            else:
                middle = (first + last) // 2
                left += [(middle, last), (first, middle)]


def _of(where: Where, rows: NDArray[np.int64], index: int) -> str:
    """Names the place of row `index` of a selection."""
    return where(int(rows[index]))


def _place(path: Path, what: str, first: int, index: int) -> str:
    return f"{path}, {what} {first + index}"


def _inner_place(path: Path, names: Sequence[str], what: str, rows: NDArray[np.int64], index: int) -> str:
    """Names entry `index` of a column whose entries belong to the rows (rising) with these names."""
    return f"{path}, {names[rows[index]]}, {what} {index - int(np.searchsorted(rows, rows[index]))}"
