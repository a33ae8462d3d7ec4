"""From similarities to average precision, top-k and what went wrong, for a block of queries at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskps.columns import ragged_ranges
from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.matching import (
    GalleryBlock,
    GalleryIndex,
    TruthCandidates,
    index_gallery,
    rank_gallery,
    truth_candidates,
    truth_overlaps,
)
from maskps.evaluation.metrics import TOP_K, average_precisions
from maskps.evaluation.queries import query_rows
from maskps.evaluation.rules import RuledProtocol, Rules, apply_rules
from maskps.protocols.protocol import SearchProtocol

NOT_DETECTED = "not detected"
BELOW_THRESHOLD = "below score threshold"
IOU_TOO_LOW = "IoU too low"
WRONG_FIRST = "wrong person first"
FAILURES = (NOT_DETECTED, BELOW_THRESHOLD, IOU_TOO_LOW, WRONG_FIRST)
"""Why a query's first answer is wrong, from the worst cause to the least bad."""

NEAR_IOU = 0.1
"""A detection with a lower IoU is not counted as near the person (as in TIDE, Bolya et al. 2020)."""


@dataclass
class Search:
    """One protocol's queries and detections, and their scores so far.

    Attributes:
        ruled: the protocol as the rules read it.
        index: the detections above the score threshold.
        candidates: the detections that overlap each true box enough.
        rows: (Q,) int64, the row of `query_embeddings` of each query.
        score_threshold: detections below it are left out.
        average_precisions: (Q,) float64.
        hits: (Q, 3) bool.
        is_found: (Q,) bool, whether any right answer is in the ranking.
    """

    ruled: RuledProtocol
    index: GalleryIndex
    candidates: TruthCandidates
    rows: NDArray[np.int64]
    score_threshold: float
    average_precisions: NDArray[np.float64] = field(init=False)
    hits: NDArray[np.bool_] = field(init=False)
    is_found: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.average_precisions = np.zeros(len(self.rows))
        self.hits = np.zeros((len(self.rows), len(TOP_K)), dtype=np.bool_)
        self.is_found = np.zeros(len(self.rows), dtype=np.bool_)

    @property
    def protocol(self) -> SearchProtocol:
        return self.ruled.protocol

    def score(self, block: GalleryBlock, similarities: NDArray[np.float32]) -> None:
        """Scores the block's queries.

        Args:
            similarities: (P,), of each query with its gallery's detections, one query after another.
        """
        truths, query = _truths_of(self.protocol, block.queries)
        entries = block.entry_offsets[query] + self.protocol.truth_positions[truths]
        counts = np.diff(self.candidates.offsets)[truths]
        numbers = self.candidates.numbers[ragged_ranges(self.candidates.offsets[truths], counts)]
        has_match = counts > 0
        query, counts, entries = query[has_match], counts[has_match], entries[has_match]
        if len(query) == 0:
            return
        places = np.repeat(block.begins[entries], counts) + numbers
        matches = np.maximum.reduceat(similarities[places], np.cumsum(counts) - counts)
        ranked = [similarities[block.offsets[of] : block.offsets[of + 1]] for of in query]
        at_least = np.array(
            [np.count_nonzero(own >= match) for own, match in zip(ranked, matches, strict=True)]
        )
        precisions = average_precisions(query, matches, at_least, rankings=len(block.queries))
        recalls = np.bincount(query, minlength=len(block.queries)) / self.ruled.truths[block.queries]
        self.average_precisions[block.queries] = precisions * recalls

        first = np.unique(query, return_index=True)[1]
        best, found = np.maximum.reduceat(matches, first), block.queries[query[first]]
        above = np.minimum.reduceat(at_least, first) - 1  # besides the best match itself
        for i in np.flatnonzero(above):
            own = ranked[first[i]]
            above[i] = np.count_nonzero(own > best[i])
            if above[i] < max(TOP_K) and np.count_nonzero(own == best[i]) > 1:
                above[i] = self._first_match(int(found[i]), own)
        self.is_found[found] = True
        self.hits[found] = above[:, None] < TOP_K

    def _first_match(self, query: int, similarities: NDArray[np.float32]) -> int:
        """Returns the rank, from 0, of the first right answer to a query that has one."""
        ranking = rank_gallery(self.protocol, query, similarities, self.index, self.candidates)
        return int(ranking.is_match.argmax())

    def failures(self, detections: Detections) -> dict[str, int]:
        """Returns how many queries have a wrong first answer, by cause; each such query has one.

        The cause is the nearest that any of the query's true boxes came to success: a right answer that
        ranks behind a wrong one; a detection that overlaps enough, but whose score is too low; a detection
        above the score threshold that overlaps by at least `NEAR_IOU`, but not enough; none of these.
        """
        causes = np.zeros(len(self.rows), dtype=np.int64)
        if not self.is_found.all():
            query_of_truth = self.protocol.query_of_truth
            truth, _, overlap = truth_overlaps(self.protocol, detections, self.index)
            causes[query_of_truth[truth[overlap >= NEAR_IOU]]] = FAILURES.index(IOU_TOO_LOW)
            everything = index_gallery(self.protocol, detections, -np.inf)
            at_any_score = truth_candidates(self.ruled, detections, everything)
            causes[query_of_truth[np.diff(at_any_score.offsets) > 0]] = FAILURES.index(BELOW_THRESHOLD)
        causes[self.is_found] = FAILURES.index(WRONG_FIRST)
        counts = np.bincount(causes[~self.hits[:, 0]], minlength=len(FAILURES))
        return dict(zip(FAILURES, counts.tolist(), strict=True))


def prepare_search(
    protocol: SearchProtocol, detections: Detections, score_threshold: float, rules: Rules
) -> Search:
    """Returns the protocol ready to be scored.

    Raises:
        AnnotationError: the detections lack gallery images or queries; the protocol has no query, or a query
            without a true box under these rules.
        ConfigError: there are no such rules.
    """
    ruled = apply_rules(protocol, rules)
    rows = query_rows(protocol, detections)
    is_bare = ruled.truths == 0
    if protocol.num_queries == 0 or is_bare.any():
        first = int(np.argmax(is_bare)) if len(is_bare) else 0
        raise AnnotationError(
            "protocol",
            expected="one query or more, each with a true box in its gallery",
            found="no query"
            if protocol.num_queries == 0
            else f"no true box for query {first} ('{protocol.query_ids[first]}'), "
            f"{is_bare.sum()} such queries in all, under the rules '{rules}'",
            hint="the recall of such a query is 0 / 0; 'maskps-data cut' leaves such queries out",
        )
    index = index_gallery(ruled.protocol, detections, score_threshold)
    candidates = truth_candidates(ruled, detections, index)
    return Search(ruled, index, candidates, rows, float(score_threshold))


def _truths_of(
    protocol: SearchProtocol, queries: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the true boxes of these queries, and the place of each one's query among `queries`."""
    counts = np.diff(protocol.truth_offsets)[queries]
    truths = ragged_ranges(protocol.truth_offsets[queries], counts)
    return truths, np.repeat(np.arange(len(queries)), counts)
