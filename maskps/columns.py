"""Row-aligned columns: ragged ranges, rows by name, and shared checks of records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskps.errors import AnnotationError


def ragged_ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the concatenation of the ranges starts[i] .. starts[i] + counts[i] - 1, int64."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - counts), counts) + np.arange(total)


def owners_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the (P,) int64 owner of each row: owner i has the rows offsets[i]:offsets[i + 1]."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))


def owner_of(offsets: NDArray[np.int64], row: int) -> tuple[int, int]:
    """Returns the owner of a row, and the row's place among the owner's rows, from 0."""
    owner = int(np.searchsorted(offsets, row, side="right")) - 1
    return owner, row - int(offsets[owner])


def rows_of_names(names: NDArray[np.str_], wanted: ArrayLike) -> NDArray[np.int64]:
    """Returns the (n,) int64 row of each wanted name in `names`, -1 if it is missing.

    Args:
        names: (N,) str, unique, in any order.
        wanted: (n,) str; a name may occur several times.
    """
    wanted = np.asarray(wanted, dtype=np.str_)
    if len(names) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(names, kind="stable")
    rows = order[np.minimum(np.searchsorted(names, wanted, sorter=order), len(names) - 1)]
    return np.where(names[rows] == wanted, rows, -1).astype(np.int64)


def check_unique(where: str | Path, names: ArrayLike, *, expected: str, hint: str = "") -> None:
    """Raises AnnotationError if a name occurs twice; the message has the name and its count."""
    values, counts = np.unique(np.asarray(names, dtype=np.str_), return_counts=True)
    if (counts > 1).any():
        first = int(np.argmax(counts > 1))
        found = f"'{values[first]}' {counts[first]} times"
        raise AnnotationError(where, expected=expected, found=found, hint=hint)


def offsets_of(counts: ArrayLike) -> NDArray[np.int64]:
    """Returns the (n + 1,) offsets of n ragged rows with these lengths."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def check_offsets(where: str, offsets: NDArray[np.int64], rows: int, *, what: str) -> None:
    """Raises AnnotationError unless the offsets (at least one) rise from 0 to the number of rows.

    Args:
        what: what the rows are, for the message, e.g. "persons".
    """
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 0).any():
        raise AnnotationError(
            where,
            expected=f"rising from 0 to the number of {what}, {rows}",
            found=f"{offsets[:3]} ... {offsets[-3:]}",
            hint="give 0 and the running sum of the counts",
        )
