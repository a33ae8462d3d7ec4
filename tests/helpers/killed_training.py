"""Training that kills its own process at a chosen moment. Runs in a process of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Literal

from maskps.training import train

Moment = Literal["step", "half-written", "not renamed", "renamed"]


def train_until(moment: Moment, number: int, *arguments: Any, resume: bool) -> None:
    """Trains; sends SIGKILL to this process when it reaches a moment for the `number`-th time.

    Args:
        moment: the end of a step, or how far the file of a checkpoint has got.
        number: from 1; 0 lets the run end.
        arguments: of `train`.
    """
    left = number
    write_bytes, replace = Path.write_bytes, Path.replace

    def reach(name: Moment) -> None:
        nonlocal left
        left -= name == moment
        if name == moment and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched_write(path: Path, data: bytes) -> int:
        if path.suffix == ".pt":
            write_bytes(path, data[: len(data) // 2])
            reach("half-written")
        return write_bytes(path, data)

    def watched_replace(path: Path, target: Path) -> Path:
        if target.suffix != ".pt":
            return replace(path, target)
        reach("not renamed")
        renamed = replace(path, target)
        reach("renamed")
        return renamed

    Path.write_bytes, Path.replace = watched_write, watched_replace  # type: ignore[method-assign]
    train(*arguments, resume=resume, callback=lambda report: reach("step"))
