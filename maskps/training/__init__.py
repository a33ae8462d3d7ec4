"""Training: settings, batches, the loop, run folders. Imports torch."""

from __future__ import annotations

from maskps.training.config import TrainConfig, load_config, recipe_names, write_config
from maskps.training.data import SceneDataset
from maskps.training.loop import StepReport, TrainResult, train
from maskps.training.run import Run, RunInfo, initial_predictor, load_run

__all__ = [
    "Run",
    "RunInfo",
    "SceneDataset",
    "StepReport",
    "TrainConfig",
    "TrainResult",
    "initial_predictor",
    "load_config",
    "load_run",
    "recipe_names",
    "train",
    "write_config",
]
