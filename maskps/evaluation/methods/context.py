"""Context bipartite graph matching (CBGM): who stands beside a person tells something about who it is.

From SeqNet (Li and Miao, AAAI 2021, Sec. "Context Bipartite Graph Matching"). For each query, in the images
of its `k1` most similar detections: the query and the persons beside it, `k2` in all, are assigned to the
image's detections so that the sum of cosines is the largest. The detection that is assigned to the query
gets the largest cosine of the whole assignment as its similarity. So a pair of which one member is certain
lifts the other. It costs an assignment for each query and image, and is reported on a line of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_iou
from maskps.columns import rows_of_names
from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.matching import GalleryBlock
from maskps.evaluation.rules import Rules
from maskps.evaluation.scoring import Search
from maskps.evaluation.search import SCORE_THRESHOLD, SearchResult, evaluate_searches
from maskps.protocols.protocol import SearchProtocol

NMS_IOU = 0.4
"""A detection that overlaps the query's box more than this is the query again (SeqNet's final NMS)."""


def evaluate_with_context(
    protocol: SearchProtocol,
    detections: Detections,
    *,
    k1: int = 10,
    k2: int = 3,
    score_threshold: float = SCORE_THRESHOLD,
    rules: Rules = "oim",
    normalize: bool = False,
) -> SearchResult:
    """Returns the search result after CBGM; SeqNet takes k1, k2 = 10, 3 on CUHK-SYSU and 30, 4 on PRW.

    The persons beside a query are the detections of its image above the score threshold that are not the
    query itself (IoU at most `NMS_IOU`), the highest scores first. (SeqNet runs the network on the query's
    image once more, with the query's box among the detections, to the same effect.)

    Raises:
        AnnotationError: as `evaluate_search`; the detections lack the image of a query.
    """
    if normalize:
        detections = detections.normalized()
    context = [
        _context(protocol, detections, query, k2, score_threshold) for query in range(protocol.num_queries)
    ]

    def adjust(search: Search, block: GalleryBlock, similarities: NDArray[np.float32]) -> NDArray[np.float32]:
        query = int(block.queries[0])
        own = detections.query_embeddings[search.rows[query]][None]
        persons = np.concatenate([own, detections.embeddings[context[query]]]).astype(np.float64)
        rows = search.index.rows[block.places(search.index)]
        return lifted(persons, detections.embeddings[rows], block, similarities, k1)

    return evaluate_searches(
        {"": protocol}, detections, score_threshold=score_threshold, rules=rules, adjust=adjust
    )[""]


def lifted(
    persons: NDArray[np.float64],
    embeddings: NDArray[np.float32],
    block: GalleryBlock,
    similarities: NDArray[np.float32],
    k1: int,
) -> NDArray[np.float32]:
    """Returns one query's (n,) similarities after CBGM.

    Args:
        persons: (k, D), the query first, then those beside it.
        embeddings: (n, D) of the gallery's detections.
        block: the query's gallery.
        similarities: (n,), of the query with the gallery's detections.
    """
    from scipy.optimize import linear_sum_assignment

    changed = similarities.copy()
    best = np.argsort(similarities)[len(similarities) - min(k1, len(similarities)) :]
    entry_of = np.repeat(np.arange(len(block.images)), block.counts)
    images = np.unique(block.images[entry_of[best]])
    for entry in np.flatnonzero(np.isin(block.images, images)):
        span = slice(block.begins[entry], block.begins[entry] + block.counts[entry])
        cosines = persons @ embeddings[span].astype(np.float64).T
        who, which = linear_sum_assignment(cosines, maximize=True)
        if 0 in who:
            changed[span.start + which[np.flatnonzero(who == 0)[0]]] = cosines[who, which].max()
    return changed


def _context(
    protocol: SearchProtocol, detections: Detections, query: int, k2: int, score_threshold: float
) -> NDArray[np.int64]:
    """Returns the rows of the at most k2 - 1 detections beside the query, the highest scores first."""
    name = protocol.image_names[protocol.query_scenes[query]]
    (image,) = rows_of_names(detections.image_names, [name])
    if image < 0:
        raise AnnotationError(
            f"detections, image '{name}'",
            expected="detections in the images of all queries: context matching looks at who is beside them",
            found="an image that the detections do not know",
            hint="run the network on the queries' images too, or leave out context matching",
        )
    rows = np.arange(detections.offsets[image], detections.offsets[image + 1])
    rows = rows[detections.scores[rows] >= float(score_threshold)]
    is_other = box_iou(detections.boxes[rows], protocol.query_boxes[query])[:, 0] <= NMS_IOU
    rows = rows[is_other]
    return rows[np.argsort(-detections.scores[rows], kind="stable")][: k2 - 1]
