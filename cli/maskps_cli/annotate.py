"""`maskps-data annotate` pack, open, progress: from a mask subset to drawn outlines, with LabelMe."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskps.errors import number_of
from maskps_cli.annotate_next import next_command
from maskps_cli.annotate_results import agreement, check, collect, restore, review
from maskps_cli.options import (
    dataset_of_subset,
    device_option,
    force_option,
    images_option,
    json_option,
    quiet_option,
    seed_option,
    wrong_value,
)
from maskps_cli.output import echo, print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from maskps_annotation.progress import Progress


_SHOWN = 20  # files that cannot be read


@click.group()
def annotate() -> None:
    """Draw the outlines of a mask subset, with LabelMe.

    \b
    Example:
      maskps-data annotate pack subset --out packs --annotators ann,bob
    """


for command in (next_command, check, collect, restore, review, agreement):
    annotate.add_command(command)


class Share(click.ParamType):
    """A share as "5%" or "0.05"."""

    name = "share"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share from 0% to 100%", param, ctx)
        return share


@annotate.command()
@click.argument("subset", type=click.Path(path_type=Path))
@images_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write the packs to.")
@click.option(
    "--annotators",
    metavar="A,B,C",
    help="Names of the annotators. By default, with --corrections, each image goes back to its annotator.",
)
@click.option(
    "--double",
    type=Share(),
    default="0%",
    show_default=True,
    help="Share of the images that two annotators get without knowing it, for 'agreement'.",
)
@click.option(
    "--corrections",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Decisions saved on a review page: pack only what they reject. May be given several times.",
)
@click.option(
    "--propose",
    metavar="SOURCE",
    help="Propose outlines to start from: a run folder, a mask file or subset folder, or maskrcnn:FILE.",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path),
    help="Pack only the images in this text file, one name a line.",
)
@device_option
@seed_option
@force_option
@quiet_option
def pack(
    subset: Path,
    images: Path | None,
    out: Path,
    annotators: str | None,
    double: float,
    corrections: tuple[Path, ...],
    propose: str | None,
    names: Path | None,
    device: str,
    seed: int,
    force: bool,
    quiet: bool,
) -> None:
    """Make one folder per annotator, ready to draw in.

    Reads SUBSET (from build-subset) and the data set. Writes a folder per annotator with images, LabelMe
    files that hold a rectangle per person to draw, LabelMe's settings and a page of rules; and
    OUT/packs.json, a record that stays with you. Shares are balanced by persons. --force replaces packs only
    if nobody has drawn in them.

    With --propose the files also hold an outline of each person that a network or a mask file proposes. An
    annotator corrects it, or ticks that it is right; what is left untouched does not count as drawn.

    With --corrections the packs hold only the persons that a review rejected, with the reasons and the
    outline to correct.

    \b
    Example:
      maskps-data annotate pack subset --out packs --annotators ann,bob --double 5%
      maskps-data annotate pack subset --out packs --annotators ann,bob --propose runs/first
      maskps-data annotate pack subset --out packs2 --corrections subset.review.json
    """
    from maskps_annotation.corrections import write_corrections
    from maskps_annotation.pack_record import check_annotators
    from maskps_annotation.packs import rows_of_list, write_packs
    from maskps_annotation.proposers import open_proposer

    if corrections and (propose or names):
        option = "--propose" if propose else "--names"
        raise click.UsageError(f"{option} does not go with --corrections: the review names the persons")
    if corrections and double:
        raise click.UsageError("--double does not go with --corrections: one annotator draws each person")
    if annotators is None and not corrections:
        raise click.UsageError("name the annotators: --annotators A,B,C")
    people = [name.strip() for name in (annotators or "").split(",") if name.strip()]
    if annotators is not None and not people:
        raise click.UsageError("--annotators holds no name")
    if double and len(people) < 2:
        raise click.UsageError("--double gives an image to two annotators; name two with --annotators")
    with wrong_value("--annotators"):
        check_annotators(people)
    dataset = dataset_of_subset(subset, images)
    rows = subset if names is None else rows_of_list(names, subset, dataset)
    proposer = None if propose is None else open_proposer(propose, dataset, device=device)
    with progress_bar("images", quiet=quiet) as update:
        if corrections:
            packs, left_out = write_corrections(
                subset,
                dataset,
                out,
                reviews=corrections,
                annotators=None if annotators is None else people,
                seed=seed,
                force=force,
                progress=update,
            )
        else:
            left_out = ()
            packs = write_packs(
                rows,
                dataset,
                out,
                annotators=people,
                proposer=proposer,
                double=double,
                seed=seed,
                force=force,
                progress=update,
            )
    for finding in left_out:
        say(str(finding), quiet=quiet)
    for one in packs.packs:
        proposed = f", {one.proposals:,} with a proposed outline" if proposer is not None else ""
        say(
            f"{one.folder}: {number_of(len(one.scenes), 'image')}, {number_of(one.persons, 'person')} to draw"
            f"{proposed}",
            quiet=quiet,
        )
    if proposer is not None and not any(one.proposals for one in packs.packs):
        say(f"{propose} proposes no outline: annotators draw everybody from nothing", quiet=quiet)
    doubled = "" if corrections else f"; {len(packs.doubled):,} images are with two annotators"
    say(f"wrote {out}{doubled}", quiet=quiet)


@annotate.command("open")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option(
    "--labelme",
    envvar="MASKPS_LABELME",
    show_envvar=True,
    help="The program to start instead of 'labelme' on the PATH.",
)
@quiet_option
def open_pack(pack: Path, labelme: str | None, quiet: bool) -> None:
    """Open the PACK of one annotator in LabelMe.

    Checks LabelMe's version, the display and packages that conflict with it, then starts LabelMe 6 or 7 as a
    program of its own. LabelMe saves into PACK after every stroke. The command ends when its window is
    closed.

    \b
    Example:
      maskps-data annotate open packs/ann
    """
    from maskps.findings import raise_on_errors
    from maskps_annotation.launch import check_surroundings, find_labelme, labelme_command, run_labelme
    from maskps_annotation.rules_page import RULES_NAME

    program = find_labelme(labelme)
    command = labelme_command(program, pack)
    findings = check_surroundings(program, os.environ)
    for finding in findings:
        if finding.level != "error":
            say(str(finding), quiet=quiet)
    raise_on_errors(findings)
    say(f"LabelMe {program.version}; the rules are in {pack / RULES_NAME}", quiet=quiet)
    run_labelme(command)


@annotate.command()
@click.argument("packs", type=click.Path(path_type=Path))
@json_option
@quiet_option
def progress(packs: Path, as_json: bool, quiet: bool) -> None:
    """Show how far the annotators are, and how fast.

    PACKS is the folder with packs.json. A person is done when the image is ticked "done", everybody in it is
    drawn, and it has no error. The rate comes from the times of the files, without pauses of over half an
    hour. Writes nothing.

    \b
    Example:
      maskps-data annotate progress packs
    """
    from maskps_annotation.checks import checked_file
    from maskps_annotation.pack_record import read_packs
    from maskps_annotation.progress import packs_progress, total_progress

    with progress_bar("files", quiet=quiet) as update:
        parts = packs_progress(read_packs(packs), checked_file, progress=update)
    total = total_progress(parts)
    if as_json:
        print_json({"annotators": [asdict(part) for part in parts], "all": asdict(total)})
        return
    heads = ["", "persons done", "to do", "drawn", "images done", "problems", "persons/h", "hours to go"]
    rows = [_row(part) for part in (*parts, total)]
    if total.proposals:
        heads.insert(4, "proposed, untouched")
        for row, part in zip(rows, (*parts, total), strict=True):
            row.insert(4, f"{part.untouched:,}")
    print_table(str(packs), heads, rows)
    for part in parts:
        for name in part.problems:
            echo(f"  {part.annotator}: {name} is ticked 'problem'")
        for name in part.errors:
            echo(f"  {part.annotator}: {name} is ticked 'done' but is not done; 'annotate check' shows why")
        for name in part.unread[:_SHOWN]:
            echo(
                f"  {part.annotator}: the file of {name} is missing or unreadable; 'annotate check' shows why"
            )
        if len(part.unread) > _SHOWN:
            echo(f"  {part.annotator}: ... and {len(part.unread) - _SHOWN:,} more files")


def _row(part: Progress) -> list[str]:
    return [
        part.annotator,
        f"{part.persons_done:,} of {part.persons:,}",
        f"{part.persons - part.persons_done:,}",
        f"{part.drawn:,}",
        f"{part.images_done:,} of {part.images:,}",
        f"{len(part.problems):,}",
        "-" if part.rate is None else f"{part.rate:.0f}",
        "-" if part.hours_to_go is None else f"{part.hours_to_go:.1f}",
    ]
