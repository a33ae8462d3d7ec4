"""Training: settings, batches, the loop, run folders. Imports torch."""

from __future__ import annotations

from maskps.config import TrainConfig, load_config, recipe_names, write_config
from maskps.evaluation.ablation_rows import parse_arms, parse_grid
from maskps.evaluation.ablation_table import AblationTable, CellResult
from maskps.model.processes import is_first_process
from maskps.training.ablation import Cell, GridPlan, GridReport, parse_seeds, run_grid
from maskps.training.data import SceneDataset
from maskps.training.dry_run import DryRun, dry_run
from maskps.training.evaluate_run import NetworkOptions, evaluate_run
from maskps.training.imported import ImportedWeights, import_weights
from maskps.training.loop import train
from maskps.training.report import StepReport, TrainResult
from maskps.training.run import RunInfo
from maskps.training.trained import Run, initial_predictor, load_run

__all__ = [
    "AblationTable",
    "Cell",
    "CellResult",
    "DryRun",
    "GridPlan",
    "GridReport",
    "ImportedWeights",
    "NetworkOptions",
    "Run",
    "RunInfo",
    "SceneDataset",
    "StepReport",
    "TrainConfig",
    "TrainResult",
    "dry_run",
    "evaluate_run",
    "import_weights",
    "initial_predictor",
    "is_first_process",
    "load_config",
    "load_run",
    "parse_arms",
    "parse_grid",
    "parse_seeds",
    "recipe_names",
    "run_grid",
    "train",
    "write_config",
]
