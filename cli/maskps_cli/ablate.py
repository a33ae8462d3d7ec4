"""`maskps ablate`: Table 4 with the row without masks, several seeds, and their spread."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskps_cli.options import (
    device_option,
    json_option,
    quiet_option,
    recipe_option,
    root_argument,
    set_option,
    settings_of,
    wrong_value,
)
from maskps_cli.output import print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from maskps.training import GridReport

_OF_A_CELL = {"seed": "--seeds", "masks": "--proportions, where 0 is no masks"}


@click.command()
@root_argument
@click.option(
    "--subset",
    type=click.Path(path_type=Path),
    required=True,
    help="Mask subset of maskps-data build-subset, built with --proportion.",
)
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of the grid to write.")
@click.option(
    "--proportions",
    default="0,3,6,9,12,15,full",
    show_default=True,
    help="Percent of the training images with masks; 0: no masks.",
)
@click.option(
    "--seeds", default="0,1,2", show_default=True, help="Seeds that every proportion is trained with."
)
@recipe_option
@set_option
@click.option(
    "--gallery-size",
    type=click.IntRange(min=1),
    help="Which TestG protocol.  [default: 100; PRW has only one protocol]",
)
@device_option
@json_option
@quiet_option
def ablate(
    root: Path,
    subset: Path,
    run: Path,
    proportions: str,
    seeds: str,
    recipe: str,
    settings: tuple[str, ...],
    gallery_size: int | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train and evaluate with masks in 0, 3, 6, ... % of the images: Table 4, with spread over seeds.

    Writes a run folder per cell of the grid (RUN/p03_s0: 3 %, seed 0), and RUN/ablation.json, RUN/table.md
    and RUN/table.csv after each. The same command again continues where it stopped; other proportions or
    seeds are added to the table.

    \b
    Example:
      maskps ablate scenes --subset subset --run grid --recipe tiny --proportions 0,3,full
    """
    from maskps.datasets import open_dataset
    from maskps.training import parse_grid, run_grid

    if not re.fullmatch(r" *\d+ *(, *\d+ *)*", seeds):
        raise click.UsageError(f"--seeds are whole numbers with commas between, such as 0,1,2; not '{seeds}'")
    numbers = [int(seed) for seed in seeds.split(",")]
    if len(set(numbers)) < len(numbers):
        raise click.UsageError(f"--seeds are each given once; not '{seeds}'")
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key in _OF_A_CELL:
            raise click.UsageError(f"--set {key} is a cell's own; choose it with {_OF_A_CELL[key]}")
    config = settings_of(recipe, settings)
    with wrong_value("--proportions"):
        wanted = parse_grid(proportions)
    with progress_bar("grid", quiet=quiet) as update:

        def on_report(report: GridReport) -> None:
            update(report.done, report.total, report.line())
            if report.result is not None:
                say(report.line(), quiet=quiet)

        table = run_grid(
            config,
            open_dataset(root),
            subset,
            run,
            proportions=wanted,
            seeds=numbers,
            gallery_size=gallery_size,
            device=device,
            callback=on_report,
        )
    if as_json:
        print_json({"data": table.data, "protocol": table.protocol, **table.to_dict()})
    else:
        print_table(*table.as_rows(), note=table.note)
    say(f"wrote {run}", quiet=quiet)
