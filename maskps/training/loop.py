"""Training as one call: check everything, then take the steps that are left (Sec. 4.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from pathlib import Path

import torch

from maskps.config import TrainConfig
from maskps.datasets.boxes_inside import check_training_scenes
from maskps.errors import ConfigError, TrainingError
from maskps.io.files import check_output, write_errors_explained
from maskps.io.locks import locked
from maskps.model.build import build_model, build_predictor
from maskps.model.processes import Processes, open_device, open_processes, own_device
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training.checkpoint import (
    Checkpoint,
    best_path,
    checkpoint_path,
    remove_other_checkpoints,
    write_checkpoint,
)
from maskps.training.data import Batch, SceneDataset, batches_of_steps
from maskps.training.evaluations import Evaluations
from maskps.training.interrupts import Interruption
from maskps.training.precise_bn import estimate_norms, precise_norms
from maskps.training.report import MetricsFile, StepReport, Stopwatch, TrainResult
from maskps.training.run import (
    CONFIG,
    EVALUATIONS,
    METRICS,
    RECORD,
    TIMING,
    RunInfo,
    check_resumable,
    is_unstarted,
    load_optimizer,
    load_weights,
    read_newest_checkpoint,
    write_run_files,
)
from maskps.training.schedule import build_optimizer, learning_rate
from maskps.training.step import Stepper, autocast_for, is_memory_error, memory_error
from maskps.training.tensorboard import FOLDER as TENSORBOARD
from maskps.training.tensorboard import TensorBoardLog, check_tensorboard


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

    On the CPU, the same settings, data, machine and number of threads give the same `metrics.jsonl` and
    weights, byte for byte, however often the run is interrupted and resumed. No random number depends on what
    ran before: order, flips and sampling come from (seed, epoch, scene), and torch's own generator, should a
    layer use it, is seeded from (seed, step) before every step. The caller's random state does not change.

    SIGINT or SIGTERM (in the main thread), or a KeyboardInterrupt that `callback` raises, end the run after
    the current step, with a checkpoint.

    Under torchrun every process calls this function with the same arguments. Each takes its share of every
    step's images; only the first writes files, calls `callback` and evaluates. A run may be resumed with
    another number of processes if a step then sees as many images as before.

    Args:
        subset: the mask subset; may be None if `config.masks` is off.
        run_dir: a new or empty folder, unless `resume` or `force`.
        resume: continue the run in `run_dir` after its last checkpoint.
        force: replace the run in `run_dir`.
        callback: called after every step, in the first process.

    Raises:
        OutputExistsError: `run_dir` holds something, and neither `resume` nor `force`.
        OutputError: the run cannot be written there, or another process is writing it.
        ConfigError: settings that contradict the data, each other, or those of the run to resume.
        InputFileError: missing images (looked for before the first step) or broken ones.
        AnnotationError: persons with no part in their image.
        TrainingError: a loss or a gradient that is not finite, missing masks, an interruption, or nothing
            to resume.
    """
    if resume and force:
        raise ConfigError("--resume and --force", expected="one of them", found="both")
    place = own_device(open_device(device))
    with open_processes(place) as processes:

        def checked() -> TrainingLoop:
            scenes = SceneDataset(dataset, subset, config)
            return TrainingLoop(
                scenes, run_dir, place, processes, resume=resume, force=force, callback=callback
            )

        return processes.together(checked).run()


class TrainingLoop:
    """One call of `train`. Making it checks all that can be checked, and writes nothing.

    Attributes:
        step: steps that are done.
        losses: of the last step, see `StepReport`.
        is_between_steps: whether weights, OIM's state and metrics.jsonl belong to the same step.
    """

    def __init__(
        self,
        scenes: SceneDataset,
        run_dir: Path,
        device: torch.device,
        processes: Processes,
        *,
        resume: bool,
        force: bool,
        callback: Callable[[StepReport], None] | None,
    ) -> None:
        if resume and is_unstarted(run_dir):
            resume, force = False, True
        self.scenes, self.config = scenes, scenes.config
        self.run_dir, self.device, self.processes = run_dir, device, processes
        self.is_new, self.force, self.callback = not resume, force, callback
        self.info = RunInfo.of(scenes, processes=processes.size)
        if resume:
            check_resumable(run_dir, self.info, self.config)
        else:
            check_output(run_dir, record=RECORD, force=force)
        autocast_for(self.config, device)  # refuses a device without bfloat16
        if self.config.tensorboard:
            check_tensorboard()
        dataset = scenes.dataset
        check_training_scenes(dataset)
        checkpoint = read_newest_checkpoint(run_dir, self.info) if resume else None
        self.step = 0 if checkpoint is None else checkpoint.step
        self.evaluations: Evaluations | None = None
        if self.config.eval_every and processes.is_first:
            per_epoch = self.info.steps_per_epoch
            self.evaluations = Evaluations(
                run_dir, self.config, dataset, step=self.step, steps_per_epoch=per_epoch
            )
        # A checkpoint brings all weights: the file that the backbone started from may be gone by now.
        start = self.config if checkpoint is None else dataclasses.replace(self.config, pretrained="none")
        self.model = build_model(start, self.info.num_pids).to(device).train()
        self.optimizer = build_optimizer(self.model, self.config)
        if checkpoint is not None:
            load_weights(self.model, checkpoint, checkpoint_path(run_dir, self.step))
            load_optimizer(self.optimizer, checkpoint, checkpoint_path(run_dir, self.step))
        self.losses: dict[str, float] = {}
        self.is_between_steps = True
        self.interruption = Interruption()
        self.metrics: MetricsFile | None = None
        self.board: TensorBoardLog | None = None

    def run(self) -> TrainResult:
        """Takes the steps that are left; explains interruptions, too little memory and loaders that failed.

        Raises:
            TrainingError: one of these, or as `train`.
        """
        first_step = self.step
        own_generators = [self.device] if self.device.type == "cuda" else []
        with self.interruption, torch.random.fork_rng(devices=own_generators):
            try:
                pace = self._take_steps().total
            except KeyboardInterrupt as error:
                raise self._interrupted() from error
            except (RuntimeError, MemoryError) as error:
                if self.interruption.requested and "DataLoader worker" in str(error):
                    # The signal reached the loader's processes too.
                    raise self._interrupted() from error
                raise self._explained(error) from error
        return TrainResult(
            self.run_dir,
            self.info.steps,
            self.step - first_step,
            pace.seconds,
            pace.images_per_second,
            self.losses,
        )

    def _take_steps(self) -> Stopwatch:
        is_first, is_cuda = self.processes.is_first, self.device.type == "cuda"
        with ExitStack() as stack:
            if is_first:
                self._open_files(stack)
            self._between_steps(self._evaluate_if_due)
            stepper = Stepper(self.model, self.optimizer, self.config, self.processes, self.device)
            path = self.run_dir / TIMING if is_first else None
            watch = Stopwatch(path, steps_per_epoch=self.info.steps_per_epoch)
            loaded = batches_of_steps(
                self.scenes,
                first_step=self.step,
                pin_memory=is_cuda,
                rank=self.processes.rank,
                size=self.processes.size,
            )
            stack.enter_context(closing(loaded))
            for batches in watch.waiting_for(loaded):
                self.is_between_steps = False
                report = self._take_step(stepper, batches, watch)
                if is_first and self.step == self.info.steps:
                    estimate_norms(self.model, self.scenes, self.device)
                    watch.skip()
                if self.metrics is not None:
                    self.metrics.write(report)
                self.is_between_steps = True
                self._between_steps(partial(self._after_step, report, batches[0], watch))
        return watch

    def _open_files(self, stack: ExitStack) -> None:
        """Makes the folder that of this run, and opens the files that are written step by step."""
        stack.enter_context(locked(self.run_dir, what="run"))
        if self.is_new:
            # Another process may have finished a run here since the first check.
            check_output(self.run_dir, record=RECORD, force=self.force)
            with write_errors_explained(self.run_dir):
                _clear(self.run_dir)
                write_run_files(self.run_dir, self.info, self.config)
        else:
            remove_other_checkpoints(self.run_dir, step=self.step, keep=self.config.keep_checkpoints)
        self.metrics = stack.enter_context(closing(MetricsFile(self.run_dir / METRICS, step=self.step)))
        if self.config.tensorboard:
            board = TensorBoardLog(self.run_dir, self.config, step=self.step)
            self.board = stack.enter_context(closing(board))

    def _take_step(self, stepper: Stepper, batches: list[Batch], watch: Stopwatch) -> StepReport:
        step, per_epoch, images = self.step, self.info.steps_per_epoch, self.info.images_per_step
        rate = learning_rate(self.config, step, steps_per_epoch=per_epoch)
        self.losses = stepper.take(batches, step=step, rate=rate, where=self._where())
        self.step += 1
        watch.has_step(min(images, len(self.scenes) - step % per_epoch * images), self.step)
        recent = watch.recent
        return StepReport(
            step=self.step,
            steps=self.info.steps,
            epoch=step // per_epoch + 1,
            epochs=self.config.epochs,
            lr=rate,
            losses=self.losses,
            images_per_second=recent.images_per_second,
            waiting=recent.waiting / recent.seconds,
            eta=(self.info.steps - self.step) * recent.seconds / recent.steps,
        )

    def _between_steps(self, work: Callable[[], object]) -> None:
        """Runs `work` in the first process; then stops all processes if one of them was asked to.

        Raises:
            KeyboardInterrupt: in all processes, if there are steps or an evaluation left.
        """
        try:
            if self.processes.is_first:
                work()
        except KeyboardInterrupt:
            self.interruption.requested = True
        is_unfinished = self.step < self.info.steps or self._is_evaluation_due()
        if self.processes.any(self.interruption.requested and is_unfinished):
            raise KeyboardInterrupt

    def _after_step(self, report: StepReport, batch: Batch, watch: Stopwatch) -> None:
        """What the first process does after every step."""
        every = self.config.checkpoint_every
        if self.step % self.info.steps_per_epoch == 0 or (every and self.step % every == 0):
            self._save()
        if self.board is not None:
            self.board.step(report)
            if self.board.wants_images(report.step):
                self.board.images(report.step, self.model, batch, self.device)
        if self._evaluate_if_due():
            watch.skip()
        if self.callback is not None:
            self.callback(report)

    def _is_evaluation_due(self) -> bool:
        return self.evaluations is not None and self.evaluations.is_due(self.step)

    def _evaluate_if_due(self) -> bool:
        """Returns whether it evaluated. A signal ends an evaluation at once; a resumed run does it again."""
        if self.evaluations is None or not self._is_evaluation_due():
            return False

        def progress(done: int, total: int) -> None:
            if self.interruption.requested:
                raise KeyboardInterrupt

        predictor = build_predictor(self.config, self.model, self.device)
        is_precise = self.step == self.info.steps
        with nullcontext() if is_precise else precise_norms(self.model, self.scenes, self.device):
            self.evaluations.run(predictor, self._state(), progress=progress)
        return True

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
            step = min(self.step + 1, self.info.steps)
            found = f"interrupted in step {step}; the last checkpoint is the one saved before"
        error = TrainingError(
            self.run_dir,
            expected=f"{self.info.steps} steps",
            found=found,
            hint="continue it with the same command and --resume",
        )
        return self.processes.shared(error)

    def _explained(self, error: RuntimeError | MemoryError) -> Exception:
        if is_memory_error(error):
            return memory_error(error, self._where(), self.device)
        if "DataLoader worker" in str(error):
            return TrainingError(
                self._where(),
                expected="processes that load images",
                found=str(error).splitlines()[0],
                hint="often too little memory: lower num_workers (0 loads in the main process)",
            )
        return self.processes.explained(error)


def _clear(run_dir: Path) -> None:
    """Removes what an earlier run wrote, but its record, which marks the folder as ours; no other files."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, METRICS, TIMING, EVALUATIONS):
        (run_dir / name).unlink(missing_ok=True)
    remove_other_checkpoints(run_dir, step=-1, keep=0)
    best_path(run_dir).unlink(missing_ok=True)
    for events in (run_dir / TENSORBOARD).glob("events.out.tfevents.*"):
        events.unlink()
