"""`maskps-data`: data sets, mask subsets, protocols. It does not import torch."""

from __future__ import annotations

from pathlib import Path

import click

from maskps_cli.annotate import annotate
from maskps_cli.build_subset import build_subset
from maskps_cli.convert import convert
from maskps_cli.cut import cut
from maskps_cli.masks import import_masks
from maskps_cli.options import (
    MaskpsGroup,
    force_option,
    jobs_option,
    json_option,
    quiet_option,
    seed_option,
    version_option,
)
from maskps_cli.output import echo, print_json, print_table, progress_bar, say
from maskps_cli.stats import stats
from maskps_cli.verify import verify


@click.group(cls=MaskpsGroup)
@version_option
def main() -> None:
    """Person-search data: make scenes, check, convert, choose the mask subset, count."""


for command in (annotate, build_subset, convert, cut, import_masks, stats, verify):
    main.add_command(command)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--scale",
    type=click.Choice(["tiny", "small", "cuhk-sysu"]),
    required=True,
    help="tiny: for a 10-minute CPU run; small: 1,600 images; cuhk-sysu: the published counts.",
)
@click.option(
    "--backgrounds",
    type=click.Choice(["natural", "misleading"]),
    default="natural",
    show_default=True,
    help="misleading: a training identity is mostly before one camera; true matches are before others.",
)
@seed_option
@jobs_option
@click.option("--no-images", is_flag=True, help="Write the annotation only.")
@force_option
@quiet_option
def synth(
    out: Path,
    scale: str,
    backgrounds: str,
    seed: int,
    jobs: int,
    no_images: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Render a synthetic data set in the CUHK-SYSU layout.

    Writes OUT/Image/SSM/*.jpg, OUT/annotation/**.mat and the true visible outlines of every person:
    OUT/truth/labelme/*.json for training images, OUT/truth/labelme_test/*.json for test images. The same
    seed gives the same bytes, whatever --jobs.

    \b
    Example:
      maskps-data synth scenes --scale tiny --seed 7
    """
    from maskps.synthetic import write_synthetic

    with progress_bar("scenes", quiet=quiet) as update:
        summary = write_synthetic(
            out,
            scale=scale,
            seed=seed,
            backgrounds=backgrounds,
            jobs=jobs,
            images=not no_images,
            force=force,
            progress=update,
        )
    say(f"wrote {out}: {summary.summary()}", quiet=quiet)


@main.command()
@click.argument("path", metavar="FILE.mat|ROOT", type=click.Path(path_type=Path))
@json_option
def protocol(path: Path, as_json: bool) -> None:
    """Show the counts and anomalies of test protocols.

    Reads one TestG*.mat, Occlusion.mat or Resolution.mat, or all protocols of the data set in ROOT, without
    its images; writes nothing. --json of a data set gives the same by protocol.

    \b
    Example:
      maskps-data protocol scenes/annotation/test/train_test/TestG100.mat
    """
    from maskps.datasets.protocols import protocol_summaries

    summaries = protocol_summaries(path)
    contents = {name: summary.to_dict() for name, summary in summaries.items()}
    if as_json:
        print_json(contents if path.is_dir() else contents[path.stem])
        return
    counts = [count for count in next(iter(contents.values())) if count != "anomalies"]
    print_table(
        str(path),
        ["", *contents],
        [
            [count.replace("_", " "), *(_number(content[count]) for content in contents.values())]
            for count in counts
        ],
    )
    for name, summary in summaries.items():
        for anomaly in summary.anomalies:
            echo(f"  {name}, {anomaly.text}")


def _number(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_number(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
