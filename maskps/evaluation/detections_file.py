"""Detections of many scenes as columns, and their file, which any code base can write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskps.columns import check_offsets, check_unique, offsets_of, rows_of_names
from maskps.errors import AnnotationError, InputFileError
from maskps.evaluation.other_results import other_results
from maskps.io.files import explained_reading, open_file, written_atomically
from maskps.io.npz import read_npz

FORMAT = "maskps-detections"
VERSION = 1
MARK = np.array(FORMAT).tobytes()
"""In the first bytes of every file that `write_detections` made."""

_WHAT = "detections as .npz (zip of arrays, no pickles)"
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
        self._check_shapes()
        hint = "join the detections of one image into one run of rows"
        check_offsets("detections, offsets", self.offsets, len(self.scores), what="detections")
        check_unique("detections, image_names", self.image_names, expected="every image once", hint=hint)
        self._check_numbers()

    def _check_shapes(self) -> None:
        hint = "`maskps.evaluation.Detections` describes every array"

        def check(name: str, is_right: bool, expected: str, found: str) -> None:
            if not is_right:
                raise AnnotationError(f"detections, {name}", expected=expected, found=found, hint=hint)

        for name, dimensions in {
            "image_names": 1,
            "scores": 1,
            "embeddings": 2,
            "query_embeddings": 2,
        }.items():
            array = getattr(self, name)
            check(name, array.ndim == dimensions, f"{dimensions} dimension(s)", f"shape {array.shape}")
        images, rows, (queries, dim) = len(self.image_names), len(self.scores), self.query_embeddings.shape
        check("query_embeddings", dim > 0, "vectors of one number or more", f"shape {(queries, dim)}")
        shapes = {
            "offsets": (images + 1,),
            "boxes": (rows, 4),
            "embeddings": (rows, dim),
            "query_names": (queries,),
            "query_boxes": (queries, 4),
        }
        sizes = f"{images} images, {rows} scores, {queries} query embeddings of {dim} numbers"
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None:
                check(name, array.shape == shape, f"shape {shape}: {sizes}", f"shape {array.shape}")
        both = "query_names and query_boxes, or neither"
        check("query_names", self.query_boxes is None or self.query_names is not None, both, "none")
        check("query_boxes", self.query_names is None or self.query_boxes is not None, both, "none")

    def _check_numbers(self) -> None:
        for name in ("boxes", "scores", "embeddings", "query_embeddings", "query_boxes"):
            if (array := getattr(self, name)) is not None:
                bad = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
                self._check_rows(name, bad, "finite numbers, as float32 holds them", found="NaN or infinity")
        self._check_rows(
            "scores",
            (self.scores < 0) | (self.scores > 1 + _ROUNDING),
            "confidences from 0 to 1: the search leaves out those below 0.5",
            hint="divide percentages by 100, put logits through a sigmoid",
        )
        self._check_rows(
            "boxes",
            (self.boxes[:, 2] < self.boxes[:, 0]) | (self.boxes[:, 3] < self.boxes[:, 1]),
            "corners x0, y0, x1, y1 with x1 >= x0 and y1 >= y0",
            hint="if the boxes are x, y, width, height, add the first two to the last two",
        )

    def _check_rows(
        self, name: str, bad: NDArray[np.bool_], expected: str, *, found: str = "", hint: str = ""
    ) -> None:
        bad = np.asarray(bad)
        if not bad.any():
            return
        row = int(np.flatnonzero(bad)[0])
        where = f"detections, {name} row {row}"
        if not name.startswith("query"):
            image = self.image_names[np.searchsorted(self.offsets, row, side="right") - 1]
            where = f"detections, {name} of '{image}', row {row}"
        found = found or f"{getattr(self, name)[row].tolist()}"
        found = f"{found}, and {bad.sum()} such rows of {len(bad)} in all"
        raise AnnotationError(where, expected=expected, found=found, hint=hint)

    def rows_of(self, names: NDArray[np.str_], *, what: str) -> NDArray[np.int64]:
        """Returns the row of each of these (n,) images, all of which must be listed.

        An image in which nothing was found has a row as well: an image that the detector never saw must not
        pass as an empty one.

        Args:
            what: the images, for the error message.

        Raises:
            AnnotationError: an image is not listed.
        """
        rows = rows_of_names(self.image_names, names)
        missing = names[rows < 0]
        if len(missing):
            raise AnnotationError(
                f"detections, image '{missing[0]}'",
                expected=f"all {len(names)} {what}, also those without a detection",
                found=f"{len(missing)} of them are not among the {self.num_images} images",
                hint=_naming_hint(missing, self.image_names),
            )
        return rows

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
            format or version. Result files of other code bases are recognised, not opened.
        AnnotationError: the arrays contradict each other (see `Detections`).
    """
    with explained_reading(path, what=_WHAT), open_file(path) as stream:
        other = other_results(stream)
    if other is not None:
        found, hint = other
        raise InputFileError(path, expected=_WHAT, found=found, hint=hint)
    arrays = read_npz(
        path,
        what=_WHAT,
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


def _naming_hint(missing: NDArray[np.str_], given: NDArray[np.str_]) -> str:
    """Returns a hint, which points out names that differ only by folder or ending."""
    stems = {PurePosixPath(name).stem: name for name in given.tolist()}
    same = next((name for name in missing.tolist() if PurePosixPath(name).stem in stems), None)
    if same is not None:
        return f"write the names as in the protocol: '{same}', not '{stems[PurePosixPath(same).stem]}'"
    return "run the network on these images, or take the protocol that the detections were made for"
