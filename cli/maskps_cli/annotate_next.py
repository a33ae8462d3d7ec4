"""`maskps-data annotate next`: the images whose masks a trained network is least sure of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from maskps_cli.options import (
    dataset_of_subset,
    device_option,
    force_option,
    images_option,
    json_option,
    quiet_option,
)
from maskps_cli.output import print_json, print_table, progress_bar, say

_HEAD = "# maskps: images to draw next"


@click.command("next")
@click.argument("subset", type=click.Path(path_type=Path))
@images_option
@click.option(
    "--run", type=click.Path(path_type=Path), required=True, help="Run folder, trained with masks so far."
)
@click.option("--count", type=click.IntRange(min=1), required=True, help="How many images at most.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Text file to write the names of the images to, one a line.",
)
@force_option
@device_option
@json_option
@quiet_option
def next_command(
    subset: Path,
    images: Path | None,
    run: Path,
    count: int,
    out: Path | None,
    force: bool,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show which images to draw next.

    They are those whose masks RUN is least sure of. Looks at the images of SUBSET in which a labeled person
    has no outline. The list that --out writes is for `annotate pack --names` and `build-subset --names`. The
    paper draws its images at random, and so does `build-subset` by default.

    \b
    Example:
      maskps-data annotate next subset --run run --count 200 --out next.txt
      maskps-data annotate pack subset --names next.txt --out packs --annotators ann,bob --propose run
    """
    from maskps.errors import ConfigError
    from maskps.io.files import check_output_file, written_atomically
    from maskps.structures import MaskState
    from maskps.subset import open_subset
    from maskps.training import load_run
    from maskps_annotation.next_images import next_images

    if out is not None:
        check_output_file(out, mark=_HEAD.encode(), force=force)
    dataset = dataset_of_subset(subset, images)
    opened = open_subset(subset, dataset)
    if not (opened.masks.states == MaskState.MISSING).any():
        raise ConfigError(
            str(subset),
            expected="a subset with a labeled person who has no outline",
            found="an outline of everybody",
            hint="there is nothing left to draw in it; build-subset --names makes one with more images",
        )
    predictor = load_run(run, device=device).predictor()
    predictor.check_masks()
    with progress_bar("images", quiet=quiet) as update:
        found = next_images(opened, dataset, predictor, progress=update)
    chosen = found[:count]
    if as_json:
        print_json({"images": [asdict(image) for image in chosen], "images_without_masks": len(found)})
    else:
        rows = [[image.name, f"{image.persons:,}", f"{image.uncertainty:.3f}"] for image in chosen]
        print_table(str(subset), ["", "persons to draw", "uncertainty"], rows)
    if out is not None:
        with written_atomically(out) as temporary:
            names = "".join(f"{image.name}\n" for image in chosen)
            temporary.write_text(f"{_HEAD}, the least sure first\n{names}", encoding="utf-8")
    wrote = "" if out is None else f"; wrote {out}"
    say(f"{len(chosen):,} of {len(found):,} images in which outlines are missing{wrote}", quiet=quiet)
