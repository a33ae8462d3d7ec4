"""Checkpoints: weights, OIM's table and queue, optimiser and step of a run, in a file without pickled code.

RUN/checkpoints holds the last few, such as step_00001234.pt, and best.pt.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maskps.errors import InputFileError
from maskps.io.files import written_atomically
from maskps.model.tensor_files import read_tensors

FORMAT = "maskps-checkpoint"
VERSION = 1
FOLDER = "checkpoints"
_NAME = re.compile(r"step_(\d{8,})\.pt")
_KEYS = {"format", "version", "step", "num_pids", "model", "optimizer"}


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps.

    Attributes:
        step: steps done.
        num_pids: rows of the look-up table, the number of training identities.
        model: the network's state dict; OIM's table, queue and position are buffers in it.
        optimizer: the optimiser's state dict.
    """

    step: int
    num_pids: int
    model: dict[str, Any]
    optimizer: dict[str, Any]


def checkpoint_path(run_dir: Path, step: int) -> Path:
    """Returns the file of a run's checkpoint after `step` steps."""
    return run_dir / FOLDER / f"step_{step:08d}.pt"


def best_path(run_dir: Path) -> Path:
    """Returns the file of the checkpoint with the best evaluation during the run."""
    return run_dir / FOLDER / "best.pt"


def checkpoint_steps(run_dir: Path) -> list[int]:
    """Returns the steps of a run's checkpoints, ascending; best.pt does not count."""
    folder = run_dir / FOLDER
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(name[1]) for name in names if name)


def remove_other_checkpoints(run_dir: Path, *, step: int, keep: int) -> None:
    """Removes all checkpoints except the last `keep` up to `step`.

    Later ones are damaged: the run has been resumed from before them. Files that a kill left half-written are
    removed, too.
    """
    steps = checkpoint_steps(run_dir)
    kept = [one for one in steps if one <= step][-keep:]
    for one in set(steps) - set(kept):
        checkpoint_path(run_dir, one).unlink(missing_ok=True)
    for half_written in (run_dir / FOLDER).glob(".*.pt"):
        half_written.unlink(missing_ok=True)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint atomically: a kill leaves the earlier file in place.

    Raises:
        OutputError: it cannot be written; the disk may be full.
    """
    buffer = io.BytesIO()  # torch.save to a full disk raises an error of its own
    torch.save({"format": FORMAT, "version": VERSION, **vars(checkpoint)}, buffer)
    with written_atomically(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(path: Path) -> Checkpoint:
    """Returns a checkpoint with its tensors on the CPU. Nothing in the file is executed.

    Raises:
        InputFileError: the file does not exist, is cut off, holds pickled code, or is not our checkpoint.
    """
    what = f"a checkpoint ({FORMAT})"
    hint = "the file is broken or another program's; use another checkpoint, or start over with --force"
    content = read_tensors(path, what=what, if_missing="check the path", if_broken=hint)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputFileError(path, expected=what, found="another file", hint=hint)
    if content.get("version") != VERSION or set(content) != _KEYS:
        raise InputFileError(
            path,
            expected=f"a checkpoint of version {VERSION} with {', '.join(sorted(_KEYS))}",
            found=f"version {content.get('version')} with {', '.join(sorted(map(str, content)))}",
            hint="it comes from another version of maskps; use that one",
        )
    return Checkpoint(**{key: content[key] for key in ("step", "num_pids", "model", "optimizer")})
