"""Which box an appearance of an identity means: the first one that is equal to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BoxMatches:
    """What became of A appearances.

    Attributes:
        persons: (A,) int64, row of the box that each means, -1 where no box is equal.
        retaken: rising rows of the appearances whose box an earlier one had given another identity.
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
    """Returns which boxes these appearances mean, by exact equality, as the released readers do.

    Args:
        scene_of_box: (P,) row of the scene of each box.
        boxes: (P, 4) boxes in any form.
        scenes: (A,) row of the scene of each appearance; a row that no box has matches nothing.
        wanted: (A, 4) their boxes, in the same form.
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
    """Returns for each of (n, k) rows the (n,) int64 index of the first one that is equal to it.

    A row with NaN is equal to none but itself.
    """
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    result = np.empty(len(rows), dtype=np.int64)
    result[order] = order[is_new][np.cumsum(is_new) - 1]
    return result
