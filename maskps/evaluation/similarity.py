"""Similarities of queries with gallery detections: computed in float64, rounded to float32.

The released code aims at the same numbers with a float32 product, whose rounding depends on the
linear-algebra library. Here equal embeddings tie wherever they stand in the matrix. (Cosines below 1e-8 may
not: the rounding to float32 does not remove the float64 noise there.)

There are two ways to the same numbers. `Vectors.with_all` compares some queries with all detections, which
several protocols share. `Vectors.of_block` compares each image's detections only with the queries whose
gallery lists the image, which is less work where galleries are small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.lengths import lengths_of
from maskps.evaluation.matching import GalleryBlock, GalleryIndex
from maskps.evaluation.methods import Method

_DETECTIONS_AT_ONCE = 8192
_LARGEST, _SMALLEST = 1e37, 1e-30
"""Between them float32 holds a similarity to its full accuracy."""


class Vectors:
    """The vectors of queries and of gallery detections, ready to be compared by a method."""

    def __init__(self, detections: Detections, rows: NDArray[np.int64], method: Method) -> None:
        """Takes all Q queries, and the K detections in these rows: those of a `GalleryIndex`.

        Raises:
            AnnotationError: vectors so long or so short that float32 cannot hold their similarities.
        """
        everything = len(rows) == len(detections)
        self.queries, self.method = detections.query_embeddings, method
        self.gallery = detections.embeddings if everything else detections.embeddings[rows]
        self.query_lengths, self.gallery_lengths = lengths_of(self.queries), lengths_of(self.gallery)
        longest = self.query_lengths.max(initial=0), self.gallery_lengths.max(initial=0)
        product = max(longest) ** 2 if method.is_distance else longest[0] * longest[1]
        if product > 0 and not _SMALLEST < product < _LARGEST:
            raise AnnotationError(
                "detections, embeddings",
                expected=f"lengths whose products float32 holds, {_SMALLEST:g} to {_LARGEST:g}",
                found=f"queries as long as {longest[0]:.3g}, detections as long as {longest[1]:.3g}",
                hint="divide all by one number, or every row by its length (normalize=True, --normalize)",
            )

    def with_all(self, queries: slice) -> NDArray[np.float32]:
        """Returns the (n, K) similarities of n queries with all detections."""
        own = self.queries[queries].astype(np.float64)
        similarities = np.empty((len(own), len(self.gallery)), dtype=np.float32)
        for begin in range(0, len(self.gallery), _DETECTIONS_AT_ONCE):  # never the whole gallery in float64
            columns = slice(begin, begin + _DETECTIONS_AT_ONCE)
            similarities[:, columns] = self.method.compare(own, self.gallery[columns].astype(np.float64))
        return similarities

    def of_block(
        self, rows: NDArray[np.int64], index: GalleryIndex, block: GalleryBlock
    ) -> NDArray[np.float32]:
        """Returns the similarities of a block's queries with their galleries' detections, one after another.

        Args:
            rows: (n,), the row of each of the block's queries.
        """
        queries, query_of_entry = self.queries[rows].astype(np.float64), block.query_of_entry
        by_image = np.argsort(block.images, kind="stable")
        images, first = np.unique(block.images[by_image], return_index=True)
        similarities = np.empty(block.offsets[-1], dtype=np.float32)
        for image, entries in zip(images, np.split(by_image, first[1:]), strict=False):
            start, count = index.starts[image], index.counts[image]
            found = self.gallery[start : start + count].astype(np.float64)
            places = block.begins[entries][:, None] + np.arange(count)
            similarities[places] = self.method.compare(queries[query_of_entry[entries]], found)
        return similarities
