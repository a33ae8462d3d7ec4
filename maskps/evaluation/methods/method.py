"""The interface of an evaluation method: how the detections of a query's gallery are ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.detections_file import Detections
from maskps.protocols.protocol import SearchProtocol


@dataclass(frozen=True)
class QueryGallery:
    """One query and the n detections in its gallery, one gallery entry after another.

    Attributes:
        protocol: the protocol, without the gallery entries that the rules skip.
        query: the row of the query in the protocol.
        embedding: (D,) float32, of the query.
        detections: all detections, also those of other images and those below the score threshold.
        rows: (n,) int64, the row of each of the gallery's detections in `detections`.
        entries: (n,) int64, the gallery entry of each, from 0, rising. An image that a gallery lists twice
            is two entries.
        images: (n,) int64, the image of each, a row of `protocol.image_names`.
        similarities: (n,) float32, what `Method.compare` returned for the query and each detection.
        score_threshold: detections below it are not in the gallery.
    """

    protocol: SearchProtocol
    query: int
    embedding: NDArray[np.float32]
    detections: Detections
    rows: NDArray[np.int64]
    entries: NDArray[np.int64]
    images: NDArray[np.int64]
    similarities: NDArray[np.float32]
    score_threshold: float


Compare = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Returns the (n, m) similarities of (n, D) queries with (m, D) detections, larger for more alike."""

Adjust = Callable[[QueryGallery], NDArray[np.floating]]
"""Returns (n,) other similarities, by which the gallery's detections are ranked."""


def dot_products(queries: NDArray[np.float64], detections: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the dot products of all pairs: cosines, if the vectors have length 1."""
    return queries @ detections.T


@dataclass(frozen=True)
class Method:
    """A way to rank the detections of a query's gallery.

    Attributes:
        name: in result files and on the command line.
        title: what a printed table adds to the protocol's name, for example " + CBGM".
        help: one sentence for `--help`.
        compare: compares vectors pair by pair.
        adjust: changes the similarities of one query, which may look at the whole gallery. It costs far
            more than the search, so such a method has a flag of its own (`--cbgm`) and a line of its own.
            None for a method that `--distance` chooses.
        is_distance: `compare` returns minus half the squared Euclidean distance. Vectors are then compared
            with the length they have, and tables show the distance.
        needs_query_images: the method also looks at the detections in the queries' own images.
        for_format: by a data set's format, the method with the settings published for it, if they differ.
    """

    name: str
    title: str
    help: str
    compare: Compare = dot_products
    adjust: Adjust | None = None
    is_distance: bool = False
    needs_query_images: bool = False
    for_format: Mapping[str, Method] = field(default_factory=dict)
