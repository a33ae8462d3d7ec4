"""Average precision, as the released evaluators define it, and the k of top-k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOP_K = (1, 5, 10)
"""The k for which the field reports top-k."""


def average_precision(is_match: NDArray[np.bool_], similarities: NDArray[np.floating]) -> float:
    """Returns the AP of n scored candidates, without interpolation, equal scores as one threshold.

    This is scikit-learn's `average_precision_score`: the sum over the distinct scores, from the highest,
    of (rise of recall) x (precision). It ignores persons that were never detected; the caller multiplies by
    the recall. Without a match, and for n = 0, the AP is 0.

    Args:
        is_match: (n,) bool.
        similarities: (n,) float; only their order and ties matter.
    """
    is_match = np.asarray(is_match, dtype=np.bool_)
    matches = similarities[is_match]
    at_least = len(similarities) - np.searchsorted(np.sort(similarities), matches, side="left")
    zeros = np.zeros(len(matches), dtype=np.int64)
    return float(average_precisions(zeros, matches, at_least, rankings=1)[0])


def average_precisions(
    ranking_of_match: NDArray[np.int64],
    match_similarities: NDArray[np.floating],
    at_least: NDArray[np.int64],
    *,
    rankings: int,
) -> NDArray[np.float64]:
    """Returns the (rankings,) APs of several rankings, as `average_precision`, from their m matches alone.

    For each match it needs the number of candidates that are at least as similar. The matches among them are
    the hits, and hits / candidates is the precision at its score. The AP of a ranking is the mean of these.

    Args:
        ranking_of_match: (m,) int64, the ranking of each match, below `rankings`.
        match_similarities: (m,) float.
        at_least: (m,) int64, how many candidates of the same ranking, the match included, are at least as
            similar as the match.
    """
    order = np.lexsort((-match_similarities, ranking_of_match))
    ranking, similarity = ranking_of_match[order], match_similarities[order]
    starts = np.searchsorted(ranking, np.arange(rankings))
    ends_tie = np.ones(len(order), dtype=np.bool_)
    ends_tie[:-1] = (np.diff(ranking) != 0) | (np.diff(similarity) != 0)
    ends = np.flatnonzero(ends_tie)
    last_of_tie = ends[np.searchsorted(ends, np.arange(len(order)))]
    hits = last_of_tie - starts[ranking] + 1
    summed = np.bincount(ranking, weights=hits / at_least[order], minlength=rankings)
    return summed / np.maximum(np.bincount(ranking, minlength=rankings), 1)
