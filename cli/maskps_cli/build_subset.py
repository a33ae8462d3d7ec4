"""`maskps-data build-subset`: which images get masks, and the outlines that are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskps_cli.options import force_option, quiet_option, root_argument, seed_option, wrong_value
from maskps_cli.output import progress_bar, say

if TYPE_CHECKING:
    from maskps.subset.select import Order

_OF_A_DRAW = ("portion_size", "per_portion", "order")
_NOT_WITH = {"names": _OF_A_DRAW, "from_labelme": _OF_A_DRAW, "record": (*_OF_A_DRAW, "seed", "proportion")}
_SHOWN = 10  # findings


@click.command("build-subset")
@root_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the subset to.")
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="Instead of a draw: the images in this text file, one name a line, with or without .jpg.",
)
@click.option(
    "--from-labelme",
    type=click.Path(path_type=Path),
    help="Instead of a draw: the images that have a LabelMe file in this folder, with its outlines.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Instead of a draw: the images of this subset.json, somebody else's for example.",
)
@click.option(
    "--labelme",
    type=click.Path(path_type=Path),
    help="Folder of LabelMe files whose polygons become outlines and 14x14 targets.",
)
@seed_option
@click.option(
    "--portion-size", type=click.IntRange(min=1), default=5, show_default=True, help="Images per portion."
)
@click.option(
    "--per-portion",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Images drawn of each portion; 2 hold those of 1.",
)
@click.option(
    "--order",
    type=click.Choice(["name", "number"]),
    default="name",
    show_default=True,
    help="Order in which images are cut into portions: name: as text, s1 s10 s2; number: s1 s2 s10.",
)
@click.option(
    "--proportion",
    metavar="LIST",
    help="Nested subsets (Table 4), in percent of the training images: 3%,6%,9%,12%,15%,full.",
)
@force_option
@quiet_option
def build_subset(
    root: Path,
    out: Path,
    names: Path | None,
    from_labelme: Path | None,
    record: Path | None,
    labelme: Path | None,
    seed: int,
    portion_size: int,
    per_portion: int,
    order: Order,
    proportion: str | None,
    force: bool,
    quiet: bool,
) -> None:
    """Choose the mask subset of the data set at ROOT: the images that get outlines.

    By default a draw as in Sec. 3.1: one random image of each portion. Images with only unlabeled
    persons are dropped. Writes OUT/subset.json (the record), OUT/masks.json (outlines, COCO) and
    OUT/targets_14x14.npz. The record is enough to choose the same images again, with --record.

    \b
    Example:
      maskps-data build-subset scenes --out subset --labelme scenes/truth/labelme
    """
    from maskps.datasets import open_dataset
    from maskps.subset import (
        labelme_name_list,
        parse_proportions,
        read_name_list,
        read_subset_record,
        select_named,
        select_subset,
        selection_of_record,
        with_proportions,
    )
    from maskps.subset.stats import draw_note
    from maskps_annotation import build_subset_from_labelme

    _check_usage(click.get_current_context())
    if per_portion > portion_size:
        raise click.UsageError(
            f"--per-portion {per_portion} is more than the {portion_size} of --portion-size"
        )
    if proportion is not None:
        with wrong_value("--proportion"):
            parse_proportions(proportion)
    listed = read_name_list(names) if names else labelme_name_list(from_labelme) if from_labelme else None
    dataset = open_dataset(root)
    if record is not None:
        selection = selection_of_record(dataset, record)
    elif listed is not None:
        selection = select_named(dataset, listed, seed=seed)
    else:
        selection = select_subset(
            dataset.train, portion_size=portion_size, per_portion=per_portion, order=order, seed=seed
        )
    if proportion is not None:
        selection = with_proportions(dataset.train, selection, proportion)
    with progress_bar("outlines", quiet=quiet) as update:
        made, findings = build_subset_from_labelme(
            dataset, out, labelme or from_labelme, selection, force=force, progress=update
        )
    for finding in findings[:_SHOWN]:
        say(str(finding), quiet=quiet)
    if len(findings) > _SHOWN:
        say(f"... and {len(findings) - _SHOWN:,} more findings", quiet=quiet)
    say(f"wrote {out}: {made.summary()}", quiet=quiet)
    if record is not None:
        say(made.compared_with(read_subset_record(record)), quiet=quiet)
    if note := draw_note(dataset.train, made):
        say(note, quiet=quiet)


def _check_usage(context: click.Context) -> None:
    """Raises UsageError for two ways of choosing images, or options that belong to another way."""
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    ways = [way for way in _NOT_WITH if way in given]
    for way in ways:
        for other in (*ways, *_NOT_WITH[way]):
            if other != way and other in given:
                raise click.UsageError(f"{_option(other)} does not go with {_option(way)}")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
