"""One query's ranking: its first gallery detections, each right or wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.matching import rank_gallery
from maskps.evaluation.methods import COSINE, Method
from maskps.evaluation.rules import Rules
from maskps.evaluation.scoring import prepare_search
from maskps.evaluation.search import SCORE_THRESHOLD, adjusted
from maskps.evaluation.similarity import Vectors
from maskps.protocols.protocol import SearchProtocol


@dataclass(frozen=True)
class RankedHit:
    """One gallery detection in a query's ranking.

    Attributes:
        image_name: the gallery image.
        box: (4,) float32, xyxy, pixels of the original scene.
        similarity: with the query; minus the distance, if the method has `is_distance`.
        is_match: whether it is a right answer by the rules.
    """

    image_name: str
    box: NDArray[np.float32]
    similarity: float
    is_match: bool


def ranked_results(
    protocol: SearchProtocol,
    detections: Detections,
    query: int,
    k: int,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    rules: Rules = "oim",
    method: Method = COSINE,
) -> list[RankedHit]:
    """Returns the first k gallery detections of one query, best first, or all if there are fewer.

    Raises:
        AnnotationError: as `evaluate_search`, or the protocol has no such query.
    """
    if not 0 <= query < protocol.num_queries:
        raise AnnotationError(
            "protocol", expected=f"a query from 0 to {protocol.num_queries - 1}", found=f"query {query}"
        )
    search = prepare_search(protocol, detections, score_threshold, rules)
    block, rows = search.index.block(search.protocol, np.array([query])), search.rows[[query]]
    similarities = Vectors(detections, search.index.rows, method).of_block(rows, search.index, block)
    similarities = adjusted(method, search, block, similarities, detections)
    ranking = rank_gallery(search.protocol, query, similarities, search.index, search.candidates)
    shown = ranking.similarities[:k].astype(np.float64)
    if method.is_distance:
        shown = -np.sqrt(-2 * shown)
    return [
        RankedHit(
            image_name=str(protocol.image_names[image]),
            box=detections.boxes[search.index.rows[place]],
            similarity=float(similarity),
            is_match=bool(is_match),
        )
        for place, image, similarity, is_match in zip(
            ranking.places[:k],
            ranking.images[:k],
            shown,
            ranking.is_match[:k],
            strict=True,
        )
    ]
