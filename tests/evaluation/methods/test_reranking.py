"""k-reciprocal re-ranking against the procedure of the publication, written with sets and loops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from search_cases import draw_embeddings, random_case

from maskps.evaluation import METHODS, evaluate_search, k_reciprocal_reranking
from maskps.evaluation.methods.reranking import reranked_distances
from maskps.evaluation.ranking import ranked_results


def literal_distances(embeddings: np.ndarray, k1: int, k2: int, weight: float) -> np.ndarray:
    rows = embeddings.astype(float)
    n = len(rows)
    original = np.array([[((a - b) ** 2).sum() for b in rows] for a in rows])
    original = np.array([row / row.max() for row in original])
    rank = np.argsort(original, axis=1)

    def reciprocal(i: int, k: int) -> set[int]:
        return {int(j) for j in rank[i, : k + 1] if i in rank[j, : k + 1]}

    described = np.zeros((n, n))
    for i in range(n):
        near = reciprocal(i, k1)
        expanded = set(near)
        for candidate in near:
            of_candidate = reciprocal(candidate, int(np.around(k1 / 2)))
            if len(of_candidate & near) > 2 / 3 * len(of_candidate):
                expanded |= of_candidate
        members = sorted(expanded)
        values = np.exp(-original[i, members])
        described[i, members] = values / values.sum()
    if k2 > 1:
        described = np.array([described[rank[i, :k2]].mean(axis=0) for i in range(n)])
    final = []
    for g in range(1, n):
        common = np.minimum(described[0], described[g]).sum()
        final.append((1 - common / (2 - common)) * (1 - weight) + original[0, g] * weight)
    return np.array(final)


@pytest.mark.parametrize("count", [1, 2, 5, 25, 60])
@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (4, 1), (5, 3)])
def test_equals_the_literal_procedure(count: int, k1: int, k2: int) -> None:
    embeddings = draw_embeddings(np.random.default_rng(count), count + 1, 5, False).astype(np.float32)
    np.testing.assert_allclose(
        reranked_distances(embeddings, k1=k1, k2=k2, original_weight=0.3),
        literal_distances(embeddings, k1, k2, 0.3),
        rtol=0,
        atol=1e-12,
    )


def test_no_gallery_person_gives_no_distance() -> None:
    assert reranked_distances(np.ones((1, 3), np.float32), k1=20, k2=6, original_weight=0.3).shape == (0,)


@pytest.mark.parametrize("seed", range(4))
def test_the_original_distance_alone_ranks_as_the_cosine(seed: int) -> None:
    protocol, detections = random_case(seed, ties=False)
    plain = evaluate_search(protocol, detections)
    alone = evaluate_search(protocol, detections, method=k_reciprocal_reranking(original_weight=1.0))
    np.testing.assert_allclose(plain.average_precisions, alone.average_precisions, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(plain.hits, alone.hits)


def test_beyond_the_most_similar_the_order_is_that_of_the_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, detections = random_case(2, ties=False)
    plain = evaluate_search(protocol, detections)
    monkeypatch.setattr("maskps.evaluation.methods.reranking.RERANKED", 1)
    first_only = evaluate_search(protocol, detections, method=METHODS["rerank"])
    np.testing.assert_allclose(plain.average_precisions, first_only.average_precisions, rtol=0, atol=1e-12)


def test_embeddings_weighted_by_their_scores_keep_their_neighbours() -> None:
    """Each similarity is that of the directions, times the score."""
    protocol, detections = random_case(2, ties=False)
    unit = detections.normalized()
    weighted = dataclasses.replace(unit, embeddings=unit.embeddings * unit.scores[:, None])
    for query in range(protocol.num_queries):
        plain, found = (
            {
                (hit.image_name, *hit.box.tolist()): hit.similarity
                for hit in ranked_results(protocol, one, query, 1000, method=METHODS["rerank"])
            }
            for one in (unit, weighted)
        )
        names = unit.image_names.repeat(np.diff(unit.offsets)).tolist()
        scores = {
            (name, *box): score
            for name, box, score in zip(names, unit.boxes.tolist(), unit.scores.tolist(), strict=True)
        }
        assert plain.keys() == found.keys()
        for box, similarity in found.items():
            assert similarity == pytest.approx(plain[box] * scores[box], abs=1e-5)


def test_the_settings_are_those_of_the_publication(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[dict[str, float]] = []

    def watched(embeddings: np.ndarray, **settings: float) -> np.ndarray:
        used.append(settings)
        return reranked_distances(embeddings, **settings)

    monkeypatch.setattr("maskps.evaluation.methods.reranking.reranked_distances", watched)
    evaluate_search(*random_case(2, ties=False), method=METHODS["rerank"])
    assert {tuple(settings.items()) for settings in used} == {
        (("k1", 20), ("k2", 6), ("original_weight", 0.3))
    }
