"""Person search measured: mAP and top-k of detections under a test protocol, and one query's ranking."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.matching import (
    GalleryIndex,
    TruthCandidates,
    index_gallery,
    rank_gallery,
    truth_candidates,
)
from maskps.evaluation.metrics import TOP_K, average_precision_of_matches, top_k_hits
from maskps.evaluation.protocol import SearchProtocol

SCORE_THRESHOLD = 0.5
"""Gallery detections below this score do not enter the search (the released evaluator's default)."""

_QUERIES_AT_ONCE = 64
_DETECTIONS_AT_ONCE = 8192
_UNIT_NORM_TOLERANCE = 1e-3

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchResult:
    """What the search of one protocol's queries reached.

    Attributes:
        average_precisions: (Q,) float64, each multiplied by the query's recall.
        hits: (Q, 3) bool: a right answer among the first 1, 5, 10.
        gallery_size: longest gallery of the protocol, in images.
        score_threshold: detections below it were left out.
        rules: the matching rule, "oim" (see `maskps.evaluation.matching`).
    """

    average_precisions: NDArray[np.float64]
    hits: NDArray[np.bool_]
    gallery_size: int
    score_threshold: float
    rules: str = "oim"

    @property
    def queries(self) -> int:
        return len(self.average_precisions)

    @property
    def mAP(self) -> float:
        """Mean over the queries, a fraction (in the field's spelling)."""
        return float(np.mean(self.average_precisions))

    @property
    def top1(self) -> float:
        return float(np.mean(self.hits[:, 0]))

    @property
    def top5(self) -> float:
        return float(np.mean(self.hits[:, 1]))

    @property
    def top10(self) -> float:
        return float(np.mean(self.hits[:, 2]))

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain values, fractions at full precision."""
        return {
            "rules": self.rules,
            "gallery_size": self.gallery_size,
            "queries": self.queries,
            "score_threshold": self.score_threshold,
            "mAP": self.mAP,
            "top1": self.top1,
            "top5": self.top5,
            "top10": self.top10,
        }


@dataclass(frozen=True)
class RankedHit:
    """One gallery detection in a query's ranking.

    Attributes:
        image_name: the gallery image.
        box: (4,) float32, xyxy, pixels of the original scene.
        similarity: cosine with the query.
        is_match: whether the matching rule accepts it as a right answer.
    """

    image_name: str
    box: NDArray[np.float32]
    similarity: float
    is_match: bool


def evaluate_search(
    protocol: SearchProtocol, detections: Detections, *, score_threshold: float = SCORE_THRESHOLD
) -> SearchResult:
    """Returns mAP and top-1, 5, 10 under the rules of the released CUHK-SYSU evaluator.

    Per query: candidates are the detections with score >= `score_threshold` in the images of its gallery;
    the right ones follow `maskps.evaluation.matching`; AP is that of `maskps.evaluation.metrics` times
    (right answers) / (gallery entries with a true box), so that a person who was not found counts. An
    image that the gallery lists twice counts twice, on both sides. Top-k looks at the first k candidates.

    Similarity is the dot product, in float64, rounded to float32: what the released code's float32 product
    aims at, without its dependence on the linear-algebra library; equal embeddings tie wherever they are.

    Raises:
        AnnotationError: the detections were made for another protocol: gallery images that they lack,
            another number of queries; a protocol without queries, or with a query without a true box.
    """
    index, candidates = _prepare(protocol, detections, score_threshold)
    truths = np.diff(protocol.truth_offsets)
    if protocol.num_queries == 0 or (truths == 0).any():
        raise AnnotationError(
            "protocol",
            expected="one query or more, each with a true box in its gallery",
            found="no query"
            if protocol.num_queries == 0
            else f"no true box for query {np.argmin(truths)} ('{protocol.query_ids[np.argmin(truths)]}'), "
            f"{(truths == 0).sum()} such queries in all",
            hint="the recall of such a query is 0 / 0; leave it out",
        )
    average_precisions = np.zeros(protocol.num_queries)
    hits = np.zeros((protocol.num_queries, len(TOP_K)), dtype=np.bool_)
    for query, similarities in _similarities(detections, index.rows, range(protocol.num_queries)):
        places, _ = index.of_images(protocol.galleries[query])
        ranked = similarities[places]
        matches = _match_similarities(protocol, query, similarities, candidates)
        recall = len(matches) / truths[query]
        average_precisions[query] = average_precision_of_matches(matches, ranked) * recall
        if len(matches):
            hits[query] = _hits(protocol, query, similarities, ranked, matches.max(), index, candidates)
    return SearchResult(
        average_precisions=average_precisions,
        hits=hits,
        gallery_size=protocol.gallery_size,
        score_threshold=float(score_threshold),
    )


def ranked_results(
    protocol: SearchProtocol,
    detections: Detections,
    query: int,
    k: int,
    *,
    score_threshold: float = SCORE_THRESHOLD,
) -> list[RankedHit]:
    """Returns the first k gallery detections of one query, best first; fewer where there are fewer.

    Raises:
        AnnotationError: as `evaluate_search`; a query that the protocol does not have.
    """
    if not 0 <= query < protocol.num_queries:
        raise AnnotationError(
            "protocol", expected=f"a query from 0 to {protocol.num_queries - 1}", found=f"query {query}"
        )
    index, candidates = _prepare(protocol, detections, score_threshold)
    _, similarities = next(_similarities(detections, index.rows, range(query, query + 1)))
    ranking = rank_gallery(protocol, query, similarities, index, candidates)
    return [
        RankedHit(
            image_name=str(protocol.image_names[image]),
            box=detections.boxes[index.rows[place]],
            similarity=float(similarity),
            is_match=bool(is_match),
        )
        for place, image, similarity, is_match in zip(
            ranking.places[:k],
            ranking.images[:k],
            ranking.similarities[:k],
            ranking.is_match[:k],
            strict=True,
        )
    ]


def _prepare(
    protocol: SearchProtocol, detections: Detections, score_threshold: float
) -> tuple[GalleryIndex, TruthCandidates]:
    if len(detections.query_embeddings) != protocol.num_queries:
        raise AnnotationError(
            "detections, query_embeddings",
            expected=f"one row for each of the protocol's {protocol.num_queries} queries, in its order",
            found=f"{len(detections.query_embeddings)} rows",
            hint="the subsets have query lists of their own; embed the queries of this very protocol",
        )
    _warn_unless_unit_norm(detections)
    index = index_gallery(protocol, detections, score_threshold)
    return index, truth_candidates(protocol, detections, index)


def _warn_unless_unit_norm(detections: Detections) -> None:
    for name in ("query_embeddings", "embeddings"):
        norms = np.linalg.norm(getattr(detections, name), axis=1)
        off = np.abs(norms - 1) > _UNIT_NORM_TOLERANCE
        if off.any():
            _logger.warning(
                "detections, %s: %d of %d rows are not unit vectors (lengths %.3g to %.3g). The dot product "
                "is then not the cosine, and long vectors win; a published code base lost 20 points of mAP "
                "this way. Divide every row by its length.",
                name, off.sum(), len(norms), norms.min(), norms.max(),
            )  # fmt: skip


def _similarities(
    detections: Detections, rows: NDArray[np.int64], queries: range
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yields each query with its (K,) float32 similarity to the detections `rows`.

    Queries and detections are taken in blocks: one matrix product each, and never a float64 copy of all.
    """
    for first in range(queries.start, queries.stop, _QUERIES_AT_ONCE):
        block = range(first, min(first + _QUERIES_AT_ONCE, queries.stop))
        query_embeddings = detections.query_embeddings[block.start : block.stop].astype(np.float64)
        similarities = np.empty((len(block), len(rows)), dtype=np.float32)
        for begin in range(0, len(rows), _DETECTIONS_AT_ONCE):
            columns = slice(begin, begin + _DETECTIONS_AT_ONCE)
            embeddings = detections.embeddings[rows[columns]].astype(np.float64)
            similarities[:, columns] = query_embeddings @ embeddings.T
        yield from zip(block, similarities, strict=True)


def _match_similarities(
    protocol: SearchProtocol, query: int, similarities: NDArray[np.float32], candidates: TruthCandidates
) -> NDArray[np.float32]:
    """Returns the similarity of the right answer to each truth of the query that has one."""
    first, last = protocol.truth_offsets[query], protocol.truth_offsets[query + 1]
    bounds = candidates.offsets[first : last + 1]
    return np.array(
        [similarities[candidates.places[begin:end]].max() for begin, end in pairwise(bounds) if end > begin],
        dtype=np.float32,
    )


def _hits(
    protocol: SearchProtocol,
    query: int,
    similarities: NDArray[np.float32],
    ranked: NDArray[np.float32],
    best: np.float32,
    index: GalleryIndex,
    candidates: TruthCandidates,
) -> NDArray[np.bool_]:
    """Returns the top-k hits; only a tie with the best right answer needs the ranking written out."""
    above = int(np.count_nonzero(ranked > best))
    if above >= max(TOP_K) or np.count_nonzero(ranked == best) == 1:
        return top_k_hits([above])
    ranking = rank_gallery(protocol, query, similarities, index, candidates)
    return top_k_hits(np.flatnonzero(ranking.is_match))
