"""Ranked results as pictures (Fig. 5): the same queries by every run, with right and wrong answers framed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError, InputFileError
from maskps.evaluation import (
    METHODS,
    Detections,
    Method,
    evaluate_search,
    ranked_results,
    read_detections,
)
from maskps.evaluation.result_file import ProtocolResult
from maskps.evaluation.rules import apply_rules
from maskps.evaluation.task import named_protocol
from maskps.io.images import check_images
from maskps.pictures.drawing import crop_tile, data_url, dim_outside, open_picture, paint_outline, shrunk
from maskps.pictures.rows import evenly_spaced
from maskps.pictures.sheets import RankingPicture, SubsetPicture, ranking_sheet
from maskps.protocols import SearchProtocol
from maskps.report.comparison import compare, query_names
from maskps.report.sources import DETECTIONS, DataKey, Measured, Sources
from maskps.structures import PersonSearchDataset

_SAME_AP = 1e-6
_QUERIES, _HITS = 6, 5
_TILE = (180, 360)
_SCENE = 720
_CONTEXT = 0.15


@dataclass(frozen=True)
class RunRanking:
    """The first answers of one run to the queries shown.

    Attributes:
        name: of the run, with all that differs from the usual evaluation.
        method: what ranked the answers.
        queries: in the order of `Rankings.image_names`.
    """

    name: str
    method: Method
    queries: tuple[RankingPicture, ...]


@dataclass(frozen=True)
class Rankings:
    """The ranked results on one data set.

    Attributes:
        protocol: the protocol searched.
        image_names: of each query shown.
        truths: for each of them, how many gallery images show the person.
        runs: the first answers of each run.
        left_out: names of runs that are not shown: re-ranked, or of another protocol.
        image_of: returns the path of an image by its name.
    """

    protocol: str
    image_names: tuple[str, ...]
    truths: tuple[int, ...]
    runs: tuple[RunRanking, ...]
    left_out: tuple[str, ...]
    image_of: Callable[[str], Path]

    def crop(self, image: str, box: NDArray[np.floating]) -> str:
        """Returns a person with some context as a data URL."""
        tile, place = crop_tile(open_picture(self.image_of(image)), box, _TILE, context=_CONTEXT)
        return data_url(dim_outside(tile, place))

    def sheet(self, run: RunRanking) -> Image.Image:
        """Returns the answers of a run as a picture for print."""
        return ranking_sheet(run.queries, self.image_of, title=run.name, k=_HITS, method=run.method)


def ranked_pictures(sources: Sources, data: DataKey, dataset: PersonSearchDataset) -> Rankings:
    """Returns some queries with their first answers by each run on `data`.

    The queries are evenly spaced, so that nothing is picked by hand: in the order of falling AP, or, with two
    runs or more, in the order of the second run's gain over the first.

    Raises:
        InputFileError: a run's detections, or images, are missing or broken.
        AnnotationError: detections that are not those of the result.
        ConfigError: the data set has no such protocol.
    """
    runs = [(run, line) for run in sources.of(data).measured if (line := run.usual()) is not None]
    base = runs[0][1]
    shown = [
        (run, line)
        for run, line in runs
        if METHODS[line.method].adjust is None and line.protocol == base.protocol
    ]
    left_out = tuple(run.name_of(line) for run, line in runs if (run, line) not in shown)
    if not shown:
        return Rankings(str(base.protocol), (), (), (), left_out, dataset.image_path)
    protocol = named_protocol(dataset, base.protocol)
    queries = _chosen(sources, data, shown[0][1])
    rankings = tuple(_ranking(run, line, protocol, queries, dataset.image_path) for run, line in shown)
    asked = protocol.image_names[protocol.query_scenes[queries]].tolist()
    names = set(asked) | {hit.image_name for run in rankings for query in run.queries for hit in query.hits}
    check_images(dataset.test_folder, sorted(names), what="images of queries and answers")
    truths = tuple(np.diff(protocol.truth_offsets)[queries].tolist())
    return Rankings(str(base.protocol), tuple(asked), truths, rankings, left_out, dataset.image_path)


def painted_scene(picture: SubsetPicture) -> str:
    """Returns a scene of the mask subset with its outlines painted on it, as a data URL.

    Raises:
        InputFileError: the image is missing or broken.
    """
    scene, scale = shrunk(open_picture(picture.image), _SCENE)
    for outline in picture.outlines.values():
        paint_outline(scene, outline.scaled(scale, scale))
    return data_url(scene)


def _chosen(sources: Sources, data: DataKey, line: ProtocolResult) -> list[int]:
    comparisons = compare(sources, data)
    by_ap = np.argsort(-line.average_precisions, kind="stable").astype(np.int64)
    return evenly_spaced(comparisons[0].order if comparisons else by_ap, _QUERIES)


def _ranking(
    run: Measured,
    line: ProtocolResult,
    protocol: SearchProtocol,
    queries: list[int],
    image_of: Callable[[str], Path],
) -> RunRanking:
    if protocol.fingerprint() != line.fingerprint:
        raise AnnotationError(
            run.path,
            expected=f"results of {line.protocol} as it is in this data set: {protocol.num_queries} queries",
            found=f"results of another protocol of this name, with {line.queries} queries",
            hint="give the data set that was searched, or evaluate again",
        )
    method, names = METHODS[line.method], query_names(line.query_ids)
    detections = _scored_detections(run, line, protocol, queries)
    truths = apply_rules(protocol, line.rules).truths
    pictures = [
        RankingPicture(
            query_id=names[query],
            image_name=(name := str(protocol.image_names[protocol.query_scenes[query]])),
            image=image_of(name),
            box=protocol.query_boxes[query],
            hits=ranked_results(
                protocol,
                detections,
                query,
                _HITS,
                score_threshold=line.score_threshold,
                rules=line.rules,
                method=method,
            ),
            truths=int(truths[query]),
            average_precision=float(line.average_precisions[query]),
        )
        for query in queries
    ]
    return RunRanking(run.name_of(line), method, tuple(pictures))


def _scored_detections(
    run: Measured, line: ProtocolResult, protocol: SearchProtocol, queries: list[int]
) -> Detections:
    """Returns the detections that a line was computed from, checked by the APs of these queries.

    The line may have been computed with --normalize, unless its method compares vectors as they are.
    """
    path, detections = _detections_of(run)
    differs = _differing(line, protocol, detections, queries)
    if differs.any() and not METHODS[line.method].is_distance:
        detections = detections.normalized()
        differs = _differing(line, protocol, detections, queries)
    if not differs.any():
        return detections
    first = queries[int(differs.argmax())]
    raise AnnotationError(
        path,
        expected=f"the detections that {run.path} was computed from",
        found=f"another ranking for query {first} ('{line.query_ids[first]}')",
        hint="write both again, with --save-detections and --out of maskps eval",
    )


def _differing(
    line: ProtocolResult, protocol: SearchProtocol, detections: Detections, queries: list[int]
) -> NDArray[np.bool_]:
    """Returns (n,) bool: whether each query's AP with the detections differs from the line's."""
    result = evaluate_search(
        protocol,
        detections,
        score_threshold=line.score_threshold,
        rules=line.rules,
        method=METHODS[line.method],
    )
    differs: NDArray[np.bool_] = (
        np.abs(result.average_precisions - line.average_precisions)[queries] > _SAME_AP
    )
    return differs


def _detections_of(run: Measured) -> tuple[Path, Detections]:
    """Returns the detections that a result names, or those beside it with its own or the usual name."""
    named, folder = run.file.source.detections, run.path.resolve().parent
    places = [run.path.with_suffix(".npz"), run.path.parent / DETECTIONS]
    places = [folder / named, folder / Path(named).name, *places] if named else places
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputFileError(
            places[0] if named else places[-1],
            expected=f"the detections of '{run.label}', to show what it ranked first",
            found="no such file",
            hint="run maskps eval with --save-detections and --out once more, or leave out --images",
        )
    return path, read_detections(path)
