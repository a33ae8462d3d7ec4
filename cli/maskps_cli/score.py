"""`maskps score`: anybody's detections under any protocol, without a network and without images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from maskps.evaluation import METHODS, RULES, SCORE_THRESHOLD, Method
from maskps.protocols.protocol import SUBSET_KEYS
from maskps.protocols.sets import Cameras
from maskps_cli.options import force_option, json_option, quiet_option
from maskps_cli.output import print_json, print_result_file, say

if TYPE_CHECKING:
    from maskps.evaluation.result_file import ResultFile
    from maskps.evaluation.task import ScoringOptions

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


@dataclass(frozen=True)
class Printing:
    """How a command prints results."""

    as_json: bool
    per_query: bool
    quiet: bool

    def print(self, title: str, results: ResultFile, *, written: tuple[Path | None, ...]) -> None:
        """Prints the results as a table or as JSON, and the files that were written."""
        for path in written:
            if path is not None:
                say(f"wrote {path}", quiet=self.quiet)
        if self.as_json:
            print_json(results.to_dict(per_query=self.per_query))
        else:
            print_result_file(title, results)


def _with_a_flag() -> list[Method]:
    return [method for method in METHODS.values() if method.adjust is not None]


def _subset_names(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Spells "occlusion" and "resolution" like the names of their protocols."""
    return tuple(name.capitalize() if name.capitalize() in SUBSET_KEYS else name for name in names)


def _check_fraction(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 <= value <= 1:  # also if it is not a number
        raise click.BadParameter(f"{value} is not from 0 to 1")
    return value


def _options() -> list[Callable[[Command], Command]]:
    return [
        click.option(
            "--gallery-size",
            "gallery_sizes",
            multiple=True,
            type=GallerySizeType(),
            metavar="N|all",
            help="Which TestG protocol; all: every test scene but the query's own. May be repeated.  "
            "[default: all or 100, or the only protocol]",
        ),
        click.option(
            "--subset",
            "subsets",
            multiple=True,
            callback=_subset_names,
            metavar="NAME",
            help="occlusion, resolution, or another protocol of the data set by its name. May be repeated.",
        ),
        click.option(
            "--camera",
            "cameras",
            multiple=True,
            type=click.Choice(get_args(Cameras)),
            help="PRW: search all gallery scenes (as the field does), those of the query's camera, or those "
            "of the others. May be repeated.",
        ),
        click.option(
            "--rules",
            type=click.Choice(RULES),
            default="oim",
            show_default=True,
            help="Matching rules: the released evaluator's, SeqNet's, or those of Sec. 4.1.",
        ),
        click.option(
            "--distance",
            type=click.Choice([one.name for one in METHODS.values() if one.adjust is None]),
            default="cosine",
            show_default=True,
            help="What ranks: the cosine, or the Euclidean distance of the vectors as they are (Sec. 4.1).",
        ),
        click.option(
            "--score-threshold",
            type=float,
            callback=_check_fraction,
            default=SCORE_THRESHOLD,
            show_default=True,
            help="Detections with a lower score do not count, in the search and for the detector.",
        ),
        *(click.option(f"--{one.name}", one.name, is_flag=True, help=one.help) for one in _with_a_flag()),
        click.option(
            "--out", type=click.Path(path_type=Path), help="Also write the results, query by query, as JSON."
        ),
        click.option(
            "--per-query", is_flag=True, help="With --json: also each query's average precision and hits."
        ),
        force_option,
        json_option,
        quiet_option,
    ]


def scoring_options(command: Command) -> Command:
    """Adds the options that `maskps score` and `maskps eval` share; the command gets them as two records.

    These are `scoring`, a `ScoringOptions`, and `printing`, a `Printing`.
    """

    @functools.wraps(command)
    def with_records(*, as_json: bool, per_query: bool, quiet: bool, **values: Any) -> Any:
        printing = Printing(as_json, per_query, quiet)
        return command(scoring=_scoring(values), printing=printing, **values)

    for option in reversed(_options()):
        with_records = option(with_records)
    return with_records  # type: ignore[return-value]


def _scoring(values: dict[str, Any]) -> ScoringOptions:
    """Takes the values of the scoring options out of `values` and returns them as a record."""
    from maskps.evaluation.task import ScoringOptions

    distance = values.pop("distance")
    with_a_flag = [method.name for method in _with_a_flag() if values.pop(method.name)]
    if METHODS[distance].is_distance and with_a_flag:
        names = " and ".join(f"--{method.name}" for method in _with_a_flag())
        raise click.UsageError(f"{names} work on cosines; leave out --distance")
    return ScoringOptions(
        gallery_sizes=values.pop("gallery_sizes"),
        subsets=values.pop("subsets"),
        cameras=values.pop("cameras") or ("all",),
        rules=values.pop("rules"),
        score_threshold=values.pop("score_threshold"),
        methods=(distance, *with_a_flag),
        out=values.pop("out"),
        force=values.pop("force"),
    )


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
def score(
    protocol: Path,
    detections_file: Path,
    scoring: ScoringOptions,
    printing: Printing,
    normalize: bool,
    feature: str,
) -> None:
    """Measure person search with detections from a file.

    Prints mAP and top-1, 5, 10. Needs no network and no images; of the data set only the protocol. Writes
    nothing without --out.

    \b
    Example:
      maskps score --protocol TestG100.mat --detections dets.npz
    """
    from maskps.evaluation.task import score_file

    results = score_file(protocol, detections_file, scoring, normalize=normalize, feature=feature)
    printing.print(f"Person search on {results.data.name}", results, written=(scoring.out,))
