"""`maskps-data stats`: Table 1, totals, and plots of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from maskps_cli.options import force_option, json_option, quiet_option, root_argument
from maskps_cli.output import echo, print_json, print_table, say


@click.command()
@root_argument
@click.option(
    "--subset",
    type=click.Path(path_type=Path),
    help="Subset folder of build-subset: print its Table 1 instead of totals.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "markdown", "csv", "latex", "json"]),
    help="How to print the numbers.  [default: table]",
)
@json_option
@click.option(
    "--compare",
    type=click.Choice(["paper"]),
    help="Print the published numbers and the differences as well.",
)
@click.option(
    "--plots",
    type=click.Path(path_type=Path),
    help="Folder for pictures (PNG): persons per image, box heights, images per identity, mask areas.",
)
@force_option
@quiet_option
def stats(
    root: Path,
    subset: Path | None,
    format_: Literal["table", "markdown", "csv", "latex", "json"] | None,
    as_json: bool,
    compare: str | None,
    plots: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Print Table 1 of a subset, or the totals of ROOT.

    Reads the annotation at ROOT and the subset's record; needs no images. Writes only the pictures of
    --plots.

    \b
    Example:
      maskps-data stats scenes --subset subset --compare paper
    """
    if as_json and format_ not in (None, "json"):
        raise click.UsageError(f"--json does not go with --format {format_}")
    from maskps.datasets import open_dataset
    from maskps.subset import open_record, open_subset, subset_table, totals_table

    dataset = open_dataset(root)
    is_compared = compare is not None
    if subset is None:
        table = totals_table(dataset, compare=is_compared)
    else:
        record, kept_rows = open_record(subset, dataset)
        table = subset_table(dataset, record, kept_rows, compare=is_compared)
        if missing := record.counts["masks_missing"]:
            labeled = record.counts["labeled"]
            say(f"{missing:,} of the {labeled:,} labeled persons have no outline yet", quiet=quiet)
    if plots is not None:
        from maskps.pictures.plots import write_plots

        opened = None if subset is None else open_subset(subset, dataset)
        for path in write_plots(dataset, plots, opened, force=force):
            say(f"wrote {path}", quiet=quiet)
    shown = table.to_table()
    if as_json or format_ == "json":
        print_json(table.to_dict())
    elif format_ is None or format_ == "table":
        print_table(*shown.as_rows(), note=shown.note)
    else:
        echo(shown.to_text(format_).removesuffix("\n"), keep="\n")
