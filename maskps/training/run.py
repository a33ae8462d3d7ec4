"""The folder of a training run.

RUN/run.json                the data it trains on, or where its weights come from: `RunInfo`
RUN/config.toml             every setting
RUN/metrics.jsonl           one line per step: losses and rate; the same bytes for the same seed
RUN/timing.jsonl            one line per epoch: seconds, and how many of them were spent waiting for images
RUN/evaluations.jsonl       one line per evaluation during the run, with `eval_every`
RUN/checkpoints/step_*.pt   weights, OIM table and queue, optimiser; the last `keep_checkpoints`
RUN/checkpoints/best.pt     the one of the best evaluation
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import platform
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

import maskps
from maskps.config import TrainConfig, read_config, write_config
from maskps.datasets.naming import weight_terms
from maskps.errors import ConfigError, InputFileError, TrainingError, shown_value
from maskps.io.files import read_record, write_json
from maskps.model.network import MaskGuidedPersonSearch
from maskps.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    read_checkpoint,
    step_of,
)
from maskps.training.data import SceneDataset, images_per_step, steps_per_epoch

FORMAT = "maskps-run"
VERSION = 3
RECORD = "run.json"
CONFIG, METRICS, TIMING, EVALUATIONS = "config.toml", "metrics.jsonl", "timing.jsonl", "evaluations.jsonl"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunInfo:
    """The data and the steps of a run; the content of run.json.

    Attributes:
        dataset: format of the data set, e.g. "cuhk-sysu".
        fingerprint: of its training annotation.
        num_pids: training identities, the rows of OIM's table.
        scenes: training scenes.
        images_with_masks: names of the training images with an outline in the training, in their order.
        persons_with_mask: persons with an outline in the training; 0 without masks.
        masks_sha256: of those outlines.
        images_per_step: over all micro-batches and processes.
        steps: of the whole run.
        versions: of maskps, Python, torch and torchvision when the run started.
        terms: on which terms the weights may be used, as the training data demand; "" if none are known.
        origin: of weights that `maskps import-weights` read: "network", "file" and "sha256" of the file. Such
            a run has no steps and no scenes. Empty for a run of `maskps train`.
    """

    dataset: str
    fingerprint: str
    num_pids: int
    scenes: int
    images_with_masks: list[str]
    persons_with_mask: int
    masks_sha256: str
    images_per_step: int
    steps_per_epoch: int
    steps: int
    versions: dict[str, str]
    terms: str
    origin: dict[str, str]

    @classmethod
    def of(cls, scenes: SceneDataset, *, processes: int = 1) -> RunInfo:
        """Returns the data and steps of a run on these scenes with that many processes."""
        digest = hashlib.sha256()
        for row, edges in sorted(scenes.edges.items()):
            digest.update(f"{row} {edges.shape}".encode())
            digest.update(edges.astype("<f8").tobytes())
        train = scenes.dataset.train
        with_masks = np.unique(train.scene_of_person[sorted(scenes.edges)])
        images = images_per_step(scenes.config, processes)
        per_epoch = steps_per_epoch(len(scenes), images)
        return cls(
            dataset=scenes.dataset.kind,
            fingerprint=scenes.dataset.fingerprint,
            num_pids=scenes.dataset.num_train_ids,
            scenes=len(scenes.dataset.train),
            images_with_masks=train.names[with_masks].tolist(),
            persons_with_mask=len(scenes.edges),
            masks_sha256=digest.hexdigest(),
            images_per_step=images,
            steps_per_epoch=per_epoch,
            steps=per_epoch * scenes.config.epochs,
            versions=own_versions(),
            terms=weight_terms(scenes.dataset),
            origin={},
        )


def own_versions() -> dict[str, str]:
    """Returns the versions that a run records."""
    return {
        "maskps": maskps.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def write_run_files(run_dir: Path, info: RunInfo, config: TrainConfig) -> None:
    """Writes run.json and config.toml."""
    write_json(run_dir / RECORD, {"format": FORMAT, "version": VERSION, **dataclasses.asdict(info)})
    write_config(run_dir / CONFIG, config)


def read_run_files(run_dir: Path) -> tuple[RunInfo, TrainConfig]:
    """Returns the content of run.json and config.toml.

    Raises:
        InputFileError: one of them is missing, broken, or another kind of file.
        ConfigError: settings that this version does not know.
    """
    if not (run_dir / RECORD).is_file():
        raise InputFileError(
            run_dir,
            expected=f"the folder of a training run, with {RECORD} in it",
            found="no such folder" if not run_dir.exists() else f"no {RECORD}",
            hint="make one with: maskps train ROOT --subset DIR --run RUN",
        )
    what = f"the record of a training run ({RECORD})"
    hint = "give the folder that maskps train made"
    content = read_record(run_dir / RECORD, format=FORMAT, version=VERSION, what=what, hint=hint)
    types = typing.get_type_hints(RunInfo)
    found = ", ".join(sorted(content))
    if set(content) == set(types) | {"format", "version"}:
        values = {name: content[name] for name in types}
        wrong = [name for name, wanted in types.items() if not _is_of_type(values[name], wanted)]
        if not wrong:
            return RunInfo(**values), read_config(run_dir / CONFIG)
        found = ", ".join(f"{name} = {values[name]!r:.60}" for name in wrong)
    raise InputFileError(
        run_dir / RECORD,
        expected=", ".join(f"{name} ({_TYPE_NAMES.get(wanted, 'names')})" for name, wanted in types.items()),
        found=found,
        hint="the record was edited, or comes from another version of maskps; restore it, or train again",
    )


_TYPE_NAMES = {int: "a number", str: "text"}


def _is_of_type(value: Any, wanted: Any) -> bool:
    if wanted is int:
        return type(value) is int and value >= 0
    if wanted is str:
        return isinstance(value, str)
    if wanted == list[str]:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


def read_newest_checkpoint(run_dir: Path, info: RunInfo) -> Checkpoint | None:
    """Returns the checkpoint to resume a run from; None if it has none yet.

    It is the newest that can be read. A damaged one is skipped with a warning; the run repeats the steps in
    between, with the same result.

    Raises:
        InputFileError: all are broken, or one belongs to another run.
    """
    damage: InputFileError | None = None
    for step in reversed(checkpoint_steps(run_dir)):
        try:
            checkpoint = read_checkpoint(checkpoint_path(run_dir, step))
        except InputFileError as error:
            damage = damage or error
            continue
        if damage is not None:
            _logger.warning(
                "%s is damaged (%s); going back to the checkpoint of step %d",
                damage.where,
                damage.found,
                step,
            )
        check_belongs(checkpoint, checkpoint_path(run_dir, step), info)
        return checkpoint
    if damage is not None:
        raise damage
    return None


def check_belongs(checkpoint: Checkpoint, path: Path, info: RunInfo) -> None:
    """Raises an InputFileError unless the checkpoint has the run's identities, and the step in its name."""
    of_name = step_of(path)
    is_its_step = checkpoint.step == of_name if of_name is not None else checkpoint.step <= info.steps
    if checkpoint.num_pids != info.num_pids or not is_its_step or checkpoint.step > info.steps:
        raise InputFileError(
            path,
            expected=f"{info.num_pids} training identities and at most {info.steps} steps, as {RECORD} says, "
            "and the step in its name",
            found=f"{checkpoint.num_pids} identities, step {checkpoint.step}",
            hint="the checkpoint belongs to another run, or was renamed",
        )


def load_weights(model: MaskGuidedPersonSearch, checkpoint: Checkpoint, path: Path) -> None:
    """Puts a checkpoint's weights, table and queue into the network.

    Raises:
        InputFileError: they belong to another network than the run's settings describe, or a number is out
            of range: OIM's position in its queue, or a variance below 0.
    """
    state = model.state_dict()
    found = ""
    for name, value in checkpoint.model.items():
        if name in state and value.dtype != state[name].dtype:
            found = f"{name} as {value.dtype} in place of {state[name].dtype}"
        elif name.endswith("running_var") and bool((value < 0).any()):
            found = f"{name} below 0"
    try:
        if not found:
            model.load_state_dict(checkpoint.model)
            found = model.roi_heads.id_loss.wrong_position()
    except (RuntimeError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        found = lines[1] if len(lines) > 1 else str(error)
    if found:
        raise InputFileError(
            path,
            expected="the network that config.toml of the run describes",
            found=found,
            hint="config.toml was edited, or the checkpoint belongs to another run",
        )


_STATE = {"SGD": {"momentum_buffer"}, "AdamW": {"step", "exp_avg", "exp_avg_sq"}}
"""What torch's optimisers keep for each parameter."""


def load_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint, path: Path) -> None:
    """Puts a checkpoint's state into the optimiser.

    Raises:
        InputFileError: it is the state for another network, or for other settings.
    """
    if found := _wrong_optimizer_state(optimizer, checkpoint.optimizer):
        raise InputFileError(
            path,
            expected="the optimiser's state for this network and these settings",
            found=found,
            hint="it comes from another version of maskps; use that one, or start over with --force",
        )
    optimizer.load_state_dict(checkpoint.optimizer)


def _wrong_optimizer_state(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> str:
    """Returns what the optimiser cannot take; "" if it can. The rate may differ: every step sets it."""
    own = optimizer.state_dict()["param_groups"]
    groups, states = saved.get("param_groups"), saved.get("state")
    if not isinstance(groups, list) or not isinstance(states, dict) or len(groups) != len(own):
        return "another structure"
    for group, wanted in zip(groups, own, strict=True):
        if not isinstance(group, dict) or not {"lr", "params", "rate_factor"} <= set(group):
            return "a group of parameters without its settings"
        for key in sorted(set(wanted) & set(group) - {"lr"}):
            if repr(group[key]) != repr(wanted[key]):
                return f"{key} = {shown_value(group[key])} in place of {shown_value(wanted[key])}"
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    for number, state in states.items():
        if type(number) is not int or not 0 <= number < len(parameters):
            return f"a parameter {shown_value(number)} of {len(parameters)}"
        if not isinstance(state, dict) or set(state) != _STATE[type(optimizer).__name__]:
            return f"parameter {number} with another state"
        for name, value in state.items():
            shape = () if name == "step" else parameters[number].shape
            if not isinstance(value, torch.Tensor) or value.shape != shape or not value.is_floating_point():
                return f"{name} of parameter {number}, which is something else"
    return ""


def is_unstarted(run_dir: Path) -> bool:
    """Whether a kill left a run between its first two files, run.json and config.toml."""
    has_config, has_record = ((run_dir / name).exists() for name in (CONFIG, RECORD))
    return has_record and not has_config and not checkpoint_steps(run_dir)


def check_resumable(run_dir: Path, info: RunInfo, config: TrainConfig) -> None:
    """Raises an error unless the run in this folder has the same settings and data.

    How a step's images are split into micro-batches and processes may differ.

    Raises:
        TrainingError: no run, imported weights, or other data.
        ConfigError: other settings.
        InputFileError: as `read_run_files`.
    """
    if not (run_dir / RECORD).is_file():
        raise TrainingError(
            run_dir, expected="a run to resume", found=f"no {RECORD}", hint="start it without --resume"
        )
    old_info, old_config = read_run_files(run_dir)
    if old_info.origin:
        raise TrainingError(
            run_dir,
            expected="a run of maskps train",
            found=f"weights that were imported from {old_info.origin['file']}",
            hint="evaluate them with maskps eval, or train in another folder",
        )
    same_split = dataclasses.replace(
        config, batch_size=old_config.batch_size, accumulate=old_config.accumulate
    )
    differences = differing_settings(old_config, same_split)
    if old_info.images_per_step != info.images_per_step:
        differences.append(
            f"images per step (batch_size x accumulate x processes): {old_info.images_per_step} -> "
            f"{info.images_per_step}"
        )
    if differences:
        raise ConfigError(
            run_dir / CONFIG,
            expected="the settings the run was started with",
            found="; ".join(differences),
            hint="resume with the same recipe and --set options, or start another run",
        )
    for name in ("fingerprint", "num_pids", "scenes", "masks_sha256"):
        if getattr(old_info, name) != getattr(info, name):
            raise TrainingError(
                run_dir,
                expected=f"the data the run was started with: {name} {getattr(old_info, name)}",
                found=f"{getattr(info, name)}",
                hint="resume with the same data set and subset, or start another run",
            )


_HARMLESS = {
    "num_workers",
    "activation_checkpointing",
    "checkpoint_every",
    "keep_checkpoints",
    "eval_every",
    "tensorboard",
    "image_every",
}
"""Settings that do not affect the result of a run."""


def differing_settings(first: TrainConfig, second: TrainConfig) -> list[str]:
    """Returns "name: old -> new" of every setting that differs and affects results."""
    differences: list[str] = []
    for field in dataclasses.fields(TrainConfig):
        old: Any = getattr(first, field.name)
        new: Any = getattr(second, field.name)
        if old != new and field.name not in _HARMLESS:
            differences.append(f"{field.name}: {old} -> {new}")
    return differences
