"""The Euclidean distance of the vectors as they are (Sec. 4.1). It ranks unit vectors as the cosine does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.methods.method import Method


def negative_half_squares(
    queries: NDArray[np.float64], detections: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns minus half the squared distance of all pairs, as sums of squared differences.

    q e - |q|^2 / 2 - |e|^2 / 2 would be faster, but loses the difference of vectors with much in common.
    """
    from scipy.spatial.distance import cdist

    similarities: NDArray[np.float64] = cdist(queries, detections, "sqeuclidean") / -2
    return similarities


EUCLIDEAN = Method(
    name="euclidean",
    title=" by distance",
    help="The Euclidean distance of the vectors as they are (Sec. 4.1).",
    compare=negative_half_squares,
    is_distance=True,
)
