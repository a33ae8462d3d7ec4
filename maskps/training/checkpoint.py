"""Checkpoints: weights, OIM's table and queue, optimiser and step of a run, in a file without pickled code.

RUN/checkpoints holds the last few, such as step_00001234.pt, and best.pt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from maskps.errors import InputFileError, shown_value
from maskps.model.tensor_files import is_sound, read_tensors, tensors_in, write_tensors

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
    steps = map(step_of, folder.iterdir()) if folder.is_dir() else ()
    return sorted(step for step in steps if step is not None)


def step_of(path: Path) -> int | None:
    """Returns the step in a checkpoint's file name; None for best.pt and other files."""
    name = _NAME.fullmatch(path.name)
    return None if name is None else int(name[1])


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
    write_tensors(path, {"format": FORMAT, "version": VERSION, **vars(checkpoint)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Returns a checkpoint with its tensors on the CPU. Nothing in the file is executed.

    Raises:
        InputFileError: the file does not exist, a byte of it is damaged, it holds pickled code or numbers
            that are not finite, or it is not our checkpoint.
    """
    what = f"a checkpoint ({FORMAT})"
    hint = "the file is broken or another program's; use another checkpoint, or start over with --force"
    content = read_tensors(path, what=what, if_missing="check the path", if_broken=hint)
    if not isinstance(content, dict) or not _is(content.get("format"), FORMAT):
        raise InputFileError(path, expected=what, found="another file", hint=hint)
    if not _is(content.get("version"), VERSION) or set(content) != _KEYS:
        raise InputFileError(
            path,
            expected=f"a checkpoint of version {VERSION} with {', '.join(sorted(_KEYS))}",
            found=f"version {shown_value(content.get('version'))} with "
            f"{', '.join(sorted(map(str, content)))[:200]}",
            hint="it comes from another version of maskps; use that one",
        )
    fields = {key: content[key] for key in ("step", "num_pids", "model", "optimizer")}
    if wrong := _wrong_field(fields):
        raise InputFileError(
            path,
            expected="whole numbers, and tensors of finite numbers (floats or int64)",
            found=wrong,
            hint=hint,
        )
    return Checkpoint(**fields)


def _is(value: object, wanted: str | int) -> bool:
    """Whether the value has this type and is equal; a tensor would compare number by number."""
    return type(value) is type(wanted) and value == wanted


def _wrong_field(fields: Mapping[str, Any]) -> str:
    """Returns the first field that `Checkpoint` cannot have; "" if all are fine."""
    for key in ("step", "num_pids"):
        if type(fields[key]) is not int or fields[key] < 0:
            return f"{key} = {shown_value(fields[key])}"
    model, optimizer = fields["model"], fields["optimizer"]
    if not isinstance(model, dict) or not isinstance(optimizer, dict):
        return f"model and optimizer as {type(model).__name__} and {type(optimizer).__name__}"
    for name, value in model.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not is_sound(value):
            return f"{shown_value(name)} of the network, which is something else"
    if not all(map(is_sound, tensors_in(optimizer))):
        return "a tensor of the optimiser, which is something else"
    return ""
