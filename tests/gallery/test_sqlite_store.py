"""The store in one SQLite file: what it finds, keeps, forgets and refuses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maskps.gallery import Network, Persons, Source, Where, sqlite_store
from maskps.gallery.sqlite_store import SqliteStore

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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "gallery.sqlite", NETWORK)
    yield made
    made.close()


def literal(query: np.ndarray, rows: list[tuple[int, np.ndarray]], k: int) -> list[int]:
    """The k most similar rows by a loop: products one by one, equal ones by number."""
    found = []
    for number, vector in rows:
        similarity = math.fsum(float(a) * float(b) for a, b in zip(query, vector, strict=True))
        found.append((-float(np.float32(similarity)), number))
    return [number for _, number in sorted(found)[:k]]


@pytest.mark.parametrize("block", [7, 16, 1000])
def test_the_order_is_that_of_a_literal_loop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(sqlite_store, "BLOCK", block)
    batch = persons(60)
    batch.vectors[5:60:6] = batch.vectors[3]  # ten persons that look the same, in all blocks
    for start in range(0, 60, 12):
        part = [getattr(batch, field.name)[start : start + 12] for field in dataclasses.fields(batch)]
        store.add(source(f"{start}.jpg"), Persons(*part))
    queries = np.concatenate([batch.vectors[[3, 8]], persons(3, seed=1).vectors])
    rows = list(enumerate(batch.vectors, 1))
    for k in (1, 5, 30, 60, 100):
        ids, similarities = store.search(queries, k, Where())
        assert ids.tolist() == [literal(query, rows, k) for query in queries]
        assert ids.shape == similarities.shape == (5, min(k, 60))
        assert (np.diff(similarities) <= 0).all()
    assert similarities.dtype == np.float32 and similarities[0, 0] == pytest.approx(1)
