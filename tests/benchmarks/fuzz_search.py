"""Searches with vectors of many kinds, in both ways of comparing them, against literal loops.

    python tests/benchmarks/fuzz_search.py 20000
    python tests/benchmarks/fuzz_search.py 500 --seed 7

Each case is a small random search (tests/evaluation/search_cases.py: doubled gallery images, images without
detections, truths that nobody found) with vectors that are hard to rank: equal but for the last bits of
float32, copies, half precision, all alike, of very different lengths, with a large part in common. It is
scored in both ways of comparing (image by image, and all pairs at once), under one of the three rules, by
cosine or Euclidean distance. A case fails if an AP differs from the literal rule's by more than 1e-12, or if
a top-k differs. The script prints the seed of each such case and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from maskps.evaluation import METHODS, RULES, evaluate_search, search

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from literal_search import LITERAL, rounded_distance, rounded_product
from search_cases import only_queries, random_case, without_bare_queries

LITERAL_SIMILARITY = {"cosine": rounded_product, "euclidean": rounded_distance}
SPARSE_COSTS = {"image by image": 0, "all pairs at once": 10**9}
"""Values of `search._SPARSE_COST` that force one of the two ways."""

Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def directions(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    return unit(rng.normal(size=(rows, dim)))


def near_ties(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    """One cosine with the first vector, and nearly one distance, for all."""
    first, others = directions(rng, 1, dim), rng.normal(size=(rows, dim))
    others = unit(others - (others @ first.T) * first)
    cosine = rng.choice([0.05, 0.5, 1 - 1e-3])
    vectors = cosine * first + (1 - cosine**2) ** 0.5 * others
    vectors[: rows // 4] = first
    return vectors


def of_lengths(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    return directions(rng, rows, dim) * 10.0 ** rng.uniform(-3, 3, (rows, 1))


KINDS: dict[str, Draw] = {
    "unit": directions,
    "near ties": near_ties,
    "eighths": lambda rng, rows, dim: rng.integers(-2, 3, (rows, dim)) / 8,
    "copies": lambda rng, rows, dim: directions(rng, 4, dim)[rng.integers(0, 4, rows)],
    "half precision": lambda rng, rows, dim: directions(rng, rows, dim).astype(np.float16),
    "all alike": lambda rng, rows, dim: unit(directions(rng, 1, dim) + 1e-6 * rng.normal(size=(rows, dim))),
    "of all lengths": of_lengths,
    "much in common": lambda rng, rows, dim: directions(rng, rows, dim) + rng.choice([1, 30, 1000]),
    "one-hot": lambda rng, rows, dim: np.eye(dim)[rng.integers(0, dim, rows)],
}


def differs(seed: int) -> str:
    """Returns what differs in the case of this seed, "" if nothing does."""
    rng = np.random.default_rng(seed)
    kind, rules = str(rng.choice(list(KINDS))), RULES[rng.integers(len(RULES))]
    method = "cosine" if rng.random() < 0.6 else "euclidean"
    protocol, detections = random_case(seed, ties=False)
    queries, dim = protocol.num_queries, int(rng.choice([3, 16, 100, 256, 512]))
    vectors = KINDS[kind](rng, queries + len(detections), dim).astype(np.float32)
    order = rng.permutation(len(vectors))
    detections = dataclasses.replace(
        detections, query_embeddings=vectors[order[:queries]], embeddings=vectors[order[queries:]]
    )
    if rules == "paper":
        protocol = without_bare_queries(protocol)
        detections = only_queries(detections, protocol)
        if protocol.num_queries == 0:
            return ""
    aps, hits = LITERAL[rules](protocol, detections, LITERAL_SIMILARITY[method])
    for way, search._SPARSE_COST in SPARSE_COSTS.items():
        result = evaluate_search(protocol, detections, rules=rules, method=METHODS[method])
        if np.abs(result.average_precisions - aps).max() > 1e-12 or result.hits.tolist() != hits:
            return f"seed {seed}: {kind}, {dim} dimensions, rules {rules}, {method}, {way}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; the others follow")
    given = parser.parse_args(arguments)
    logger, before = logging.getLogger("maskps"), search._SPARSE_COST
    level = logger.level
    logger.setLevel(logging.ERROR)  # most vectors here are not unit vectors, on purpose
    begin, failures = time.perf_counter(), 0
    try:
        for seed in range(given.seed, given.seed + given.count):
            if found := differs(seed):
                failures += 1
                print(found)
    finally:
        search._SPARSE_COST = before
        logger.setLevel(level)
    print(
        f"{given.count:,} cases, each in {len(SPARSE_COSTS)} ways, {failures} differ from the literal loops "
        f"({time.perf_counter() - begin:.0f} s)"
    )
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
