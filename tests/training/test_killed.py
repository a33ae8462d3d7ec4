"""`kill -9` at any moment, also while a checkpoint is written: the run resumes as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from killed_training import Moment, train_until

from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import TrainConfig, train
from maskps.training.checkpoint import FOLDER, checkpoint_path, checkpoint_steps, read_checkpoint

STEPS = 15

KILLS: list[tuple[Moment, int, list[int]]] = [
    ("step", 5, [4]),
    ("half-written", 2, [6]),
    ("not renamed", 2, [8]),
    ("renamed", 2, [9, 10]),
    ("step", 1, [10]),
]
"""When each process is killed, and the checkpoints it leaves: of every second step and every epoch (3)."""


def test_a_run_killed_again_and_again_is_the_uninterrupted_one(
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = make_config(epochs=5, checkpoint_every=2, keep_checkpoints=1)
    train(config, dataset, subset, tmp_path / "whole")
    run = tmp_path / "killed"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["maskps.training"])

    def end_of_process(moment: Moment, number: int) -> int | None:
        arguments = (moment, number, config, dataset, subset, run)
        started = context.Process(target=train_until, args=arguments, kwargs={"resume": run.exists()})
        started.start()
        started.join(60)
        return started.exitcode

    for moment, number, steps in KILLS:
        assert end_of_process(moment, number) == -signal.SIGKILL
        assert checkpoint_steps(run) == steps
        is_incomplete = any((run / FOLDER).glob(".step_*"))
        assert is_incomplete == (moment in ("half-written", "not renamed"))
    assert end_of_process("step", 0) == 0

    whole, killed = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    states = [read_checkpoint(checkpoint_path(tmp_path / name, STEPS)) for name in ("whole", "killed")]
    assert all(torch.equal(value, states[1].model[key]) for key, value in states[0].model.items())
    assert checkpoint_steps(run) == [STEPS]
    assert sorted(path.name for path in (run / FOLDER).iterdir()) == [f"step_{STEPS:08d}.pt"]
