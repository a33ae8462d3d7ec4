"""`maskps-data build-subset`: which images get masks, and the outlines drawn so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from maskps_cli.options import force_option, quiet_option, root_argument, seed_option, wrong_value
from maskps_cli.output import progress_bar, say, say_findings

_OF_A_DRAW = ("portion_size", "per_portion", "order")
_NOT_WITH = {"names": _OF_A_DRAW, "from_labelme": _OF_A_DRAW, "record": (*_OF_A_DRAW, "seed", "proportion")}


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
    help="Instead of a draw: the images of this subset.json, such as a colleague's.",
)
@click.option(
    "--labelme",
    type=click.Path(path_type=Path),
    help="Folder of LabelMe files whose polygons become outlines and 14x14 targets.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="Label of whole persons in the LabelMe files, beside person, pedestrian, man, ...; may be repeated.",
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
    help="Images drawn from each portion; 2 contain those of 1.",
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
    labelme: Path | None,
    labels: tuple[str, ...],
    force: bool,
    quiet: bool,
    **choice: Any,
) -> None:
    """Choose the images of ROOT that get outlines.

    They are the mask subset. By default, draws one random image of each portion, as in Sec. 3.1. Drops images
    with only unlabeled persons. Writes OUT/subset.json (the record), OUT/masks.json (outlines, COCO) and
    OUT/targets_14x14.npz. --record chooses the images of an earlier record again.

    \b
    Example:
      maskps-data build-subset scenes --out subset --labelme scenes/truth/labelme
    """
    from maskps.datasets import open_dataset
    from maskps.subset import choose_images, remarks_on
    from maskps_annotation import build_subset_from_labelme

    _check_usage(click.get_current_context())
    dataset = open_dataset(root)
    selection = choose_images(dataset, **choice)
    with progress_bar("outlines", quiet=quiet) as update:
        record, findings = build_subset_from_labelme(
            dataset,
            out,
            labelme or choice["from_labelme"],
            selection,
            labels=labels,
            force=force,
            progress=update,
        )
    say_findings(findings, quiet=quiet)
    say(f"wrote {out}: {record.summary()}", quiet=quiet)
    for remark in remarks_on(record, dataset.train, earlier=choice["record"]):
        say(remark, quiet=quiet)


def _check_usage(context: click.Context) -> None:
    """Raises UsageError for values and options that do not go together: two ways of choosing images, ..."""
    from maskps.subset import parse_proportions

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
    per_portion, portion_size = context.params["per_portion"], context.params["portion_size"]
    if per_portion > portion_size:
        raise click.UsageError(
            f"--per-portion {per_portion} is more than the {portion_size} of --portion-size"
        )
    if context.params["proportion"] is not None:
        with wrong_value("--proportion"):
            parse_proportions(context.params["proportion"])


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
