"""Lengths of embeddings, and what they say about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNIT_TOLERANCE = 1e-3
"""A vector is a unit vector if its length differs from 1 by at most this."""


def weighted_by(scores: NDArray[np.float32], lengths: NDArray[np.float64]) -> bool:
    """Whether vectors of these (n,) lengths are unit vectors times their (n,) scores, as SeqNet weighs them.

    If all scores are 1, they are plain unit vectors.
    """
    off = np.abs(lengths - scores) > UNIT_TOLERANCE
    return bool((scores < 1 - UNIT_TOLERANCE).any()) and not off.any()


def lengths_of(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the (n,) Euclidean lengths of (n, D) vectors."""
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    return lengths
