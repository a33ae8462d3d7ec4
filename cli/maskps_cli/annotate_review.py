"""`maskps-data annotate review`: the page on which outlines are looked at and decided."""

from __future__ import annotations

from pathlib import Path

import click

from maskps_cli.options import dataset_of_subset, force_option, images_option, quiet_option
from maskps_cli.output import progress_bar, say


@click.command()
@click.argument("subset", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The page to write, an HTML file."
)
@images_option
@click.option(
    "--packs", type=click.Path(path_type=Path), help="Folder of the packs: tells what their checks find."
)
@force_option
@quiet_option
def review(
    subset: Path, out: Path, images: Path | None, packs: Path | None, force: bool, quiet: bool
) -> None:
    """Make a page on which every outline of SUBSET can be accepted, rejected or commented.

    Reads SUBSET, its store and the images. Writes one HTML file with all pictures in it, which needs no
    server and no network. It shows each labeled person with outline, cut-out and 14x14 target, and what
    else was drawn of the person; with --packs also what the checks find. The file of decisions that it
    saves is for 'annotate pack --corrections'.

    \b
    Example:
      maskps-data annotate review subset --packs packs --out review.html
    """
    from maskps_annotation.pack_record import read_packs
    from maskps_annotation.review import write_review

    opened = None if packs is None else read_packs(packs)
    dataset = dataset_of_subset(subset, images)
    with progress_bar("files and images", quiet=quiet) as update:
        page = write_review(subset, dataset, out, packs=opened, force=force, progress=update)
    found = f"; {page.errors:,} with an error, {page.warnings:,} with a warning" if packs is not None else ""
    say(f"{page.persons:,} persons, {page.missing:,} without outline{found}", quiet=quiet)
    say(f"wrote {out} ({page.bytes / 1e6:,.2f} MB); open it in a browser", quiet=quiet)
