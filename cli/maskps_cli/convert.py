"""`maskps-data convert`: a data set, or the masks of a subset, in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from maskps.datasets import open_dataset
from maskps.datasets.convert import convert as convert_dataset
from maskps.datasets.copies import target_kinds
from maskps_cli.masks import export_coco_rle
from maskps_cli.options import force_option, json_option, quiet_option
from maskps_cli.output import print_json, progress_bar, say


@click.command()
@click.argument("root", type=click.Path(path_type=Path), required=False)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="masks.json of a subset, for --to coco-rle; instead of ROOT.",
)
@click.option(
    "--to",
    type=click.Choice([*target_kinds(), "coco-rle"]),
    required=True,
    help="Format to write; coco holds everything.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Root of the new data set, or file of masks.",
)
@click.option(
    "--persons",
    type=click.Choice(["all", "present"]),
    help="coco-rle: all persons, or only those with a mask.  [default: all]",
)
@click.option(
    "--images",
    type=click.Choice(["link", "copy"]),
    help="Link the folder of images, or copy the images.  [default: annotation only]",
)
@click.option("--allow-loss", is_flag=True, help="Leave out what the format cannot hold, and list it.")
@json_option
@force_option
@quiet_option
def convert(
    root: Path | None,
    masks: Path | None,
    to: str,
    out: Path,
    persons: Literal["all", "present"] | None,
    images: Literal["link", "copy"] | None,
    allow_loss: bool,
    as_json: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write the data set at ROOT in another format.

    Formats are COCO-style JSON, CUHK-SYSU and PRW. Reads the annotation and all test protocols at ROOT,
    writes them to OUT with the record convert.json, and reads them again. The result stays only if nothing
    differs from ROOT. With --masks, writes the masks of a subset as run lengths instead, for readers that
    need holes (docs/masks.md).

    \b
    Example:
      maskps-data convert scenes --to coco --out scenes-coco --images link
      maskps-data convert --masks subset/masks.json --to coco-rle --out masks_rle.json
    """
    if to == "coco-rle":
        if masks is None or root is not None or images is not None or allow_loss:
            raise click.UsageError(
                "--to coco-rle takes --masks FILE, and neither ROOT, --images nor --allow-loss"
            )
        export_coco_rle(masks, out, persons=persons or "all", as_json=as_json, force=force, quiet=quiet)
        return
    if root is None or masks is not None or persons is not None:
        raise click.UsageError(f"--to {to} takes ROOT, and neither --masks nor --persons")
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
        say(f"put the images into {out / summary.image_dir}, or link them with --images link", quiet=quiet)
