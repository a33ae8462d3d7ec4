"""`maskps-data verify`: everything that is wrong or odd in a data set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click

from maskps.findings import Finding, count_by_level
from maskps_cli.options import cores, json_option, quiet_option, root_argument
from maskps_cli.output import echo, print_json, progress_bar

_SHOWN = 3


@click.command()
@root_argument
@click.option("--images", is_flag=True, help="Check the image files as well; every image is decoded.")
@json_option
@quiet_option
@click.pass_context
def verify(context: click.Context, root: Path, images: bool, as_json: bool, quiet: bool) -> None:
    """Find all that is wrong or odd in the data set at ROOT.

    ROOT is the folder of a data set (CUHK-SYSU, PRW, COCO-style) or one COCO-style JSON file. Prints findings
    by code, errors first, each with what to do; writes nothing. The exit code is 1 if there are errors, and 0
    if there are only warnings: the released data sets have some on purpose.

    \b
    Example:
      maskps-data verify scenes --images
    """
    from maskps.datasets.verify import verify as verify_dataset

    with progress_bar("images", quiet=quiet) as update:
        findings = verify_dataset(root, images=images, jobs=cores(), progress=update)
    counts = count_by_level(findings)
    if as_json:
        print_json({"root": str(root), **counts, "findings": [finding.to_dict() for finding in findings]})
    else:
        for (level, code), group in groupby(_grouped(findings), lambda one: (one.level, one.code)):
            _print_group(level, code, list(group))
        echo(f"{root}: {_counted(counts)}")
    context.exit(1 if counts["errors"] else 0)


def _grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Returns the findings grouped by level and code; groups are in the order of their first findings."""
    first: dict[tuple[str, str], int] = {}
    for place, finding in enumerate(findings):
        first.setdefault((finding.level, finding.code), place)
    return sorted(findings, key=lambda finding: first[finding.level, finding.code])


def _print_group(level: str, code: str, group: Sequence[Finding]) -> None:
    times = f" ({len(group):,} times)" if len(group) > 1 else ""
    echo(f"{level} {code}{times}")
    shown = group[:_SHOWN]
    same_hint = len({finding.hint for finding in shown}) == 1
    for finding in shown:
        echo(f"  {finding.where}")
        echo(f"    found:    {finding.found}")
        if finding.expected:
            echo(f"    expected: {finding.expected}")
        if finding.hint and (not same_hint or finding is shown[-1]):
            echo(f"    try:      {finding.hint}")
    if len(group) > _SHOWN:
        echo(f"  and {len(group) - _SHOWN:,} more; --json lists all")
    echo()


def _counted(counts: dict[str, int]) -> str:
    if not counts["errors"] + counts["warnings"]:
        return "nothing is wrong"
    return ", ".join(
        f"{number:,} {name if number != 1 else name[:-1]}"
        for name, number in (
            ("errors", counts["errors"]),
            ("warnings", counts["warnings"]),
            ("remarks", counts["infos"]),
        )
        if number
    )
