"""The trained network of a run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from maskps.config import TrainConfig, load_config, recipe_names
from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.model.build import build_model, build_predictor
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Feature, Predictor
from maskps.model.processes import open_device
from maskps.structures import PersonSearchDataset
from maskps.training.checkpoint import (
    Checkpoint,
    best_path,
    checkpoint_path,
    checkpoint_steps,
    read_checkpoint,
)
from maskps.training.run import (
    RunInfo,
    check_belongs,
    differing_settings,
    load_weights,
    read_run_files,
)


@dataclass(frozen=True)
class Run:
    """A trained network, its settings and its data.

    Attributes:
        model: on `device`, in evaluation mode.
        step: the step after which its weights were saved; `info.steps` when the run is finished.
    """

    model: MaskGuidedPersonSearch
    config: TrainConfig
    info: RunInfo
    step: int
    device: torch.device

    def predictor(self, *, feature: Feature = "embedding", unit_length: bool = True) -> Predictor:
        """Returns a predictor with the image sizes of the training; arguments as `Predictor`."""
        predictor = build_predictor(
            self.config, self.model, self.device, feature=feature, unit_length=unit_length
        )
        predictor.recipe, predictor.terms = self.recipe or "", self.info.terms
        predictor.has_masks = self.has_mask_branch
        return predictor

    @property
    def has_mask_branch(self) -> bool:
        """Whether the mask branch was trained. Otherwise its masks are those of random weights."""
        return self.config.masks and self.config.mask_weight > 0

    @property
    def recipe(self) -> str | None:
        """The name of maskps's recipe with these settings, apart from seed and masks; else None.

        For imported weights, the network that they are of.
        """
        if self.info.origin:
            return f"{self.info.origin['network']}, imported"
        for name in recipe_names():
            one = dataclasses.replace(load_config(name), seed=self.config.seed, masks=self.config.masks)
            if not differing_settings(one, self.config):
                return name
        return None


def load_run(
    run_dir: Path,
    *,
    device: torch.device | str = "cpu",
    checkpoint: str | int = "last",
    allow_unfinished: bool = False,
) -> Run:
    """Returns the network of a run folder.

    Args:
        checkpoint: "last"; "best", of the evaluations during the run; or the step of a checkpoint, as a
            number or as text.
        allow_unfinished: accept the last checkpoint of a run that has not reached its end. "best" and a step
            are always accepted.

    Raises:
        ConfigError: no such checkpoint.
        InputFileError: the folder does not exist, or files are missing, broken or do not belong together.
        TrainingError: the run was interrupted before its end, or before its first checkpoint.
    """
    place = open_device(device)
    info, config = read_run_files(run_dir)
    path = _checkpoint_of(run_dir, checkpoint)
    state = None if path is None else _read_own_checkpoint(path, run_dir, info)
    is_unfinished = state is None or (checkpoint == "last" and state.step < info.steps)
    if path is None or state is None or (is_unfinished and not allow_unfinished):
        raise TrainingError(
            run_dir,
            expected=f"a finished run of {info.steps} steps",
            found="a run without a checkpoint yet"
            if state is None
            else f"a run that stopped after step {state.step}",
            hint="finish it: the command that started it, with --resume",
        )
    model = build_model(dataclasses.replace(config, pretrained="none"), info.num_pids).to(place)
    load_weights(model, state, path)
    return Run(model.eval(), config, info, state.step, place)


def _checkpoint_of(run_dir: Path, name: str | int) -> Path | None:
    """Returns the file of "last", "best" or a step; None for "last" if the run has no checkpoint yet."""
    steps = checkpoint_steps(run_dir)
    if name == "last":
        return checkpoint_path(run_dir, steps[-1]) if steps else None
    if name == "best":
        if best_path(run_dir).exists():
            return best_path(run_dir)
        raise InputFileError(
            best_path(run_dir),
            expected="the checkpoint of the run's best evaluation",
            found="no such file",
            hint="train with --set eval_every=1, or use the last checkpoint",
        )
    if str(name).isdecimal() and int(name) in steps:
        return checkpoint_path(run_dir, int(name))
    known = ["last", *["best"] * best_path(run_dir).exists(), *map(str, steps)]
    raise ConfigError(
        f"checkpoint '{name}' of {run_dir}",
        expected=f"one of {', '.join(known)}",
        found="no checkpoint of that name or step",
        hint="older ones are deleted; keep more with --set keep_checkpoints=N",
    )


def initial_predictor(
    config: TrainConfig, dataset: PersonSearchDataset, *, device: torch.device | str = "cpu"
) -> Predictor:
    """Returns the untrained network, with the weights that a run with these settings starts from."""
    place = open_device(device)
    model = build_model(config, dataset.num_train_ids).to(place).eval()
    return build_predictor(config, model, place)


def _read_own_checkpoint(path: Path, run_dir: Path, info: RunInfo) -> Checkpoint:
    """Returns a checkpoint of the run. If it is damaged, the error names another one to use."""
    try:
        checkpoint = read_checkpoint(path)
    except InputFileError as error:
        others = [step for step in checkpoint_steps(run_dir) if checkpoint_path(run_dir, step) != path]
        if others:
            error = InputFileError(
                path,
                expected=error.expected,
                found=error.found,
                hint=f"use another one, --checkpoint {others[-1]}, or continue from it with --resume",
            )
        raise error from error.__cause__
    check_belongs(checkpoint, path, info)
    return checkpoint
