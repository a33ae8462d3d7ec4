"""The trained network of a run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from maskps.config import TrainConfig, load_config, recipe_names
from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.model.build import build_model
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
    """A trained network and how it came about.

    Attributes:
        model: on `device`, in evaluation mode.
        config: the settings it was trained with.
        info: what it was trained on.
        step: the step after which its weights were saved; `info.steps` when the run is finished.
    """

    model: MaskGuidedPersonSearch
    config: TrainConfig
    info: RunInfo
    step: int
    device: torch.device

    def predictor(self, *, feature: Feature = "embedding", unit_length: bool = True) -> Predictor:
        """Returns the network with the image sizes it was trained for; the rest as for `Predictor`."""
        config = self.config
        return Predictor(
            self.model,
            config.shorter_side,
            config.longest_side,
            self.device,
            feature=feature,
            unit_length=unit_length,
        )

    @property
    def recipe(self) -> str | None:
        """The recipe of maskps with these settings, seed and masks apart; None if there is none."""
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
        checkpoint: "last"; "best", of the evaluations during the run; or a step (the number, or its digits)
            after which there is one.
        allow_unfinished: also take the last checkpoint of a run that has not reached its end; "best" and a
            step are taken in any case.

    Raises:
        ConfigError: `checkpoint` is none of these.
        InputFileError: no such folder, or its files are missing, broken or do not belong together.
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
    """Returns the file of "last", "best" or a step; None for "last" of a run that has none yet."""
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
            hint="train with --set eval_every=1, or take the last checkpoint",
        )
    if str(name).isdecimal() and int(name) in steps:
        return checkpoint_path(run_dir, int(name))
    known = ["last", *["best"] * best_path(run_dir).exists(), *map(str, steps)]
    raise ConfigError(
        f"checkpoint '{name}' of {run_dir}",
        expected=f"one of {', '.join(known)}",
        found="none of that name or step",
        hint="older ones are deleted; keep more with --set keep_checkpoints=N",
    )


def initial_predictor(
    config: TrainConfig, dataset: PersonSearchDataset, *, device: torch.device | str = "cpu"
) -> Predictor:
    """Returns the untrained network, with the weights that a run of these settings starts from."""
    place = open_device(device)
    model = build_model(config, dataset.num_train_ids).to(place).eval()
    return Predictor(model, config.shorter_side, config.longest_side, place)


def _read_own_checkpoint(path: Path, run_dir: Path, info: RunInfo) -> Checkpoint:
    """Returns a checkpoint of the run; if it is damaged, the error names one that may be used instead."""
    try:
        checkpoint = read_checkpoint(path)
    except InputFileError as error:
        others = [step for step in checkpoint_steps(run_dir) if checkpoint_path(run_dir, step) != path]
        if others:
            error = InputFileError(
                path,
                expected=error.expected,
                found=error.found,
                hint=f"take another one, --checkpoint {others[-1]}, or go on from it with --resume",
            )
        raise error from error.__cause__
    check_belongs(checkpoint, path, info)
    return checkpoint
