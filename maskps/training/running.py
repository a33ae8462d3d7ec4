"""A run that goes on: step after step, and what the first process does between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from maskps.config import TrainConfig
from maskps.errors import TrainingError
from maskps.io.files import write_errors_explained
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Predictor
from maskps.model.processes import Processes
from maskps.training.checkpoint import (
    FOLDER,
    Checkpoint,
    checkpoint_path,
    remove_other_checkpoints,
    write_checkpoint,
)
from maskps.training.data import Batch, SceneDataset, batches
from maskps.training.evaluations import Evaluations
from maskps.training.interrupts import Interruption
from maskps.training.metrics_file import MetricsFile
from maskps.training.report import StepReport, TrainResult
from maskps.training.run import CONFIG, EVALUATIONS, METRICS, TIMING, RunInfo, write_run_files
from maskps.training.schedule import learning_rate
from maskps.training.step import Stepper
from maskps.training.tensorboard import FOLDER as TENSORBOARD
from maskps.training.tensorboard import TensorBoardLog
from maskps.training.timing import Stopwatch


@dataclass
class RunningTraining:
    """One call of `maskps.training.train`, after everything has been checked.

    Attributes:
        is_new: whether the run starts here; what an earlier one left in the folder is then removed.
        step: steps that are done.
        losses: of the last step, see `StepReport`.
        is_between_steps: whether weights, OIM's state and metrics.jsonl are those of the same step.
    """

    run_dir: Path
    config: TrainConfig
    info: RunInfo
    device: torch.device
    processes: Processes
    scenes: SceneDataset
    model: MaskGuidedPersonSearch
    optimizer: torch.optim.Optimizer
    evaluations: Evaluations | None
    callback: Callable[[StepReport], None] | None
    is_new: bool
    step: int
    losses: dict[str, float] = field(default_factory=dict)
    is_between_steps: bool = True

    def go(self) -> TrainResult:
        """Takes the steps that are left, with every error in words."""
        first_step = self.step
        own_generators = [self.device] if self.device.type == "cuda" else []
        with Interruption() as interruption, torch.random.fork_rng(devices=own_generators):
            try:
                watch = self._run(interruption)
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
            self.step - first_step,
            watch.seconds,
            watch.images_per_second,
            self.losses,
        )

    def _run(self, interruption: Interruption) -> Stopwatch:
        is_first = self.processes.is_first
        if self.is_new and is_first:
            with write_errors_explained(self.run_dir):
                _clear(self.run_dir)
                write_run_files(self.run_dir, self.info, self.config)
        elif is_first:
            remove_other_checkpoints(self.run_dir, step=self.step, keep=self.config.keep_checkpoints)
        with ExitStack() as stack:
            metrics, board = None, None
            if is_first:
                metrics = stack.enter_context(MetricsFile(self.run_dir / METRICS, step=self.step))
            if is_first and self.config.tensorboard:
                board = TensorBoardLog(self.run_dir, self.config, step=self.step)
                stack.enter_context(closing(board))
            self._with_wishes(interruption, lambda: self._evaluate_if_due(interruption))
            stepper = Stepper(self.model, self.optimizer, self.config, self.processes, self.device)
            watch = Stopwatch(
                self.run_dir / TIMING if is_first else None, steps_per_epoch=self.info.steps_per_epoch
            )
            for of_step in self._steps(stack, watch):
                self.is_between_steps = False
                report = self._take(stepper, of_step, watch)
                if metrics is not None:
                    line = {"step": report.step, "epoch": report.epoch, "lr": report.lr}
                    metrics.write(line | report.losses)
                self.is_between_steps = True

                def after(report: StepReport = report, batch: Batch = of_step[0]) -> None:
                    self._save_if_due()
                    if board is not None:
                        board.step(report)
                        if board.wants_images(report.step):
                            board.images(report.step, self.model, batch, self.device)
                    if self._evaluate_if_due(interruption):
                        watch.skip()
                    if self.callback is not None:
                        self.callback(report)

                self._with_wishes(interruption, after)
        return watch

    def _steps(self, stack: ExitStack, watch: Stopwatch) -> Iterator[list[Batch]]:
        """Yields this process's micro-batches of every step that is left."""
        loaded = batches(
            self.scenes,
            first_step=self.step,
            pin_memory=self.device.type == "cuda",
            rank=self.processes.rank,
            size=self.processes.size,
        )
        stack.enter_context(closing(loaded))
        of_step: list[Batch] = []
        watch.wants_batch()
        for batch in loaded:
            watch.has_batch()
            of_step.append(batch)
            if batch.is_last:
                yield of_step
                of_step = []
            watch.wants_batch()

    def _take(self, stepper: Stepper, of_step: list[Batch], watch: Stopwatch) -> StepReport:
        step, per_epoch, images = self.step, self.info.steps_per_epoch, self.info.images_per_step
        rate = learning_rate(self.config, step, steps_per_epoch=per_epoch)
        self.losses = stepper.take(of_step, step=step, rate=rate, where=self._where())
        self.step += 1
        watch.has_step(min(images, self.info.scenes - step % per_epoch * images), self.step)
        return StepReport(
            step=self.step,
            steps=self.info.steps,
            epoch=step // per_epoch + 1,
            epochs=self.config.epochs,
            lr=rate,
            losses=self.losses,
            images_per_second=watch.recent_images_per_second,
            waiting=watch.recent_waiting,
            eta=(self.info.steps - self.step) * watch.recent_seconds_per_step,
        )

    def _with_wishes(self, interruption: Interruption, work: Callable[[], object]) -> None:
        """Does what the first process has to do between two steps; then all end if one was asked to.

        Raises:
            KeyboardInterrupt: in all processes.
        """
        try:
            if self.processes.is_first:
                work()
        except KeyboardInterrupt:
            interruption.requested = True
        is_unfinished = self.step < self.info.steps or self._is_evaluation_due()
        if self.processes.any(interruption.requested and is_unfinished):
            raise KeyboardInterrupt

    def _is_evaluation_due(self) -> bool:
        return self.evaluations is not None and self.evaluations.is_due(self.step)

    def _evaluate_if_due(self, interruption: Interruption) -> bool:
        """Evaluates if it is time to; a signal ends this at once, and a resumed run does it again."""
        if self.evaluations is None or not self._is_evaluation_due():
            return False

        def progress(done: int, total: int) -> None:
            if interruption.requested:
                raise KeyboardInterrupt

        predictor = Predictor(self.model, self.config.shorter_side, self.config.longest_side, self.device)
        self.evaluations.run(predictor, self._state(), progress=progress)
        return True

    def _save_if_due(self) -> None:
        every = self.config.checkpoint_every
        if self.step % self.info.steps_per_epoch == 0 or (every and self.step % every == 0):
            self._save()

    def _save(self) -> None:
        write_checkpoint(checkpoint_path(self.run_dir, self.step), self._state())
        remove_other_checkpoints(self.run_dir, step=self.step, keep=self.config.keep_checkpoints)

    def _state(self) -> Checkpoint:
        return Checkpoint(self.step, self.info.num_pids, self.model.state_dict(), self.optimizer.state_dict())

    def _where(self) -> str:
        return f"{self.run_dir}, step {self.step + 1}"

    def _interrupted(self) -> Exception:
        if self.is_between_steps:
            if self.processes.is_first:
                self._save()
            found = f"interrupted after step {self.step}; a checkpoint of it is saved"
        else:
            found = f"interrupted in step {self.step + 1}; the last checkpoint is the one saved before"
        error = TrainingError(
            self.run_dir,
            expected=f"{self.info.steps} steps",
            found=found,
            hint="continue it with the same command and --resume",
        )
        return self.processes.shared(error)

    def _explained(self, error: RuntimeError) -> Exception:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError):
            return TrainingError(
                self._where(),
                expected=f"enough memory on {self.device}",
                found=text.splitlines()[0],
                hint="lower batch_size (and raise accumulate as much: the same steps), shorter_side or "
                "rois_per_image; the last checkpoint is kept",
            )
        if "DataLoader worker" in text:
            return TrainingError(
                self._where(),
                expected="processes that load images",
                found=text.splitlines()[0],
                hint="often too little memory: lower num_workers (0 loads in the main process)",
            )
        return self.processes.explained(error)


def _clear(run_dir: Path) -> None:
    """Removes what an earlier run wrote, its record (which marks the folder as ours) excepted."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, METRICS, TIMING, EVALUATIONS):
        (run_dir / name).unlink(missing_ok=True)
    for folder in (FOLDER, TENSORBOARD):
        shutil.rmtree(run_dir / folder, ignore_errors=True)
