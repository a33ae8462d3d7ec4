"""The ablation: one training per row and seed, all else equal.

The rows are proportions of images with masks (Table 4), or arms: ways to use the masks
(`maskps.evaluation.ablation_rows`). Table 4 of the paper begins at 3 % and has one run per row. Here "no
masks" is a row like the others, and every row has several seeds, so that the table can separate the effect of
the masks from chance (`maskps.evaluation.ablation_table`).

A grid is one folder: `config.toml` (the settings that all cells share), `ablation.json` (data, protocol and
all results), `table.md`, `table.csv`, and a run folder per cell (`p03_s0`: 3 %, seed 0; `masks_s0`), with the
cell's result in `cell.json`. A cell with a result is never trained again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskps.config import TrainConfig, read_config, write_config
from maskps.datasets.boxes_inside import check_training_scenes
from maskps.datasets.naming import data_name
from maskps.datasets.protocols import open_protocol, protocol_of_size
from maskps.errors import ConfigError, TrainingError
from maskps.evaluation import evaluate_search
from maskps.evaluation.ablation_rows import WITHOUT, changes_of, check_shared, folder_of, is_arm
from maskps.evaluation.ablation_table import (
    GRID_FORMAT,
    GRID_VERSION,
    AblationTable,
    CellResult,
    read_results,
    write_result,
)
from maskps.evaluation.extraction import extract_detections
from maskps.evaluation.image_plan import ImagePlan
from maskps.evaluation.outline_measures import OutlineMeasures
from maskps.io.files import check_output, read_record, write_errors_explained, write_json, written_atomically
from maskps.masks.outlined_persons import PersonOutlines
from maskps.masks.outlines import Outline
from maskps.protocols import SearchProtocol
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset, open_subset, redrawn
from maskps.subset.nested import FULL
from maskps.training.data import SceneDataset
from maskps.training.loop import StepReport, train
from maskps.training.run import CONFIG, RECORD, RunInfo, differing_settings
from maskps.training.trained import load_run

ABLATION_RECORD = "ablation.json"
PRECISE_BN_IMAGES = 200
"""For settings without any: else the last images of a run decide its norms, and the mAP by some points."""
TABLE_MARKDOWN, TABLE_CSV = "table.md", "table.csv"


@dataclass(frozen=True)
class Cell:
    """One training of a grid.

    Attributes:
        row: a proportion of `parse_grid`, or an arm of `parse_arms`.
        seed: of weights, order, flips and sampling; cells of one seed see the same batches.
    """

    row: str
    seed: int

    @property
    def folder(self) -> str:
        """The name of its run folder, e.g. "p03_s0"."""
        return folder_of(self.row, self.seed)

    def __str__(self) -> str:
        return f"{self.row if is_arm(self.row) else f'masks {self.row}'}, seed {self.seed}"


@dataclass(frozen=True)
class GridPlan:
    """Which cells a grid has, and in which images they have masks.

    Attributes:
        rows: of the table: proportions of `parse_grid`, or arms of `parse_arms`.
        seeds: each once; every row is trained with every seed.
        masks_in: the proportion of images in which arms have masks; proportions are their own.
        same_images: masks are in the nested subsets that the subset's folder records, with every seed. By
            default each seed draws the images anew, among those of the subset (`maskps.subset.redrawn`), and
            the spread over the seeds has this choice in it.

    Raises:
        ConfigError: a seed twice, arms beside proportions, or none.
    """

    rows: Sequence[str]
    seeds: Sequence[int]
    masks_in: str = FULL
    same_images: bool = False

    def __post_init__(self) -> None:
        _check_seeds(self.seeds)
        if len({is_arm(row) for row in self.rows}) != 1:
            found = ", ".join(self.rows) or "nothing"
            raise ConfigError("rows of a grid", expected="proportions, or arms, not both", found=found)

    def subsets(self, folder: Path, dataset: PersonSearchDataset) -> dict[Cell, Subset | None]:
        """Returns the mask subset of every cell, None without masks.

        All rows of a seed come before the next seed: the first comparison is there early.

        Args:
            folder: of `maskps-data build-subset`.

        Raises:
            MaskpsError: as `open_subset` and `redrawn`.
        """
        of_row = {row: self.masks_in if is_arm(row) else row for row in self.rows if row not in WITHOUT}
        if self.same_images:
            recorded = {row: open_subset(folder, dataset, label) for row, label in of_row.items()}
            return {Cell(row, seed): recorded.get(row) for seed in self.seeds for row in self.rows}
        whole = open_subset(folder, dataset)
        return {
            Cell(row, seed): redrawn(whole, dataset.train, of_row[row], seed) if row in of_row else None
            for seed in self.seeds
            for row in self.rows
        }

    def for_record(self) -> dict[str, str]:
        """Returns what a later call in the same folder must have in common with this one."""
        return {
            "masks_in": f"{self.masks_in} in every arm" if is_arm(self.rows[0]) else "the row's proportion",
            "images_with_masks": "the subset's own" if self.same_images else "drawn by each seed",
        }


@dataclass(frozen=True)
class GridReport:
    """What a callback gets while a grid runs.

    Attributes:
        cell: the current one, `number` (from 1) of `cells`.
        done, total: training steps of the whole grid; cells that were finished earlier count.
        text: the numbers of the latest step, or the progress of the evaluation.
        result: of the cell, once it is finished.
    """

    cell: Cell
    number: int
    cells: int
    done: int
    total: int
    text: str = ""
    result: CellResult | None = None

    def line(self) -> str:
        """Returns the progress of the grid as one line."""
        return f"cell {self.number} of {self.cells} ({self.cell})  {self.text}"


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds in a list such as "0,1,2", in its order.

    Raises:
        ConfigError: it is not a list of whole numbers, or holds one twice.
    """
    if not re.fullmatch(r" *\d{1,20} *(, *\d{1,20} *)*", text, re.ASCII):
        raise ConfigError(
            "seeds",
            expected="whole numbers, separated by commas",
            found=f"'{text}'",
            hint="for example 0,1,2",
        )
    seeds = tuple(int(seed) for seed in text.split(","))
    _check_seeds(seeds)
    return seeds


def run_grid(
    config: TrainConfig,
    dataset: PersonSearchDataset,
    subset_folder: Path,
    run_dir: Path,
    plan: GridPlan,
    *,
    gallery_size: int | None = None,
    device: torch.device | str = "cpu",
    outlines: PersonOutlines | None = None,
    callback: Callable[[GridReport], None] | None = None,
) -> AblationTable:
    """Trains and evaluates a grid, writes its table after every cell, and returns the whole table.

    Everything is checked before the first step. Finished cells are kept; one that was interrupted continues
    from its last checkpoint. Two processes may work in one folder at the same time, on different seeds.

    A cell's result is that of its last step; no step is chosen by its result on the test set.

    Args:
        config: the settings; each cell sets its own `seed` and `masks`, and those of its arm. If
            `precise_bn_images` is 0, it is `PRECISE_BN_IMAGES`.
        subset_folder: of `maskps-data build-subset`.
        run_dir: a new or empty folder, or one of an earlier call.
        plan: the cells. A later call may have other rows and seeds; the table has all.
        gallery_size: of the test protocol, see `protocol_of_size`.
        outlines: of persons with whom predicted masks are measured, and the sensitivity to the background if
            they are of test images. Those in images of the subset are left out, so that all cells have the
            same persons.
        callback: called after every step, every image of an evaluation, and every cell.

    Raises:
        ConfigError: proportions that the subset does not have, a protocol that the data set does not have,
            settings or a plan that do not go with those of the earlier call, or torchrun.
        TrainingError: other data than in the earlier call; or as `train`.
        OutputExistsError: `run_dir` holds something else.
        MaskpsError: as `train`, `extract_detections` and `OutlineMeasures.of`.
    """
    if torch.distributed.is_torchelastic_launched():
        raise ConfigError(
            "torchrun",
            expected="a grid in one process",
            found="several processes for one cell",
            hint="give each device seeds of its own: one maskps ablate --seeds for each, in one folder",
        )
    check_output(run_dir, record=ABLATION_RECORD, force=True)
    config = dataclasses.replace(config, precise_bn_images=config.precise_bn_images or PRECISE_BN_IMAGES)
    if is_arm(plan.rows[0]):
        check_shared(dataclasses.asdict(config))
    protocol_name = protocol_of_size(dataset, gallery_size)
    protocol = open_protocol(dataset, protocol_name)
    check_training_scenes(dataset)
    ImagePlan.of(dataset, [protocol])  # refuses images that are missing, and persons beside them
    subsets = plan.subsets(subset_folder, dataset)
    # This also refuses missing outlines, and images that cannot be trained on.
    steps = {
        cell: RunInfo.of(SceneDataset(dataset, subset, _settings_of(config, cell))).steps
        for cell, subset in subsets.items()
    }
    subset = open_subset(subset_folder, dataset)
    header = {**_header(dataset, protocol_name, protocol, subset), **plan.for_record()}
    measures = None
    if outlines is not None:
        outlines = outlines.without_images(subset.record.kept, dataset)
        header["outlines_sha256"] = [_digest(one) for one in (outlines.train, outlines.test)]
        measures = OutlineMeasures.of(outlines, dataset)
    _open_folder(run_dir, config, header)
    grid = _Grid(config, dataset, subsets, run_dir, protocol, device, header, measures, callback)
    return grid.run(steps)


@dataclass
class _Grid:
    """One call of `run_grid`, after everything has been checked."""

    config: TrainConfig
    dataset: PersonSearchDataset
    subsets: Mapping[Cell, Subset | None]
    run_dir: Path
    protocol: SearchProtocol
    device: torch.device | str
    header: Mapping[str, Any]
    measures: OutlineMeasures | None
    callback: Callable[[GridReport], None] | None

    def run(self, steps: Mapping[Cell, int]) -> AblationTable:
        finished = {Cell(result.row, result.seed) for result in read_results(self.run_dir)}
        total, after = sum(steps.values()), 0
        for number, cell in enumerate(steps, start=1):
            before, after = after, after + steps[cell]
            if cell in finished:
                continue
            self._train(GridReport(cell, number, len(steps), before, total))
            report = GridReport(cell, number, len(steps), after, total)
            result = self._evaluate(report)
            write_result(self.run_dir / cell.folder, result)
            self._write_table()
            text = f"mAP {100 * result.search['mAP']:.1f} %, top-1 {100 * result.search['top1']:.1f} %"
            self._report(report, text=text, result=result)
        return self._write_table()

    def _train(self, report: GridReport) -> None:
        cell, folder = report.cell, self.run_dir / report.cell.folder

        def on_step(step: StepReport) -> None:
            self._report(report, text=step.text(), done=report.done + step.step)

        try:
            train(
                _settings_of(self.config, cell),
                self.dataset,
                self.subsets[cell],
                folder,
                device=self.device,
                resume=(folder / RECORD).is_file(),
                callback=on_step,
            )
        except TrainingError as error:
            if "--resume" not in error.hint:
                raise
            hint = "the same command again: finished cells are kept, this one continues"
            raise TrainingError(error.where, expected=error.expected, found=error.found, hint=hint) from error

    def _evaluate(self, report: GridReport) -> CellResult:
        def reports(what: str) -> Callable[[int, int], None]:
            return lambda done, total: self._report(report, text=f"{what} {done} of {total}")

        cell = report.cell
        run = load_run(self.run_dir / cell.folder, device=self.device)
        predictor, dataset = run.predictor(), self.dataset
        detections = extract_detections(
            predictor, dataset, self.protocol, progress=reports("searching: image")
        )
        search = evaluate_search(self.protocol, detections).to_dict()
        measured = {}
        if self.measures is not None:
            measured = self.measures.measure(
                predictor,
                dataset,
                has_mask_loss=run.has_mask_branch,
                progress=reports("measuring with outlines:"),
            )
        return CellResult(cell.row, cell.seed, *_masked(dataset, self.subsets[cell]), search, measured)

    def _report(self, report: GridReport, **changes: Any) -> None:
        if self.callback is not None:
            self.callback(dataclasses.replace(report, **changes))

    def _write_table(self) -> AblationTable:
        header = self.header
        table = AblationTable.of(header["data"], header["protocol"], read_results(self.run_dir))
        write_json(self.run_dir / ABLATION_RECORD, {**header, **table.to_dict()})
        shown = table.to_table()
        for name, text in ((TABLE_MARKDOWN, shown.to_text("markdown")), (TABLE_CSV, shown.to_text("csv"))):
            with written_atomically(self.run_dir / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return table


def _settings_of(config: TrainConfig, cell: Cell) -> TrainConfig:
    return dataclasses.replace(config, **changes_of(cell.row), seed=cell.seed)


def _shared(config: TrainConfig) -> TrainConfig:
    """Returns the settings with fixed values for those that differ between cells."""
    return dataclasses.replace(config, masks=True, seed=0)


def _masked(dataset: PersonSearchDataset, subset: Subset | None) -> tuple[int, int]:
    """Returns how many images and persons have a mask in the training."""
    if subset is None:
        return 0, 0
    persons = np.flatnonzero(subset.masks.states == MaskState.PRESENT)
    return len(np.unique(dataset.train.scene_of_person[persons])), len(persons)


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError("seeds", expected="one or more seeds, each once", found=f"{list(seeds)}")


def _header(
    dataset: PersonSearchDataset, protocol_name: str, protocol: SearchProtocol, subset: Subset
) -> dict[str, Any]:
    """Returns what all cells have in common, now and in later calls."""
    order = hashlib.sha256("\n".join(subset.record.nested or subset.record.kept).encode()).hexdigest()
    return {
        "format": GRID_FORMAT,
        "version": GRID_VERSION,
        "data": data_name(dataset),
        "fingerprint": dataset.fingerprint,
        "test_fingerprint": dataset.test.fingerprint(),
        "protocol": protocol_name,
        "protocol_fingerprint": protocol.fingerprint(),
        "images_with_masks_sha256": order,
        "masks_sha256": _digest(subset.masks.outlines),
        "outlines_sha256": None,
    }


def _digest(outlines: Mapping[int, Outline]) -> str:
    digest = hashlib.sha256()
    for row, outline in sorted(outlines.items()):
        digest.update(f"{row}".encode() + outline.edges().astype("<f8").tobytes())
    return digest.hexdigest()


def _open_folder(run_dir: Path, config: TrainConfig, header: Mapping[str, Any]) -> None:
    """Makes a new grid's folder with its first two files, or checks that an earlier call's goes with them."""
    if (run_dir / ABLATION_RECORD).is_file() and (run_dir / CONFIG).is_file():
        _check_same(run_dir, config, header)
        return
    with write_errors_explained(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / ABLATION_RECORD, {**header, "rows": [], "cells": []})
    write_config(run_dir / CONFIG, _shared(config))


def _check_same(run_dir: Path, config: TrainConfig, header: Mapping[str, Any]) -> None:
    path = run_dir / ABLATION_RECORD
    hint = "give the folder of maskps ablate"
    old = read_record(
        path, format=GRID_FORMAT, version=GRID_VERSION, what=f"a grid ({ABLATION_RECORD})", hint=hint
    )
    differences = differing_settings(read_config(run_dir / CONFIG), _shared(config))
    for key in ("protocol", "masks_in", "images_with_masks"):
        if old.get(key) != header[key]:
            differences.append(f"{key}: {old.get(key)} -> {header[key]}")
    if differences:
        raise ConfigError(
            run_dir,
            expected="the settings that the grid was started with",
            found="; ".join(differences),
            hint="use those, or another --run; maskps eval measures a cell with other galleries",
        )
    for key in header:
        if key.endswith(("fingerprint", "sha256")) and old.get(key) != header[key]:
            raise TrainingError(
                path,
                expected=f"the data that the grid was started with: {key} {old.get(key)}",
                found=f"{header[key]}",
                hint="use the same data set, subset and --outlines, or another --run",
            )
