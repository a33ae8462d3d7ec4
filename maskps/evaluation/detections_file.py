"""Detections of many scenes as columns, and their file, which any code base can write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.columns import check_offsets, check_unique, offsets_of
from maskps.errors import AnnotationError, InputFileError
from maskps.io.files import written_atomically
from maskps.io.npz import read_npz

FORMAT = "maskps-detections"
VERSION = 1
MARK = np.array(FORMAT).tobytes()
"""In the first bytes of every file that `write_detections` made."""

_ROUNDING = 1e-4

_DTYPES: dict[str, type] = {  # the arrays that a file must have
    "image_names": np.str_,
    "offsets": np.int64,
    "boxes": np.float32,
    "scores": np.float32,
    "embeddings": np.float32,
    "query_embeddings": np.float32,
}
_OPTIONAL_DTYPES: dict[str, type] = {"query_names": np.str_, "query_boxes": np.float32}


@dataclass(frozen=True)
class Detections:
    """A network's detections in M scenes, and its embeddings of a protocol's Q queries.

    The detections of image i are the rows `offsets[i]:offsets[i + 1]` of the three detection columns; there
    may be none.

    Attributes:
        image_names: (M,) str, unique.
        offsets: (M + 1,) int64, from 0 to N, never decreasing.
        boxes: (N, 4) float32, xyxy, pixels of the original scene.
        scores: (N,) float32, the detector's confidence, from 0 to 1.
        embeddings: (N, D) float32, L2-normalised, so that their dot product is the cosine.
        query_embeddings: (Q, D) float32, likewise. In the order of the protocol's queries, or in any order
            with the next two.
        query_names: (Q,) str, the scene of each query, or None. With `query_boxes` it identifies the query of
            each row, so that one file serves every protocol whose queries are among them.
        query_boxes: (Q, 4) float32, xyxy, the query's box in that scene, or None.

    Raises:
        AnnotationError: shapes that do not fit together, a name that occurs twice, a number that is not
            finite, a box with reversed corners, a score outside 0 to 1.
    """

    image_names: NDArray[np.str_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    query_embeddings: NDArray[np.float32]
    query_names: NDArray[np.str_] | None = None
    query_boxes: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        expected_ndim = {"embeddings": 2, "query_embeddings": 2, "scores": 1, "image_names": 1}
        for name, dimensions in expected_ndim.items():
            array = getattr(self, name)
            if array.ndim != dimensions:
                raise AnnotationError(
                    f"detections, {name}",
                    expected=f"{dimensions} dimension(s)",
                    found=f"shape {array.shape}",
                    hint="`maskps.evaluation.Detections` describes every array",
                )
        images, rows = len(self.image_names), len(self.scores)
        dim = self.query_embeddings.shape[1]
        if dim == 0:
            raise AnnotationError(
                "detections, query_embeddings",
                expected="vectors of one number or more",
                found=f"shape {self.query_embeddings.shape}",
            )
        for name, shape in (("offsets", (images + 1,)), ("boxes", (rows, 4)), ("embeddings", (rows, dim))):
            found = getattr(self, name).shape
            if found != shape:
                raise AnnotationError(
                    f"detections, {name}",
                    expected=f"shape {shape}: {images} images, {rows} scores, query embeddings of {dim}",
                    found=f"shape {found}",
                )
        check_offsets("detections, offsets", self.offsets, rows, what="detections")
        hint = "join the detections of one image into one run of rows"
        check_unique("detections, image_names", self.image_names, expected="every image once", hint=hint)
        self._check_queries()
        self._check_numbers()

    def _check_queries(self) -> None:
        rows = len(self.query_embeddings)
        for name, shape in (("query_names", (rows,)), ("query_boxes", (rows, 4))):
            array = getattr(self, name)
            found = "none" if array is None else f"shape {array.shape}"
            if (self.query_names is None) != (self.query_boxes is None) and array is None:
                raise AnnotationError(
                    f"detections, {name}", expected="query_names and query_boxes, or neither", found=found
                )
            if array is not None and array.shape != shape:
                raise AnnotationError(
                    f"detections, {name}", expected=f"shape {shape}: {rows} query embeddings", found=found
                )
        if self.query_boxes is not None and not np.isfinite(self.query_boxes).all():
            raise AnnotationError(
                "detections, query_boxes", expected="finite numbers", found="NaN or infinity"
            )

    def _check_numbers(self) -> None:
        for name in ("boxes", "scores", "embeddings"):
            array = getattr(self, name)
            bad = np.asarray(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
            if bad.any():
                raise AnnotationError(
                    f"detections, {name} of {self._describe(bad)}",
                    expected="finite numbers, as float32 holds them",
                    found=f"NaN or infinity in {bad.sum()} of {len(bad)} rows",
                )
        bad = (self.scores < 0) | (self.scores > 1 + _ROUNDING)
        if bad.any():
            raise AnnotationError(
                f"detections, scores of {self._describe(bad)}",
                expected="confidences from 0 to 1: the search leaves out those below 0.5",
                found=f"{self.scores[bad][0]:g}, and {bad.sum()} such scores in all",
                hint="divide percentages by 100, put logits through a sigmoid",
            )
        bad = np.asarray(~np.isfinite(self.query_embeddings).all(axis=1))
        if bad.any():
            raise AnnotationError(
                f"detections, query_embeddings row {np.flatnonzero(bad)[0]}",
                expected="finite numbers, as float32 holds them",
                found=f"NaN or infinity in {bad.sum()} of {len(bad)} rows",
            )
        bad = (self.boxes[:, 2] < self.boxes[:, 0]) | (self.boxes[:, 3] < self.boxes[:, 1])
        if bad.any():
            raise AnnotationError(
                f"detections, boxes of {self._describe(bad)}",
                expected="corners x0, y0, x1, y1 with x1 >= x0 and y1 >= y0",
                found=f"{self.boxes[bad][0].tolist()}, and {bad.sum()} such boxes in all",
                hint="if the boxes are x, y, width, height, add the first two to the last two",
            )

    def _describe(self, bad: NDArray[np.bool_]) -> str:
        row = int(np.flatnonzero(bad)[0])
        image = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return f"'{self.image_names[image]}', row {row}"

    @classmethod
    def from_images(
        cls,
        image_names: Sequence[str],
        boxes: Sequence[NDArray],
        scores: Sequence[NDArray],
        embeddings: Sequence[NDArray],
        query_embeddings: NDArray,
        *,
        query_names: NDArray[np.str_] | None = None,
        query_boxes: NDArray[np.float32] | None = None,
    ) -> Detections:
        """Returns the columns of per-image arrays: (n, 4), (n,) and (n, D) for each image; n may be 0."""
        dim = np.asarray(query_embeddings).shape[-1]
        counts = [len(one) for one in scores]
        return cls(
            image_names=np.array(list(image_names), dtype=np.str_),
            offsets=offsets_of(counts),
            boxes=np.concatenate([np.zeros((0, 4), np.float32), *boxes]).astype(np.float32),
            scores=np.concatenate([np.zeros(0, np.float32), *scores]).astype(np.float32),
            embeddings=np.concatenate([np.zeros((0, dim), np.float32), *embeddings]).astype(np.float32),
            query_embeddings=np.asarray(query_embeddings, dtype=np.float32),
            query_names=query_names,
            query_boxes=query_boxes,
        )

    def normalized(self) -> Detections:
        """Returns the same detections with every embedding divided by its length.

        Raises:
            AnnotationError: an embedding of length 0, which has no direction.
        """
        columns = {}
        for name in ("embeddings", "query_embeddings"):
            rows = getattr(self, name).astype(np.float64)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            if not lengths.all():
                raise AnnotationError(
                    f"detections, {name} row {np.argmin(lengths)}",
                    expected="a vector that can be divided by its length",
                    found=f"length 0 in {(lengths == 0).sum()} of {len(rows)} rows",
                )
            columns[name] = (rows / lengths).astype(np.float32)
        return dataclasses.replace(self, **columns)

    @property
    def num_images(self) -> int:
        return len(self.image_names)

    def __len__(self) -> int:
        return len(self.scores)


def write_detections(path: Path, detections: Detections) -> None:
    """Writes the detections as .npz, atomically; the same detections give the same bytes."""
    columns = {name: getattr(detections, name) for name in (*_DTYPES, *_OPTIONAL_DTYPES)}
    columns = {name: column for name, column in columns.items() if column is not None}
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(file, format=np.array(FORMAT), version=np.array(VERSION), **columns)


def read_detections(path: Path) -> Detections:
    """Returns the detections in an .npz file that this or any other code base wrote.

    The file must have the first six arrays of `Detections`, under their names; other float widths are
    converted. `format` and `version` may be missing: other code only has to call `np.savez` with six arrays.

    Raises:
        InputFileError: missing, cut off, not an .npz file, pickled, without one of the arrays, or of another
            format or version.
        AnnotationError: the arrays contradict each other (see `Detections`).
    """
    arrays = read_npz(
        path,
        what="detections as .npz (zip of arrays, no pickles)",
        hint="copy it or write it again: names as an array of str, ragged lists as one array with offsets",
    )
    found_format = str(arrays.get("format", FORMAT))
    found_version = str(arrays.get("version", VERSION))
    if (found_format, found_version) != (FORMAT, str(VERSION)):
        raise InputFileError(
            path,
            expected=f"format {FORMAT}, version {VERSION}",
            found=f"format {found_format}, version {found_version}",
            hint="give a file of detections; a newer maskps may have written this one",
        )
    missing = [name for name in _DTYPES if name not in arrays]
    if missing:
        raise InputFileError(
            path,
            expected="the arrays " + ", ".join(_DTYPES),
            found=f"no {', '.join(missing)}; there are: {', '.join(sorted(arrays)) or 'none'}",
            hint="save them under these names",
        )
    columns = {
        name: _converted(path, name, arrays[name], dtype)
        for name, dtype in (_DTYPES | _OPTIONAL_DTYPES).items()
        if name in arrays
    }
    try:
        return Detections(**columns)
    except AnnotationError as error:
        raise AnnotationError(
            f"{path}: {error.where}", expected=error.expected, found=error.found, hint=error.hint
        ) from error


def _converted(path: Path, name: str, array: NDArray, dtype: type) -> NDArray:
    allowed = {np.str_: "US", np.int64: "iu", np.float32: "fiu"}[dtype]
    if array.dtype.kind not in allowed:
        raise InputFileError(path, expected=f"{name} as {dtype.__name__}", found=f"an array of {array.dtype}")
    with np.errstate(over="ignore"):  # overflow becomes inf, which Detections reports
        return array.astype(dtype)
