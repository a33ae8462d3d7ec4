"""Average precision and top-k of one ranking, as the released evaluators define them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOP_K = (1, 5, 10)
"""The k for which the field reports top-k."""


def average_precision(is_match: NDArray[np.bool_], similarities: NDArray[np.floating]) -> float:
    """Returns the AP of n scored candidates, without interpolation, equal scores as one threshold.

    This is scikit-learn's `average_precision_score`: the sum over the distinct scores, from the highest,
    of (rise of recall) x (precision). It knows nothing of persons that were never detected; the caller
    multiplies by the recall. Without a match, and for n = 0, the AP is 0.

    Args:
        is_match: (n,) bool.
        similarities: (n,) float; only the order and the ties count.
    """
    is_match = np.asarray(is_match, dtype=np.bool_)
    return average_precision_of_matches(similarities[is_match], similarities)


def average_precision_of_matches(
    match_similarities: NDArray[np.floating], similarities: NDArray[np.floating]
) -> float:
    """Returns the same AP from the scores of the m matches and of all n candidates (matches included).

    Only thresholds at which a match lies contribute, so n need not be sorted when m is small.
    """
    matches = len(match_similarities)
    if matches == 0:
        return 0.0
    thresholds, ties = np.unique(match_similarities, return_counts=True)
    thresholds, ties = thresholds[::-1], ties[::-1]
    if len(thresholds) <= 16:
        ranked = np.array([np.count_nonzero(similarities >= threshold) for threshold in thresholds])
    else:
        below = np.searchsorted(np.sort(similarities), thresholds, side="left")
        ranked = np.asarray(len(similarities) - below)
    return float(np.sum(ties / matches * (np.cumsum(ties) / ranked)))


def top_k_hits(ranks: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns (3,) bool: whether one of the 0-based ranks of the matches is below 1, 5, 10."""
    best = min(ranks, default=np.inf)
    return np.array([best < k for k in TOP_K])
