"""Persons, sources and filters for the tests of gallery stores, and what they must find, one at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from maskps.errors import MaskpsError
from maskps.gallery import GalleryStore, Network, PersonRow, Persons, Source, Where

DIM = 8
NETWORK = Network(
    "ab" * 32, "embedding", DIM, shorter_side=256, longest_side=512, recipe="tiny", terms="research only"
)


def persons(count: int, seed: int = 0, *, dim: int = DIM, frame_time: float = 0.0) -> Persons:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    low = random.uniform(0, 50, (count, 2)).astype(np.float32)
    scores = random.uniform(0.5, 1, count).astype(np.float32)
    return Persons(np.hstack([low, low + 20]), scores, vectors, np.full(count, frame_time))


def source(name: str, **changes: object) -> Source:
    return dataclasses.replace(Source(f"/photos/{name}", "image", 100, 1, f"hash of {name}"), **changes)


def add_photos(store: GalleryStore) -> None:
    """Twelve photos of five persons, of two cameras and none, ten seconds apart; two of unknown time."""
    for number in range(12):
        camera = (None, "gate", "hall")[number % 3]
        at = None if number in (4, 5) else 1000.0 + 10 * number
        batch = persons(5, seed=number, frame_time=0.5 * (number % 2))
        store.add(source(f"{number}.jpg", camera=camera, started_at=at), batch)


def literal(query: np.ndarray, rows: list[tuple[int, np.ndarray]], k: int) -> list[int]:
    """The k most similar rows by a loop: products one by one, equal ones by number."""
    found = []
    for number, vector in rows:
        similarity = math.fsum(float(a) * float(b) for a, b in zip(query, vector, strict=True))
        found.append((-float(np.float32(similarity)), number))
    return [number for _, number in sorted(found)[:k]]


def matches(row: PersonRow, where: Where) -> bool:
    """The meaning of a filter, one person at a time."""
    return (
        (where.cameras is None or row.camera in where.cameras)
        and (where.sources is None or row.source.id in where.sources)
        and (where.start is None or (row.at is not None and row.at >= where.start))
        and (where.end is None or (row.at is not None and row.at < where.end))
        and (where.min_score is None or row.score >= where.min_score)
    )


def refused(kind: type[MaskpsError], found: str, call: Callable[[], object]) -> None:
    """Checks that a call ends in one message of four parts."""
    with pytest.raises(MaskpsError) as caught:
        call()
    assert type(caught.value) is kind and found in caught.value.found, str(caught.value)
    assert caught.value.where and caught.value.expected and caught.value.hint
