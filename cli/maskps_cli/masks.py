"""`maskps-data import-masks`, and the masks of `maskps-data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from maskps_cli.options import NumberRange, force_option, json_option, quiet_option, root_argument
from maskps_cli.output import print_json, print_table, progress_bar, say, say_findings


@click.command("import-masks")
@root_argument
@click.option(
    "--subset", type=click.Path(path_type=Path), required=True, help="Subset folder of build-subset."
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="COCO file (polygons, RLE, results); file or folder of PNG masks, YOLO labels or CVAT XML.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new subset.")
@click.option(
    "--min-score",
    type=NumberRange(0, 1),
    default=0.5,
    show_default=True,
    help="Least score of a detector's mask.",
)
@click.option("--replace", is_flag=True, help="Replace outlines of the subset by imported masks.")
@click.option(
    "--skip-errors",
    is_flag=True,
    help="Leave out masks that cannot be used; else an error writes nothing.",
)
@json_option
@force_option
@quiet_option
def import_masks(
    root: Path,
    subset: Path,
    source: Path,
    out: Path,
    min_score: float,
    replace: bool,
    skip_errors: bool,
    as_json: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Add masks of another tool to a mask subset of ROOT.

    Reads COCO annotations or results (polygons, RLE), PNG masks, YOLO segmentation labels or CVAT XML, finds
    each person by identity or by boxes, and writes a new subset of the same images to OUT. Bitmaps are
    traced: their outlines cover exactly their pixels. docs/masks.md describes how files are named and
    matched, docs/from_your_tool.md which export of your tool to choose.

    \b
    Example:
      maskps-data import-masks scenes --subset subset --from masks/ --out subset-with-masks
    """
    from maskps.datasets import open_dataset
    from maskps.subset.import_masks import import_masks as import_into_subset

    dataset = open_dataset(root)
    with progress_bar("masks", quiet=quiet) as update:
        result = import_into_subset(
            dataset,
            subset,
            source,
            out,
            min_score=min_score,
            replace=replace,
            skip_errors=skip_errors,
            force=force,
            progress=lambda done, total: update(done, total or None),
        )
    if as_json:
        print_json(result.to_dict())
    else:
        print_table(str(source), ["masks", ""], [[name, f"{count:,}"] for name, count in result.rows()])
    say_findings(result.findings, quiet=quiet)
    if result.is_empty:
        raise click.ClickException(f"nothing was written: no mask of {source} could be used")
    if result.record is None:
        raise click.ClickException(
            f"nothing was written: {result.errors:,} masks cannot be used\n"
            "  try:      correct them, or leave them out with --skip-errors"
        )
    say(f"wrote {out}: {result.record.summary()}", quiet=quiet)


def export_coco_rle(
    masks: Path,
    out: Path,
    *,
    persons: Literal["all", "present"] = "all",
    as_json: bool = False,
    force: bool = False,
    quiet: bool = False,
) -> None:
    """Does the work of `maskps-data convert --masks MASKS --to coco-rle --out OUT`, and prints the result."""
    from maskps.masks.coco_rle import masks_to_coco_rle

    with progress_bar("masks", quiet=quiet) as update:
        export = masks_to_coco_rle(masks, out, persons=persons, force=force, progress=update)
    if as_json:
        print_json(export.to_dict())
    say(f"wrote {out}: {export.summary()}", quiet=quiet)
