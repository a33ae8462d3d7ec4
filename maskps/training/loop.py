"""The training loop (Sec. 4.2): SGD on the six losses of Eq. (7), checkpoints, exact resumption."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.files import check_output, write_errors_explained
from maskps.images import check_images
from maskps.losses import LOSS_NAMES, total_loss
from maskps.model.build import build_model
from maskps.model.network import MaskGuidedPersonSearch
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training.checkpoint import Checkpoint, write_checkpoint
from maskps.training.config import TrainConfig
from maskps.training.data import Batch, SceneDataset, batches
from maskps.training.interrupts import Interruption
from maskps.training.metrics_file import MetricsFile
from maskps.training.run import (
    CONFIG,
    LAST_CHECKPOINT,
    METRICS,
    RECORD,
    TIMING,
    RunInfo,
    differing_settings,
    load_weights,
    open_device,
    read_last_checkpoint,
    read_run_files,
    write_run_files,
)
from maskps.training.schedule import build_optimizer, learning_rate, set_learning_rate
from maskps.training.timing import Stopwatch


@dataclass(frozen=True)
class StepReport:
    """What a callback learns after every step.

    Attributes:
        step: steps done, from 1 to `steps`.
        epoch: from 1 to `epochs`.
        lr: learning rate of the weights in this step.
        losses: the six losses by name, and "loss", their weighted sum.
        images_per_second: over the last steps.
        eta: seconds to the end at that speed.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    lr: float
    losses: dict[str, float]
    images_per_second: float
    eta: float

    def text(self) -> str:
        """Returns the numbers as one short line for a progress bar."""
        parts = " ".join(f"{name.removeprefix('loss_')} {self.losses[name]:.2f}" for name in LOSS_NAMES)
        return (
            f"epoch {self.epoch}/{self.epochs}  loss {self.losses['loss']:.3f} ({parts})  "
            f"{self.images_per_second:.1f} images/s"
        )


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        steps: of the whole run.
        steps_here: done by this call; fewer after a resumption.
        seconds: of this call's steps, 0 if there were none.
        images_per_second: over this call.
        losses: the last step's six losses and "loss"; empty if this call did no step.
    """

    run_dir: Path
    steps: int
    steps_here: int
    seconds: float
    images_per_second: float
    losses: dict[str, float]

    def summary(self) -> str:
        """Returns one line for a person."""
        if not self.losses:
            return f"all {self.steps} steps were done before"
        minutes, seconds = divmod(round(self.seconds), 60)
        done = f"{self.steps} steps"
        if self.steps_here < self.steps:
            done = f"the last {self.steps_here} of {done}"
        return (
            f"{done} in {minutes}:{seconds:02d} min, {self.images_per_second:.1f} images/s, "
            f"loss {self.losses['loss']:.3f}"
        )


def train(
    config: TrainConfig,
    dataset: PersonSearchDataset,
    subset: Subset | None,
    run_dir: Path,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    force: bool = False,
    callback: Callable[[StepReport], None] | None = None,
) -> TrainResult:
    """Trains the network on the training scenes and writes a run folder (see `maskps.training.run`).

    The same settings, data, machine and number of threads give the same `metrics.jsonl` and weights on the
    CPU, byte for byte, also when a run is interrupted and resumed any number of times: nothing random is
    drawn from a state that runs on. Order, flips and sampling come from (seed, epoch, scene), and torch's
    own generator, should a layer use it, is seeded from (seed, step) before every step. The caller's
    random state is left as it was.

    SIGINT or SIGTERM (in the main thread), or a KeyboardInterrupt that `callback` raises, end the run after
    the step at hand, with a checkpoint.

    Args:
        subset: the mask subset; may be None if `config.masks` is off.
        run_dir: a new or empty folder, unless `resume` or `force`.
        resume: continue the run in `run_dir` after its last checkpoint.
        force: replace the run in `run_dir`.
        callback: called after every step.

    Raises:
        OutputExistsError: `run_dir` holds something, and neither `resume` nor `force`.
        OutputError: the run cannot be written there.
        ConfigError: settings that contradict the data, each other, or those of the run to resume.
        InputFileError: images that are not there (all are looked for before the first step) or broken.
        TrainingError: a loss or a gradient that is not finite, missing masks, an interruption, or nothing
            to resume.
    """
    if resume and force:
        raise ConfigError("--resume and --force", expected="one of them", found="both")
    place = open_device(device)
    scenes = SceneDataset(dataset, subset, config)
    info = RunInfo.of(scenes)
    if resume:
        _check_resumable(run_dir, info, config)
    else:
        check_output(run_dir, record=RECORD, force=force)
    check_images(dataset.image_dir, [str(name) for name in dataset.train.names], what="training images")
    checkpoint = read_last_checkpoint(run_dir, info) if resume else None
    # A checkpoint brings all weights: whatever the backbone started from may be gone by now.
    start = config if checkpoint is None else dataclasses.replace(config, pretrained="none")
    model = build_model(start, info.num_pids).to(place).train()
    optimizer = build_optimizer(model, config)
    if checkpoint is not None:
        load_weights(model, checkpoint, run_dir / LAST_CHECKPOINT)
        _load_optimizer(optimizer, checkpoint, run_dir / LAST_CHECKPOINT)
    if not resume:
        with write_errors_explained(run_dir):
            _clear(run_dir)
            write_run_files(run_dir, info, config)
    first = 0 if checkpoint is None else checkpoint.step
    run = _RunningTraining(run_dir, config, info, place, model, optimizer, scenes, first, callback)
    return run.go()


def _load_optimizer(optimizer: torch.optim.SGD, checkpoint: Checkpoint, path: Path) -> None:
    try:
        optimizer.load_state_dict(checkpoint.optimizer)
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(
            path,
            expected="the optimiser's state for this network",
            found=f"another one: {error}",
            hint="it comes from another version of maskps; use that one, or train anew with --force",
        ) from error


class _RunningTraining:
    """One call of `train`, after everything has been checked."""

    def __init__(
        self,
        run_dir: Path,
        config: TrainConfig,
        info: RunInfo,
        device: torch.device,
        model: MaskGuidedPersonSearch,
        optimizer: torch.optim.SGD,
        scenes: SceneDataset,
        first_step: int,
        callback: Callable[[StepReport], None] | None,
    ) -> None:
        self.run_dir, self.config, self.info, self.device = run_dir, config, info, device
        self.model, self.optimizer, self.scenes = model, optimizer, scenes
        self.first_step = self.step = first_step
        self.callback = callback
        self.losses: dict[str, float] = {}
        self.is_between_steps = True
        self.watch = Stopwatch(run_dir / TIMING, step=first_step, steps_per_epoch=info.steps_per_epoch)

    def go(self) -> TrainResult:
        own_generators = [self.device] if self.device.type == "cuda" else []
        with Interruption() as interruption, torch.random.fork_rng(devices=own_generators):
            try:
                self._run(interruption)
            except KeyboardInterrupt as error:
                raise self._interrupted() from error
            except RuntimeError as error:
                if interruption.requested and "DataLoader worker" in str(error):
                    # The signal reached the loader's processes too.
                    raise self._interrupted() from error
                raise self._explained(error) from error
        return TrainResult(
            self.run_dir,
            self.info.steps,
            self.step - self.first_step,
            self.watch.seconds,
            self.watch.images_per_second,
            self.losses,
        )

    def _run(self, interruption: Interruption) -> None:
        every = self.config.checkpoint_every
        with MetricsFile(self.run_dir / METRICS, step=self.step) as metrics:
            pin_memory = self.device.type == "cuda"
            for batch in batches(self.scenes, first_step=self.step, pin_memory=pin_memory):
                self.watch.has_batch()
                self.is_between_steps = False
                report = self._train_step(batch)
                metrics.write({"step": report.step, "epoch": report.epoch, "lr": report.lr, **report.losses})
                self.is_between_steps = True
                is_epoch_end = self.step % self.info.steps_per_epoch == 0
                if is_epoch_end or (every and self.step % every == 0):
                    self._save()
                if self.callback is not None:
                    self.callback(report)
                if interruption.requested and self.step < self.info.steps:
                    raise KeyboardInterrupt

    def _train_step(self, batch: Batch) -> StepReport:
        config, step = self.config, self.step
        torch.manual_seed((config.seed << 32) + step)
        rate = learning_rate(config, step, steps_per_epoch=self.info.steps_per_epoch)
        set_learning_rate(self.optimizer, rate)
        moved = batch.to(self.device)
        losses = self.model(moved.images, moved.targets)
        loss = total_loss(losses, config.loss_weights)
        values = torch.stack([*(losses[name].detach() for name in LOSS_NAMES), loss.detach()]).tolist()
        self.losses = dict(zip([*LOSS_NAMES, "loss"], values, strict=True))
        if not all(map(math.isfinite, values)):
            raise self._not_finite(batch, "every loss a finite number", self.losses)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # Without a limit the gradients stay as they are, to the bit; a broken one is noticed all the same.
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip or math.inf)
        if not torch.isfinite(norm):
            raise self._not_finite(batch, "a finite gradient", {"gradient norm": norm.item(), **self.losses})
        self.optimizer.step()
        self.step += 1
        self.watch.has_step(len(batch.images), self.step)
        return StepReport(
            step=self.step,
            steps=self.info.steps,
            epoch=step // self.info.steps_per_epoch + 1,
            epochs=config.epochs,
            lr=rate,
            losses=self.losses,
            images_per_second=self.watch.recent_images_per_second,
            eta=(self.info.steps - self.step) * self.watch.recent_seconds_per_step,
        )

    def _save(self) -> None:
        state = Checkpoint(
            self.step, self.info.num_pids, self.model.state_dict(), self.optimizer.state_dict()
        )
        write_checkpoint(self.run_dir / LAST_CHECKPOINT, state)

    def _interrupted(self) -> TrainingError:
        if self.is_between_steps:
            self._save()
            found = f"interrupted after step {self.step}; a checkpoint of it is saved"
        else:
            found = f"interrupted in step {self.step + 1}; the last checkpoint is the one saved before"
        return TrainingError(
            self.run_dir,
            expected=f"{self.info.steps} steps",
            found=found,
            hint="continue it with the same command and --resume",
        )

    def _not_finite(self, batch: Batch, expected: str, values: dict[str, float]) -> TrainingError:
        return TrainingError(
            f"{self.run_dir}, step {self.step + 1}, {', '.join(batch.names)}",
            expected=expected,
            found=", ".join(f"{name} = {value:g}" for name, value in values.items()),
            hint="lower learning_rate, set gradient_clip (10, say), or look at the boxes of these images",
        )

    def _explained(self, error: RuntimeError) -> Exception:
        text = str(error)
        where = f"{self.run_dir}, step {self.step + 1}"
        if isinstance(error, torch.OutOfMemoryError):
            return TrainingError(
                where,
                expected=f"enough memory on {self.device}",
                found=text.splitlines()[0],
                hint="lower batch_size, shorter_side or rois_per_image; the last checkpoint is kept",
            )
        if "DataLoader worker" in text:
            return TrainingError(
                where,
                expected="processes that load images",
                found=text.splitlines()[0],
                hint="often too little memory: lower num_workers (0 loads in the main process)",
            )
        return error


def _check_resumable(run_dir: Path, info: RunInfo, config: TrainConfig) -> None:
    if not (run_dir / RECORD).is_file():
        raise TrainingError(
            run_dir, expected="a run to resume", found=f"no {RECORD}", hint="start it without --resume"
        )
    old_info, old_config = read_run_files(run_dir)
    if differences := differing_settings(old_config, config):
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


def _clear(run_dir: Path) -> None:
    """Removes what an earlier run wrote, its record (which marks the folder as ours) excepted."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, METRICS, TIMING):
        (run_dir / name).unlink(missing_ok=True)
    shutil.rmtree(run_dir / LAST_CHECKPOINT.parent, ignore_errors=True)
