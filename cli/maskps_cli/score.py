"""`maskps score`: anybody's detections under any protocol, without a network and without images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from maskps_cli.options import force_option, json_option, quiet_option
from maskps_cli.output import print_json, print_result_file, say

if TYPE_CHECKING:
    from maskps.evaluation import Rules
    from maskps.evaluation.result_file import ResultFile
    from maskps.evaluation.similarity import Distance
    from maskps.evaluation.task import GallerySize
    from maskps.protocols.sets import Cameras

Command = TypeVar("Command", bound=Callable[..., Any])


class GallerySizeType(click.ParamType):
    """A number of images, or "all"."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "all" or (isinstance(value, int) and value > 0):
            return value
        if isinstance(value, str) and value.isdecimal() and int(value) > 0:
            return int(value)
        self.fail(f"'{value}' is neither a number of images nor 'all'", param, ctx)


_SCORING_OPTIONS = (
    click.option(
        "--gallery-size",
        "gallery_sizes",
        multiple=True,
        type=GallerySizeType(),
        metavar="N|all",
        help="Which TestG protocol; all: every test scene but the query's own. May be repeated.  "
        "[default: 100; all where the data set has no other]",
    ),
    click.option(
        "--subset",
        "subsets",
        multiple=True,
        type=click.Choice(["occlusion", "resolution"]),
        help="A test subset, with its own queries. May be repeated.",
    ),
    click.option(
        "--camera",
        "cameras",
        multiple=True,
        type=click.Choice(["all", "same", "cross"]),
        help="PRW: search all gallery scenes (as the field does), those of the query's camera, or those of "
        "the others. May be repeated.",
    ),
    click.option(
        "--rules",
        type=click.Choice(["oim", "seqnet", "paper"]),
        default="oim",
        show_default=True,
        help="Matching rules: the released evaluator's, SeqNet's, or those of Sec. 4.1.",
    ),
    click.option(
        "--distance",
        type=click.Choice(["cosine", "euclidean"]),
        default="cosine",
        show_default=True,
        help="What ranks: the cosine, or the Euclidean distance of the vectors as they are (Sec. 4.1).",
    ),
    click.option(
        "--cbgm", is_flag=True, help="Also with context matching (SeqNet's CBGM), on a line of its own."
    ),
    click.option("--rerank", is_flag=True, help="Also with k-reciprocal re-ranking, on a line of its own."),
    click.option(
        "--out", type=click.Path(path_type=Path), help="Also write the results, query by query, as JSON."
    ),
    click.option(
        "--per-query", is_flag=True, help="With --json: also each query's average precision and hits."
    ),
)


def scoring_options(command: Command) -> Command:
    """Adds what `maskps score` and `maskps eval` have in common: protocols, rules, output."""
    for option in reversed(_SCORING_OPTIONS):
        command = option(command)
    return command


def methods_of(distance: Distance, cbgm: bool, rerank: bool) -> list[str]:
    """Returns the methods that these options ask for, the plain one first."""
    if distance != "cosine" and (cbgm or rerank):
        raise click.UsageError("--cbgm and --rerank work on cosines; leave out --distance")
    return [distance, *["cbgm"] * cbgm, *["rerank"] * rerank]


def print_or_write(
    title: str, results: ResultFile, *, out: Path | None, as_json: bool, per_query: bool, quiet: bool
) -> None:
    """Prints the results as table or JSON, after they are written to `out` if that is given."""
    from maskps.evaluation.result_file import write_results

    if out is not None:
        write_results(out, results)
        say(f"wrote {out}", quiet=quiet)
    if as_json:
        content = results.to_dict(per_query)
        # The numbers of a single line also stand at the top, where programs of old look for them.
        print_json((content["results"][0] if len(results.results) == 1 else {}) | content)
    else:
        print_result_file(title, results)


@click.command()
@click.option(
    "--protocol",
    "protocol",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.mat|ROOT",
    help="A protocol file such as TestG100.mat, or the folder of a data set.",
)
@click.option(
    "--detections",
    "detections_file",
    type=click.Path(path_type=Path),
    required=True,
    help="Detections as .npz: of maskps eval --save-detections, or of any other code.",
)
@scoring_options
@click.option("--normalize", is_flag=True, help="Divide every embedding by its length first.")
@click.option(
    "--feature",
    type=click.Choice(["embedding", "pooled"]),
    default="embedding",
    show_default=True,
    help="What the vectors are; only noted in the results.",
)
@force_option
@json_option
@quiet_option
def score(
    protocol: Path,
    detections_file: Path,
    gallery_sizes: Sequence[GallerySize],
    subsets: Sequence[str],
    cameras: Sequence[Cameras],
    rules: Rules,
    distance: Distance,
    cbgm: bool,
    rerank: bool,
    out: Path | None,
    per_query: bool,
    normalize: bool,
    feature: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure person search with detections from a file: mAP and top-1, 5, 10.

    Needs no network and no images; of the data set only the protocol. Writes nothing unless --out says so.

    \b
    Example:
      maskps score --protocol TestG100.mat --detections dets.npz
    """
    from maskps.evaluation import read_detections
    from maskps.evaluation.result_file import MARK as RESULT_MARK
    from maskps.evaluation.result_file import ResultFile, ResultSource
    from maskps.evaluation.task import open_task, score, score_detector
    from maskps.io.files import check_output_file

    methods = methods_of(distance, cbgm, rerank)
    if out is not None:
        check_output_file(out, mark=RESULT_MARK, force=force)
    task = open_task(protocol, gallery_sizes=gallery_sizes, subsets=subsets, cameras=cameras or ["all"])
    detections = read_detections(detections_file)
    if normalize:
        detections = detections.normalized()
    results = ResultFile(
        data=task.data,
        source=ResultSource(detections=str(detections_file)),
        results=score(task, detections, rules=rules, methods=methods, feature=feature),
        detection=score_detector(task, detections),
    )
    title = f"Person search on {task.data.name}"
    print_or_write(title, results, out=out, as_json=as_json, per_query=per_query, quiet=quiet)
