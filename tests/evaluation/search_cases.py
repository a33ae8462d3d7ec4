"""Small searches for the tests: random ones, and one query given by its detections."""

from __future__ import annotations

import dataclasses

import numpy as np

from maskps.evaluation import Detections
from maskps.protocols import SearchProtocol
from maskps.protocols.sets import select_queries

BOX = [0.0, 0.0, 100.0, 200.0]
HALF = [0.0, 0.0, 100.0, 80.0]


def random_case(seed: int, *, ties: bool) -> tuple[SearchProtocol, Detections]:
    """A few queries over small images with boxes near the truth, doubled entries and empty images."""
    rng = np.random.default_rng(seed)
    images, queries, size, dim = 14, 6, 10, 3
    names = np.array([f"s{i}.jpg" for i in range(images)])
    galleries = rng.integers(0, images, (queries, size)).astype(np.int32)
    positions = [np.sort(rng.choice(size, rng.integers(1, 4), replace=False)) for _ in range(queries)]
    corner = rng.integers(0, 30, (sum(map(len, positions)), 2))
    truths = np.concatenate([corner, corner + rng.integers(3, 30, corner.shape)], axis=1).astype(np.float32)
    protocol = SearchProtocol(
        image_names=names,
        query_scenes=rng.integers(0, images, queries).astype(np.int32),
        query_boxes=np.tile(np.array([0, 0, 9, 20], np.float32), (queries, 1)),
        query_ids=np.array([f"p{i}" for i in range(queries)]),
        query_hard=np.zeros(queries, bool),
        galleries=galleries,
        truth_offsets=np.concatenate([[0], np.cumsum([len(one) for one in positions])]).astype(np.int64),
        truth_positions=np.concatenate(positions).astype(np.int32),
        truth_boxes=truths,
        truth_hard=np.zeros(len(truths), bool),
    )
    truth_images = protocol.galleries[protocol.query_of_truth, protocol.truth_positions]
    boxes, scores, embeddings = [], [], []
    for image in range(images):
        near = truths[truth_images == image]
        near = np.concatenate([near, near]) + rng.integers(-2, 3, (2 * len(near), 4))
        start = rng.integers(0, 40, (rng.integers(0, 3), 2))
        found = np.concatenate([near, np.concatenate([start, start + 9], axis=1)]).astype(np.float32)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        found = rng.permutation(found)[: rng.integers(0, len(found) + 1)]
        boxes.append(found)
        scores.append(rng.choice([0.25, 0.5, 0.75, 1.0], len(found), p=[0.1, 0.3, 0.3, 0.3]))
        embeddings.append(draw_embeddings(rng, len(found), dim, ties))
    order = rng.permutation(images)
    return protocol, Detections.from_images(
        [names[i] for i in order],
        [boxes[i] for i in order],
        [scores[i] for i in order],
        [embeddings[i] for i in order],
        draw_embeddings(rng, queries, dim, ties),
    )


def without_bare_queries(protocol: SearchProtocol) -> SearchProtocol:
    """The queries of a random case with a true box outside their own image; their ids are their places."""
    is_other = protocol.truth_scenes != protocol.query_scenes[protocol.query_of_truth]
    return select_queries(protocol, np.unique(protocol.query_of_truth[is_other]))


def only_queries(detections: Detections, protocol: SearchProtocol) -> Detections:
    """The detections of a random case for these of its queries."""
    rows = [int(name[1:]) for name in protocol.query_ids]
    return dataclasses.replace(detections, query_embeddings=detections.query_embeddings[rows])


def draw_embeddings(rng: np.random.Generator, count: int, dim: int, ties: bool) -> np.ndarray:
    if ties:
        return rng.integers(-2, 3, (count, dim)) / 8
    drawn = rng.normal(size=(count, dim))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def tiny_case(
    detections_in: dict[str, list[tuple[list[float], float]]],
    truths: dict[str, list[float]],
    gallery: list[str] | None = None,
    scores: float = 1.0,
) -> tuple[SearchProtocol, Detections]:
    """One query; detections as (box, cosine with the query), truths as image -> box."""
    gallery = gallery or list(detections_in)
    names = sorted({*gallery, *detections_in, "query.jpg"})
    positions = [position for position, name in enumerate(gallery) if name in truths]
    protocol = SearchProtocol(
        image_names=np.array(names),
        query_scenes=np.array([names.index("query.jpg")], np.int32),
        query_boxes=np.array([[0, 0, 10, 20]], np.float32),
        query_ids=np.array(["p1"]),
        query_hard=np.zeros(1, bool),
        galleries=np.array([[names.index(name) for name in gallery]], np.int32),
        truth_offsets=np.array([0, len(positions)]),
        truth_positions=np.array(positions, np.int32),
        truth_boxes=np.array([truths[gallery[p]] for p in positions], np.float32).reshape(-1, 4),
        truth_hard=np.zeros(len(positions), bool),
    )
    cosines = [np.array([cosine for _, cosine in found]) for found in detections_in.values()]
    return protocol, Detections.from_images(
        list(detections_in),
        [np.array([box for box, _ in found], float).reshape(-1, 4) for found in detections_in.values()],
        [np.full(len(found), scores) for found in detections_in.values()],
        [np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1) for cosine in cosines],
        np.array([[1.0, 0.0]]),
    )


def worked_example(*, found_in_g3: bool) -> tuple[SearchProtocol, Detections]:
    """Ranking g1 (overlaps), g2, g1 (overlaps, claimed), g3 (overlap 0.4), and perhaps g3 (overlap 0.8)."""
    in_g3 = [(HALF, 0.6)] + ([([0.0, 0.0, 100.0, 160.0], 0.5)] if found_in_g3 else [])
    return tiny_case(
        {"g1": [(BOX, 0.9), (BOX, 0.7)], "g2": [(BOX, 0.8)], "g3": in_g3}, {"g1": BOX, "g3": BOX}
    )


def detections_near(
    protocol: SearchProtocol, rng: np.random.Generator, *, jitter: float = 6.0, dim: int = 6
) -> Detections:
    """Detections near the true boxes and elsewhere, of all images; embeddings of whole eighths, many tied."""
    images, truth_images = len(protocol.image_names), protocol.truth_scenes
    order = np.argsort(truth_images, kind="stable")
    bounds = np.searchsorted(truth_images[order], np.arange(images + 1))
    boxes, scores, embeddings = [], [], []
    for image in range(images):
        near = protocol.truth_boxes[order[bounds[image] : bounds[image + 1]]]
        near = near + rng.normal(0, jitter * (rng.random(near.shape) < 0.8), near.shape)
        corner = rng.uniform(0, 400, (rng.integers(0, 4), 2))
        other = np.concatenate([corner, corner + rng.uniform(20, 99, corner.shape)], axis=1)
        found = np.concatenate([near, other])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        boxes.append(found)
        scores.append(rng.uniform(0.3, 1, len(found)))
        embeddings.append(rng.integers(-3, 4, (len(found), dim)) / 8)
    queries = rng.integers(-3, 4, (protocol.num_queries, dim)) / 8
    return Detections.from_images(list(protocol.image_names), boxes, scores, embeddings, queries)
