"""k-reciprocal re-ranking: a gallery person resembles the query if each is among the other's nearest.

From Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.
Each person is described by its k-reciprocal neighbours, and the Jaccard distance of two descriptions is mixed
with the original distance. As in a search, each query is ranked alone: it knows its own gallery and no other
query.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.lengths import lengths_of, weighted_by
from maskps.evaluation.methods.method import Method, QueryGallery

RERANKED = 1000
"""How many of the most similar detections are re-ranked; the others stay behind them in their order."""

_SHORTEST = 1e-12
"""Shorter vectors stay as they are."""


def k_reciprocal_reranking(*, k1: int = 20, k2: int = 6, original_weight: float = 0.3) -> Method:
    """Returns k-reciprocal re-ranking with these settings; the defaults are those of the publication.

    In a larger gallery, only the `RERANKED` most similar detections are re-ranked. Embeddings that are
    multiplied by their scores, as SeqNet's, are compared by direction; the scores weigh what comes out.

    Args:
        original_weight: share of the original distance in the final one; the publication's lambda.
    """

    def adjust(gallery: QueryGallery) -> NDArray[np.float32]:
        first = np.argsort(-gallery.similarities, kind="stable")[:RERANKED]
        found = gallery.detections.embeddings[gallery.rows[first]]
        scores, lengths = gallery.detections.scores[gallery.rows[first]], lengths_of(found)
        are_weighted = weighted_by(scores, lengths)
        if are_weighted:
            found = (found / lengths.clip(min=_SHORTEST)[:, None]).astype(np.float32)
        embeddings = np.concatenate([gallery.embedding[None], found])
        nearness = 1 - reranked_distances(embeddings, k1=k1, k2=k2, original_weight=original_weight)
        changed = gallery.similarities - 2  # below the re-ranked ones, whose similarity is 0 to 1
        changed[first] = nearness * scores if are_weighted else nearness
        return changed

    return Method(
        name="rerank",
        title=" + re-ranking",
        help="Also with k-reciprocal re-ranking, on a line of its own.",
        adjust=adjust,
    )


RERANKING = k_reciprocal_reranking()


def reranked_distances(
    embeddings: NDArray[np.float32], *, k1: int, k2: int, original_weight: float
) -> NDArray[np.float64]:
    """Returns the (n,) final distances of a query from n gallery persons, each from 0 to 1.

    The original distance is the squared Euclidean one, divided by the largest of its row.

    Args:
        embeddings: (n + 1, D) unit vectors, the query first.
    """
    from scipy.sparse import csr_array

    count = len(embeddings)
    if count == 1:
        return np.zeros(0)
    rows = embeddings.astype(np.float64)
    lengths = np.einsum("nd,nd->n", rows, rows)
    distances = np.maximum(lengths[:, None] + lengths[None] - 2 * rows @ rows.T, 0)
    largest = distances.max(axis=1, keepdims=True)
    distances /= np.where(largest > 0, largest, 1)
    ranks = np.argsort(distances, axis=1, kind="stable")[:, : max(k1 + 1, k2)]

    mutual = _reciprocal(ranks[:, : k1 + 1], count)
    mutual_half = _reciprocal(ranks[:, : int(np.around(k1 / 2)) + 1], count)
    shared = (mutual @ mutual_half.T).multiply(mutual).tocoo()  # of each neighbour: how many of its own
    sizes = np.asarray(mutual_half.sum(axis=1)).ravel()
    joins = shared.data > 2 / 3 * sizes[shared.col]
    joining = csr_array((np.ones(joins.sum()), (shared.row[joins], shared.col[joins])), shape=(count, count))
    described = (mutual + joining @ mutual_half).tocoo()

    weights = np.exp(-distances[described.row, described.col])
    weights /= np.bincount(described.row, weights=weights, minlength=count)[described.row]
    description = csr_array((weights, (described.row, described.col)), shape=(count, count))
    if k2 > 1:
        nearest = min(k2, count)
        of, to = np.repeat(np.arange(count), nearest), ranks[:, :nearest].ravel()
        mean = csr_array((np.full(count * nearest, 1 / nearest), (of, to)), shape=(count, count))
        description = mean @ description
    own = description[[0]].toarray()[0]
    columns = np.flatnonzero(own)
    common = np.minimum(description[:, columns].toarray(), own[columns]).sum(axis=1)
    jaccard = 1 - common / (2 - common)
    final: NDArray[np.float64] = (jaccard * (1 - original_weight) + distances[0] * original_weight)[1:]
    return final


def _reciprocal(ranks: NDArray[np.int64], count: int) -> Any:
    """Returns the sparse (count, count) 0/1 matrix of pairs that are in each other's ranks."""
    from scipy.sparse import csr_array

    of = np.repeat(np.arange(count), ranks.shape[1])
    near = csr_array((np.ones(len(of)), (of, ranks.ravel())), shape=(count, count))
    return near.multiply(near.T).tocsr()
