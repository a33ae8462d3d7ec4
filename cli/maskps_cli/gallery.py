"""`maskps gallery`: the persons in one's own photos and videos, kept for `maskps search`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskps.errors import number_of
from maskps_cli.networks import network_options, open_predictor
from maskps_cli.options import NumberRange, force_option, json_option, quiet_option
from maskps_cli.output import echo, print_json, print_table, print_terms, progress_bar, say

if TYPE_CHECKING:
    from maskps.gallery import Added, Gallery
    from maskps.gallery.summary import GallerySummary

_SHOWN = 20  # skipped files
_SECONDS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}
_INTERRUPTED = "interrupted; what was added before is safe, and the same command adds the rest"


class TimeType(click.ParamType):
    """A point in time, as Unix seconds; without a zone it is that of this machine."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            self.fail(f"'{value}' is not a time such as 2024-05-01, 2024-05-01T18:30 or ...T18:30+02:00")


class DurationType(click.ParamType):
    """A duration, as seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(ms|s|m|h|)", value)
        seconds = float(found[1]) * _SECONDS[found[2]] if found else 0
        if not 0.001 <= seconds <= 1e9:
            self.fail(f"'{value}' is not a duration such as 1s, 500ms or 2m", param, ctx)
        return seconds


@click.group()
def gallery() -> None:
    """Keep the persons in your photos and videos, to search.

    A gallery is one file. For each person it holds where they are in which photo or frame, and a vector of
    how they look: clothes, build, what they carry. Such vectors are personal data, in many places biometric
    data: have a legal ground, and forget what you no longer need. Nothing leaves this machine, unless GALLERY
    is the address of a Milvus server.

    \b
    Example:
      maskps gallery add people.gallery photos --run run
      maskps gallery info people.gallery
    """


gallery_argument = click.argument("place", metavar="GALLERY")


def _camera_from(
    ctx: click.Context, parameter: click.Parameter, pattern: str | None
) -> Callable[[Path], str | None] | None:
    """Returns the function that gives what the pattern's first group matches in a path, or all of it."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise click.BadParameter(f"'{pattern}' is not a regular expression: {error}") from error

    def camera_of(path: Path) -> str | None:
        from maskps.gallery.photos import shown_path

        found = compiled.search(shown_path(path))
        return found[1 if compiled.groups else 0] or None if found else None

    return camera_of


@gallery.command()
@gallery_argument
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@network_options
@click.option("--camera", help="Name of the camera that took these photos and videos.")
@click.option(
    "--camera-from",
    metavar="REGEX",
    callback=_camera_from,
    help="Name of the camera by the path of each file: the first group of REGEX, or all that matches, e.g. "
    r"'photos/(\w+)/'.",
)
@click.option(
    "--start",
    type=TimeType(),
    help="Time of photos without one in their EXIF, and of the first frame of videos, e.g. 2024-05-01T18:30.",
)
@click.option(
    "--every",
    type=DurationType(),
    default=1.0,
    help="Look for persons in one frame of a video in each such time, e.g. 500ms or 1m.  [default: 1s]",
)
@click.option(
    "--min-score",
    type=NumberRange(0, 1),
    default=0.5,
    show_default=True,
    help="Lowest score of a detection that counts as a person.",
)
@click.option("--skip-broken", is_flag=True, help="Exit with 0 although some files could not be read.")
@json_option
@quiet_option
def add(
    place: str,
    paths: tuple[Path, ...],
    run: Path | None,
    onnx: Path | None,
    device: str,
    camera: str | None,
    camera_from: Callable[[Path], str | None] | None,
    start: float | None,
    every: float,
    min_score: float,
    skip_broken: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Add the persons in photos, videos and folders to GALLERY.

    GALLERY is a file, which the first call makes. Of a folder, all photos and videos below it are read. Only
    files that are new or changed go through the network; moved and copied ones are recognised. What is read
    is safe on disk: stop at any time, and run the same command again. Videos need the extra "video". Several
    processes: torchrun --nproc-per-node 2 --no-python -- maskps gallery add ...

    What is kept of each person are a box and a vector of how they look. These are personal data, in many
    places biometric data: have a legal ground for it. No names are kept. Nothing leaves this machine, unless
    GALLERY is the address of a Milvus server.

    \b
    Example:
      maskps gallery add people.gallery photos --run run --camera door
      maskps gallery add people.gallery film.mp4 --run run --start 2024-05-01T12:00
    """
    from maskps.gallery import Gallery

    if camera is not None and camera_from is not None:
        raise click.UsageError("give --camera or --camera-from, not both")
    if camera == "":
        raise click.BadParameter("a name is needed", param_hint="'--camera'")
    part = _part()
    predictor = open_predictor(run, onnx, device)
    with Gallery.open(place, predictor) as opened, progress_bar("files", quiet=quiet) as update:
        try:
            added = opened.add(
                paths,
                camera=camera or camera_from,
                start=start,
                min_score=min_score,
                every=every,
                part=part,
                progress=update,
            )
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(_INTERRUPTED) from error
        persons, terms = opened.store.count(), predictor.terms
    _say_skipped(added, quiet=quiet)
    _say_of_videos(added, quiet=quiet)
    if as_json:
        print_json(_added_as_json(added, persons, terms))
    else:
        share = f"process {part[0] + 1} of {part[1]}: " if part[1] > 1 else ""
        echo(share + _added_as_text(added))
        echo(f"{place}: {number_of(persons, 'person')}")
        print_terms(terms)
    if added.skipped and not skip_broken:
        raise click.exceptions.Exit(1)


def _part() -> tuple[int, int]:
    """Returns the number of this process and of all, as torchrun sets both."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank and size):
        return 0, 1
    if rank.isdecimal() and size.isdecimal() and int(rank) < int(size):
        return int(rank), int(size)
    raise click.UsageError(
        f"the environment variables RANK={rank} and WORLD_SIZE={size} are not those of torchrun; unset them"
    )


def _added_as_text(added: Added) -> str:
    counts = {
        "new": added.new,
        "changed": added.changed,
        "moved": added.moved,
        "with the content of another": added.duplicates,
        "unchanged": added.unchanged,
        "not read": len(added.skipped),
    }
    parts = [f"{count:,} {what}" for what, count in counts.items() if count]
    others = f"; {number_of(added.others, 'other file')}" if added.others else ""
    return f"files: {', '.join(parts) or 'none'}{others}; {number_of(added.persons, 'person')} found"


def _added_as_json(added: Added, persons: int, terms: str) -> dict[str, Any]:
    from maskps.gallery.photos import shown_path

    counts = ("new", "changed", "unchanged", "moved", "duplicates", "others", "undated", "persons")
    return {
        **{name: getattr(added, name) for name in counts},
        "skipped": [{"path": shown_path(path), "reason": reason} for path, reason in added.skipped],
        "cut_off": [shown_path(path) for path in added.cut_off],
        "persons_in_gallery": persons,
        "terms": terms,
    }


def _say_skipped(added: Added, *, quiet: bool) -> None:
    for path, reason in added.skipped[:_SHOWN]:
        say(f"not read: {path}: {reason}", quiet=quiet)
    if len(added.skipped) > _SHOWN:
        say(f"... and {len(added.skipped) - _SHOWN:,} more; --json lists all", quiet=quiet)


def _say_of_videos(added: Added, *, quiet: bool) -> None:
    for path in added.cut_off[:_SHOWN]:
        say(f"cut off or damaged: {path}: what could be read of it is in the gallery", quiet=quiet)
    if added.undated:
        videos = number_of(added.undated, "video")
        say(
            f"{videos} without a start time: hits show the time in the video alone; --start gives it",
            quiet=quiet,
        )


@gallery.command()
@gallery_argument
@json_option
def info(place: str, as_json: bool) -> None:
    """Show files, persons, cameras and network of GALLERY.

    \b
    Example:
      maskps gallery info people.gallery
    """
    from maskps.gallery import Gallery
    from maskps.gallery.hits import shown_time
    from maskps.gallery.summary import summary_of

    with Gallery.open(place) as opened:
        summary = summary_of(opened.store)
    if as_json:
        print_json(summary.to_dict())
        return
    print_table(
        f"{place}: {number_of(summary.persons, 'person')} in {number_of(summary.photos, 'photo')} and "
        f"{number_of(summary.videos, 'video')}",
        ["camera", "photos", "videos", "persons", "first", "last"],
        [
            [
                "not known" if one.camera is None else one.camera,
                f"{one.photos:,}",
                f"{one.videos:,}",
                f"{one.persons:,}",
                shown_time(one.first),
                shown_time(one.last),
            ]
            for one in summary.cameras
        ],
        note=_notes(summary),
    )
    print_terms(summary.network.terms)


def _notes(summary: GallerySummary) -> str:
    network = summary.network
    recipe = f"{network.recipe}, " if network.recipe else ""
    lines = [
        f"network: {recipe}{network.feature} of {network.dim} numbers, weights {network.weights[:12]}, "
        f"images resized to {network.shorter_side}, at most {network.longest_side}"
    ]
    if summary.duplicates:
        lines.append(f"{number_of(summary.duplicates, 'more file')} with the content of another, kept once")
    if summary.gone:
        lines.append(f"gone, or changed since: {number_of(summary.gone, 'file')}")
    for paths, what in (
        (summary.cut_off, "cut off or damaged: what could be read of it is here"),
        (summary.unfinished, "read in part: add it again for the rest"),
    ):
        lines += [f"{path}: {what}" for path in paths[:_SHOWN]]
        if len(paths) > _SHOWN:
            lines.append(f"... and {len(paths) - _SHOWN:,} more; --json lists all")
    return "\n".join(lines)


@gallery.command()
@gallery_argument
@click.option(
    "--source",
    "path",
    type=click.Path(path_type=Path),
    help="A photo, a video, or a folder with all below it; the files may be gone.",
)
@click.option("--before", type=TimeType(), help="Persons seen before this time. Those of unknown time stay.")
@click.option(
    "--person", "persons", type=int, multiple=True, help="A person's number, from hits; may be repeated."
)
@click.option("--all", "is_all", is_flag=True, help="Everybody.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@quiet_option
def forget(
    place: str,
    path: Path | None,
    before: float | None,
    persons: tuple[int, ...],
    is_all: bool,
    yes: bool,
    quiet: bool,
) -> None:
    """Remove persons from GALLERY for ever.

    Photos and videos stay. The bytes of the vectors are overwritten in the gallery; copies and backups of it
    keep theirs. With --before and --person, the record of a photo or video stays, so that adding the folder
    again does not bring the persons back; --source and --all remove it too.

    \b
    Example:
      maskps gallery forget people.gallery --before 2024-01-01
    """
    from maskps.gallery import Gallery, Where

    chosen = [path is not None, before is not None, bool(persons), is_all]
    if sum(chosen) != 1:
        raise click.UsageError("give one of --source, --before, --person and --all")
    with Gallery.open(place) as opened:
        where: Where | list[int] = Where(end=before)
        if path is not None:
            where = Where(sources=_sources_at(opened, path))
        elif persons:
            where = [row.id for row in opened.store.rows(list(dict.fromkeys(persons)))]
        count = len(opened.store.ids(where)) if isinstance(where, Where) else len(where)
        if not yes:
            everybody = number_of(opened.store.count(), "person")
            click.confirm(f"forget {count:,} of {everybody}?", abort=True, err=True)
        forgotten = opened.forget(where)
    say(f"forgot {number_of(forgotten, 'person')}", quiet=quiet)


def _sources_at(opened: Gallery, path: Path) -> tuple[int, ...]:
    from maskps.errors import ConfigError
    from maskps.gallery.indexing import sources_below
    from maskps.gallery.photos import absolute

    found = sources_below(opened.sources(), absolute(path))
    if not found:
        raise ConfigError(
            f"--source {path}",
            expected="a photo or video of the gallery, or a folder with one",
            found="none there",
            hint="maskps search --json prints the paths as the gallery has them",
        )
    return tuple(one.id for one in found if one.id is not None)


@gallery.command()
@gallery_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .npz file to write.")
@force_option
@quiet_option
def export(place: str, out: Path, force: bool, quiet: bool) -> None:
    """Write all persons of GALLERY to an .npz file.

    Any code can read it. It has the arrays of maskps eval --save-detections: names, boxes, scores, vectors.
    Cameras and times are left out.

    \b
    Example:
      maskps gallery export people.gallery --out people.npz
    """
    from maskps.evaluation.detections_file import MARK, write_detections
    from maskps.gallery import Gallery
    from maskps.gallery.summary import detections_of
    from maskps.io.files import check_output_file

    check_output_file(out, mark=MARK, force=force)
    with Gallery.open(place) as opened:
        detections = detections_of(opened.store)
    write_detections(out, detections)
    images = number_of(detections.num_images, "image")
    say(f"wrote {out}: {number_of(len(detections), 'person')} in {images}", quiet=quiet)
