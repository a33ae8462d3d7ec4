"""The processes and devices of a run: one process, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from maskps.errors import ConfigError, MaskpsError, TrainingError
from maskps.model.precision import use_tf32

T = TypeVar("T")

_PATIENCE = timedelta(days=1)
"""How long a process waits for another: an evaluation in the first one may take long. If a process has ended,
the others notice at once."""


class Processes:
    """The processes that take the steps of a run together: torchrun's, or a single one.

    With a single process, every method returns at once.

    Attributes:
        rank: this process's number, from 0.
        size: how many there are.
        is_distributed: whether torch.distributed connects them.
    """

    def __init__(self) -> None:
        self.is_distributed = dist.is_initialized()
        self.rank = dist.get_rank() if self.is_distributed else 0
        self.size = dist.get_world_size() if self.is_distributed else 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, reports and evaluates."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Returns every process's value, by rank. Values are small and can be pickled.

        Raises:
            TrainingError: another process has ended.
        """
        if not self.is_distributed:
            return [value]
        values: list[T | None] = [None] * self.size
        try:
            dist.all_gather_object(values, value)
        except RuntimeError as error:
            raise self.explained(error) from error
        return values  # type: ignore[return-value]  # all_gather_object has filled every place

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; the answer is the same in all of them."""
        return any(self.gather(flag))

    def together(self, work: Callable[[], T]) -> T:
        """Returns what `work` returns here; if it fails in one process, it fails in all of them.

        Raises:
            MaskpsError: its own error in the process where `work` failed; in the others one that says so.
        """
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        failures = self.gather(None if failure is None else str(failure) or type(failure).__name__)
        if failure is not None:
            raise failure
        for rank, text in enumerate(failures):
            if text is not None:
                raise self._stopped(f"process {rank} failed: {text}")
        return result

    def shared(self, error: MaskpsError) -> MaskpsError:
        """Returns the error to raise here, if all processes found it: the whole error in process 0, a short
        pointer to process 0 in the others."""
        if self.is_first:
            return error
        return self._stopped("stopped with the others; process 0 says why")

    def explained(self, error: Exception) -> Exception:
        """Returns the error to raise instead of this one: if another process has ended, one that says so."""
        text = str(error)
        if self.size > 1 and (isinstance(error, dist.DistError) or "gloo" in text or "Connection" in text):
            return self._stopped(f"another process has ended ({text.splitlines()[0]})")
        return error

    def _stopped(self, found: str) -> TrainingError:
        return TrainingError(
            f"process {self.rank} of {self.size}",
            expected="all processes to continue",
            found=found,
            hint="see the message of that process; then repeat the command (training: with --resume)",
        )


@contextmanager
def open_processes(device: torch.device) -> Iterator[Processes]:
    """Yields the processes of this run, connected if torchrun started them; disconnects them afterwards.

    They exchange CPU data by gloo, and tensors on CUDA devices by NCCL. If the caller has opened a process
    group, that one is used and stays open.
    """
    is_ours = dist.is_torchelastic_launched() and not dist.is_initialized()
    if is_ours:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
    yield Processes()
    # Not after an error: a process whose partner is gone must end, not wait for it.
    if is_ours:
        dist.destroy_process_group()


def open_device(device: torch.device | str) -> torch.device:
    """Returns the device of that name; "auto" is a CUDA device if there is one, else the CPU.

    From here on this process computes float32 as float32: torch's default lets GPUs round the inputs of
    convolutions (see `maskps.model.precision.use_tf32`).

    Raises:
        ConfigError: torch does not know it, or this machine does not have it.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"device '{device}'", expected="a device of this machine", found=first_line, hint="use cpu"
        ) from error
    use_tf32(False)
    return place


def own_device(device: torch.device) -> torch.device:
    """Returns the device of this process: for "cuda" without a number, the one of its local rank.

    Raises:
        ConfigError: there are more processes than devices.
    """
    if device.type != "cuda" or device.index is not None or not dist.is_torchelastic_launched():
        return device
    local = int(os.environ["LOCAL_RANK"])
    if local >= torch.cuda.device_count():
        raise ConfigError(
            "torchrun --nproc-per-node",
            expected=f"at most {torch.cuda.device_count()}, the number of CUDA devices",
            found=f"process {local} (counted from 0) on this machine",
            hint="start one process per device",
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def is_first_process() -> bool:
    """Whether this process is the only one or torchrun's first, and so reports to the user."""
    return not dist.is_torchelastic_launched() or os.environ["RANK"] == "0"
