"""Options and error handling that the commands share."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskps import MaskpsError, __version__
from maskps.config import recipe_names
from maskps.errors import ConfigError, printable
from maskps_cli.output import PrintableFormatter, discard_stdout_if_broken, prepare_streams
from maskps_cli.stopping import stopped_by_signals

if TYPE_CHECKING:
    from maskps.structures import PersonSearchDataset
    from maskps.training import TrainConfig


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class NumberRange(click.FloatRange):
    """A number in a range; click's own type lets NaN through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"'{value}' is not a number", param, ctx)
        return float(number)


class MaskpsGroup(click.Group):
    """A command group that turns errors and interruptions into one message and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        prepare_streams()
        handler = logging.StreamHandler()
        handler.setFormatter(PrintableFormatter("%(levelname)s: %(message)s"))
        logging.basicConfig(handlers=[handler], level=logging.WARNING)
        try:
            with stopped_by_signals():
                return super().invoke(ctx)
        except MaskpsError as error:
            raise click.ClickException(str(error)) from error
        except click.UsageError as error:
            raise click.UsageError(printable(error.format_message(), keep="\n"), ctx=error.ctx) from error
        except KeyboardInterrupt as error:
            raise click.ClickException(str(error) or "interrupted; nothing half-written was left") from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # as in `| head`: click ends without a message
                raise
            discard_stdout_if_broken()
            raise click.ClickException(printable(str(error))) from error


def dataset_of_subset(subset: Path, images: Path | None) -> PersonSearchDataset:
    """Returns the data set of a subset: the one that `images_option` names, else the one in its record."""
    from maskps.datasets import open_dataset
    from maskps.subset import recorded_root

    return open_dataset(recorded_root(subset) if images is None else images)


@contextmanager
def wrong_value(option: str) -> Iterator[None]:
    """Turns a ConfigError about this option's value into wrong usage: exit code 2, in click's form."""
    try:
        yield
    except ConfigError as error:
        context = click.get_current_context()
        raise click.BadParameter(str(error), ctx=context, param_hint=f"'{option}'") from error


def settings_of(recipe: str, overrides: Sequence[str]) -> TrainConfig:
    """Returns the settings that `recipe_option` and `set_option` ask for.

    An unknown recipe name or a wrong override is wrong usage; an error inside a recipe's file is not.
    """
    from maskps.config import is_recipe_file
    from maskps.training import load_config

    if is_recipe_file(recipe):
        load_config(recipe)
    else:
        with wrong_value("--recipe"):
            load_config(recipe)
    with wrong_value("--set"):
        return load_config(recipe, overrides)


def _check_device(ctx: click.Context, parameter: click.Parameter, device: str) -> str:
    if device != "auto":
        from maskps.model.processes import open_device

        with wrong_value("--device"):
            open_device(device)
    return device


def _check_checkpoint(ctx: click.Context, parameter: click.Parameter, name: str) -> str:
    if name not in ("last", "best") and not name.isdecimal():
        raise click.BadParameter(f"'{name}' is neither last, best nor the number of a step")
    return name


def _silence_warnings(ctx: click.Context, parameter: click.Parameter, is_quiet: bool) -> bool:
    logging.getLogger("maskps").setLevel(logging.ERROR if is_quiet else logging.NOTSET)
    return is_quiet


root_argument = click.argument("root", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: the same numbers.")
quiet_option = click.option(
    "--quiet", is_flag=True, callback=_silence_warnings, help="No progress bars or remarks on stderr."
)
force_option = click.option("--force", is_flag=True, help="Replace an existing result of this command.")
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."
)
images_option = click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of the data set.  [default: the one SUBSET was built from]",
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), default=cores, help="Worker processes.  [default: number of cores]"
)
recipe_option = click.option(
    "--recipe",
    default="paper",
    show_default=True,
    help=f"{', '.join(recipe_names())}, or a TOML file; docs/training.md describes them.",
)
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override one setting; may be repeated."
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    callback=_check_device,
    help="cpu, cuda, cuda:1, ...; auto: a CUDA device if there is one.",
)
checkpoint_option = click.option(
    "--checkpoint",
    default="last",
    show_default=True,
    callback=_check_checkpoint,
    metavar="last|best|STEP",
    help="Which of RUN's networks; best needs a run trained with --set eval_every=N.",
)
version_option = click.version_option(__version__, prog_name="maskps")
