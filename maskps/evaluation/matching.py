"""Which detections are right answers.

A gallery image that shows the query's person at box g has at most one right answer: its most similar
detection whose IoU with g is large enough (see `maskps.evaluation.rules`). Every other detection is wrong,
even a second one on the same person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, ragged_ranges
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.rules import RuledProtocol
from maskps.protocols.protocol import SearchProtocol


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

    def block(self, protocol: SearchProtocol, queries: NDArray[np.int64]) -> GalleryBlock:
        """Returns the galleries of these (n,) queries, one after another. -1, which pads, adds nothing.

        An image that a gallery lists twice adds its detections twice.
        """
        galleries = protocol.galleries[queries]
        is_entry = galleries >= 0
        lengths = np.count_nonzero(is_entry, axis=1)
        images = galleries[is_entry]
        counts = self.counts[images]
        begins = offsets_of(counts)
        entry_offsets = offsets_of(lengths)
        return GalleryBlock(
            queries=queries,
            offsets=begins[entry_offsets],
            entry_offsets=entry_offsets,
            images=images,
            begins=begins[:-1],
            counts=counts,
        )


@dataclass(frozen=True)
class GalleryBlock:
    """The galleries of some queries: their entries, and the detections of all entries in the same order.

    Attributes:
        queries: (n,) int64, rows of the protocol's queries.
        offsets: (n + 1,) int64; the detections of query i of the block are `offsets[i]:offsets[i + 1]`.
        entry_offsets: (n + 1,) int64; the entries of query i are `entry_offsets[i]:entry_offsets[i + 1]`.
        images: (E,) int32, rows of `SearchProtocol.image_names`.
        begins: (E,) int64, where the detections of each entry begin.
        counts: (E,) int64, how many detections each entry has.
    """

    queries: NDArray[np.int64]
    offsets: NDArray[np.int64]
    entry_offsets: NDArray[np.int64]
    images: NDArray[np.int32]
    begins: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def query_of_entry(self) -> NDArray[np.int64]:
        """(E,) int64: the query of each entry, counted within the block."""
        return np.repeat(np.arange(len(self.queries)), np.diff(self.entry_offsets))

    def places(self, index: GalleryIndex) -> NDArray[np.int64]:
        """Returns the place of every detection in `index.rows`."""
        return ragged_ranges(index.starts[self.images], self.counts)


@dataclass(frozen=True)
class TruthCandidates:
    """For each true box of a protocol, the detections in its image that overlap it enough.

    Attributes:
        offsets: (T + 1,) int64; the candidates of true box t are `numbers[offsets[t]:offsets[t + 1]]`.
        numbers: (C,) int64, numbers of detections within the image, from 0; rising for each true box.
    """

    offsets: NDArray[np.int64]
    numbers: NDArray[np.int64]


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
        AnnotationError: the detections do not list a gallery image.
    """
    is_wanted = np.zeros(len(protocol.image_names) + 1, dtype=np.bool_)
    is_wanted[protocol.galleries] = True  # -1, which pads, marks the surplus last element
    wanted = np.flatnonzero(is_wanted[:-1])
    rows = detections.rows_of(protocol.image_names[wanted], what="gallery images of the protocol")
    is_kept = detections.scores >= float(score_threshold)
    kept_before = np.concatenate([[0], np.cumsum(is_kept)])
    bounds = kept_before[detections.offsets]
    starts = np.zeros(len(protocol.image_names), dtype=np.int64)
    counts = np.zeros(len(protocol.image_names), dtype=np.int64)
    starts[wanted] = bounds[rows]
    counts[wanted] = bounds[rows + 1] - bounds[rows]
    return GalleryIndex(rows=np.flatnonzero(is_kept), starts=starts, counts=counts)


def truth_candidates(ruled: RuledProtocol, detections: Detections, index: GalleryIndex) -> TruthCandidates:
    """Returns the detections in each true box's gallery image that overlap it enough."""
    truth, numbers, overlap = truth_overlaps(ruled.protocol, detections, index)
    thresholds = ruled.iou_thresholds[truth]
    is_enough = overlap > thresholds if ruled.is_strict else overlap >= thresholds
    kept = np.bincount(truth[is_enough], minlength=len(ruled.iou_thresholds))
    return TruthCandidates(offsets=offsets_of(kept), numbers=numbers[is_enough])


def truth_overlaps(
    protocol: SearchProtocol, detections: Detections, index: GalleryIndex
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns all pairs of a true box and a detection in its image: true box, number of detection, IoU."""
    images = protocol.truth_scenes
    counts = index.counts[images]
    places = ragged_ranges(index.starts[images], counts)
    truth = np.repeat(np.arange(len(images)), counts)
    overlap = paired_iou(detections.boxes[index.rows[places]], protocol.truth_boxes[truth])
    return truth, places - index.starts[images][truth], overlap


def rank_gallery(
    protocol: SearchProtocol,
    query: int,
    similarities: NDArray[np.float32],
    index: GalleryIndex,
    candidates: TruthCandidates,
) -> Ranking:
    """Returns one query's whole ranking, with equal similarities in the order of the released evaluator.

    That order is `numpy.argsort(similarities)[::-1]`, first within each image that shows the person, then
    over the whole gallery. numpy promises no order of ties, so only the same call on the same array gives
    the released answer.

    Args:
        similarities: (n,) float32, of the query with its gallery's detections, in the gallery's order.
    """
    block = index.block(protocol, np.array([query]))
    places, similarities = block.places(index), similarities.copy()
    is_match = np.zeros(len(places), dtype=np.bool_)
    for truth in range(protocol.truth_offsets[query], protocol.truth_offsets[query + 1]):
        # Ragged galleries are padded at their end, so a position is also an entry of the block.
        position = protocol.truth_positions[truth]
        begin = block.begins[position]
        rows = slice(begin, begin + block.counts[position])
        order = np.argsort(similarities[rows])[::-1]
        places[rows], similarities[rows] = places[rows][order], similarities[rows][order]
        right = candidates.numbers[candidates.offsets[truth] : candidates.offsets[truth + 1]]
        reaching = np.flatnonzero(np.isin(order, right))
        if len(reaching):
            is_match[begin + reaching[0]] = True
    order = np.argsort(similarities)[::-1]
    images = np.repeat(block.images, block.counts).astype(np.int64)
    return Ranking(places[order], images[order], similarities[order], is_match[order])


def paired_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the (n,) IoU of row i with row i, in float64, in the released order of operations."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    side = np.maximum(0, np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]))
    intersection = side[:, 0] * side[:, 1]
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    union = size_a[:, 0] * size_a[:, 1] + size_b[:, 0] * size_b[:, 1] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
