"""Table 1: images, labeled and unlabeled persons, with masks and without."""

from __future__ import annotations

import numpy as np

from maskps.structures import SceneTable
from maskps.subset import Table1, table1


def table() -> SceneTable:
    """Five scenes with 2 LP + 1 UP, 0 + 2, 1 + 0, nobody, 1 + 1."""
    pids = [1, 2, -1, -1, -1, 3, 1, -1]
    return SceneTable(
        names=np.array(list("abcde")),
        offsets=np.array([0, 3, 5, 6, 6, 8], dtype=np.int64),
        boxes=np.tile(np.array([0, 0, 10, 20], dtype=np.float32), (8, 1)),
        pids=np.array(pids, dtype=np.int64),
        is_hard=np.zeros(8, dtype=np.bool_),
    )


def test_the_rows_count_images_labeled_and_unlabeled_persons() -> None:
    assert table1(table(), np.array([0, 4])).to_dict() == {
        "with_masks": {"images": 2, "labeled": 3, "unlabeled": 2},
        "without_masks": {"images": 3, "labeled": 1, "unlabeled": 2},
    }


def test_both_rows_sum_to_the_training_set_whatever_is_kept() -> None:
    """As the published ones do: 1,833 + 9,373 = 11,206 images, 9,084 + 46,188 = 55,272 persons."""
    for kept in ([], [1], [0, 2, 3], [0, 1, 2, 3, 4]):
        counts = table1(table(), np.array(kept, dtype=np.int64))
        total = counts.with_masks + counts.without_masks
        assert (total.images, total.labeled, total.unlabeled) == (5, 4, 4)


def test_an_empty_table_counts_nothing() -> None:
    empty = table1(table().select([]), np.zeros(0, dtype=np.int64))
    assert empty.to_dict()["with_masks"] == {"images": 0, "labeled": 0, "unlabeled": 0}


def test_the_printed_rows_carry_the_same_numbers() -> None:
    counts: Table1 = table1(table(), np.array([0, 4]))
    _, columns, rows = counts.as_rows()
    assert columns[1:] == ["Images", "Labeled (LP)", "Unlabeled (UP)"]
    assert [row[1:] for row in rows] == [["2", "3", "2"], ["3", "1", "2"], ["5", "4", "4"]]
