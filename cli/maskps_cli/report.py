"""`maskps report`: what was measured beside what was published, as one page."""

from __future__ import annotations

from pathlib import Path

import click

from maskps_cli.options import force_option, quiet_option
from maskps_cli.output import say


@click.command()
@click.argument(
    "results", metavar="RUN|RESULT.json...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of the data set that was searched: shows ranked results. Needs the runs' detections.",
)
@click.option(
    "--subset",
    type=click.Path(path_type=Path),
    help="Mask subset of the data set of --images: shows outlines on training images.",
)
@click.option(
    "--files",
    type=click.Path(path_type=Path),
    help="Folder for the same figures as PNG and SVG, and tables as CSV and LaTeX.",
)
@click.option(
    "--paper",
    is_flag=True,
    help="Show the paper's tables even if no result is on CUHK-SYSU, beside which they always stand.",
)
@force_option
@quiet_option
def report(
    results: tuple[Path, ...],
    out: Path,
    images: Path | None,
    subset: Path | None,
    files: Path | None,
    paper: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write one page of results, with tables and pictures.

    They are the tables and figures of the paper, for your results. Reads result files of maskps score and
    maskps eval (--out), folders of runs with their results.json, and folders of maskps ablate. Writes one
    HTML file that needs no network. Results on different data sets are kept apart.

    \b
    Example:
      maskps eval scenes --run run --save-detections run/detections.npz --out run/results.json
      maskps report run --out report.html --images scenes
    """
    from maskps.datasets import open_dataset
    from maskps.report import write_report
    from maskps.subset import open_subset

    if subset is not None and images is None:
        raise click.UsageError("--subset needs --images, the data set it was built from")
    dataset = None if images is None else open_dataset(images)
    masks = None if subset is None or dataset is None else open_subset(subset, dataset)
    page = write_report(results, out, images=dataset, subset=masks, files=files, paper=paper, force=force)
    if len(page.data) > 1:
        say(f"{len(page.data)} data sets, kept apart: {', '.join(page.data)}", quiet=quiet)
    say(f"wrote {out}: {page.runs} result{'s' * (page.runs != 1)}, {page.bytes / 1e6:.1f} MB", quiet=quiet)
    if files is not None:
        say(f"wrote {files}: {page.files} files", quiet=quiet)
