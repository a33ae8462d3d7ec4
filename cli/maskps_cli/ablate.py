"""`maskps ablate`: what masks bring: Table 4 with a row without masks, or arms, with several seeds."""

from __future__ import annotations

import dataclasses
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
from maskps_cli.output import print_json, print_table, progress_bar, say, say_findings

if TYPE_CHECKING:
    from maskps.training import GridReport

_SETTINGS_OF_A_CELL = {"seed": "--seeds", "masks": "--proportions, where 0 is no masks, or --arms"}
_TABLE_4 = "0,3,6,9,12,15,full"


@click.command()
@root_argument
@click.option(
    "--subset",
    type=click.Path(path_type=Path),
    required=True,
    help="Mask subset, from maskps-data build-subset.",
)
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of the grid to write.")
@click.option(
    "--proportions",
    help="The rows: percent of the training images that have masks; 0: no masks. With --arms: the one "
    f"proportion of all arms.  [default: {_TABLE_4}; with --arms: full]",
)
@click.option(
    "--arms",
    help="The rows are ways to use the masks, for example none,masks,shuffled: docs/ablation.md has all.",
)
@click.option("--seeds", default="0,1,2", show_default=True, help="Seeds to train every row with.")
@click.option(
    "--same-images",
    is_flag=True,
    help="Have masks in the same images with every seed: the nested subsets of build-subset --proportion.",
)
@recipe_option
@set_option
@click.option(
    "--gallery-size",
    type=click.IntRange(min=1),
    help="Number in the name of the TestG protocol.  [default: 100, or the only protocol]",
)
@click.option(
    "--outlines",
    type=click.Path(path_type=Path),
    help="Folder of LabelMe files, as in maskps eval: also measure predicted masks, and with test persons "
    "how far embeddings depend on the background.",
)
@device_option
@json_option
@quiet_option
def ablate(
    root: Path,
    subset: Path,
    run: Path,
    proportions: str | None,
    arms: str | None,
    seeds: str,
    same_images: bool,
    recipe: str,
    settings: tuple[str, ...],
    gallery_size: int | None,
    outlines: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare shares of images with masks, over several seeds.

    That is Table 4: trains and evaluates with masks in 0, 3, 6, ... % of the images, each with several seeds.
    Or compare ways to use the masks (--arms). Writes a run folder per cell of the grid (RUN/p03_s0: 3 %, seed
    0; RUN/masks_s0), and RUN/ablation.json, RUN/table.md and RUN/table.csv after each. Repeat the command to
    continue a grid that was interrupted. Other rows or seeds are added to the table. Which images have masks
    is drawn anew with each seed.

    \b
    Example:
      maskps ablate scenes --subset subset --run grid --recipe tiny --proportions 0,3,full
      maskps ablate scenes --subset subset --run arms --recipe tiny --arms none,masks,shuffled
    """
    from maskps.datasets import open_dataset
    from maskps.evaluation.ablation_rows import NO_MASKS
    from maskps.training import GridPlan, parse_arms, parse_grid, parse_seeds, run_grid
    from maskps_annotation import person_outlines_from_labelme

    _check_settings(settings)
    config = settings_of(recipe, settings)
    if proportions is None:
        proportions = _TABLE_4 if arms is None else "full"
    with wrong_value("--proportions"):
        rows = parse_grid(proportions)
    masks_in = rows[-1]
    if arms is not None:
        if len(rows) > 1 or masks_in == NO_MASKS:
            raise click.UsageError("--arms needs one proportion above 0, for example --proportions 6")
        with wrong_value("--arms"):
            rows = parse_arms(arms)
    with wrong_value("--seeds"):
        numbers = parse_seeds(seeds)
        for seed in numbers:
            dataclasses.replace(config, seed=seed)  # refuses a seed out of range
    dataset = open_dataset(root)
    drawn = None
    if outlines is not None:
        drawn, findings = person_outlines_from_labelme(outlines, dataset)
        say_findings(findings, quiet=quiet)
    with progress_bar("grid", quiet=quiet) as update:

        def on_report(report: GridReport) -> None:
            update(report.done, report.total, report.line())
            if report.result is not None:
                say(report.line(), quiet=quiet)

        table = run_grid(
            config,
            dataset,
            subset,
            run,
            GridPlan(rows, numbers, masks_in, same_images),
            gallery_size=gallery_size,
            device=device,
            outlines=drawn,
            callback=on_report,
        )
    if as_json:
        print_json({"data": table.data, "protocol": table.protocol, **table.to_dict()})
    else:
        shown = table.to_table()
        print_table(*shown.as_rows(), note=shown.note)
    say(f"wrote {run}", quiet=quiet)


def _check_settings(settings: tuple[str, ...]) -> None:
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key in _SETTINGS_OF_A_CELL:
            option = _SETTINGS_OF_A_CELL[key]
            raise click.UsageError(f"--set {key} would be the same in every cell; choose it with {option}")
