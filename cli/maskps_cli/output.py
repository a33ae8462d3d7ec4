"""What the commands print: tables and JSON on stdout, progress and remarks on stderr."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from maskps.errors import printable
from maskps.findings import LEVELS, Finding

if TYPE_CHECKING:
    from maskps.evaluation import SearchResult
    from maskps.evaluation.mask_quality import MaskQuality
    from maskps.evaluation.result_file import ResultFile

_SHOWN = 3  # findings of a kind


def prepare_streams() -> None:
    """Makes stdout and stderr accept every text: those that are closed, and those of few characters."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:  # closed by the caller, as with `2>&-`
        pass
    os.close(handle)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_stdout_if_broken() -> None:
    """Drops what stdout cannot take, so that Python's end does not fail on it a second time."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


class PrintableFormatter(logging.Formatter):
    """Formats log records so that no character from a file acts on the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the text of a record."""
        return printable(super().format(record), keep="\n")


def echo(text: str = "", *, keep: str = "", err: bool = False) -> None:
    """Writes a line to stdout or stderr; characters that act on the terminal are escaped, except `keep`."""
    click.echo(printable(text, keep=keep), err=err)


def print_json(content: Any) -> None:
    """Writes `content` to stdout as JSON with full precision, in UTF-8 whatever the locale.

    Characters that act on a terminal, and halves of characters as in a Latin-1 file name, are escaped.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    escaped = (one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)
    click.echo(("".join(escaped) + "\n").encode(), nl=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, note: str = "") -> None:
    """Writes a table to stdout; the first column is text, the others are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(Text(printable(column)), justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(highlight=False, width=1000)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().rstrip().splitlines()]
    title, note = printable(title), printable(note, keep="\n")
    click.echo("\n".join([title, *lines, "", *([note, ""] if note else [])]))


def print_search_results(title: str, results: Mapping[str, SearchResult]) -> None:
    """Writes mAP and top-k of one or several networks on the same protocol to stdout, in percent."""
    one = next(iter(results.values()))
    print_table(
        title,
        ["network", "mAP", "top-1", "top-5", "top-10"],
        [
            [
                name,
                *(f"{100 * value:.1f} %" for value in (result.mAP, result.top1, result.top5, result.top10)),
            ]
            for name, result in results.items()
        ],
        note=f"{one.queries:,} queries, gallery size {one.gallery_size:,}, rules '{one.rules}', "
        f"detections with score >= {one.score_threshold}",
    )


def print_result_file(title: str, results: ResultFile) -> None:
    """Writes a line for each protocol and method, why queries failed, and the detector's numbers."""
    from maskps.evaluation import METHODS

    lines = results.results
    names = [f"{line.protocol}{METHODS[line.method].title}" for line in lines]
    print_table(
        title,
        ["protocol", "queries", "gallery", "mAP", "top-1", "top-5", "top-10"],
        [
            [
                name,
                f"{line.queries:,}",
                f"{line.gallery_size:,}",
                *(f"{100 * value:.1f} %" for value in (line.mAP, line.top1, line.top5, line.top10)),
            ]
            for name, line in zip(names, lines, strict=True)
        ],
        note=f"rules '{lines[0].rules}', feature '{lines[0].feature}', "
        f"detections with score >= {lines[0].score_threshold}",
    )
    print_table(
        "Queries whose first answer is wrong, by cause",
        ["protocol", *lines[0].failures],
        [[name, *map(str, line.failures.values())] for name, line in zip(names, lines, strict=True)],
    )
    for name, found in results.detection.items():
        where = f"{found.persons:,} persons in {found.scenes:,} scenes"
        thresholds = f"score >= {found.score_threshold}, IoU >= {found.iou_threshold}"
        recall, precision = (f"{100 * value:.1f} %" for value in (found.recall, found.average_precision))
        echo(f"detector, {name} persons: recall {recall}, AP {precision} ({thresholds}, {where})")
    if results.mask_quality is not None:
        print_mask_quality(results.mask_quality)
    if results.background_sensitivity is not None:
        moved = results.background_sensitivity
        echo(
            f"background sensitivity {moved.sensitivity:.3f}: mean cosine distance of a person before two "
            f"backgrounds {moved.between_backgrounds:.3f}, of two persons {moved.between_persons:.3f}; "
            f"{moved.persons:,} persons before {moved.backgrounds} backgrounds each"
        )
    print_terms(results.source.terms)


def print_terms(terms: str | None) -> None:
    """Writes on which terms the weights that were used may be used, if any are known."""
    if terms:
        echo(f"data terms: {terms}")


def print_mask_quality(quality: MaskQuality) -> None:
    """Writes a line about predicted masks beside the two constant ones."""
    echo(
        f"predicted masks: IoU {quality.iou:.3f} (mean mask of the same persons {quality.iou_mean_mask:.3f}, "
        f"all ones {quality.iou_all_ones:.3f}), cross entropy per cell {quality.bce:.3f} (mean mask "
        f"{quality.bce_mean_mask:.3f}); {quality.persons:,} persons whose outlines were not trained on"
    )


def say(text: str, *, quiet: bool = False) -> None:
    """Writes a remark to stderr."""
    if not quiet:
        echo(text, keep="\n", err=True)


def say_findings(findings: Sequence[Finding], *, quiet: bool = False) -> None:
    """Writes the first findings of each kind to stderr, errors first, and the number of the others.

    `quiet` leaves out everything but errors.
    """
    ranked = sorted(findings, key=lambda finding: (LEVELS.index(finding.level), finding.code))
    for code, group in itertools.groupby(ranked, key=lambda finding: finding.code):
        same = list(group)
        is_quiet = quiet and same[0].level != "error"
        for finding in same[:_SHOWN]:
            say(str(finding), quiet=is_quiet)
        if len(same) > _SHOWN:
            say(f"... and {len(same) - _SHOWN:,} more of {code}", quiet=is_quiet)


@contextmanager
def progress_bar(label: str, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Yields `update(done, total, text="")`: a live line on stderr if that is a terminal, else nothing."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, text="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", table_column=Column(min_width=len(label))),
        BarColumn(bar_width=12, table_column=Column(min_width=12)),
        MofNCompleteColumn(table_column=Column(min_width=11)),
        TimeRemainingColumn(table_column=Column(min_width=7)),
        # All that is left of the line: a narrow terminal cuts the text, not the time to go.
        TextColumn(
            "{task.fields[text]}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        task = progress.add_task(label, total=None, text="")
        has_begun = False

        def update(done: int, total: int, text: str = "") -> None:
            nonlocal has_begun
            text = printable(text)
            if has_begun:
                progress.update(task, completed=done, total=total, text=text)
            else:  # what a resumed run found done does not count for its speed
                progress.reset(task, completed=done, total=total, text=text)
                has_begun = True

        yield update
