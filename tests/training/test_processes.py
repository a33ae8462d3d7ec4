"""Several processes, really started by torchrun, are one process with a larger batch."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskps.errors import ConfigError, TrainingError
from maskps.model.processes import Processes
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import SceneDataset, StepReport, TrainConfig, load_run, train
from maskps.training.checkpoint import checkpoint_path, checkpoint_steps, read_checkpoint
from maskps.training.precise_bn import estimate_norms

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def torchrun(
    dataset: PersonSearchDataset, subset: Subset, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Trains in two processes; returns how that ended."""

    def start(config: TrainConfig, run: Path, *options: str) -> subprocess.CompletedProcess[str]:
        pickled = tmp_path / "pickled"
        pickled.write_bytes(pickle.dumps((config, dataset, subset)))
        script = Path(__file__).with_name("pickled_run.py")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        arguments = [*command, str(script), str(pickled), str(run), *options]
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        return subprocess.run(arguments, capture_output=True, text=True, timeout=300, env=environment)

    return start


def stop_at_once(report: StepReport) -> None:
    raise KeyboardInterrupt


def assert_equal_runs(first: Path, second: Path) -> None:
    """Weights, OIM's buffers, momentum and metrics are the same but for rounding."""
    states = [read_checkpoint(checkpoint_path(run, checkpoint_steps(run)[-1])) for run in (first, second)]
    assert states[0].step == states[1].step
    for key, value in states[0].model.items():
        torch.testing.assert_close(value, states[1].model[key], rtol=1e-4, atol=1e-5, msg=key)
    for key, value in states[0].optimizer["state"].items():
        other = states[1].optimizer["state"][key]["momentum_buffer"]
        torch.testing.assert_close(value["momentum_buffer"], other, rtol=1e-3, atol=1e-4)
    lines = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (first, second)
    ]
    assert len(lines[0]) == len(lines[1])
    for one, other in zip(*lines, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("batch_size", "accumulate"), [pytest.param(2, 2, id="2 x 2"), pytest.param(1, 4, id="4 x 1")]
)
def test_micro_batches_are_one_batch(
    batch_size: int,
    accumulate: int,
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    """Six images in steps of four: the second step of an epoch has two, the lines are those of the steps."""
    settings = {"freeze_batch_norm": "all", "epochs": 3}
    train(make_config(batch_size=4, **settings), dataset, subset, tmp_path / "one")
    split = make_config(batch_size=batch_size, accumulate=accumulate, **settings)
    train(split, dataset, subset, tmp_path / "split")
    assert_equal_runs(tmp_path / "one", tmp_path / "split")


def test_two_processes_are_one_with_twice_the_batch(
    torchrun: Callable[..., subprocess.CompletedProcess[str]],
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    """One process starts, two continue until a SIGTERM reaches one of them, and one does the rest.

    Six images in steps of four, so that in the last step of an epoch a process has one image, not two.
    """
    settings = {"freeze_batch_norm": "all", "epochs": 4}
    whole, split = tmp_path / "whole", tmp_path / "split"
    one, two = make_config(batch_size=4, **settings), make_config(batch_size=1, accumulate=2, **settings)
    train(one, dataset, subset, whole)
    with pytest.raises(TrainingError, match="interrupted after step 1"):
        train(one, dataset, subset, split, callback=stop_at_once)
    stopped = torchrun(two, split, "resume", "stop=6")
    assert "interrupted after step 6; a checkpoint of it is saved" in stopped.stderr, stopped.stderr
    assert "stopped with the others" in stopped.stderr
    assert checkpoint_steps(split)[-1] == 6
    with pytest.raises(ConfigError, match=r"images per step .*: 4 -> 2"):
        train(two, dataset, subset, split, resume=True)
    train(one, dataset, subset, split, resume=True)
    assert_equal_runs(whole, split)
    assert "Warning" not in stopped.stderr


def test_the_last_checkpoint_of_two_processes_has_precise_statistics(
    torchrun: Callable[..., subprocess.CompletedProcess[str]],
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    """Those that one process estimates from the same weights."""
    config, path = make_config(batch_size=2, epochs=1, precise_bn_images=5), tmp_path / "run"
    ended = torchrun(config, path)
    assert ended.returncode == 0, ended.stderr
    run = load_run(path)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    estimate_norms(run.model.train(), SceneDataset(dataset, subset, config), run.device)
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)


def test_a_process_that_fails_ends_the_others_with_a_message(
    torchrun: Callable[..., subprocess.CompletedProcess[str]], make_config: MakeConfig, tmp_path: Path
) -> None:
    ended = torchrun(make_config(batch_size=1), tmp_path / "run", "one-breaks")
    assert ended.returncode != 0
    assert "s0.jpg" in ended.stderr
    assert "another process has ended" in ended.stderr, ended.stderr


def test_alone_there_is_nobody_to_wait_for() -> None:
    processes = Processes()
    assert (processes.rank, processes.size, processes.is_first) == (0, 1, True)
    assert processes.gather(3) == [3]
    assert processes.any(True) and not processes.any(False)
    assert processes.together(lambda: 4) == 4
    error = TrainingError("here")
    assert processes.shared(error) is error
