"""`maskps-data annotate` check, collect, restore, review, agreement: from annotators' files to masks."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from maskps.errors import number_of
from maskps.findings import LEVELS, Finding, count_by_level
from maskps_cli.options import dataset_of_subset, force_option, images_option, json_option, quiet_option
from maskps_cli.output import echo, print_json, print_table, progress_bar, say

_SHOWN = 5  # persons drawn by several annotators
packs_argument = click.argument("packs", type=click.Path(path_type=Path))


@click.command()
@packs_argument
@json_option
@quiet_option
@click.pass_context
def check(context: click.Context, packs: Path, as_json: bool, quiet: bool) -> None:
    """Check all files of all annotators in PACKS.

    PACKS is the folder that `annotate pack` made, with the annotators' folders in it. Prints errors and
    warnings by file, with a hint for each, and how often each code occurs; --json lists remarks as well.
    Writes nothing. Exits with 1 if there are errors. docs/annotation_checks.md explains the codes.

    \b
    Example:
      maskps-data annotate check packs
    """
    from maskps_annotation.checks import check_packs
    from maskps_annotation.pack_record import read_packs

    opened = read_packs(packs)
    with progress_bar("files", quiet=quiet) as update:
        findings = check_packs(opened, progress=update)
    counts = count_by_level(findings)
    if as_json:
        print_json({"packs": str(packs), **counts, "findings": [finding.to_dict() for finding in findings]})
    else:
        _print_findings(findings)
        _print_codes(findings)
    context.exit(1 if counts["errors"] else 0)


@click.command()
@packs_argument
@click.option(
    "--into", "subset", type=click.Path(path_type=Path), required=True, help="Subset folder to fill."
)
@images_option
@json_option
@quiet_option
def collect(packs: Path, subset: Path, images: Path | None, as_json: bool, quiet: bool) -> None:
    """Turn the drawings in PACKS into masks and targets.

    First every file goes into SUBSET.store, which keeps every version. Then the outlines of persons without
    an error go into SUBSET/masks.json, with their 14x14 targets; other persons keep what they had. A second
    run changes nothing; after a kill, run it again.

    \b
    Example:
      maskps-data annotate collect packs --into subset
    """
    from maskps_annotation.collect_packs import collect_packs
    from maskps_annotation.pack_record import read_packs

    opened = read_packs(packs)
    dataset = dataset_of_subset(subset, images)
    with progress_bar("files", quiet=quiet) as update:
        report = collect_packs(opened, subset, dataset, progress=update)
    if as_json:
        print_json(asdict(report))
        return
    print_table(str(subset), ["collected", ""], [[name, f"{count:,}"] for name, count in report.rows()])
    several = [finding for finding in report.findings if finding.code == "drawn-by-several"]
    for finding in several[:_SHOWN]:
        say(str(finding), quiet=quiet)
    if len(several) > _SHOWN:
        say(f"and {len(several) - _SHOWN:,} more drawn by several; --json lists them all", quiet=quiet)
    errors = sum(finding.level == "error" for finding in report.findings)
    if errors:
        say(f"{errors:,} errors: see 'maskps-data annotate check {packs}'", quiet=quiet)


@click.command()
@click.argument("subset", type=click.Path(path_type=Path))
@click.argument("file", required=False)
@click.option("--version", metavar="SHA256", help="The version to write: the first letters of its sha256.")
@click.option("--to", type=click.Path(path_type=Path), help="File to write it to.")
@click.option("--force", is_flag=True, help="Replace an existing file, after storing it as well.")
@json_option
@quiet_option
def restore(
    subset: Path,
    file: str | None,
    version: str | None,
    to: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List stored versions of drawings, or bring one back.

    FILE is an annotator and a file, e.g. ann/s1234.json; without it, all files are listed. --version and
    --to write one version to a file.

    \b
    Example:
      maskps-data annotate restore subset ann/s1234.json --version 3fa9 --to packs/ann/s1234.json --force
    """
    from maskps_annotation.collect_packs import store_of

    if (version is None) != (to is None):
        raise click.UsageError("--version and --to go together")
    store = store_of(subset)
    if version is not None and to is not None:
        annotator, _, name = (file or "").rpartition("/")
        restored = store.bring_back(version, to, annotator=annotator, name=name, force=force)
        say(f"wrote {to}: version {restored[:12]}", quiet=quiet)
        return
    listed = store.listed(file)
    if as_json:
        print_json([asdict(one) for one in listed])
    else:
        rows = [
            [f"{one.annotator}/{one.name}", one.sha256[:12], one.modified, f"{one.bytes:,}"] for one in listed
        ]
        print_table(str(store.folder), ["file", "version", "saved (UTC)", "bytes"], rows)


@click.command()
@packs_argument
@json_option
def agreement(packs: Path, as_json: bool) -> None:
    """Compare the outlines of persons whom two annotators drew.

    Prints per annotator the IoU, the mean distance of the borders, the changed cells of the 14x14 targets,
    and the noise on every vertex that changes as many cells.

    \b
    Example:
      maskps-data annotate agreement packs
    """
    from maskps_annotation.agreement import NOISE, noise_of_cells
    from maskps_annotation.agreement import agreement as agreement_of
    from maskps_annotation.pack_record import read_packs

    report = agreement_of(read_packs(packs))
    if as_json:
        print_json(report.to_dict())
        return
    rows = [
        [name, f"{persons:,}", *([f"{iou:.3f}", f"{distance:.2f}", f"{cells:.1f}"] if persons else "---")]
        + [f"{noise_of_cells(cells):.1f}" if persons else "-", f"{alone:,}"]
        for name, persons, iou, distance, cells, alone in report.rows()
    ]
    noise = "; ".join(f"{pixels:g} px: IoU {iou}, {cells} cells" for pixels, (iou, cells) in NOISE.items())
    left_out = (
        f"; persons whom both left as proposed, not compared: {report.accepted:,}" if report.accepted else ""
    )
    print_table(
        f"Agreement, {packs}",
        ["annotator", "persons", "IoU", "distance (px)", "cells of 196", "like noise of (px)", "not drawn"],
        rows,
        note=f"noise on every vertex, measured on synthetic persons: {noise}{left_out}",
    )


@click.command()
@click.argument("subset", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The page to write, an HTML file."
)
@images_option
@click.option(
    "--packs",
    type=click.Path(path_type=Path),
    help="Folder of the packs: show the findings of their checks.",
)
@force_option
@quiet_option
def review(
    subset: Path, out: Path, images: Path | None, packs: Path | None, force: bool, quiet: bool
) -> None:
    """Make a page to accept or reject each outline of SUBSET.

    Reads SUBSET, its store and the images. Writes one HTML file that needs no server and no network. It shows
    each labeled person with outline, cut-out and 14x14 target, other drawings of the person and, with
    --packs, the findings of the checks. Give the file of decisions that the page saves to
    'annotate pack --corrections'.

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
    say(f"{number_of(page.persons, 'person')}, {page.missing:,} without outline{found}", quiet=quiet)
    say(f"wrote {out} ({page.bytes / 1e6:,.2f} MB); open it in a browser", quiet=quiet)


def _print_findings(findings: Sequence[Finding]) -> None:
    """Writes errors and warnings to stdout by file, errors first within each."""
    shown = [finding for finding in findings if finding.level != "info"]
    by_file = sorted(shown, key=_file)
    for file, group in itertools.groupby(by_file, key=_file):
        echo(file)
        for finding in sorted(group, key=lambda one: LEVELS.index(one.level)):
            place = finding.where.removeprefix(file).strip()
            expected = f" (expected {finding.expected})" if finding.expected else ""
            echo(f"  {finding.level} {finding.code} {place}".rstrip() + f": {finding.found}{expected}")
            if finding.hint:
                echo(f"    try: {finding.hint}")
        echo()


def _print_codes(findings: Sequence[Finding]) -> None:
    counts = Counter((finding.level, finding.code) for finding in findings)
    ranked = sorted(counts.items(), key=lambda item: (LEVELS.index(item[0][0]), -item[1], item[0][1]))
    if ranked:
        rows = [[level, code, f"{count:,}"] for (level, code), count in ranked]
        print_table("Findings", ["level", "code", "times"], rows)
    else:
        echo("nothing is wrong")


def _file(finding: Finding) -> str:
    """Returns the annotator and file that a finding is about; file names may hold spaces."""
    name = re.match(r".*?\.\w+(?= |$)", finding.where)
    return name[0] if name else finding.where
