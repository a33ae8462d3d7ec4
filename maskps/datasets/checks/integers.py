"""Boxes stored in integers that are too small for their own arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.findings import Finding

_INTEGER_LIMITS = (2**8 - 1, 2**16 - 1)


def check_integers(path: Path, boxes: NDArray[np.float64]) -> list[Finding]:
    """Boxes whose right or lower edge does not fit the integers that MATLAB stores them in.

    MATLAB stores whole numbers in the smallest of 8 and 16 bits that holds all four, and other code reads
    them so: x + width then wraps around.
    """
    with np.errstate(invalid="ignore"):
        is_whole = ((boxes >= 0) & (boxes % 1 == 0)).all(axis=1)
        largest = boxes.max(axis=1, initial=0)
        edge = (boxes[:, :2] + boxes[:, 2:]).max(axis=1, initial=0)
    limit = np.select([largest <= limit for limit in _INTEGER_LIMITS], _INTEGER_LIMITS, np.inf)
    rows = np.flatnonzero(is_whole & (edge > limit))
    if not len(rows):
        return []
    first = boxes[rows[0]]
    bits = 8 if limit[rows[0]] == _INTEGER_LIMITS[0] else 16
    return [
        Finding(
            "box-overflow",
            "warning",
            str(path),
            f"in {len(rows):,} of {len(boxes):,} boxes x + width or y + height does not fit the integer type "
            f"in which MATLAB stores them, first {_text(first)} in {bits} bits",
            hint="we add in 64 bits; other code must convert boxes before it adds",
        )
    ]


def _text(box: NDArray[np.float64]) -> str:
    return f"[{', '.join(f'{value:g}' for value in box.tolist())}]"
