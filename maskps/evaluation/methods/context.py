"""Context bipartite graph matching (CBGM): who stands beside a person is evidence of who the person is.

From SeqNet (Li and Miao, AAAI 2021, Sec. "Context Bipartite Graph Matching"). For each query, in the images
of its `k1` most similar detections: the query and the persons beside it, `k2` in all, are assigned to the
image's detections so that the sum of cosines is the largest. The detection assigned to the query gets the
largest cosine of the whole assignment as its similarity. So a pair with one certain member lifts the other.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_iou
from maskps.columns import rows_of_names
from maskps.errors import AnnotationError
from maskps.evaluation.methods.method import Method, QueryGallery

NMS_IOU = 0.5
"""A detection that overlaps the query's box more than this is the query again (SeqNet's last NMS)."""

_SHORTEST = 1e-12
"""Shorter vectors stay as they are."""


def context_matching(*, k1: int = 10, k2: int = 3) -> Method:
    """Returns CBGM with these settings; SeqNet uses k1, k2 = 10, 3 on CUHK-SYSU and 30, 4 on PRW.

    The persons beside a query are the detections of its image above the score threshold that are not the
    query itself (IoU at most `NMS_IOU`), the highest scores first. Their embeddings get the length of the
    query's: only in a gallery SeqNet weighs an embedding by its score. (SeqNet runs the network on the
    query's image once more, with the query's box among the detections, to the same effect.)
    """

    def adjust(gallery: QueryGallery) -> NDArray[np.float32]:
        beside = gallery.detections.embeddings[_beside_query(gallery)[: k2 - 1]]
        persons = np.concatenate([gallery.embedding[None], beside]).astype(np.float64)
        lengths = np.linalg.norm(persons, axis=1, keepdims=True)
        return _lifted(gallery, persons * (lengths[0] / lengths.clip(min=_SHORTEST)), k1)

    return Method(
        name="cbgm",
        title=" + CBGM",
        help="Also with context matching (SeqNet's CBGM), on a line of its own.",
        adjust=adjust,
        needs_query_images=True,
    )


CBGM = dataclasses.replace(context_matching(), for_format={"prw": context_matching(k1=30, k2=4)})


def _lifted(gallery: QueryGallery, persons: NDArray[np.float64], k1: int) -> NDArray[np.float32]:
    """Returns one query's (n,) similarities after CBGM.

    Args:
        persons: (k, D), the query first, then those beside it.
    """
    from scipy.optimize import linear_sum_assignment

    changed = gallery.similarities.copy()
    best = np.argsort(gallery.similarities)[::-1][:k1]
    is_near = np.isin(gallery.images, gallery.images[best])
    for entry in np.unique(gallery.entries[is_near]):
        places = np.flatnonzero(gallery.entries == entry)
        found = gallery.detections.embeddings[gallery.rows[places]]
        cosines = persons @ found.astype(np.float64).T
        who, which = linear_sum_assignment(cosines, maximize=True)
        if who[0] == 0:  # rising: the query, if it is assigned, comes first
            changed[places[which[0]]] = cosines[who, which].max()
    return changed


def _beside_query(gallery: QueryGallery) -> NDArray[np.int64]:
    """Returns the rows of the detections beside the query, the highest scores first.

    Raises:
        AnnotationError: the detections lack the query's image.
    """
    protocol, detections = gallery.protocol, gallery.detections
    name = protocol.image_names[protocol.query_scenes[gallery.query]]
    (image,) = rows_of_names(detections.image_names, [name])
    if image < 0:
        raise AnnotationError(
            f"detections, image '{name}'",
            expected="detections in the images of all queries: context matching looks at who is beside them",
            found="an image that the detections do not know",
            hint="run the network on the queries' images too, or leave out context matching",
        )
    rows = np.arange(detections.offsets[image], detections.offsets[image + 1])
    rows = rows[detections.scores[rows] >= gallery.score_threshold]
    rows = rows[box_iou(detections.boxes[rows], protocol.query_boxes[gallery.query])[:, 0] <= NMS_IOU]
    return rows[np.argsort(-detections.scores[rows], kind="stable")]
