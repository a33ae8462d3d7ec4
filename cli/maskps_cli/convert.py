"""`maskps-data convert`: a data set in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from maskps_cli.options import force_option, json_option, quiet_option, root_argument
from maskps_cli.output import print_json, progress_bar, say


@click.command()
@root_argument
@click.option(
    "--to",
    type=click.Choice(["coco", "cuhk-sysu", "prw"]),
    required=True,
    help="Format to write; coco holds everything.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Root of the new data set.")
@click.option(
    "--images",
    type=click.Choice(["link", "copy"]),
    help="Link the folder of images, or copy them.  [default: annotation only]",
)
@click.option(
    "--allow-loss", is_flag=True, help="Leave out what the format cannot hold; the command lists it."
)
@json_option
@force_option
@quiet_option
def convert(
    root: Path,
    to: Literal["coco", "cuhk-sysu", "prw"],
    out: Path,
    images: Literal["link", "copy"] | None,
    allow_loss: bool,
    as_json: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write the data set at ROOT in another format: COCO-style JSON, CUHK-SYSU or PRW.

    Reads the annotation and all test protocols at ROOT, writes them to OUT with the record convert.json, and
    reads them again: the result stays only if nothing differs from ROOT.

    \b
    Example:
      maskps-data convert scenes --to coco --out scenes-coco --images link
    """
    from maskps.datasets import open_dataset
    from maskps.datasets.convert import convert as convert_dataset

    dataset = open_dataset(root)
    with progress_bar("images", quiet=quiet) as update:
        summary = convert_dataset(
            dataset, to, out, force=force, allow_loss=allow_loss, images=images, progress=update
        )
    if as_json:
        print_json(summary.to_dict())
    say(f"wrote {out}: {summary.summary()}", quiet=quiet)
    for remark in summary.remarks:
        say(f"note: {remark}", quiet=quiet)
    for loss in summary.losses:
        say(f"left out: {loss}", quiet=quiet)
    if images is None:
        say(f"the images belong into {out / summary.image_dir}: link them with --images link", quiet=quiet)
