"""The test protocol of person search: who is searched for, where, and which boxes are true.

One protocol is a list of queries. Each has its own gallery of scenes and the boxes in them that show the
query's person. 2,900 queries with 4,000 gallery scenes each are one integer array.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy
from maskps.columns import check_offsets, check_unique, offsets_of, owners_of, ragged_ranges
from maskps.errors import AnnotationError
from maskps.io.matlab import Chunk, MatVariable, open_mat

SUBSET_KEYS = {"Occlusion": "Occlusion1", "Resolution": "Test_Size"}
"""The variable in the file of each test subset of CUHK-SYSU; in a TestG file it has the file's name."""


@dataclass(frozen=True)
class SearchProtocol:
    """Queries, their galleries and the true boxes, as columns.

    The true boxes of query q are the rows `truth_offsets[q]:truth_offsets[q + 1]` of the truth columns.
    Boxes are xyxy in pixels of the original scene, as in the files: nothing is subtracted from MATLAB's
    1-based numbers, as in the released evaluators.

    Attributes:
        image_names: (M,) str, every scene of a query or a gallery; unique.
        query_scenes: (Q,) int32, rows of `image_names`.
        query_boxes: (Q, 4) float32.
        query_ids: (Q,) str, the data set's own identity of each query.
        query_hard: (Q,) bool, the "ishard" mark of CUHK-SYSU.
        galleries: (Q, G) int32, rows of `image_names`; -1 fills the end of shorter galleries.
        truth_offsets: (Q + 1,) int64, from 0 to T, never decreasing.
        truth_positions: (T,) int32, column of `galleries` that holds the box; rising within a query, since
            a gallery entry has at most one true box. A scene that is listed twice is two entries.
        truth_boxes: (T, 4) float32.
        truth_hard: (T,) bool.

    Raises:
        AnnotationError: impossible shapes, rows, positions or boxes.
    """

    image_names: NDArray[np.str_]
    query_scenes: NDArray[np.int32]
    query_boxes: NDArray[np.float32]
    query_ids: NDArray[np.str_]
    query_hard: NDArray[np.bool_]
    galleries: NDArray[np.int32]
    truth_offsets: NDArray[np.int64]
    truth_positions: NDArray[np.int32]
    truth_boxes: NDArray[np.float32]
    truth_hard: NDArray[np.bool_]

    def __post_init__(self) -> None:
        queries, truths, images = self.query_scenes.size, self.truth_positions.size, self.image_names.size
        for name, shape in {
            "image_names": (images,),
            "query_scenes": (queries,),
            "query_boxes": (queries, 4),
            "query_ids": (queries,),
            "query_hard": (queries,),
            "truth_offsets": (queries + 1,),
            "truth_positions": (truths,),
            "truth_boxes": (truths, 4),
            "truth_hard": (truths,),
        }.items():
            _check(getattr(self, name).shape == shape, name, f"shape {shape}", getattr(self, name).shape)
        shape = self.galleries.shape
        _check(
            len(shape) == 2 and shape[0] == queries, "galleries", f"shape ({queries}, gallery size)", shape
        )
        check_unique("SearchProtocol.image_names", self.image_names, expected="every name once")
        _check_rows("query_scenes", self.query_scenes, 0, images)
        _check_rows("galleries", self.galleries, -1, images)
        ragged = (self.galleries[:, :-1] < 0) & (self.galleries[:, 1:] >= 0)
        _check(not ragged.any(), "galleries", "-1 only at the end of a gallery", _first_row(ragged))
        check_offsets("SearchProtocol.truth_offsets", self.truth_offsets, truths, what="true boxes")
        query = self.query_of_truth
        outside = (self.truth_positions < 0) | (self.truth_positions >= self.lengths[query])
        _check(not outside.any(), "truth_positions", "positions in the query's gallery", _first_row(outside))
        falling = (np.diff(query) == 0) & (np.diff(self.truth_positions) <= 0)
        _check(not falling.any(), "truth_positions", "rising within a query", _first_row(falling))
        for name in ("query_boxes", "truth_boxes"):
            bad = ~np.isfinite(getattr(self, name)).all(axis=1)
            _check(not bad.any(), name, "finite numbers", _first_row(bad))

    @property
    def num_queries(self) -> int:
        return len(self.query_scenes)

    @property
    def gallery_size(self) -> int:
        """Length of the longest gallery."""
        return self.galleries.shape[1]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(Q,) int64: how many entries each query's gallery has."""
        return np.count_nonzero(self.galleries >= 0, axis=1).astype(np.int64)

    @property
    def query_of_truth(self) -> NDArray[np.int64]:
        """(T,) int64: the query of each true box."""
        return owners_of(self.truth_offsets)

    @property
    def truth_scenes(self) -> NDArray[np.int32]:
        """(T,) int32: the scene of each true box, a row of `image_names`."""
        return self.galleries[self.query_of_truth, self.truth_positions]

    def fingerprint(self) -> str:
        """Returns the sha256 (hex) of everything that decides a score: queries, galleries and true boxes."""
        digest = hashlib.sha256("\n".join([*self.image_names.tolist(), *self.query_ids.tolist()]).encode())
        for column in (
            self.query_scenes,
            self.query_boxes,
            self.galleries,
            self.truth_offsets,
            self.truth_positions,
            self.truth_boxes,
        ):
            digest.update(np.array(column.shape, dtype="<i8").tobytes())
            digest.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


def _check(condition: bool, name: str, expected: str, found: object) -> None:
    if not condition:
        hint = "see SearchProtocol for what each column holds"
        raise AnnotationError(f"SearchProtocol.{name}", expected=expected, found=str(found), hint=hint)


def _check_rows(name: str, rows: NDArray[np.int32], least: int, images: int) -> None:
    bad = (rows < least) | (rows >= images)
    _check(not bad.any(), name, f"{least} to {images - 1}, rows of image_names", rows[bad][:1])


def _first_row(bad: NDArray[np.bool_]) -> str:
    return f"another value in row {np.argwhere(bad)[0][0]}" if bad.any() else ""


def read_protocol(path: Path) -> SearchProtocol:
    """Returns the protocol in a file of CUHK-SYSU: TestG50.mat ... TestG4000.mat or a test subset.

    A file of another name may hold the protocol as its first variable. TestG4000 unpacks to 1 GB, which is
    never in memory at once. A gallery entry with a box is a true one, at any place in the gallery.

    Raises:
        InputFileError: no file, not a MATLAB file, cut off, damaged, or another variable than expected.
        AnnotationError: a query or gallery entry that differs from those of the released files.
    """
    numbers = _Numbering()
    variable = open_mat(path, protocol_key(path.stem))
    parts = [_read_part(variable, chunk, numbers) for chunk in variable.chunks()]
    names = np.array(list(numbers), dtype=np.str_)
    order = np.argsort(names)
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names))

    lengths = _joined([part.lengths for part in parts], np.int64)
    galleries = np.full((len(lengths), lengths.max(initial=0)), -1, dtype=np.int32)
    galleries[np.arange(galleries.shape[1]) < lengths[:, None]] = rank[
        _joined([part.entries for part in parts], np.int32)
    ]
    truths = _joined([part.truths_per_query for part in parts], np.int64)
    try:
        return SearchProtocol(
            image_names=names[order],
            query_scenes=rank[_joined([part.query_scenes for part in parts], np.int32)],
            query_boxes=xywh_to_xyxy(_joined([part.query_boxes for part in parts], np.float64)),
            query_ids=np.array([name for part in parts for name in part.query_ids], np.str_),
            query_hard=_joined([part.query_hard for part in parts], np.bool_),
            galleries=galleries,
            truth_offsets=offsets_of(truths),
            truth_positions=_joined([part.truth_positions for part in parts], np.int32),
            truth_boxes=xywh_to_xyxy(_joined([part.truth_boxes for part in parts], np.float64)),
            truth_hard=_joined([part.truth_hard for part in parts], np.bool_),
        )
    except AnnotationError as error:
        raise AnnotationError(
            f"{path}: {error.where}",
            expected=error.expected,
            found=error.found,
            hint="compare the file with the released one, or copy it again",
        ) from error


def protocol_key(name: str) -> str | None:
    """Returns the variable that the file `name`.mat should hold, None for other names."""
    return name if re.fullmatch(r"TestG\d+", name) else SUBSET_KEYS.get(name)


@dataclass(frozen=True)
class _Part:
    """Some consecutive queries of a file; scenes are numbered in order of appearance, boxes are xywh."""

    query_scenes: NDArray[np.int32]
    query_boxes: NDArray[np.float64]
    query_ids: list[str]
    query_hard: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    entries: NDArray[np.int32]
    truths_per_query: NDArray[np.int64]
    truth_positions: NDArray[np.int64]
    truth_boxes: NDArray[np.float64]
    truth_hard: NDArray[np.bool_]


class _Numbering(dict[str, int]):
    """Numbers texts 0, 1, ... in order of their first appearance."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]

    def of(self, texts: list[str]) -> NDArray[np.int32]:
        return np.fromiter(map(self.__getitem__, texts), np.int32, len(texts))


def _read_part(variable: MatVariable, chunk: Chunk, numbers: _Numbering) -> _Part:
    matrices, path = chunk.matrices, variable.path
    queries = chunk.rows[:, variable.column("Query")]
    where = partial(_query_place, path, chunk.first)
    image, box, hard, identity = matrices.single(queries, ("imname", "idlocate", "ishard", "idname"), where)

    galleries = chunk.rows[:, variable.column("Gallery")]
    lengths = matrices.size[galleries]
    scenes, boxes, marks = matrices.elements(galleries, ("imname", "idlocate", "ishard"), where)
    query_of_entry = np.repeat(np.arange(len(lengths)), lengths)
    positions = ragged_ranges(np.zeros_like(lengths), lengths)
    true = np.flatnonzero(matrices.size[boxes] > 0)
    in_entry = partial(_entry_place, path, query_of_entry + chunk.first, positions)
    which, texts = matrices.distinct_texts(scenes, in_entry)
    in_truth = partial(_entry_place, path, query_of_entry[true] + chunk.first, positions[true])
    return _Part(
        query_scenes=numbers.of(matrices.texts(image, where)),
        query_boxes=matrices.numbers(box, 4, where),
        query_ids=matrices.texts(identity, where),
        query_hard=matrices.numbers(hard, 1, where)[:, 0] != 0,
        lengths=lengths,
        entries=numbers.of(texts)[which],
        truths_per_query=np.bincount(query_of_entry[true], minlength=len(lengths)),
        truth_positions=positions[true],
        truth_boxes=matrices.numbers(boxes[true], 4, in_truth),
        truth_hard=matrices.numbers(marks[true], 1, in_truth)[:, 0] != 0,
    )


def _query_place(path: Path, first: int, index: int) -> str:
    return f"{path}, query {first + index}"


def _entry_place(path: Path, queries: NDArray[np.int64], positions: NDArray[np.int64], index: int) -> str:
    return f"{path}, query {queries[index]}, gallery entry {positions[index]}"


def _joined(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)
