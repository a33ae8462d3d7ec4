"""Which detections are right answers: the matching rule of the released CUHK-SYSU evaluator ("oim").

A gallery image that holds the query's person at box g (width w, height h) has one right answer at most:
the first of its detections, in order of falling similarity, whose IoU with g reaches
min(0.5, w h / ((w + 10) (h + 10))). Every other detection is wrong, also a second one on the same person.
The paper (Sec. 4.1) says IoU above a fixed 0.5; the released evaluator lowers it for small boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, ragged_ranges, rows_of_names
from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.protocol import SearchProtocol


@dataclass(frozen=True)
class GalleryIndex:
    """The detections above the score threshold, grouped by the images of one protocol.

    Attributes:
        rows: (K,) int64, rows of `Detections`, rising.
        starts: (M,) int64, where image m of the protocol begins in `rows`.
        counts: (M,) int64, how many detections it has.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    def of_images(self, images: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the places in `rows` of all detections of these images, in order, and the (n,) counts.

        An image that is listed twice contributes its detections twice. -1 pads and contributes nothing.
        """
        images = images[images >= 0]
        counts = self.counts[images]
        return ragged_ranges(self.starts[images], counts), counts


@dataclass(frozen=True)
class TruthCandidates:
    """For each truth of a protocol, the detections in its image that overlap it enough.

    Attributes:
        offsets: (T + 1,) int64; candidates of truth t are `places[offsets[t]:offsets[t + 1]]`.
        places: (C,) int64, places in `GalleryIndex.rows`, rising within a truth.
    """

    offsets: NDArray[np.int64]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """One query's gallery detections, best first.

    Attributes:
        places: (n,) int64, places in `GalleryIndex.rows`.
        images: (n,) int64, rows of `SearchProtocol.image_names`.
        similarities: (n,) float32, falling.
        is_match: (n,) bool.
    """

    places: NDArray[np.int64]
    images: NDArray[np.int64]
    similarities: NDArray[np.float32]
    is_match: NDArray[np.bool_]


def index_gallery(protocol: SearchProtocol, detections: Detections, score_threshold: float) -> GalleryIndex:
    """Returns the detections with score >= `score_threshold`, grouped by the protocol's images.

    Raises:
        AnnotationError: a gallery image that the detections do not know. (An image in which nothing was
            found must be listed, without rows: an image that was never looked at must not pass for one.)
    """
    wanted = np.unique(protocol.galleries)
    wanted = wanted[wanted >= 0]
    rows = rows_of_names(detections.image_names, protocol.image_names)
    is_known = rows >= 0
    missing = wanted[~is_known[wanted]]
    if len(missing):
        raise AnnotationError(
            f"detections, image '{protocol.image_names[missing[0]]}'",
            expected=f"all {len(wanted)} gallery images of the protocol, also those without a detection",
            found=f"{len(missing)} of them are not among the {detections.num_images} images",
            hint="run the network on these images, or take the protocol that the detections were made for",
        )
    is_kept = detections.scores >= float(score_threshold)
    kept_before = np.concatenate([[0], np.cumsum(is_kept)])
    bounds = kept_before[detections.offsets]
    starts = np.zeros(len(protocol.image_names), dtype=np.int64)
    counts = np.zeros(len(protocol.image_names), dtype=np.int64)
    starts[is_known] = bounds[rows[is_known]]
    counts[is_known] = bounds[rows[is_known] + 1] - bounds[rows[is_known]]
    return GalleryIndex(rows=np.flatnonzero(is_kept), starts=starts, counts=counts)


def iou_thresholds(truth_boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the (T,) IoU that a right answer must reach: min(0.5, w h / ((w + 10) (h + 10)))."""
    boxes = truth_boxes.astype(np.float64).reshape(-1, 4)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.minimum(0.5, width * height / ((width + 10) * (height + 10)))


def truth_candidates(
    protocol: SearchProtocol, detections: Detections, index: GalleryIndex
) -> TruthCandidates:
    """Returns, for each truth, the detections in its gallery image that reach its IoU threshold."""
    images = protocol.galleries[protocol.query_of_truth, protocol.truth_positions]
    counts = index.counts[images]
    places = ragged_ranges(index.starts[images], counts)
    truth = np.repeat(np.arange(len(images)), counts)
    overlap = _paired_iou(detections.boxes[index.rows[places]], protocol.truth_boxes[truth])
    is_enough = overlap >= iou_thresholds(protocol.truth_boxes)[truth]
    kept = np.bincount(truth[is_enough], minlength=len(images))
    return TruthCandidates(offsets=offsets_of(kept), places=places[is_enough])


def rank_gallery(
    protocol: SearchProtocol,
    query: int,
    similarities: NDArray[np.float32],
    index: GalleryIndex,
    candidates: TruthCandidates,
) -> Ranking:
    """Returns one query's whole ranking, equal similarities in the order of the released evaluator.

    That order is `numpy.argsort(similarities)[::-1]`, first within each image that holds the person, then
    over the concatenation of the gallery. numpy does not promise an order of ties; asking it the same
    question about the same array is the only way to give the released answer.

    Args:
        similarities: (K,) float32 of the query with each of `index.rows`.
    """
    gallery = protocol.galleries[query]
    places, counts = index.of_images(gallery)
    begins = np.cumsum(counts) - counts
    is_match = np.zeros(len(places), dtype=np.bool_)
    first, last = protocol.truth_offsets[query], protocol.truth_offsets[query + 1]
    for truth in range(first, last):
        # Ragged galleries are padded at their end, so a position is also an index into `begins`.
        position = protocol.truth_positions[truth]
        rows = slice(begins[position], begins[position] + counts[position])
        order = np.argsort(similarities[places[rows]])[::-1]
        places[rows] = places[rows][order]
        right = candidates.places[candidates.offsets[truth] : candidates.offsets[truth + 1]]
        reaching = np.flatnonzero(np.isin(places[rows], right))
        if len(reaching):
            is_match[begins[position] + reaching[0]] = True
    order = np.argsort(similarities[places])[::-1]
    images = np.repeat(gallery[gallery >= 0], counts).astype(np.int64)
    return Ranking(places[order], images[order], similarities[places[order]], is_match[order])


def _paired_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the (n,) IoU of row i with row i, in float64, in the released order of operations."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    side = np.maximum(0, np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]))
    intersection = side[:, 0] * side[:, 1]
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    union = size_a[:, 0] * size_a[:, 1] + size_b[:, 0] * size_b[:, 1] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
