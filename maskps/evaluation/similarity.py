"""Cosines of queries with gallery detections: float64 products, rounded to float32.

That is what the released code's float32 product aims at, without its dependence on the linear-algebra
library: equal embeddings tie wherever they stand in the matrix.

Two ways to the same numbers. `all_similarities` multiplies queries with all detections; several protocols
share it. Where galleries are small, most of that is not asked for: `gallery_similarities` multiplies each
image's detections with those queries only whose gallery lists the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, ragged_ranges
from maskps.evaluation.matching import GalleryBlock, GalleryIndex

_DETECTIONS_AT_ONCE = 8192


def all_similarities(
    query_embeddings: NDArray[np.float32], embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns the (n, K) cosines of n queries with K detections, without a float64 copy of all of these."""
    similarities = np.empty((len(query_embeddings), len(embeddings)), dtype=np.float32)
    queries = query_embeddings.astype(np.float64)
    for begin in range(0, len(embeddings), _DETECTIONS_AT_ONCE):
        columns = slice(begin, begin + _DETECTIONS_AT_ONCE)
        similarities[:, columns] = queries @ embeddings[columns].astype(np.float64).T
    return similarities


def gallery_similarities(
    query_embeddings: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    index: GalleryIndex,
    block: GalleryBlock,
) -> NDArray[np.float32]:
    """Returns the cosines of a block's queries with the detections of their galleries, one after another.

    Args:
        query_embeddings: (n, D), one for each query of the block.
        embeddings: (K, D) of the detections `index.rows`.
    """
    queries = query_embeddings.astype(np.float64)
    # Numbers of 16 bits are sorted by counting, ten times as fast.
    narrow = np.uint16 if len(index.starts) <= 1 << 16 else np.int32
    by_image = np.argsort(block.images.astype(narrow), kind="stable")
    query_of_entry, images = block.query_of_entry[by_image], block.images[by_image]
    bounds = [0, *(np.flatnonzero(np.diff(images)) + 1).tolist(), len(images)]
    distinct = images[bounds[:-1]] if len(images) else images
    products = np.empty(block.offsets[-1], dtype=np.float32)
    listing = np.empty((np.diff(bounds).max(), queries.shape[1]))
    end = 0
    for i, (start, count) in enumerate(
        zip(index.starts[distinct].tolist(), index.counts[distinct].tolist(), strict=True)
    ):
        if count == 0:
            continue
        entries = query_of_entry[bounds[i] : bounds[i + 1]]
        rows = listing[: len(entries)]
        queries.take(entries, axis=0, out=rows, mode="clip")  # "clip" writes without a buffer
        begin, end = end, end + len(entries) * count
        products[begin:end] = np.dot(rows, embeddings[start : start + count].astype(np.float64).T).ravel()
    begins = np.empty(len(by_image), dtype=np.int64)
    begins[by_image] = offsets_of(block.counts[by_image])[:-1]
    return products[ragged_ranges(begins, block.counts)]
