"""The folder of a training run, and the trained network in it.

RUN/run.json                what was trained on what: `RunInfo`
RUN/config.toml             every setting
RUN/metrics.jsonl           one line per step: losses and rate, the same bytes for the same seed
RUN/timing.jsonl            one line per epoch: seconds, how many of them waiting for images
RUN/evaluations.jsonl       one line per evaluation during the run, if `eval_every` asks for them
RUN/checkpoints/step_*.pt   weights, OIM table and queue, optimiser; the last `keep_checkpoints`
RUN/checkpoints/best.pt     the one of the best evaluation
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import platform
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

import maskps
from maskps.config import TrainConfig, load_config, read_config, recipe_names, write_config
from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.io.files import read_record, write_json
from maskps.model.build import build_model
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Feature, Predictor
from maskps.structures import PersonSearchDataset
from maskps.training.checkpoint import (
    Checkpoint,
    best_path,
    checkpoint_path,
    checkpoint_steps,
    read_checkpoint,
)
from maskps.training.data import SceneDataset, images_per_step, steps_per_epoch

FORMAT = "maskps-run"
VERSION = 1
RECORD = "run.json"
CONFIG, METRICS, TIMING, EVALUATIONS = "config.toml", "metrics.jsonl", "timing.jsonl", "evaluations.jsonl"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunInfo:
    """What a run trains on; the content of run.json.

    Attributes:
        dataset: kind of the data set, e.g. "cuhk-sysu".
        fingerprint: of its training annotation.
        num_pids: training identities, the rows of OIM's table.
        scenes: training scenes.
        persons_with_mask: persons whose outline takes part; 0 without masks.
        masks_sha256: of those outlines.
        images_per_step: over all micro-batches and processes.
        steps_per_epoch, steps: of the whole run.
        versions: of maskps, Python, torch and torchvision that started it.
    """

    dataset: str
    fingerprint: str
    num_pids: int
    scenes: int
    persons_with_mask: int
    masks_sha256: str
    images_per_step: int
    steps_per_epoch: int
    steps: int
    versions: dict[str, str]

    @classmethod
    def of(cls, scenes: SceneDataset, *, processes: int = 1) -> RunInfo:
        """Returns what a run of that many processes on these scenes trains on."""
        digest = hashlib.sha256()
        for row, edges in sorted(scenes.edges.items()):
            digest.update(f"{row} {edges.shape}".encode())
            digest.update(edges.astype("<f8").tobytes())
        images = images_per_step(scenes.config, processes)
        per_epoch = steps_per_epoch(len(scenes), images)
        return cls(
            dataset=scenes.dataset.kind,
            fingerprint=scenes.dataset.fingerprint,
            num_pids=scenes.dataset.num_train_ids,
            scenes=len(scenes),
            persons_with_mask=len(scenes.edges),
            masks_sha256=digest.hexdigest(),
            images_per_step=images,
            steps_per_epoch=per_epoch,
            steps=per_epoch * scenes.config.epochs,
            versions={
                "maskps": maskps.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
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


def open_device(device: torch.device | str) -> torch.device:
    """Returns the device of that name; "auto" is a CUDA device if there is one, else the CPU.

    Raises:
        ConfigError: torch does not know it, or it is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"device '{device}'", expected="a device of this machine", found=first_line, hint="use cpu"
        ) from error
    return place


def write_run_files(run_dir: Path, info: RunInfo, config: TrainConfig) -> None:
    """Writes run.json and config.toml."""
    write_json(run_dir / RECORD, {"format": FORMAT, "version": VERSION, **dataclasses.asdict(info)})
    write_config(run_dir / CONFIG, config)


def read_run_files(run_dir: Path) -> tuple[RunInfo, TrainConfig]:
    """Returns what run.json and config.toml of a run say.

    Raises:
        InputFileError: they are missing, broken, or of another kind.
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
        found = ", ".join(f"{name} = {values[name]!r}" for name in wrong)
    raise InputFileError(
        run_dir / RECORD,
        expected=", ".join(f"{name} ({_TYPE_NAMES.get(wanted, 'names')})" for name, wanted in types.items()),
        found=found,
        hint="the record was edited, or comes from another version of maskps; put it back, or train anew",
    )


_TYPE_NAMES = {int: "a number", str: "text"}


def _is_of_type(value: Any, wanted: Any) -> bool:
    if wanted is int:
        return type(value) is int and value >= 0
    if wanted is str:
        return isinstance(value, str)
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


def read_newest_checkpoint(run_dir: Path, info: RunInfo) -> Checkpoint | None:
    """Returns the checkpoint to resume a run from, None if it has none yet.

    That is the newest one that can be read. A damaged one is passed over with a warning: the steps between
    are done again, and come out the same.

    Raises:
        InputFileError: all of them are broken, or they are of another run.
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
        _check_belongs(checkpoint, checkpoint_path(run_dir, step), info)
        return checkpoint
    if damage is not None:
        raise damage
    return None


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
    _check_belongs(checkpoint, path, info)
    return checkpoint


def _check_belongs(checkpoint: Checkpoint, path: Path, info: RunInfo) -> None:
    if checkpoint.num_pids != info.num_pids or not 0 <= checkpoint.step <= info.steps:
        raise InputFileError(
            path,
            expected=f"{info.num_pids} training identities and at most {info.steps} steps, as {RECORD} says",
            found=f"{checkpoint.num_pids} identities, step {checkpoint.step}",
            hint="the checkpoint belongs to another run",
        )


def load_weights(model: MaskGuidedPersonSearch, checkpoint: Checkpoint, path: Path) -> None:
    """Puts a checkpoint's weights, table and queue into the network.

    Raises:
        InputFileError: they are those of another network than the run's settings describe.
    """
    try:
        model.load_state_dict(checkpoint.model)
    except (RuntimeError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputFileError(
            path,
            expected="the network that config.toml of the run describes",
            found=lines[1] if len(lines) > 1 else str(error),
            hint="config.toml was edited, or the checkpoint belongs to another run",
        ) from error


_HARMLESS = {
    "num_workers",
    "checkpoint_every",
    "keep_checkpoints",
    "eval_every",
    "tensorboard",
    "image_every",
}
"""Settings that do not change what a run comes to."""


def differing_settings(first: TrainConfig, second: TrainConfig) -> list[str]:
    """Returns "name: old -> new" of every setting that differs and changes results."""
    differences: list[str] = []
    for field in dataclasses.fields(TrainConfig):
        old: Any = getattr(first, field.name)
        new: Any = getattr(second, field.name)
        if old != new and field.name not in _HARMLESS:
            differences.append(f"{field.name}: {old} -> {new}")
    return differences
