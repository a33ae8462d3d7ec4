"""Finds the box of each appearance of an identity: the first one that is equal to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BoxMatches:
    """The boxes of A appearances.

    Attributes:
        persons: (A,) int64, row of the box of each appearance, -1 if no box is equal.
        retaken: rows, rising, of the appearances whose box has another identity by an earlier appearance.
    """

    persons: NDArray[np.int64]
    retaken: NDArray[np.int64]


def match_boxes(
    scene_of_box: NDArray[np.int64],
    boxes: NDArray,
    scenes: NDArray[np.int64],
    wanted: NDArray,
    pids: NDArray[np.int64],
) -> BoxMatches:
    """Returns the boxes of these appearances, by exact equality, as in the released readers.

    Args:
        scene_of_box: (P,) row of the scene of each box.
        boxes: (P, 4) boxes, xyxy or xywh.
        scenes: (A,) row of the scene of each appearance; -1 matches nothing.
        wanted: (A, 4) boxes of the appearances, in the same form.
        pids: (A,) their identities.
    """
    keys = np.column_stack([scene_of_box, boxes]).astype(np.float64)
    both = np.concatenate([keys, np.column_stack([scenes, wanted]).astype(np.float64)])
    first = first_equal(both)[len(keys) :]
    persons = np.where(first < len(keys), first, -1)
    matched = np.flatnonzero(persons >= 0)
    order = matched[np.argsort(persons[matched], kind="stable")]
    same_box = persons[order[1:]] == persons[order[:-1]]
    retaken = order[1:][same_box & (pids[order[1:]] != pids[order[:-1]])]
    return BoxMatches(persons=persons, retaken=np.sort(retaken))


def first_equal(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the (n,) int64 index of the first row that is equal to each of (n, k) rows.

    A row with NaN equals only itself.
    """
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    result = np.empty(len(rows), dtype=np.int64)
    result[order] = order[is_new][np.cumsum(is_new) - 1]
    return result
