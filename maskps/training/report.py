"""What a run reports: each step's numbers, metrics.jsonl, timing.jsonl, and how the run ended."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from maskps.errors import TrainingError
from maskps.io.files import explained_reading, open_file, write_errors_explained

T = TypeVar("T")

_RECENT_STEPS = 50
"""Steps whose speed a report shows."""


@dataclass(frozen=True)
class StepReport:
    """What a callback gets after every step.

    Attributes:
        step: steps done, from 1 to `steps`.
        epoch: from 1 to `epochs`.
        lr: learning rate of the weights in this step.
        losses: the losses by name, and "loss", their weighted sum.
        images_per_second: over the last steps.
        waiting: share of the time that these steps spent waiting for images, 0..1.
        eta: seconds to the end at that speed.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    lr: float
    losses: dict[str, float]
    images_per_second: float
    waiting: float
    eta: float

    def text(self) -> str:
        """Returns the numbers as one line for a progress bar, which may cut it at its end."""
        parts = " ".join(
            f"{name.removeprefix('loss_')} {value:.2f}"
            for name, value in self.losses.items()
            if name != "loss"
        )
        speed = f"{self.images_per_second:.1f} images/s, {self.waiting:.0%} waiting"
        return f"loss {self.losses['loss']:.3f}, {speed}, epoch {self.epoch}/{self.epochs} ({parts})"


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        steps: of the whole run.
        steps_here: steps that this call took; fewer after a resumption.
        seconds: of this call's steps, 0 if there were none.
        images_per_second: over this call.
        losses: the last step's losses and "loss"; empty if this call took no step.
    """

    run_dir: Path
    steps: int
    steps_here: int
    seconds: float
    images_per_second: float
    losses: dict[str, float]

    def summary(self) -> str:
        """Returns one human-readable line."""
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


class MetricsFile:
    """metrics.jsonl: one JSON line per step. It holds no times, so that equal runs give equal bytes.

    Args:
        path: the file; created if it does not exist.
        step: steps that are done. Later lines, of steps that no checkpoint holds, are cut off.

    Raises:
        InputFileError: it is not a file.
        TrainingError: the file holds fewer whole lines than `step`.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        path.touch()
        with explained_reading(path, what="the metrics of a run"), open_file(path) as file:
            lines = [line for _, line in zip(range(step), file, strict=False) if line.endswith(b"\n")]
        if len(lines) < step:
            raise TrainingError(
                path,
                expected=f"the {step} steps that the checkpoint holds, one line each",
                found=f"{len(lines)} whole lines",
                hint="the file was cut or edited; restore it, or start over with --force",
            )
        os.truncate(path, sum(map(len, lines)))
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, report: StepReport) -> None:
        """Appends the line of a step and hands it to the system, so that a kill does not lose it.

        Raises:
            OutputError: it cannot be written; the disk may be full.
        """
        line = {"step": report.step, "epoch": report.epoch, "lr": report.lr, **report.losses}
        with write_errors_explained(self._path):
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Closes the file; what a full disk did not take is tried again.

        Raises:
            OutputError: as `write`.
        """
        with write_errors_explained(self._path):
            self._file.close()


@dataclass
class Pace:
    """Images and time of a number of steps.

    Attributes:
        waiting: the part of `seconds` that was spent waiting for images.
    """

    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    def __add__(self, other: Pace) -> Pace:
        return Pace(
            self.steps + other.steps,
            self.images + other.images,
            self.seconds + other.seconds,
            self.waiting + other.waiting,
        )

    @property
    def images_per_second(self) -> float:
        """0 without any step."""
        return self.images / self.seconds if self.seconds else 0.0


class Stopwatch:
    """Times the steps of a run, and appends one line per epoch to timing.jsonl.

    A line holds epoch, steps, images, seconds, seconds_waiting (for images) and images_per_second. After a
    resumption an epoch may have several lines. Checkpoints count, evaluations do not.

    Args:
        path: the file; None writes nothing.

    Attributes:
        total: the pace of all steps so far.
    """

    def __init__(self, path: Path | None, *, steps_per_epoch: int) -> None:
        self._path = path
        self._steps_per_epoch = steps_per_epoch
        self.total, self._epoch = Pace(), Pace()
        self._recent: deque[Pace] = deque(maxlen=_RECENT_STEPS)
        self._last = time.perf_counter()
        self._waiting = 0.0

    def waiting_for(self, batches: Iterator[T]) -> Iterator[T]:
        """Yields `batches`; the time until each arrives counts as waiting."""
        while True:
            asked = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._waiting = time.perf_counter() - asked
            yield batch

    def skip(self) -> None:
        """Leaves out the time since the last step."""
        self._last = time.perf_counter()

    def has_step(self, images: int, step: int) -> None:
        """Notes that step `step` (from 1) is done, with that many images."""
        now = time.perf_counter()
        pace = Pace(1, images, now - self._last, self._waiting)
        self._last = now
        self._recent.append(pace)
        self.total, self._epoch = self.total + pace, self._epoch + pace
        if step % self._steps_per_epoch == 0:
            self._write_epoch(step // self._steps_per_epoch)
            self._epoch = Pace()

    def _write_epoch(self, epoch: int) -> None:
        if self._path is None:
            return
        line = {
            "epoch": epoch,
            "steps": self._epoch.steps,
            "images": self._epoch.images,
            "seconds": round(self._epoch.seconds, 3),
            "seconds_waiting": round(self._epoch.waiting, 3),
            "images_per_second": round(self._epoch.images_per_second, 3),
        }
        with (
            write_errors_explained(self._path),
            self._path.open("a", encoding="utf-8", newline="\n") as file,
        ):
            file.write(json.dumps(line) + "\n")

    @property
    def recent(self) -> Pace:
        """The pace of the last steps."""
        return sum(self._recent, Pace())
