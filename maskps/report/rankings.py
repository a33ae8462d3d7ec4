"""Ranked results as pictures (Fig. 5): the same queries by every run, with right and wrong answers framed."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
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
    RankedHit,
    evaluate_search,
    ranked_results,
    read_detections,
)
from maskps.evaluation.result_file import ProtocolResult
from maskps.evaluation.rules import apply_rules
from maskps.evaluation.task import named_protocol
from maskps.io.images import check_images
from maskps.pictures.drawing import crop_tile, dim_outside, open_picture, paint_outline
from maskps.pictures.rows import evenly_spaced, subset_pictures
from maskps.pictures.sheets import RankingPicture, hit_number, ranking_sheet
from maskps.protocols import SearchProtocol
from maskps.report.comparison import compare, query_names
from maskps.report.sources import DETECTIONS, DataKey, Measured, Sources
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset

_SAME_AP = 1e-6
_QUERIES, _HITS = 6, 5
_TILE = (180, 360)
_SCENE = 720
_CONTEXT = 0.15


@dataclass(frozen=True)
class HitPicture:
    """One answer: its rank from 1, its crop as a data URL, and the number beside it."""

    rank: int
    image_name: str
    number: str
    is_right: bool
    picture: str


@dataclass(frozen=True)
class RunRanking:
    """The first answers of one run to one query, best first, with `found` of `truths` right answers."""

    name: str
    average_precision: float
    found: int
    truths: int
    hits: tuple[HitPicture, ...]


@dataclass(frozen=True)
class QueryCard:
    """A query, its crop, and its ranking by each run.

    Attributes:
        truths: number of gallery images that show the person.
    """

    name: str
    image_name: str
    picture: str
    truths: int
    rankings: tuple[RunRanking, ...]


@dataclass(frozen=True)
class MaskPicture:
    """A scene of the mask subset with the outlines on it."""

    name: str
    labeled: int
    unlabeled: int
    outlines: int
    picture: str


@dataclass(frozen=True)
class Rankings:
    """The ranked results on one data set.

    Attributes:
        protocol: the protocol searched.
        cards: the queries shown.
        sheets: for each run its name and a picture for print.
        left_out: names of runs that are not shown: re-ranked, or of another protocol.
        has_similarities, has_distances: which numbers stand beside the answers, perhaps both.
    """

    protocol: str
    cards: tuple[QueryCard, ...]
    sheets: tuple[tuple[str, Image.Image], ...]
    left_out: tuple[str, ...]
    has_similarities: bool
    has_distances: bool


@dataclass(frozen=True)
class _Search:
    """The first answers of one run.

    Attributes:
        truths: (Q,) int64, number of right answers by the rules.
        hits: by query.
    """

    name: str
    line: ProtocolResult
    method: Method
    truths: NDArray[np.int64]
    hits: Mapping[int, list[RankedHit]]


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
        return Rankings(str(base.protocol), (), (), left_out, False, False)
    protocol = named_protocol(dataset, base.protocol)
    queries = _chosen(sources, data, shown[0][1])
    searches = [_search(run, line, protocol, queries) for run, line in shown]
    names = {str(protocol.image_names[protocol.query_scenes[query]]) for query in queries}
    names |= {hit.image_name for search in searches for hits in search.hits.values() for hit in hits}
    check_images(dataset.image_dir, sorted(names), what="images of queries and answers")

    called = query_names(protocol.query_ids.tolist())
    cards = []
    for query in queries:
        name = str(protocol.image_names[protocol.query_scenes[query]])
        rankings = tuple(_ranking(search, query, dataset.image_path) for search in searches)
        crop = _crop(dataset.image_path(name), protocol.query_boxes[query])
        truths = int(np.diff(protocol.truth_offsets)[query])
        cards.append(QueryCard(called[query], name, crop, truths, rankings))
    sheets = tuple((search.name, _sheet(search, protocol, queries, dataset)) for search in searches)
    of_distance = [search.method.is_distance for search in searches]
    return Rankings(
        str(base.protocol), tuple(cards), sheets, left_out, not all(of_distance), any(of_distance)
    )


def mask_pictures(dataset: PersonSearchDataset, subset: Subset) -> tuple[MaskPicture, ...]:
    """Returns some scenes of a mask subset with the outlines of their persons painted on them.

    Raises:
        InputFileError: an image is missing or broken.
    """
    pictures = []
    for one in subset_pictures(dataset, subset):
        image = open_picture(one.image)
        scale = min(1.0, _SCENE / max(image.size))
        scene = image.resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
        )
        for outline in one.outlines.values():
            paint_outline(scene, outline.scaled(scale, scale))
        labeled = int((one.pids > 0).sum())
        unlabeled = len(one.pids) - labeled
        pictures.append(MaskPicture(one.name, labeled, unlabeled, len(one.outlines), _address(scene)))
    return tuple(pictures)


def _chosen(sources: Sources, data: DataKey, line: ProtocolResult) -> list[int]:
    comparisons = compare(sources, data)
    by_ap = np.argsort(-line.average_precisions, kind="stable").astype(np.int64)
    return evenly_spaced(comparisons[0].order if comparisons else by_ap, _QUERIES)


def _search(run: Measured, line: ProtocolResult, protocol: SearchProtocol, queries: list[int]) -> _Search:
    if tuple(protocol.query_ids.tolist()) != line.query_ids:
        raise AnnotationError(
            run.path,
            expected=f"the {protocol.num_queries} queries of {line.protocol} in this data set",
            found=f"{line.queries} other queries",
            hint="give the data set that was searched, or evaluate again",
        )
    method = METHODS[line.method]
    detections = _scored_detections(run, line, protocol, queries)
    return _Search(
        name=run.name_of(line),
        line=line,
        method=method,
        truths=apply_rules(protocol, line.rules).truths,
        hits={
            query: ranked_results(
                protocol,
                detections,
                query,
                _HITS,
                score_threshold=line.score_threshold,
                rules=line.rules,
                method=method,
            )
            for query in queries
        },
    )


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
    named = run.file.source.detections
    places = [run.path.with_suffix(".npz"), run.path.parent / DETECTIONS]
    places = [Path(named), run.path.parent / Path(named).name, *places] if named else places
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputFileError(
            places[0] if named else places[-1],
            expected=f"the detections of '{run.label}', to show what it ranked first",
            found="no such file",
            hint=f"maskps eval ... --save-detections {run.path.parent / DETECTIONS}, or leave out --images",
        )
    return path, read_detections(path)


def _ranking(search: _Search, query: int, path_of: Callable[[str], Path]) -> RunRanking:
    hits = search.hits[query]
    pictures = tuple(
        HitPicture(
            rank,
            hit.image_name,
            hit_number(hit, search.method),
            hit.is_match,
            _crop(path_of(hit.image_name), hit.box),
        )
        for rank, hit in enumerate(hits, start=1)
    )
    found = sum(hit.is_match for hit in hits)
    precision, truths = float(search.line.average_precisions[query]), int(search.truths[query])
    return RunRanking(search.name, precision, found, truths, pictures)


def _sheet(
    search: _Search, protocol: SearchProtocol, queries: list[int], dataset: PersonSearchDataset
) -> Image.Image:
    called = query_names(protocol.query_ids.tolist())
    rankings = [
        RankingPicture(
            query_id=called[query],
            image=dataset.image_path(str(protocol.image_names[protocol.query_scenes[query]])),
            box=protocol.query_boxes[query],
            hits=search.hits[query],
            truths=int(search.truths[query]),
            average_precision=float(search.line.average_precisions[query]),
        )
        for query in queries
    ]
    return ranking_sheet(rankings, dataset.image_path, title=search.name, k=_HITS, method=search.method)


def _crop(path: Path, box: NDArray[np.floating]) -> str:
    tile, place = crop_tile(open_picture(path), box, _TILE, context=_CONTEXT)
    return _address(dim_outside(tile, place))


def _address(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
