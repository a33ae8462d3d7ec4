"""The network that the commands of a gallery use: with PyTorch, or without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from maskps_cli.options import device_option

if TYPE_CHECKING:
    from maskps.gallery import PersonPredictor

Command = TypeVar("Command", bound=Callable[..., Any])


def network_options(command: Command) -> Command:
    """Adds the options that name a network; `open_predictor` takes their values."""
    path = click.Path(path_type=Path)
    run = click.option("--run", type=path, help="Run folder of maskps train or maskps import-weights.")
    onnx = click.option(
        "--onnx", type=path, help="File of maskps export, in place of --run; works without PyTorch."
    )
    return run(onnx(device_option(command)))


def check_one_network(run: Path | None, onnx: Path | None) -> None:
    """Raises a UsageError unless exactly one of the two is given."""
    if (run is None) == (onnx is None):
        raise click.UsageError("give either --run DIR or --onnx FILE")


def open_predictor(run: Path | None, onnx: Path | None, device: str) -> PersonPredictor:
    """Returns the network that these options name.

    Raises:
        UsageError: not exactly one of run and onnx, or a device for onnx.
        MaskpsError: as `load_run` and `OnnxPredictor`.
    """
    check_one_network(run, onnx)
    if onnx is None:
        from maskps.training import load_run

        assert run is not None
        return load_run(run, device=device).predictor()
    if device != "auto":
        raise click.UsageError("--device is for --run; an ONNX file runs on the CPU")
    from maskps.model.onnx_predictor import OnnxPredictor

    return OnnxPredictor(onnx)
