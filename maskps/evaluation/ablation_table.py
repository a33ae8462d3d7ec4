"""The table of an ablation: mean and spread over seeds, and the effect of the masks, paired by seed."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maskps.errors import InputFileError
from maskps.evaluation.ablation_rows import COMPARED, WITHOUT, is_arm, place_of, share_of
from maskps.evaluation.outline_measures import MEASURES
from maskps.evaluation.paired import (
    PairedDifference,
    difference_cells,
    difference_columns,
    difference_numbers,
    with_holm,
)
from maskps.io.files import json_field, read_record, write_json
from maskps.io.tables import Cell, Column, Shown, Spread, Table
from maskps.subset.nested import FULL
from maskps_manifest import paper

GRID_FORMAT, GRID_VERSION = "maskps-ablation", 2
CELL_RECORD = "cell.json"
_FORMAT, _VERSION = "maskps-ablation-cell", 2
_PUBLISHED_DATA, _PUBLISHED_PROTOCOL = "CUHK-SYSU", "TestG100"

Metric = Literal["mAP", "top1"]
METRICS: tuple[Metric, ...] = ("mAP", "top1")
_HEADS: dict[Metric, str] = {"mAP": "mAP", "top1": "top-1"}


@dataclass(frozen=True)
class CellResult:
    """The result of one training of a grid.

    Attributes:
        row: a proportion ("0%", no masks; a nested subset such as "3%"; "full"), or an arm of `ARMS`.
        images, persons: training images and persons with masks.
        search: `SearchResult.to_dict()`.
        measured: each of `MEASURES` that was measured.
    """

    row: str
    seed: int
    images: int
    persons: int
    search: dict[str, Any]
    measured: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, ready for JSON; "measured" only where something was."""
        content = dataclasses.asdict(self)
        return content if self.measured else {key: content[key] for key in content if key != "measured"}


@dataclass(frozen=True)
class AblationRow:
    """A row of the table: trainings, or a further difference between two such rows, "masks - shuffled".

    Attributes:
        name: of the row, as in `CellResult`; of a further difference, the names of both rows.
        images, persons: means over the seeds, as the images can be drawn by the seed; None for a difference.
        results: mean and spread of each metric, and of each of `MEASURES`, over the row's seeds; None for a
            difference, and where nothing was measured.
        differences: to the row without masks, or between the two rows, over the seeds that both have; None if
            there are none. Their `p_holm` is corrected over all differences of the table.
        published: of the paper's Table 4 as fractions; None if it has no such row or the data differ.
    """

    name: str
    images: float | None
    persons: float | None
    seeds: tuple[int, ...]
    results: dict[str, Spread | None]
    differences: dict[Metric, PairedDifference | None]
    published: dict[Metric, float] | None


@dataclass(frozen=True)
class AblationTable:
    """Results of a grid: a row for each proportion of images with masks, ascending, or for each arm.

    Attributes:
        data: the name of the data (`maskps.datasets.naming.data_name`).
        protocol: of the evaluation, e.g. "TestG100".
        cells: by row, then by seed.
    """

    data: str
    protocol: str
    rows: tuple[AblationRow, ...]
    cells: tuple[CellResult, ...]

    @classmethod
    def of(cls, data: str, protocol: str, results: Sequence[CellResult]) -> AblationTable:
        """Returns the table of these results, given in any order."""
        cells = sorted(results, key=lambda cell: (place_of(cell.row), cell.seed))
        is_papers = (data, protocol) == (_PUBLISHED_DATA, _PUBLISHED_PROTOCOL)
        of_row = {name: [cell for cell in cells if cell.row == name] for name in _names(cells)}
        without = next((of_row[name] for name in WITHOUT if name in of_row), [])
        rows = [_row(own, [] if own is without else without, is_papers) for own in of_row.values()]
        rows += [
            _further(of_row[first], of_row[second])
            for first, second in COMPARED
            if first in of_row and second in of_row
        ]
        return cls(data, protocol, _corrected(rows), tuple(cells))

    def to_table(self) -> Table:
        """Returns the table to show, in percent; its CSV has fractions, and the columns without a number."""
        has_differences = any(row.differences["mAP"] for row in self.rows)
        has_published = any(row.published for row in self.rows)
        columns = [
            Column("data", None),
            Column("protocol", None),
            Column("row", "arm" if has_arms([self]) else "masks"),
            Column("images_with_masks", "images", "count"),
            Column("persons_with_masks", "persons", "count"),
            Column("seeds", "seeds", "count"),
        ]
        columns += [
            Column(f"{metric}_mean", head, "percent", f"{metric}_deviation")
            for metric, head in _HEADS.items()
        ]
        for metric, head in _HEADS.items():
            heads = (difference_head(metric, [self]), f"p ({head})") if has_differences else (None, None)
            columns += difference_columns(f"{metric}_difference", *heads)
        columns += [
            Column(f"{name}_mean", head if self._has(name) else None, "percent", f"{name}_deviation")
            for name, head in MEASURES.items()
        ]
        columns += [
            Column(f"{metric}_published", f"published {head}" if has_published else None, "percent")
            for metric, head in _HEADS.items()
        ]
        what = (
            "Ways to use the masks"
            if has_arms([self])
            else "Masks in a part of the training images (Table 4)"
        )
        title = f"{what}: {self.data}, {self.protocol}"
        return Table(title, columns, [self._cells(row) for row in self.rows], self._note())

    def _cells(self, row: AblationRow) -> list[Cell]:
        seeds = Shown(" ".join(map(str, row.seeds)), f"{len(row.seeds)}")
        cells: list[Cell] = [self.data, self.protocol, row.name, *counts_of(row), seeds]
        cells += [row.results[metric] for metric in METRICS]
        for metric in METRICS:
            cells += difference_cells(row.differences[metric])
        cells += [row.results[name] for name in MEASURES]
        return cells + [row.published[metric] if row.published else None for metric in METRICS]

    def _has(self, measure: str) -> bool:
        return any(row.results[measure] for row in self.rows)

    def _note(self) -> str:
        notes = ["Percent. ±: standard deviation over the seeds (n - 1).", difference_note([self])]
        if any(row.published for row in self.rows):
            notes.append("Published: the paper's Table 4, one run each, no row without masks.")
        if self._has("mask_iou"):
            notes.append("Mask IoU: of predicted masks, beside one constant mask, the mean of the true ones.")
        if self._has("background_sensitivity"):
            notes.append("Background sensitivity: 0 is an embedding that ignores the background.")
        return " ".join(filter(None, notes))

    def to_dict(self) -> dict[str, Any]:
        """Returns {"rows": [...], "cells": [...]}, fractions at full precision."""
        rows = []
        for row in self.rows:
            content: dict[str, Any] = {
                "row": row.name,
                "images_with_masks": row.images,
                "persons_with_masks": row.persons,
                "seeds": list(row.seeds),
            }
            for name, spread in row.results.items():
                content[name] = spread and {"mean": spread.mean, "deviation": spread.deviation}
            for metric in METRICS:
                content[f"{metric}_difference"] = difference_numbers(row.differences[metric])
                content[f"{metric}_published"] = row.published and row.published[metric]
            rows.append(content)
        return {"rows": rows, "cells": [cell.to_dict() for cell in self.cells]}


def counts_of(row: AblationRow) -> list[Cell]:
    """Returns the cells with a row's images and persons: means over the seeds, shown as whole numbers."""
    return [None if mean is None else Shown(mean, f"{mean:,.0f}") for mean in (row.images, row.persons)]


def has_arms(tables: Sequence[AblationTable]) -> bool:
    """Whether rows of these grids are arms."""
    return any(is_arm(row.name) for table in tables for row in table.rows)


def difference_head(metric: Metric, tables: Sequence[AblationTable]) -> str:
    """Returns the head of the differences of these grids; those of arms have more than one base."""
    return f"{_HEADS[metric]}, difference" if has_arms(tables) else f"{_HEADS[metric]} - no masks"


def difference_note(tables: Sequence[AblationTable]) -> str:
    """Returns what a reader must know about the differences of these grids; "" if there are none."""
    grids = [[row.differences[metric] for row in table.rows for metric in METRICS] for table in tables]
    differences = [one for grid in grids for one in grid if one is not None]
    if not differences:
        return ""
    notes = ["Differences are to the row without masks, seed by seed: the mean and its 95 % t interval."]
    further = dict.fromkeys(row.name for table in tables for row in table.rows if row.images is None)
    notes += [f"The row {name} is the difference of these two." for name in further]
    families = [sum(one is not None and one.p is not None for one in grid) for grid in grids]
    if any(families):
        counts = " and ".join(map(str, families))
        notes.append(
            f"p: paired t test, Holm's correction for {counts} comparisons: if no row differs, the chance "
            "that any p of a grid is 0.05 or smaller is at most 5 %."
        )
    if any(one.p is None for one in differences):
        notes.append(
            "A difference of one seed, or the same for every seed, has no interval: how far chance moves it "
            "is not known."
        )
    return " ".join(notes)


def write_result(folder: Path, result: CellResult) -> None:
    """Writes the result of a cell into its run folder, which marks the cell as finished."""
    content = {"format": _FORMAT, "version": _VERSION, **result.to_dict()}
    write_json(folder / CELL_RECORD, content)


def read_results(run_dir: Path) -> list[CellResult]:
    """Returns the results of all finished cells below a grid's folder.

    Raises:
        InputFileError: a result that is broken or edited.
    """
    return [_read_result(path) for path in sorted(run_dir.glob(f"*/{CELL_RECORD}"))]


def read_table(path: Path) -> tuple[AblationTable, str, str]:
    """Returns the table in the ablation.json of a grid, and the fingerprints of test annotation and protocol.

    Raises:
        InputFileError: the file is missing, broken or edited, or of another format or version.
    """
    hint = "give the folder of maskps ablate; a grid of an older maskps has to be made again"
    what = f"a grid of maskps ablate ({path.name})"
    content = read_record(path, format=GRID_FORMAT, version=GRID_VERSION, what=what, hint=hint)
    data, protocol, of_test, of_protocol = (
        json_field(content, key, str, path, hint=hint)
        for key in ("data", "protocol", "test_fingerprint", "protocol_fingerprint")
    )
    cells = json_field(content, "cells", list, path, hint=hint)
    table = AblationTable.of(data, protocol, [_cell(path, cell, hint) for cell in cells])
    return table, of_test, of_protocol


def _read_result(path: Path) -> CellResult:
    hint = "remove the file; maskps ablate then evaluates the cell again"
    what = f"the result of a cell ({CELL_RECORD})"
    return _cell(path, read_record(path, format=_FORMAT, version=_VERSION, what=what, hint=hint), hint)


def _cell(path: Path, content: Any, hint: str) -> CellResult:
    kinds = {"row": str, "seed": int, "images": int, "persons": int, "search": dict}
    content = content if isinstance(content, dict) else {}
    values = {key: json_field(content, key, kind, path, hint=hint) for key, kind in kinds.items()}
    for metric in METRICS:
        score = values["search"].get(metric)
        if type(score) is not float or not 0 <= score <= 1:
            expected = f"a cell whose search has '{metric}' from 0 to 1"
            raise InputFileError(path, expected=expected, found=f"{score!r:.60}", hint=hint)
    measured = json_field(content, "measured", dict, path, hint=hint) if "measured" in content else {}
    for name, value in measured.items():
        if name not in MEASURES or type(value) is not float or not 0 <= value < math.inf:
            expected = f"some of {', '.join(MEASURES)}, 0 or more"
            raise InputFileError(path, expected=expected, found=f"{name} = {value!r:.60}"[:90], hint=hint)
    return CellResult(**values, measured=measured)


def _names(cells: Sequence[CellResult]) -> list[str]:
    return list(dict.fromkeys(cell.row for cell in cells))


def _row(cells: Sequence[CellResult], without: Sequence[CellResult], is_papers: bool) -> AblationRow:
    name = cells[0].row
    return AblationRow(
        name=name,
        images=statistics.fmean(cell.images for cell in cells),
        persons=statistics.fmean(cell.persons for cell in cells),
        seeds=tuple(cell.seed for cell in cells),
        results={metric: Spread.of([cell.search[metric] for cell in cells]) for metric in METRICS}
        | {
            name: Spread.of([cell.measured[name] for cell in cells if name in cell.measured])
            for name in MEASURES
        },
        differences=_differences(cells, without),
        published=_published(name) if is_papers and not is_arm(name) else None,
    )


def _further(first: Sequence[CellResult], second: Sequence[CellResult]) -> AblationRow:
    """Returns the row of the difference between two others."""
    return AblationRow(
        name=f"{first[0].row} - {second[0].row}",
        images=None,
        persons=None,
        seeds=tuple(sorted({cell.seed for cell in first} & {cell.seed for cell in second})),
        results=dict.fromkeys((*METRICS, *MEASURES)),
        differences=_differences(first, second),
        published=None,
    )


def _differences(
    cells: Sequence[CellResult], base: Sequence[CellResult]
) -> dict[Metric, PairedDifference | None]:
    """Returns the difference of each metric over the seeds that both rows have."""
    of_seed = {cell.seed: cell for cell in base}
    pairs = [(cell.search, of_seed[cell.seed].search) for cell in cells if cell.seed in of_seed]
    return {metric: PairedDifference.of([a[metric] - b[metric] for a, b in pairs]) for metric in METRICS}


def _corrected(rows: Sequence[AblationRow]) -> tuple[AblationRow, ...]:
    """Returns the rows with p values corrected over all rows and metrics."""
    family = iter(with_holm([row.differences[metric] for row in rows for metric in METRICS]))
    return tuple(
        dataclasses.replace(row, differences={metric: next(family) for metric in METRICS}) for row in rows
    )


def _published(proportion: str) -> dict[Metric, float] | None:
    for column in paper.TABLE_4:
        share = share_of(FULL) if column.proportion is None else column.proportion
        if abs(share_of(proportion) - share) < 1e-9:
            return {"mAP": column.mean_average_precision / 100, "top1": column.top1 / 100}
    return None
