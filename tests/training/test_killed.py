"""`kill -9` at any moment, also while a checkpoint is written: the run goes on as if nothing had been."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import TrainConfig, train
from maskps.training.checkpoint import FOLDER, checkpoint_path, checkpoint_steps, read_checkpoint

STEPS = 15


def steps_done(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def is_writing_a_checkpoint(run: Path) -> bool:
    return any((run / FOLDER).glob(".step_*"))


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
    run, rng = tmp_path / "killed", random.Random(6)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["maskps.training"])
    kills = 0
    for reach in (2, 5, 8, 11, STEPS):
        arguments = (config, dataset, subset, run)
        started = context.Process(target=train, args=arguments, kwargs={"resume": run.exists()})
        started.start()
        while started.is_alive() and steps_done(run) < reach:
            time.sleep(0.001)
        if reach < STEPS:
            if reach % 2:  # these end in the middle of a checkpoint, the others anywhere in the next steps
                while started.is_alive() and not is_writing_a_checkpoint(run):
                    pass
            else:
                time.sleep(rng.uniform(0, 0.2))
            kills += started.is_alive()
            started.kill()
        started.join(60)
    assert kills == 4 and started.exitcode == 0
    whole, killed = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    states = [read_checkpoint(checkpoint_path(tmp_path / name, STEPS)) for name in ("whole", "killed")]
    assert all(torch.equal(value, states[1].model[key]) for key, value in states[0].model.items())
    assert checkpoint_steps(run) == [STEPS]
    assert sorted(path.name for path in (run / FOLDER).iterdir()) == [f"step_{STEPS:08d}.pt"]
