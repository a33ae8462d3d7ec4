"""A dry run: settings, network, data and steps of a run, and the memory and time to expect."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from maskps.config import TrainConfig, setting_text
from maskps.datasets.boxes_inside import check_training_scenes
from maskps.model.build import build_model
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.processes import Processes, open_device
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset
from maskps.training.data import SceneDataset, batches_of_steps, images_per_epoch
from maskps.training.run import RunInfo
from maskps.training.schedule import build_optimizer, learning_rate
from maskps.training.step import Stepper, autocast_for, is_memory_error, memory_error

_MEASURED = 5
"""Steps that are measured. The first step does not count: it allocates memory and loads kernels."""

_SECONDS = 60.0
"""After this time no further step starts."""


class Parameters(NamedTuple):
    """Numbers in a part of the network: those that train, and those that are frozen."""

    trained: int
    frozen: int


@dataclass(frozen=True)
class DryRun:
    """What `dry_run` found.

    Attributes:
        parameters: by part of the network: stem, rpn, res5, heads (box and embedding), mask.
        info: the data and the steps of the run.
        labeled, unlabeled: training persons with and without an identity.
        missing: labeled persons of the mask subset without an outline.
        seconds_per_step: median over `steps_measured` steps, loading of images included.
        peak_bytes: largest memory up to the last step, of the device on CUDA, else of this process.
    """

    config: TrainConfig
    parameters: dict[str, Parameters]
    info: RunInfo
    labeled: int
    unlabeled: int
    missing: int
    seconds_per_step: float
    steps_measured: int
    peak_bytes: int
    device: torch.device

    @property
    def images_per_second(self) -> float:
        images = min(self.info.images_per_step, images_per_epoch(self.config, self.info.scenes))
        return images / self.seconds_per_step

    @property
    def seconds(self) -> float:
        """Seconds of the whole run at that speed, without evaluations and checkpoints."""
        return self.seconds_per_step * self.info.steps

    def text(self, recipe: TrainConfig | None = None) -> str:
        """Returns all of it as human-readable lines.

        Args:
            recipe: the settings before any override; both values are shown where they differ.
        """
        config, info = self.config, self.info
        masks = (
            f"{info.persons_with_mask:,} persons with a mask, {self.missing:,} of the subset still without"
        )
        memory = "of the device" if self.device.type == "cuda" else "this process, without image loaders"
        blocks = {
            "settings": _settings_lines(config, recipe or config),
            "parameters": self._parameter_lines(),
            "training data": [
                f"{info.scenes:,} scenes, {info.num_pids:,} identities ({info.dataset})",
                f"{self.labeled:,} labeled and {self.unlabeled:,} unlabeled persons",
                masks if config.masks else "no masks",
            ],
            "steps": [
                f"{info.images_per_step:,} images in a step: batch_size {config.batch_size} x accumulate "
                f"{config.accumulate} (x processes, under torchrun)",
                f"{info.steps:,} steps: {info.steps_per_epoch:,} in each of {config.epochs} epochs",
            ],
            "expected": [
                f"{self.seconds_per_step:.3g} s a step, {self.images_per_second:.3g} images/s "
                f"({self.steps_measured} steps on {self.device})",
                f"{_duration(self.seconds)} for the whole run, without evaluations and checkpoints",
                f"{self.peak_bytes / 2**30:.2f} GiB of memory ({memory})",
            ],
        }
        return "\n\n".join("\n  ".join([title, *lines]) for title, lines in blocks.items())

    def _parameter_lines(self) -> list[str]:
        total = Parameters(*map(sum, zip(*self.parameters.values(), strict=True)))
        rows = [("", "trained", "frozen")]
        for name, count in [*self.parameters.items(), ("total", total)]:
            rows.append((name, f"{count.trained:,}", f"{count.frozen:,}"))
        return [f"{name:6}{trained:>14}{frozen:>14}" for name, trained, frozen in rows]


def dry_run(
    config: TrainConfig,
    dataset: PersonSearchDataset,
    subset: Subset | None,
    *,
    device: torch.device | str = "cpu",
) -> DryRun:
    """Takes a few real steps of a run with these settings, and returns what was found; writes nothing.

    Uses one process, even where torchrun starts several. The caller's random state does not change.

    Raises:
        ConfigError, InputFileError, TrainingError: as `maskps.training.train`, before any step or in one.
    """
    place = open_device(device)
    scenes = SceneDataset(dataset, subset, config)
    autocast_for(config, place)
    check_training_scenes(dataset)
    info = RunInfo.of(scenes)
    model = build_model(config, info.num_pids).to(place).train()
    parameters = count_parameters(model)
    try:
        durations = _take_steps(model, scenes, info, place)
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        raise memory_error(error, "dry run", place) from error
    labeled = int(np.count_nonzero(dataset.train.is_labeled))
    missing = 0 if subset is None else int(np.count_nonzero(subset.masks.states == MaskState.MISSING))
    return DryRun(
        config=config,
        parameters=parameters,
        info=info,
        labeled=labeled,
        unlabeled=dataset.train.num_persons - labeled,
        missing=missing if config.masks else 0,
        seconds_per_step=statistics.median(durations),
        steps_measured=len(durations),
        peak_bytes=_peak_bytes(place),
        device=place,
    )


def count_parameters(model: MaskGuidedPersonSearch) -> dict[str, Parameters]:
    """Returns the parameters of stem, rpn, res5, heads and mask."""
    heads = model.roi_heads
    parts: dict[str, list[nn.Module]] = {
        "stem": [model.stem],
        "rpn": [model.rpn],
        "res5": [heads.res5, *([] if heads.first is None else [heads.first.res5])],
        "heads": [heads.box_head, heads.embedding, *([] if heads.first is None else [heads.first.box_head])],
        "mask": [heads.mask_branch],
    }
    counts = {}
    for name, modules in parts.items():
        values = [value for module in modules for value in module.parameters()]
        trained = sum(value.numel() for value in values if value.requires_grad)
        counts[name] = Parameters(trained, sum(value.numel() for value in values) - trained)
    return counts


def _take_steps(
    model: MaskGuidedPersonSearch, scenes: SceneDataset, info: RunInfo, device: torch.device
) -> list[float]:
    """Returns the seconds of each measured step."""
    config = scenes.config
    is_cuda = device.type == "cuda"
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    durations: list[float] = []
    with (
        torch.random.fork_rng(devices=[device] if is_cuda else []),
        closing(batches_of_steps(scenes, pin_memory=is_cuda)) as loaded,
    ):
        stepper = Stepper(model, build_optimizer(model, config), config, Processes(), device)
        began = last = time.perf_counter()
        for step, batches in enumerate(loaded):
            rate = learning_rate(config, step, steps_per_epoch=info.steps_per_epoch)
            stepper.take(batches, step=step, rate=rate, where=f"dry run, step {step + 1}")
            if is_cuda:
                torch.cuda.synchronize(device)
            now = time.perf_counter()
            if step or info.steps == 1:
                durations.append(now - last)
            last = now
            if len(durations) == _MEASURED or (durations and now - began > _SECONDS):
                break
    return durations


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _settings_lines(config: TrainConfig, recipe: TrainConfig) -> list[str]:
    lines = []
    paper = TrainConfig()
    for field in dataclasses.fields(TrainConfig):
        value, of_recipe, of_paper = (getattr(one, field.name) for one in (config, recipe, paper))
        notes = []
        if value != of_recipe:
            notes.append(f"recipe: {setting_text(of_recipe)}")
        if value != of_paper:
            notes.append(f"paper: {setting_text(of_paper)}")
        mark = "*" if value != of_recipe else " "
        lines.append(f"{mark} {field.name:25} {setting_text(value):25} {', '.join(notes)}".rstrip())
    return lines


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
