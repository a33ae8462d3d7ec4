"""Similarities of queries with gallery detections: dot products in float64, rounded to float32.

That is what the released code's float32 product aims at, without its dependence on the linear-algebra
library: equal embeddings tie wherever they stand in the matrix. (Cosines below 1e-8 may not, for the noise of
float64 is not rounded away there.)

Few of them have to be known so well (`maskps.evaluation.block_similarities`), so there are also quick ones,
products in float32 whose error has a bound.

Two ways to the same products. All queries are multiplied with all detections, which several protocols share;
or, where galleries are small and most of that is not asked for, each image's detections with those queries
only whose gallery lists the image.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, ragged_ranges
from maskps.errors import AnnotationError, ConfigError
from maskps.evaluation.matching import GalleryBlock, GalleryIndex

Distance = Literal["cosine", "euclidean"]
"""What ranks the detections: the dot product, which is the cosine of unit vectors, or Euclidean distance."""

_PAIRS_AT_ONCE = 8192  # in float64; at D = 256 these are 16 MB
_DETECTIONS_AT_ONCE = 8192
_QUERIES_AT_ONCE = 32  # their similarities at a gallery of 1,000 stay in the cache
_LARGEST, _SMALLEST = 1e37, 1e-30
"""Between them float32 holds products, and what is summed up on the way, to its full accuracy."""

_MOST_DIMENSIONS = 1 << 16
"""Up to it float32 sums tell lengths and margins well enough."""


class Comparison:
    """Query and gallery vectors, and their similarities: quick ones in float32, exact ones from float64.

    The similarity is the dot product, or minus half the squared Euclidean distance.
    """

    def __init__(
        self,
        queries: NDArray[np.float32],
        gallery: NDArray[np.float32],
        *,
        distance: Distance = "cosine",
        exact: bool = False,
    ) -> None:
        """Takes (Q, D) and (K, D) vectors, the latter of the detections `GalleryIndex.rows`.

        Args:
            exact: leave out the quick way.

        Raises:
            AnnotationError: vectors too long, or too short, for float32 to tell their products.
            ConfigError: no such distance.
        """
        self.queries, self.gallery, self.distance = queries, gallery, distance
        self.query_lengths, self.gallery_lengths = lengths(queries), lengths(gallery)
        self._check()
        self._quick_queries, self._quick_gallery = queries, gallery
        largest = self.query_lengths * self.gallery_lengths.max(initial=0)
        if distance == "euclidean":
            self._quick_queries, self._quick_gallery = distances_as_products(queries, gallery)
            largest = lengths(self._quick_queries) * lengths(self._quick_gallery).max(initial=0)
        # |float32 sum - exact| <= D u |q| |e| / (1 - D u), u = 2^-24, in any order of summation (Higham,
        # Accuracy and Stability of Numerical Algorithms, 2002, Eq. 3.5). Rounding the exact one adds
        # u |q| |e|, rounding the vectors of distances 2 u |q| |e|; the rest of 8, and 1.01, make up for the
        # rounding of lengths and margins. Where a product is below 2^-126 its error is not relative any more.
        dim = self._quick_queries.shape[1]
        self.margins = 1.01 * largest * (dim + 8) * 2.0**-24 + dim * 2.0**-126
        self.is_exact = exact or dim > _MOST_DIMENSIONS

    def _check(self) -> None:
        if self.distance not in ("cosine", "euclidean"):
            raise ConfigError("distance", expected="cosine or euclidean", found=repr(self.distance))
        longest = self.query_lengths.max(initial=0), self.gallery_lengths.max(initial=0)
        product = longest[0] * longest[1] if self.distance == "cosine" else max(longest) ** 2
        if product > 0 and not _SMALLEST < product < _LARGEST:
            raise AnnotationError(
                "detections, embeddings",
                expected=f"lengths whose products float32 holds, {_SMALLEST:g} to {_LARGEST:g}",
                found=f"queries as long as {longest[0]:.3g}, detections as long as {longest[1]:.3g}",
                hint="divide all by one number, or every row by its length (normalize=True, --normalize)",
            )

    def with_all(self, queries: slice) -> NDArray[np.float32]:
        """Returns the similarities of n queries with all K detections, (n, K)."""
        if not self.is_exact:
            return self._quick_queries[queries] @ self._quick_gallery.T
        own = self.queries[queries].astype(np.float64)
        similarities = np.empty((len(own), len(self.gallery)), dtype=np.float32)
        for begin in range(0, len(self.gallery), _DETECTIONS_AT_ONCE):  # no float64 copy of all of these
            columns = slice(begin, begin + _DETECTIONS_AT_ONCE)
            similarities[:, columns] = self._exact(own, self.gallery[columns].astype(np.float64))
        return similarities

    def of_block(
        self, rows: NDArray[np.int64], index: GalleryIndex, block: GalleryBlock, *, exact: bool = False
    ) -> NDArray[np.float32]:
        """Returns the similarities of a block's queries with their galleries' detections, one after another.

        Args:
            rows: (n,) which of the queries the block's are.
            exact: take the exact ones.
        """
        is_quick = not (exact or self.is_exact)
        gallery = self._quick_gallery if is_quick else self.gallery
        queries = self._quick_queries[rows] if is_quick else self.queries[rows].astype(np.float64)
        # Numbers of 16 bits are sorted by counting, ten times as fast.
        narrow = np.uint16 if len(index.starts) <= 1 << 16 else np.int32
        by_image = np.argsort(block.images.astype(narrow), kind="stable")
        query_of_entry, images = block.query_of_entry[by_image], block.images[by_image]
        bounds = [0, *(np.flatnonzero(np.diff(images)) + 1).tolist(), len(images)]
        distinct = images[bounds[:-1]] if len(images) else images
        similarities = np.empty(block.offsets[-1], dtype=np.float32)
        listing = np.empty((np.diff(bounds).max(), queries.shape[1]), dtype=queries.dtype)
        end = 0
        for first, last, start, count in zip(
            bounds, bounds[1:], index.starts[distinct].tolist(), index.counts[distinct].tolist(), strict=False
        ):
            if count == 0:
                continue
            own, found = listing[: last - first], gallery[start : start + count]
            queries.take(query_of_entry[first:last], axis=0, out=own, mode="clip")  # "clip" needs no buffer
            begin, end = end, end + len(own) * count
            into = similarities[begin:end].reshape(len(own), count)
            if is_quick:
                np.dot(own, found.T, out=into)
            else:
                into[:] = self._exact(own, found.astype(np.float64))
        begins = np.empty(len(by_image), dtype=np.int64)
        begins[by_image] = offsets_of(block.counts[by_image])[:-1]
        return gathered(similarities, begins, block)

    def of_pairs(self, queries: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the exact similarities of query i with detection i of (m,) pairs."""
        similarities = np.empty(len(queries), dtype=np.float32)
        for begin in range(0, len(queries), _PAIRS_AT_ONCE):
            some = slice(begin, begin + _PAIRS_AT_ONCE)
            own, found = self.queries[queries[some]], self.gallery[places[some]].astype(np.float64)
            if self.distance == "cosine":
                similarities[some] = np.einsum("nd,nd->n", own, found)
            else:
                found -= own
                similarities[some] = np.einsum("nd,nd->n", found, found) / -2
        return similarities

    def _exact(self, own: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.distance == "cosine":
            return own @ found.T
        from scipy.spatial.distance import cdist

        similarities: NDArray[np.float64] = cdist(own, found, "sqeuclidean") / -2
        return similarities


def gathered(
    products: NDArray[np.float32], begins: NDArray[np.int64], block: GalleryBlock
) -> NDArray[np.float32]:
    """Returns the products of a block in its order; those of entry e are at `begins[e]` and after it."""
    values = np.empty(block.offsets[-1], dtype=np.float32)
    for first in range(0, len(block.queries), _QUERIES_AT_ONCE):
        last = min(first + _QUERIES_AT_ONCE, len(block.queries))
        entries = slice(block.entry_offsets[first], block.entry_offsets[last])
        places = ragged_ranges(begins[entries], block.counts[entries])
        own = values[block.offsets[first] : block.offsets[last]]
        products.take(places, out=own, mode="clip")  # "clip" needs no buffer
    return values


def lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the (n,) Euclidean lengths of (n, D) vectors, good to D x 2^-24."""
    with np.errstate(over="ignore", under="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors).astype(np.float64)
    is_lost = (squares < _SMALLEST) | (squares > _LARGEST)
    squares[is_lost] = np.einsum("nd,nd->n", vectors[is_lost], vectors[is_lost], dtype=np.float64)
    return np.sqrt(squares)


def distances_as_products(
    queries: NDArray[np.float32], gallery: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns (Q, D + 2) and (K, D + 2) vectors with -|q - e|^2 / 2 as products, but for their rounding.

    It is q.e - |q|^2 / 2 - |e|^2 / 2. What all vectors have in common is taken off before: it changes no
    distance, and squares much larger than these would drown them.
    """
    common = gallery.mean(axis=0, dtype=np.float64) if len(gallery) else np.zeros(gallery.shape[1])
    own, found = queries - common, gallery - common
    halves = [np.einsum("nd,nd->n", one, one)[:, None] / 2 for one in (own, found)]
    scale = np.sqrt(max(half.max(initial=0) for half in halves)) or 1.0  # makes both new numbers alike
    ones = [np.full_like(half, scale) for half in halves]
    return (
        np.hstack([own, -halves[0] / scale, -ones[0]]).astype(np.float32),
        np.hstack([found, ones[1], halves[1] / scale]).astype(np.float32),
    )
