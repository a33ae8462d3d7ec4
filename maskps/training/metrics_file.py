"""metrics.jsonl: one line per step, nothing of the clock in it, so that equal runs give equal bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from maskps.errors import TrainingError
from maskps.io.files import write_errors_explained


class MetricsFile:
    """Context manager that appends one JSON line per step.

    Args:
        path: the file; created if it is not there.
        step: steps that are done. Lines after them, of steps that no checkpoint holds, are cut off.

    Raises:
        TrainingError: the file holds fewer whole lines than `step`.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        path.touch()
        with path.open("rb") as file:
            lines = [line for _, line in zip(range(step), file, strict=False) if line.endswith(b"\n")]
        if len(lines) < step:
            raise TrainingError(
                path,
                expected=f"the {step} steps that the checkpoint holds, one line each",
                found=f"{len(lines)} whole lines",
                hint="the file was cut or edited; put it back, or train anew with --force",
            )
        os.truncate(path, sum(map(len, lines)))
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends one line and hands it to the system, so that a kill does not lose it.

        Raises:
            OutputError: it cannot be written, for want of space, say.
        """
        with write_errors_explained(self._path):
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with write_errors_explained(self._path):  # what a full disk did not take is tried again here
            self._file.close()
