"""Ranked results as pictures (Fig. 5): the same queries by every run, right and wrong answers framed."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.datasets.protocols import open_protocol
from maskps.errors import AnnotationError, InputFileError
from maskps.evaluation import Detections, RankedHit, SearchProtocol, ranked_results, read_detections
from maskps.evaluation.result_file import ProtocolResult
from maskps.images import check_images
from maskps.pictures.drawing import crop_tile, dim_outside, open_picture, paint_outline
from maskps.pictures.rows import subset_pictures
from maskps.pictures.sheets import RankingPicture, ranking_sheet
from maskps.report.comparison import compare
from maskps.report.sources import DataKey, Measured, Sources
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset

DETECTIONS = "detections.npz"
_QUERIES, _HITS = 6, 5
_TILE = (180, 360)
_SCENE = 720
_CONTEXT = 0.15


@dataclass(frozen=True)
class HitPicture:
    """One answer: its rank from 1, its crop as a data address, and what is written beside it."""

    rank: int
    image_name: str
    similarity: float
    is_right: bool
    picture: str


@dataclass(frozen=True)
class RunRanking:
    """The first answers of one run to one query, best first."""

    name: str
    average_precision: float
    found: int
    hits: tuple[HitPicture, ...]


@dataclass(frozen=True)
class QueryCard:
    """A query, its crop, and its ranking by each run.

    Attributes:
        truths: gallery images that hold the person.
    """

    query_id: str
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
    """The section of one data set.

    Attributes:
        protocol: the protocol searched.
        cards: the queries shown.
        sheets: for each run its name and a picture for print.
        left_out: names of runs whose ranking cannot be shown: not by plain similarity and the rules oim.
    """

    protocol: str
    cards: tuple[QueryCard, ...]
    sheets: tuple[tuple[str, Image.Image], ...]
    left_out: tuple[str, ...]


def ranked_pictures(sources: Sources, data: DataKey, dataset: PersonSearchDataset) -> Rankings:
    """Returns some queries with their first answers by each run on `data`.

    Queries are evenly spaced in the order of falling AP, of two runs or more in the order of the second one's
    gain over the first: neither the best nor the worst are chosen for their own sake.

    Raises:
        InputFileError: a run's detections are not there or broken; images that are missing or broken.
        AnnotationError: detections that are not those of the result.
        ConfigError: the data set has no such protocol.
    """
    runs = [(run, line) for run in sources.of(data).measured if (line := run.usual()) is not None]
    base = runs[0][1]
    shown = [(run, line) for run, line in runs if _is_plain(line) and line.protocol == base.protocol]
    left_out = tuple(run.name_of(line) for run, line in runs if (run, line) not in shown)
    if not shown:
        return Rankings(base.protocol, (), (), left_out)
    protocol = open_protocol(dataset, shown[0][1].protocol)
    queries = _chosen(sources, data, shown[0][1])
    found = {
        run.label: {query: hits for query, hits in _hits(run, line, protocol, queries)} for run, line in shown
    }
    names = {str(protocol.image_names[protocol.query_scenes[query]]) for query in queries}
    names |= {hit.image_name for by_query in found.values() for hits in by_query.values() for hit in hits}
    check_images(dataset.image_dir, sorted(names), what="images of queries and answers")

    cards = []
    for query in queries:
        name = str(protocol.image_names[protocol.query_scenes[query]])
        rankings = tuple(
            _ranking(run.label, line, query, found[run.label][query], dataset.image_path)
            for run, line in shown
        )
        crop = _crop(dataset.image_path(name), protocol.query_boxes[query])
        truths = int(np.diff(protocol.truth_offsets)[query])
        cards.append(QueryCard(str(protocol.query_ids[query]), name, crop, truths, rankings))
    sheets = tuple(
        (run.label, _sheet(run, line, protocol, queries, found[run.label], dataset)) for run, line in shown
    )
    return Rankings(base.protocol, tuple(cards), sheets, left_out)


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


def _is_plain(line: ProtocolResult) -> bool:
    return line.method == "cosine" and line.rules == "oim"


def _chosen(sources: Sources, data: DataKey, line: ProtocolResult) -> list[int]:
    comparisons = compare(sources, data)
    order: NDArray[np.int64]
    if comparisons:
        order = comparisons[0].order
    else:
        order = np.argsort(-line.average_precisions, kind="stable").astype(np.int64)
    places = np.unique(np.round(np.linspace(0, len(order) - 1, min(_QUERIES, len(order)))).astype(int))
    return [int(query) for query in order[places]]


def _hits(
    run: Measured, line: ProtocolResult, protocol: SearchProtocol, queries: list[int]
) -> list[tuple[int, list[RankedHit]]]:
    path, detections = _detections_of(run)
    if tuple(protocol.query_ids.tolist()) != line.query_ids:
        raise AnnotationError(
            run.path,
            expected=f"the {protocol.num_queries} queries of {line.protocol} in this data set",
            found=f"{line.queries} other ones",
            hint="give the data set that was searched, or evaluate again",
        )
    results = []
    for query in queries:
        hits = ranked_results(protocol, detections, query, _HITS, score_threshold=line.score_threshold)
        is_right = bool(hits) and hits[0].is_match
        if is_right != bool(line.hits[query, 0]):
            raise AnnotationError(
                path,
                expected=f"the detections that {run.path} was computed from",
                found=f"another first answer to query {query} ('{line.query_ids[query]}')",
                hint="write both again, with --save-detections and --out of maskps eval",
            )
        results.append((query, hits))
    return results


def _detections_of(run: Measured) -> tuple[Path, Detections]:
    """Returns the detections that a result names, or that lie beside it."""
    named = run.file.source.detections
    places = [run.path.parent / DETECTIONS]
    places = [Path(named), run.path.parent / Path(named).name, *places] if named else places
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputFileError(
            places[0],
            expected=f"the detections of '{run.label}', to show what it ranked first",
            found="no such file",
            hint=f"maskps eval ... --save-detections {run.path.parent / DETECTIONS}, or leave out --images",
        )
    return path, read_detections(path)


def _ranking(
    name: str, line: ProtocolResult, query: int, hits: list[RankedHit], path_of: Callable[[str], Path]
) -> RunRanking:
    pictures = tuple(
        HitPicture(
            rank, hit.image_name, hit.similarity, hit.is_match, _crop(path_of(hit.image_name), hit.box)
        )
        for rank, hit in enumerate(hits, start=1)
    )
    found = sum(hit.is_match for hit in hits)
    return RunRanking(name, float(line.average_precisions[query]), found, pictures)


def _sheet(
    run: Measured,
    line: ProtocolResult,
    protocol: SearchProtocol,
    queries: list[int],
    found: dict[int, list[RankedHit]],
    dataset: PersonSearchDataset,
) -> Image.Image:
    rankings = [
        RankingPicture(
            query_id=str(protocol.query_ids[query]),
            image=dataset.image_path(str(protocol.image_names[protocol.query_scenes[query]])),
            box=protocol.query_boxes[query],
            hits=found[query],
            truths=int(np.diff(protocol.truth_offsets)[query]),
            average_precision=float(line.average_precisions[query]),
        )
        for query in queries
    ]
    return ranking_sheet(rankings, dataset.image_path, title=run.label, k=_HITS)


def _crop(path: Path, box: NDArray[np.floating]) -> str:
    tile, place = crop_tile(open_picture(path), box, _TILE, context=_CONTEXT)
    return _address(dim_outside(tile, place))


def _address(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
