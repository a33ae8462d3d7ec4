"""Similarities that differ in their last bits, vectors of any length, and Euclidean distances."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from literal_search import Similarity, literal_oim, rounded_distance, rounded_product
from search_cases import BOX, random_case, tiny_case, worked_example

from maskps import AnnotationError
from maskps.evaluation import METHODS, Detections, evaluate_search, ranked_results
from maskps.protocols import SearchProtocol

OTHER = [500.0, 500.0, 600.0, 700.0]


LITERAL_SIMILARITY: dict[str, Similarity] = {"cosine": rounded_product, "euclidean": rounded_distance}


def near_ties(seed: int, method: str, *, images: int = 12) -> tuple[SearchProtocol, Detections]:
    """One query whose detections are as similar as its right answers but for the last bits of float32."""
    rng = np.random.default_rng(seed)
    names = [f"g{i}" for i in range(images)]
    protocol, _ = tiny_case({name: [] for name in names}, {name: BOX for name in names[:2]})
    query = unit(rng.normal(size=(1, 256)))
    others = rng.normal(size=(images, 9, 256))
    others = unit(others - (others @ query.T) * query)
    embeddings = 0.05 * query + (1 - 0.05**2) ** 0.5 * others if method == "cosine" else query + others
    boxes = [np.array([BOX, *[OTHER] * 8])] * images
    return protocol, Detections.from_images(names, boxes, [np.ones(9)] * images, list(embeddings), query)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize("sparse_cost", [0, 10**9], ids=["by image", "all at once"])
@pytest.mark.parametrize("method", ["cosine", "euclidean"])
def test_similarities_that_float32_products_confuse_are_distinguished(
    sparse_cost: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskps.evaluation.search._SPARSE_COST", sparse_cost)
    for seed in range(12):
        protocol, detections = near_ties(seed, method)
        (expected,), (hits,) = literal_oim(protocol, detections, LITERAL_SIMILARITY[method])
        result = evaluate_search(protocol, detections, method=METHODS[method])
        assert abs(result.average_precisions[0] - expected) < 1e-12
        assert result.hits[0].tolist() == hits


@pytest.mark.parametrize("sparse_cost", [0, 10**9], ids=["by image", "all at once"])
@pytest.mark.parametrize("common", [0, 3, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_euclidean_distance_ranks_vectors_as_they_are(
    seed: int, common: float, sparse_cost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the vectors' common part is much larger than their differences."""
    monkeypatch.setattr("maskps.evaluation.search._SPARSE_COST", sparse_cost)
    protocol, detections = random_case(seed, ties=seed % 2 == 0)
    rng = np.random.default_rng(seed)
    stretched = detections.embeddings * rng.choice([0.25, 1, 4], (len(detections), 1)) + common
    detections = dataclasses.replace(
        detections,
        embeddings=stretched.astype(np.float32),
        query_embeddings=detections.query_embeddings + np.float32(common),
    )
    result = evaluate_search(protocol, detections, method=METHODS["euclidean"])
    aps, hits = literal_oim(protocol, detections, rounded_distance)
    np.testing.assert_allclose(result.average_precisions, aps, rtol=0, atol=1e-12)
    assert result.hits.tolist() == hits


def test_ranked_results_have_the_distance() -> None:
    protocol, detections = random_case(1, ties=False)
    for query in range(protocol.num_queries):
        hits = ranked_results(protocol, detections, query, 10, method=METHODS["euclidean"])
        rows = [find(detections, hit.image_name, hit.box) for hit in hits]
        steps = detections.embeddings[rows].astype(np.float64) - detections.query_embeddings[query]
        distances = np.linalg.norm(steps, axis=1)
        np.testing.assert_allclose([-hit.similarity for hit in hits], distances, rtol=1e-6)
        assert (np.diff(distances) >= -1e-6).all()


def find(detections: Detections, image_name: str, box: np.ndarray) -> int:
    (image,) = np.flatnonzero(detections.image_names == image_name)
    rows = np.arange(detections.offsets[image], detections.offsets[image + 1])
    return int(rows[(detections.boxes[rows] == box).all(axis=1)][0])


def test_euclidean_distance_of_unit_vectors_ranks_as_the_cosine() -> None:
    for seed in range(5):
        protocol, detections = random_case(seed, ties=False)
        cosine, euclidean = (
            evaluate_search(protocol, detections, method=METHODS[name]) for name in ("cosine", "euclidean")
        )
        np.testing.assert_allclose(euclidean.average_precisions, cosine.average_precisions, atol=1e-12)


def test_long_vectors_win_by_product_but_not_by_distance(caplog: pytest.LogCaptureFixture) -> None:
    protocol, detections = tiny_case({"g1": [(BOX, 0.9)], "g2": [(BOX, 0.5)]}, {"g1": BOX})
    longer = detections.embeddings * np.array([[1], [4]], np.float32)
    detections = dataclasses.replace(detections, embeddings=longer)
    with caplog.at_level(logging.WARNING):
        assert evaluate_search(protocol, detections, method=METHODS["euclidean"]).top1 == 1.0
    assert not caplog.records
    assert evaluate_search(protocol, detections).top1 == 0.0


def test_detections_of_zeros_all_have_the_same_distance() -> None:
    protocol, detections = worked_example(found_in_g3=True)
    zeros = dataclasses.replace(detections, embeddings=detections.embeddings * 0)
    hits = ranked_results(protocol, zeros, 0, 10, method=METHODS["euclidean"])
    assert {hit.similarity for hit in hits} == {-1.0}


@pytest.mark.parametrize("scale", [1e30, 1e-36])
def test_vectors_whose_products_float32_cannot_hold_are_an_error(scale: float) -> None:
    protocol, detections = worked_example(found_in_g3=True)
    scaled = {
        name: getattr(detections, name) * np.float32(scale) for name in ("embeddings", "query_embeddings")
    }
    detections = dataclasses.replace(detections, **scaled)
    with pytest.raises(AnnotationError, match="lengths whose product"):
        evaluate_search(protocol, detections)
    assert evaluate_search(protocol, detections, normalize=True).mAP == pytest.approx(0.7)


@pytest.mark.parametrize(("length", "is_held"), [(1e18, True), (1e19, False), (1e-14, True), (1e-16, False)])
def test_distances_need_the_square_of_the_longest_vector(length: float, is_held: bool) -> None:
    """From 1e-30 to 1e37, also where the other vectors have no length at all."""
    protocol, detections = worked_example(found_in_g3=True)
    scaled = {"embeddings": detections.embeddings * np.float32(length)}
    zeros = {"query_embeddings": np.zeros_like(detections.query_embeddings)}
    detections = dataclasses.replace(detections, **scaled, **zeros)
    if is_held:
        assert evaluate_search(protocol, detections, method=METHODS["euclidean"]).queries == 1
    else:
        with pytest.raises(AnnotationError, match="lengths whose product"):
            evaluate_search(protocol, detections, method=METHODS["euclidean"])
