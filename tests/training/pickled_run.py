"""Started by torchrun in test_processes.py: trains on what the test has pickled."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path

import torch

from maskps.errors import MaskpsError
from maskps.training import StepReport, train


def main(pickled: str, run: str, *options: str) -> None:
    torch.set_num_threads(1)
    config, dataset, subset = pickle.loads(Path(pickled).read_bytes())
    stop_at = next((int(option.removeprefix("stop=")) for option in options if "stop=" in option), 0)

    def callback(report: StepReport) -> None:
        assert os.environ["RANK"] == "0"
        if report.step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)  # the other process learns of it from this one

    if "one-breaks" in options and os.environ["RANK"] == "1":
        path = dataset.image_path("s0.jpg")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # all processes read its head
    try:
        train(config, dataset, subset, Path(run), resume="resume" in options, callback=callback)
    except MaskpsError as error:
        sys.exit(f"rank {os.environ['RANK']}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
