"""Person search: mAP and top-k of detections under a test protocol."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.detections_file import Detections
from maskps.evaluation.lengths import UNIT_TOLERANCE, weighted_by
from maskps.evaluation.matching import GalleryBlock
from maskps.evaluation.methods import COSINE, Method, QueryGallery
from maskps.evaluation.rules import Rules
from maskps.evaluation.scoring import Search, prepare_search
from maskps.evaluation.similarity import Vectors
from maskps.protocols.protocol import SearchProtocol

SCORE_THRESHOLD = 0.5
"""Gallery detections below this score do not enter the search (the released evaluator's default)."""

_QUERIES_AT_ONCE = 256
_PAIRS_AT_ONCE = 4_000_000
_SPARSE_COST = 4  # comparing selected pairs costs about this much more per pair than comparing all pairs

_logger = logging.getLogger(__name__)

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class SearchResult:
    """The result of searching one protocol's Q queries.

    Attributes:
        average_precisions: (Q,) float64, each multiplied by the query's recall.
        hits: (Q, 3) bool, whether a right answer is among the first 1, 5, 10.
        gallery_size: longest gallery of the protocol, in images.
        score_threshold: detections below it were left out.
        rules: see `maskps.evaluation.rules`.
        failures: how many queries have a wrong first answer, by cause (see `maskps.evaluation.scoring`).
        query_ids: (Q,), the data set's own identity of each query.
    """

    average_precisions: NDArray[np.float64]
    hits: NDArray[np.bool_]
    gallery_size: int
    score_threshold: float
    rules: Rules = "oim"
    failures: Mapping[str, int] = field(default_factory=dict)
    query_ids: tuple[str, ...] = ()

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

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """Returns the numbers as plain values, fractions at full precision.

        Args:
            per_query: also return the id, AP and hits of each query.
        """
        numbers: dict[str, Any] = {
            "rules": self.rules,
            "gallery_size": self.gallery_size,
            "queries": self.queries,
            "score_threshold": self.score_threshold,
            "mAP": self.mAP,
            "top1": self.top1,
            "top5": self.top5,
            "top10": self.top10,
            "failures": dict(self.failures),
        }
        if per_query:
            numbers["query_ids"] = list(self.query_ids)
            numbers["average_precisions"] = self.average_precisions.tolist()
            numbers["hits"] = self.hits.tolist()
        return numbers


def evaluate_search(
    protocol: SearchProtocol,
    detections: Detections,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    rules: Rules = "oim",
    normalize: bool = False,
    method: Method = COSINE,
) -> SearchResult:
    """Returns mAP, top-1, 5, 10 and the causes of failures under one of the three rules.

    A query's candidates are the detections with score >= `score_threshold` in the images of its gallery.
    `maskps.evaluation.matching` and `rules` decide which of them are right. The AP is that of
    `maskps.evaluation.metrics`, multiplied by (right answers) / (true boxes), so that a person who was not
    found counts. Top-k is whether a right answer is among the first k candidates, with equal similarities
    in the order of the released evaluator.

    Args:
        normalize: divide every embedding by its length first. The default takes embeddings as they are, as
            the released evaluators do, and logs a warning if a dot product is then not the cosine.
        method: what ranks the candidates, one of `maskps.evaluation.METHODS` or your own.

    Raises:
        AnnotationError: the detections lack gallery images or queries; the protocol has no query, or a query
            without a true box under these rules.
        ConfigError: there are no such rules.
    """
    return evaluate_searches(
        {"": protocol},
        detections,
        score_threshold=score_threshold,
        rules=rules,
        normalize=normalize,
        method=method,
    )[""]


def evaluate_searches(
    protocols: Mapping[Name, SearchProtocol],
    detections: Detections,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    rules: Rules = "oim",
    normalize: bool = False,
    method: Method = COSINE,
) -> dict[Name, SearchResult]:
    """Returns what `evaluate_search` returns, for several protocols that share their similarities.

    Args:
        protocols: by any name; the detections must have the queries and gallery images of all.
    """
    if normalize:
        detections = detections.normalized()
    searches = {
        name: prepare_search(protocol, detections, score_threshold, rules)
        for name, protocol in protocols.items()
    }
    rows = next(iter(searches.values())).index.rows  # the same for all: they depend on the threshold only
    vectors = Vectors(detections, rows, method)
    are_weighted = weighted_by(detections.scores[rows], vectors.gallery_lengths)
    if not method.is_distance:
        _warn_unless_unit_vectors("query_embeddings", vectors.query_lengths)
        if not are_weighted:
            _warn_unless_unit_vectors("embeddings", vectors.gallery_lengths)
    elif are_weighted:
        _logger.warning(
            "detections, embeddings: they are multiplied by their scores, as SeqNet does for products. By a "
            "distance, detections of a low score can then be nearer than those of a high one. Divide every "
            "row by its length (normalize=True, --normalize)."
        )
    for search, block, similarities in _blocks(list(searches.values()), vectors):
        search.score(block, adjusted(method, search, block, similarities, detections))
    return {
        name: SearchResult(
            average_precisions=search.average_precisions,
            hits=search.hits,
            gallery_size=protocols[name].gallery_size,
            score_threshold=float(score_threshold),
            rules=rules,
            failures=search.failures(detections),
            query_ids=tuple(protocols[name].query_ids.tolist()),
        )
        for name, search in searches.items()
    }


def _blocks(
    searches: list[Search], vectors: Vectors
) -> Iterator[tuple[Search, GalleryBlock, NDArray[np.float32]]]:
    """Yields all queries of all searches in blocks, with their similarities to their galleries' detections.

    If the galleries hold most pairs of a query and a detection, all pairs are compared, once for all
    searches. Otherwise only the pairs of each search are.
    """
    sizes = [_candidates(search) for search in searches]
    query_count, gallery_count = len(vectors.queries), len(vectors.gallery)
    if _SPARSE_COST * sum(int(size.sum()) for size in sizes) < query_count * gallery_count:
        for search, size in zip(searches, sizes, strict=True):
            for queries in _split(np.arange(len(search.rows)), size):
                block = search.index.block(search.protocol, queries)
                yield search, block, vectors.of_block(search.rows[queries], search.index, block)
        return
    for first in range(0, query_count, _QUERIES_AT_ONCE):
        last = first + _QUERIES_AT_ONCE
        similarities = vectors.with_all(slice(first, last))
        for search, size in zip(searches, sizes, strict=True):
            within = np.flatnonzero((search.rows >= first) & (search.rows < last))
            for queries in _split(within, size[within]):
                block = search.index.block(search.protocol, queries)
                of_detection = np.repeat(search.rows[queries] - first, np.diff(block.offsets))
                yield search, block, similarities[of_detection, block.places(search.index)]


def _candidates(search: Search) -> NDArray[np.int64]:
    """Returns (Q,) int64: how many detections each query's gallery has."""
    counts = np.append(search.index.counts, 0)  # -1, which pads, finds the 0
    found: NDArray[np.int64] = counts[search.protocol.galleries].sum(axis=1)
    return found


def _split(queries: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Returns the queries in runs of about `_PAIRS_AT_ONCE` detections."""
    if len(queries) == 0:
        return []
    run = np.cumsum(sizes) // _PAIRS_AT_ONCE
    return np.split(queries, np.flatnonzero(np.diff(run)) + 1)


def adjusted(
    method: Method,
    search: Search,
    block: GalleryBlock,
    similarities: NDArray[np.float32],
    detections: Detections,
) -> NDArray[np.float32]:
    """Returns the similarities of a block's queries after `Method.adjust`."""
    if method.adjust is None:
        return similarities
    changed = similarities.copy()
    rows = search.index.rows[block.places(search.index)]
    images = np.repeat(block.images, block.counts).astype(np.int64)
    entries = np.repeat(np.arange(len(block.images)), block.counts)
    for i, query in enumerate(block.queries.tolist()):
        span = slice(block.offsets[i], block.offsets[i + 1])
        changed[span] = method.adjust(
            QueryGallery(
                protocol=search.protocol,
                query=query,
                embedding=detections.query_embeddings[search.rows[query]],
                detections=detections,
                rows=rows[span],
                entries=entries[span] - block.entry_offsets[i],
                images=images[span],
                similarities=similarities[span],
                score_threshold=search.score_threshold,
            )
        )
    return changed


def _warn_unless_unit_vectors(name: str, found: NDArray[np.float64]) -> None:
    off = np.abs(found - 1) > UNIT_TOLERANCE
    if off.any():
        _logger.warning(
            "detections, %s: %d of %d rows are not unit vectors (lengths %.3g to %.3g). The dot product "
            "is then not the cosine, and long vectors win; a published code base lost 20 points of mAP "
            "this way. Divide every row by its length (normalize=True, --normalize).",
            name, off.sum(), len(found), found.min(), found.max(),
        )  # fmt: skip
