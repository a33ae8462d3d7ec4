"""Image and person counts: Table 1 of the paper for a mask subset, totals for a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.naming import data_name, published_like
from maskps.io.tables import Cell, Column, Shown, Table
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset.manifest import RECORD_NAME, SubsetRecord, read_subset_record
from maskps.subset.nested import FULL
from maskps.subset.recorded import nested_rows
from maskps.subset.select import expected_kept
from maskps_manifest import cuhk_sysu, paper
from maskps_manifest.counts import Counts

_COLUMNS = {"images": "Images", "labeled": "Labeled (LP)", "unlabeled": "Unlabeled (UP)"}
_TOTAL_COLUMNS = {
    "images": "Images",
    "identities": "Identities",
    "labeled": "Labeled",
    "unlabeled": "Unlabeled",
}


Counted = Mapping[str, int | None]
"""Key of a column to its count; None if there is no number."""


@dataclass(frozen=True)
class Table1:
    """Table 1: counts of the images of the subset, and of all other training images."""

    with_masks: Counts
    without_masks: Counts

    def to_table(self) -> Table:
        """Returns the table to print, as in the paper, with a row of sums."""
        return CountTable("Table 1", "", _COLUMNS, *_table1_rows(self)).to_table()


@dataclass(frozen=True)
class CountRow:
    """A row of counts.

    Attributes:
        part: what is counted, as a key, e.g. "with_masks".
        head: its human-readable name.
        counts: by column.
        published: likewise; None without a comparison.
    """

    part: str
    head: str
    counts: Counted
    published: Counted | None = None

    def kinds(self) -> Iterator[tuple[str, Counted]]:
        """Yields ("counted", ...), and with a comparison ("published", ...) and ("difference", ...)."""
        yield "counted", self.counts
        if self.published is not None:
            yield "published", self.published
            pairs = {key: (count, self.published.get(key)) for key, count in self.counts.items()}
            yield (
                "difference",
                {
                    key: None if ours is None or theirs is None else ours - theirs
                    for key, (ours, theirs) in pairs.items()
                },
            )


@dataclass(frozen=True)
class CountTable:
    """Counts under a name and a title.

    Attributes:
        name: e.g. "Table 1".
        title: what is counted, and in which data; may be "".
        columns: key to head, in order.
        rows: the parts.
        sums: rows that are sums of parts; not in the JSON.
        nested: parts of the first part, e.g. "3%" of the images with masks.
        note: what a reader must know about the numbers; may be "".
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[CountRow]
    sums: Sequence[CountRow] = ()
    nested: Sequence[CountRow] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns {part: {column: count}}, with nested parts under "proportions".

        With a comparison, "published" and "difference" hold the same of these numbers, and "data" the title.
        """
        kinds: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            for kind, counts in row.kinds():
                kinds.setdefault(kind, {})[row.part] = self._in_order(counts)
        content = kinds.pop("counted", {})
        if self.nested:
            content["proportions"] = {row.part: self._in_order(row.counts) for row in self.nested}
        return content | ({"data": self.title, **kinds} if kinds else {})

    def to_table(self) -> Table:
        """Returns the table to print; its CSV names the kind of numbers in each line."""
        columns = [Column("part", ""), Column("numbers", None)]
        columns += [Column(key, head, "count") for key, head in self.columns.items()]
        lines: list[list[Cell]] = []
        for row in (*self.rows, *self.sums, *self.nested):
            for kind, counts in row.kinds():
                part = Shown(row.part, row.head if kind == "counted" else f"  {kind}")
                numbers: list[Cell] = [
                    Shown(number, f"{number:+,d}") if kind == "difference" and number else number
                    for number in self._in_order(counts).values()
                ]
                lines.append([part, kind, *numbers])
        return Table(self.title, columns, lines, self.note, self.name)

    def _in_order(self, counts: Counted) -> dict[str, int | None]:
        return {key: counts.get(key) for key in self.columns}


def table1(train: SceneTable, kept_rows: NDArray[np.int64]) -> Table1:
    """Returns Table 1 for these scenes of the subset (Sec. 3.1).

    Every image of the subset counts as one with masks, whether its outlines are drawn yet or not.

    Args:
        kept_rows: (K,) scene rows of the subset, each once.
    """
    is_kept = np.zeros(len(train), dtype=np.bool_)
    is_kept[kept_rows] = True
    return Table1(with_masks=_count(train, is_kept), without_masks=_count(train, ~is_kept))


def subset_table(
    dataset: PersonSearchDataset,
    record: SubsetRecord,
    kept_rows: NDArray[np.int64],
    *,
    compare: bool = False,
) -> CountTable:
    """Returns Table 1 of a subset, and a row for each of its nested subsets.

    Args:
        kept_rows: (K,) scene rows of the kept images.
        compare: add the paper's numbers, and the differences.
    """
    train = dataset.train
    rows, sums = _table1_rows(table1(train, kept_rows), compare=compare)
    nested = [
        CountRow(label, f"Nested subset {label}", asdict(table1(train, rows_of_label).with_masks))
        for label in record.proportions
        if label != FULL
        for _, rows_of_label in [nested_rows(record, dataset, label, where=Path(RECORD_NAME))]
    ]
    notes = [draw_note(train, record), "Published: the paper's Table 1, on CUHK-SYSU." if compare else ""]
    title = f"Training images of {data_name(dataset)}"
    return CountTable("Table 1", title, _COLUMNS, rows, sums, nested, " ".join(filter(None, notes)))


def totals_table(dataset: PersonSearchDataset, *, compare: bool = False) -> CountTable:
    """Returns images, identities and persons of both splits.

    Args:
        compare: add the published totals of `published_like`, and the differences.
    """
    published = published_like(dataset)
    theirs = {
        "train": {**asdict(published.train), "identities": published.train_identities},
        "test": {**asdict(published.test), "identities": published.test_identities},
    }
    rows = []
    for part, head, table, identities in (
        ("train", "Training", dataset.train, len(dataset.train_ids)),
        ("test", "Test", dataset.test, len(dataset.test_ids)),
    ):
        ours = {**asdict(_all(table)), "identities": identities}
        rows.append(CountRow(part, head, ours, theirs[part] if compare else None))
    note = f"Published: {published.name}." if compare else ""
    return CountTable("", f"Totals of {data_name(dataset)}", _TOTAL_COLUMNS, rows, note=note)


def remarks_on(record: SubsetRecord, train: SceneTable, *, earlier: Path | None = None) -> list[str]:
    """Returns what a user should know about a subset that was just built.

    Args:
        earlier: the record that it was built from, if any.
    """
    remarks = [] if earlier is None else [record.compared_with(read_subset_record(earlier))]
    return [*remarks, *filter(None, [draw_note(train, record)])]


def draw_note(train: SceneTable, record: SubsetRecord) -> str:
    """Returns a note about a seeded draw on a training set of the published size; else "".

    The paper's 1,833 images are about 7 standard deviations below what its own description gives.
    """
    if (
        (record.source, record.portion_size, record.per_portion) != ("draw", 5, 1)
        or record.order is None
        or len(train) != cuhk_sysu.TRAIN.images
        or int((train.labeled_per_scene == 0).sum()) != cuhk_sysu.TRAIN_IMAGES_WITHOUT_LABELED
    ):
        return ""
    mean, deviation = expected_kept(train, order=record.order)
    return (
        f"A random draw as in Sec. 3.1 keeps {mean:,.0f} +- {deviation:.0f} of these {len(train):,} images, "
        f"not the paper's {paper.TABLE_1_WITH_MASKS.images:,}: that list cannot be redrawn, only given."
    )


def _table1_rows(table: Table1, *, compare: bool = False) -> tuple[list[CountRow], list[CountRow]]:
    """Returns the rows of Table 1, and the row of their sums."""
    ours = (table.with_masks, table.without_masks)
    theirs = (paper.TABLE_1_WITH_MASKS, paper.TABLE_1_WITHOUT_MASKS)
    rows = [
        CountRow(part, head, asdict(counts), asdict(published) if compare else None)
        for part, head, counts, published in (
            ("with_masks", "Images with masks", ours[0], theirs[0]),
            ("without_masks", "Images without masks", ours[1], theirs[1]),
            ("together", "Together", ours[0] + ours[1], theirs[0] + theirs[1]),
        )
    ]
    return rows[:2], rows[2:]


def _all(table: SceneTable) -> Counts:
    return _count(table, np.ones(len(table), dtype=np.bool_))


def _count(table: SceneTable, scenes: NDArray[np.bool_]) -> Counts:
    persons = scenes[table.scene_of_person]
    labeled = int((persons & table.is_labeled).sum())
    return Counts(images=int(scenes.sum()), labeled=labeled, unlabeled=int(persons.sum()) - labeled)
