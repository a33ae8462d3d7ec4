"""Checkpoints: whole or not at all, never executed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from maskps.errors import InputFileError, OutputError
from maskps.training.checkpoint import (
    Checkpoint,
    best_path,
    checkpoint_path,
    checkpoint_steps,
    read_checkpoint,
    remove_other_checkpoints,
    write_checkpoint,
)

CHECKPOINT = Checkpoint(
    step=7, num_pids=3, model={"a": torch.arange(3.0)}, optimizer={"state": {0: {"m": torch.ones(2)}}}
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", CHECKPOINT)
    back = read_checkpoint(tmp_path / "c.pt")
    assert (back.step, back.num_pids) == (7, 3)
    assert torch.equal(back.model["a"], CHECKPOINT.model["a"])
    assert torch.equal(back.optimizer["state"][0]["m"], torch.ones(2))


def test_a_failed_write_keeps_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "c.pt", CHECKPOINT)

    def cut_off(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", cut_off)
    with pytest.raises(OutputError, match="No space"):
        write_checkpoint(tmp_path / "c.pt", CHECKPOINT)
    assert read_checkpoint(tmp_path / "c.pt").step == 7
    assert os.listdir(tmp_path) == ["c.pt"]


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    """One bit of every byte: the tensors, the names, the frame of the archive, and the seal itself."""
    path = tmp_path / "c.pt"
    write_checkpoint(path, CHECKPOINT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(InputFileError, match=r"c\.pt"):
            read_checkpoint(path)


@pytest.mark.parametrize("end", [-1, -79, -80, 100])
def test_a_checkpoint_of_another_length_is_refused_or_whole(end: int, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, CHECKPOINT)
    path.write_bytes(path.read_bytes()[:end])
    if end == -79:  # the seal alone is gone, as in a checkpoint of before: each part of the archive has a sum
        assert read_checkpoint(path).step == 7
        damaged = bytearray(path.read_bytes())
        damaged[damaged.index(torch.arange(3.0).numpy().tobytes())] ^= 1
        path.write_bytes(damaged)
    with pytest.raises(InputFileError, match="changed"):
        read_checkpoint(path)


WEIGHT = torch.arange(3.0)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"version": torch.tensor([1, 1])}, "version tensor"),
        ({"version": True}, "version True"),
        ({"format": torch.tensor([1, 1])}, "another file"),
        ({"step": "7"}, "step = '7'"),
        ({"step": None}, "step = None"),
        ({"step": -1}, "step = -1"),
        ({"num_pids": torch.tensor([3, 3])}, "num_pids = tensor"),
        ({"model": []}, "list and dict"),
        ({"optimizer": None}, "dict and NoneType"),
        ({"model": {1: WEIGHT}}, "1 of the network"),
        ({"model": {"a": 2}}, "'a' of the network"),
        ({"model": {"a": WEIGHT * torch.nan}}, "'a' of the network"),
        ({"model": {"a": WEIGHT.to(torch.int8)}}, "'a' of the network"),
        ({"model": {"a": WEIGHT.to(torch.complex64)}}, "'a' of the network"),
        ({"model": {"a": WEIGHT[:1].expand(10**12)}}, "'a' of the network"),
        ({"model": {"a": WEIGHT.to("meta")}}, "'a' of the network"),
        ({"optimizer": {"state": {0: {"m": WEIGHT / 0}}}}, "the optimiser"),
    ],
)
def test_a_field_that_is_something_else_is_refused(
    change: dict[str, object], found: str, tmp_path: Path
) -> None:
    content = {"format": "maskps-checkpoint", "version": 1, **vars(CHECKPOINT)}
    torch.save(content, tmp_path / "c.pt")
    assert read_checkpoint(tmp_path / "c.pt").step == 7
    torch.save(content | change, tmp_path / "c.pt")
    with pytest.raises(InputFileError, match=r"c\.pt") as caught:
        read_checkpoint(tmp_path / "c.pt")
    assert found in caught.value.found


def test_a_pipe_in_place_of_a_checkpoint_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pt")
    with pytest.raises(InputFileError, match=r"c\.pt"):
        read_checkpoint(tmp_path / "c.pt")


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"weights": torch.ones(1)}, "another file"),
        (torch.ones(1), "another file"),
        ({"format": "maskps-checkpoint", "version": 2}, "version 2"),
        ({"format": "maskps-checkpoint", "version": 1, "step": 3}, "version 1 with format, step, version"),
        ({"format": Malicious()}, "UnpicklingError"),
    ],
)
def test_other_files_are_refused(
    content: object, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "c.pt")
    with pytest.raises(InputFileError, match=r"c\.pt") as caught:
        read_checkpoint(Path("c.pt"))
    assert found in caught.value.found
    assert os.listdir() == ["c.pt"]


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04cut"])
def test_what_is_no_checkpoint_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputFileError, match=r"c\.pt"):
        read_checkpoint(tmp_path / "c.pt")
    with pytest.raises(InputFileError, match="no such file"):
        read_checkpoint(tmp_path / "d.pt")


def test_the_last_few_checkpoints_stay_and_nothing_of_a_later_step(tmp_path: Path) -> None:
    """The one of step 9 was damaged, and the run went back before it; step 6's was half-written in a kill."""
    for step in (2, 4, 6, 9):
        write_checkpoint(checkpoint_path(tmp_path, step), CHECKPOINT)
    write_checkpoint(best_path(tmp_path), CHECKPOINT)
    (tmp_path / "checkpoints" / ".step_00000006.pt.abc.pt").touch()
    remove_other_checkpoints(tmp_path, step=6, keep=2)
    assert checkpoint_steps(tmp_path) == [4, 6]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.pt", "step_00000004.pt", "step_00000006.pt"]


def test_steps_are_ordered_as_numbers(tmp_path: Path) -> None:
    for step in (99_999_999, 100_000_000, 7):
        write_checkpoint(checkpoint_path(tmp_path, step), CHECKPOINT)
    assert checkpoint_steps(tmp_path) == [7, 99_999_999, 100_000_000]
    assert checkpoint_steps(tmp_path / "none") == []
