"""What a run tells while it goes on, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskps.losses import LOSS_NAMES


@dataclass(frozen=True)
class StepReport:
    """What a callback learns after every step.

    Attributes:
        step: steps done, from 1 to `steps`.
        epoch: from 1 to `epochs`.
        lr: learning rate of the weights in this step.
        losses: the six losses by name, and "loss", their weighted sum.
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
        parts = " ".join(f"{name.removeprefix('loss_')} {self.losses[name]:.2f}" for name in LOSS_NAMES)
        speed = f"{self.images_per_second:.1f} images/s, {self.waiting:.0%} waiting"
        return f"loss {self.losses['loss']:.3f}, {speed}, epoch {self.epoch}/{self.epochs} ({parts})"


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
