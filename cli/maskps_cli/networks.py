"""The network that the commands of a gallery use."""

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
    run = click.option(
        "--run",
        type=click.Path(path_type=Path),
        required=True,
        help="Run folder of maskps train or maskps import-weights.",
    )
    return run(device_option(command))


def open_predictor(run: Path, device: str) -> PersonPredictor:
    """Returns the network that these options name.

    Raises:
        MaskpsError: as `load_run`.
    """
    from maskps.training import load_run

    return load_run(run, device=device).predictor()
