"""`maskps-data cut`: a part of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from maskps_cli.options import force_option, json_option, quiet_option, root_argument
from maskps_cli.output import print_json, print_table, progress_bar, say


@click.command()
@root_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Root of the new data set.")
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="File with the names of the images to keep, one a line.  [default: the images that are there]",
)
@click.option(
    "--images",
    type=click.Choice(["link", "copy"]),
    help="Link the folder of images, or copy the images.  [default: annotation only]",
)
@json_option
@force_option
@quiet_option
def cut(
    root: Path,
    out: Path,
    names: Path | None,
    images: Literal["link", "copy"] | None,
    as_json: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write a part of the data set at ROOT.

    It has the images that are there, or whose names are listed. Reads the annotation and all test protocols
    at ROOT, and writes those of the part to OUT, in the same format, with the record cut.json. Queries stay
    if something can still be found for them. Prints how much of everything is kept.

    \b
    Example:
      maskps-data cut scenes --names names.txt --out few --images link
    """
    from maskps.datasets import open_dataset
    from maskps.datasets.cut import cut as cut_dataset
    from maskps.subset.names import read_name_list

    listed = None if names is None else read_name_list(names).names
    dataset = open_dataset(root)
    with progress_bar("images", quiet=quiet) as update:
        summary = cut_dataset(dataset, out, names=listed, images=images, force=force, progress=update)
    if as_json:
        print_json(summary.to_dict())
    else:
        rows = [[what, f"{count.kept:,}", f"{count.of:,}"] for what, count in summary.counts.items()]
        print_table(str(out), ["", "kept", "of"], rows)
    for remark in summary.remarks:
        say(f"note: {remark}", quiet=quiet)
    for loss in summary.losses:
        say(f"left out: {loss}", quiet=quiet)
    if images is None:
        say(f"put the images into {out / summary.image_dir}, or link them with --images link", quiet=quiet)
