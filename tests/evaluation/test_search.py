"""The search evaluation against slow, literal re-tellings of its rules, and its promises."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from literal_search import LITERAL, Similarity, float32_product, rounded_product
from search_cases import (
    BOX,
    HALF,
    detections_near,
    only_queries,
    random_case,
    tiny_case,
    without_bare_queries,
    worked_example,
)

from maskps import AnnotationError
from maskps.evaluation import METHODS, RULES, Method, Rules
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.ranking import ranked_results
from maskps.evaluation.search import SearchResult, evaluate_search
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.protocols.sets import select_queries


def assert_equals_release(
    protocol: SearchProtocol,
    detections: Detections,
    similarity: Similarity = float32_product,
    rules: Rules = "oim",
) -> SearchResult:
    result = evaluate_search(protocol, detections, rules=rules)
    aps, accs = LITERAL[rules](protocol, detections, similarity)
    np.testing.assert_allclose(result.average_precisions, aps, rtol=0, atol=1e-12)
    assert result.hits.tolist() == accs
    assert abs(result.mAP - np.mean(aps)) < 1e-12
    return result


@pytest.mark.parametrize(("found_in_g3", "expected"), [(True, 0.70), (False, 0.50)])
def test_worked_example(found_in_g3: bool, expected: float) -> None:
    result = evaluate_search(*worked_example(found_in_g3=found_in_g3))
    assert result.average_precisions[0] == pytest.approx(expected, abs=1e-15)
    assert result.hits.tolist() == [[True, True, True]]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(25))
def test_equals_the_literal_rules_with_many_ties(seed: int, rules: Rules) -> None:
    """Embeddings of few distinct values: every product is exact and most similarities are tied."""
    protocol, detections = random_case(seed, ties=True)
    if rules == "paper":
        protocol = without_bare_queries(protocol)
        detections = only_queries(detections, protocol)
    assert_equals_release(protocol, detections, rules=rules)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(10))
def test_equals_the_literal_rules_on_unit_embeddings(seed: int, rules: Rules) -> None:
    protocol, detections = random_case(seed, ties=False)
    if rules == "paper":
        protocol = without_bare_queries(protocol)
        detections = only_queries(detections, protocol)
    result = assert_equals_release(protocol, detections, rounded_product, rules)
    assert 0 < result.mAP < 1


ODD_QUERIES = np.array([0, 377, 493, 1250, 1633, 1997, 2132, 2561, *range(1000, 1060)])


@pytest.mark.parametrize("rules", RULES)
def test_equals_the_literal_rules_on_the_real_protocol(real_data: Path, rules: Rules) -> None:
    """Random detections near the true boxes of TestG100, its doubled images and own images included."""
    protocol = select_queries(read_protocol(real_data / "cuhk_sysu" / "TestG100.mat"), ODD_QUERIES)
    detections = detections_near(protocol, np.random.default_rng(0))
    result = assert_equals_release(protocol, detections, rules=rules)
    assert result.gallery_size == 100


def test_the_rules_differ_on_the_real_protocol_where_it_is_odd(real_data: Path) -> None:
    protocol = select_queries(read_protocol(real_data / "cuhk_sysu" / "TestG100.mat"), ODD_QUERIES)
    detections = detections_near(protocol, np.random.default_rng(0), jitter=0)
    aps = {rules: evaluate_search(protocol, detections, rules=rules).average_precisions for rules in RULES}
    odd = ODD_QUERIES[aps["oim"] != aps["seqnet"]].tolist()
    assert set(odd) <= {1250, 1633, 1997, 2561} and odd
    assert {493, 2132} & set(ODD_QUERIES[aps["oim"] != aps["paper"]].tolist())


def test_padded_gallery_equals_the_release() -> None:
    protocol, detections = random_case(5, ties=True)
    padded = np.concatenate([protocol.galleries, np.full((protocol.num_queries, 3), -1, np.int32)], axis=1)
    wide = dataclasses.replace(protocol, galleries=padded)
    np.testing.assert_array_equal(
        assert_equals_release(wide, detections).average_precisions,
        evaluate_search(protocol, detections).average_precisions,
    )


def test_doubled_gallery_image_counts_twice() -> None:
    """Listed twice with a true box, found once each: two right answers of two, and misses counted twice."""
    protocol, detections = tiny_case(
        {"g1": [(BOX, 0.9)], "g2": [(BOX, 0.95)]}, {"g1": BOX}, gallery=["g1", "g1", "g2"]
    )
    result = assert_equals_release(protocol, detections, rounded_product)
    assert result.average_precisions[0] == pytest.approx(2 / 3)
    assert len(ranked_results(protocol, detections, 0, 10)) == 3


def test_truth_in_an_image_without_detections_lowers_the_recall() -> None:
    result = evaluate_search(*tiny_case({"g1": [(BOX, 0.9)], "g2": []}, {"g1": BOX, "g2": BOX}))
    assert result.average_precisions[0] == 0.5


def test_nothing_found_anywhere_is_zero() -> None:
    result = evaluate_search(*tiny_case({"g1": [], "g2": []}, {"g1": BOX}))
    assert (result.mAP, result.top1, result.top10) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("score", "expected"), [(0.4999, 0.0), (0.5, 1.0)])
def test_score_at_the_threshold_is_kept(score: float, expected: float) -> None:
    assert evaluate_search(*tiny_case({"g1": [(BOX, 0.9)]}, {"g1": BOX}, scores=score)).mAP == expected


def test_top_k_of_a_tie_follows_the_reversed_sort() -> None:
    """argsort()[::-1]: of two equal similarities the later gallery entry comes first."""
    found = {"g1": [(BOX, 0.5)], "g2": [(BOX, 0.5)]}
    assert evaluate_search(*tiny_case(found, {"g1": BOX})).top1 == 0.0
    assert evaluate_search(*tiny_case(found, {"g2": BOX})).top1 == 1.0
    assert evaluate_search(*tiny_case(found, {"g1": BOX})).mAP == 0.5


def test_equal_embeddings_tie_wherever_they_stand() -> None:
    """A matrix product may sum in another order at the matrix's edge; rounding makes equal rows equal."""
    rng = np.random.default_rng(1)
    row = rng.normal(size=256)
    row /= np.linalg.norm(row)
    count = 13
    detections = Detections.from_images(
        ["g1"], [np.tile(BOX, (count, 1))], [np.ones(count)], [np.tile(row, (count, 1))], row[None]
    )
    protocol, _ = tiny_case({"g1": []}, {"g1": BOX})
    assert len({hit.similarity for hit in ranked_results(protocol, detections, 0, count)}) == 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_is_unchanged_by_the_order_of_images_in_the_file(seed: int) -> None:
    protocol, detections = random_case(seed, ties=False)
    order = np.random.default_rng(seed + 1).permutation(detections.num_images)
    spans = [slice(detections.offsets[i], detections.offsets[i + 1]) for i in order]
    shuffled = Detections.from_images(
        [str(detections.image_names[i]) for i in order],
        [detections.boxes[span] for span in spans],
        [detections.scores[span] for span in spans],
        [detections.embeddings[span] for span in spans],
        detections.query_embeddings,
    )
    np.testing.assert_array_equal(
        evaluate_search(protocol, detections).average_precisions,
        evaluate_search(protocol, shuffled).average_precisions,
    )


@pytest.mark.parametrize("missed", [0, 1, 2])
def test_perfect_ranking_gives_the_recall(missed: int) -> None:
    found = {f"g{i}": [(BOX, 0.9 - i / 100)] if i >= missed else [] for i in range(4)}
    found["other"] = [(BOX, 0.1)] * 5
    result = evaluate_search(*tiny_case(found, {f"g{i}": BOX for i in range(4)}))
    assert result.mAP == pytest.approx((4 - missed) / 4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(-0.9, 0.9))
def test_another_wrong_candidate_never_raises_the_average_precision(seed: int, cosine: float) -> None:
    protocol, detections = worked_example(found_in_g3=bool(seed % 2))
    before = evaluate_search(protocol, detections).mAP
    found = {"g1": [(BOX, 0.9), (BOX, 0.7)], "g2": [(BOX, 0.8), (BOX, cosine)], "g3": [(HALF, 0.6)]}
    if seed % 2:
        found["g3"].append(([0.0, 0.0, 100.0, 160.0], 0.5))
    after = evaluate_search(*tiny_case(found, {"g1": BOX, "g3": BOX})).mAP
    assert after <= before + 1e-15


def test_ranked_results_of_the_worked_example() -> None:
    hits = ranked_results(*worked_example(found_in_g3=True), 0, 10)
    assert [(hit.image_name, hit.is_match) for hit in hits] == [
        ("g1", True), ("g2", False), ("g1", False), ("g3", False), ("g3", True),
    ]  # fmt: skip
    assert [round(hit.similarity, 6) for hit in hits] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert hits[3].box.tolist() == HALF
    assert [hit.image_name for hit in ranked_results(*worked_example(found_in_g3=True), 0, 2)] == ["g1", "g2"]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("seed", range(8))
def test_ranked_results_agree_with_the_hits(seed: int, method: Method) -> None:
    protocol, detections = random_case(seed, ties=True)
    result = evaluate_search(protocol, detections, method=method)
    for query in range(protocol.num_queries):
        is_match = [hit.is_match for hit in ranked_results(protocol, detections, query, 10, method=method)]
        assert [any(is_match[:k]) for k in (1, 5, 10)] == result.hits[query].tolist()


def test_result_as_plain_values() -> None:
    numbers = evaluate_search(*worked_example(found_in_g3=True)).to_dict()
    assert set(numbers) == {
        "rules", "gallery_size", "queries", "score_threshold", "mAP", "top1", "top5", "top10", "failures",
    }  # fmt: skip
    assert (numbers["rules"], numbers["gallery_size"], numbers["queries"]) == ("oim", 3, 1)


def test_missing_gallery_images_are_named_and_counted() -> None:
    protocol, _ = worked_example(found_in_g3=True)
    _, detections = tiny_case({"g1": [(BOX, 0.9)]}, {"g1": BOX})
    with pytest.raises(AnnotationError, match=r"'g2'[\s\S]*2 of them"):
        evaluate_search(protocol, detections)


def test_query_image_need_not_be_among_the_detections() -> None:
    protocol, detections = worked_example(found_in_g3=True)
    assert "query.jpg" in protocol.image_names and "query.jpg" not in detections.image_names
    evaluate_search(protocol, detections)


def test_other_number_of_queries_is_an_error() -> None:
    protocol, detections = worked_example(found_in_g3=True)
    more = dataclasses.replace(detections, query_embeddings=np.ones((2, 2), np.float32))
    with pytest.raises(AnnotationError, match=r"1 queries[\s\S]*2 rows"):
        evaluate_search(protocol, more)


def test_query_without_a_truth_is_an_error() -> None:
    with pytest.raises(AnnotationError, match="no true box for query 0 \\('p1'\\)"):
        evaluate_search(*tiny_case({"g1": [(BOX, 0.9)]}, {}))


@pytest.mark.parametrize("query", [-1, 1])
def test_query_that_is_not_there_is_an_error(query: int) -> None:
    with pytest.raises(AnnotationError, match=f"query {query}"):
        ranked_results(*worked_example(found_in_g3=True), query, 5)


def test_embeddings_that_are_not_unit_vectors_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    protocol, detections = worked_example(found_in_g3=True)
    with caplog.at_level(logging.WARNING):
        evaluate_search(protocol, detections)
        assert not caplog.records
        evaluate_search(protocol, dataclasses.replace(detections, embeddings=detections.embeddings * 3))
    assert "5 of 5 rows are not unit vectors" in caplog.text


def test_embeddings_weighted_by_their_scores_are_reported_for_a_distance_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    protocol, detections = worked_example(found_in_g3=True)
    scores = np.linspace(0.5, 0.9, len(detections), dtype=np.float32)
    weighted = dataclasses.replace(
        detections, scores=scores, embeddings=detections.embeddings * scores[:, None]
    )
    evaluate_search(protocol, weighted)
    assert not caplog.records
    evaluate_search(protocol, weighted, method=METHODS["euclidean"], normalize=True)
    assert not caplog.records
    evaluate_search(protocol, weighted, method=METHODS["euclidean"])
    assert "multiplied by their scores" in caplog.text


def test_each_top_k_is_the_mean_of_its_own_column() -> None:
    hits = np.array([[False, False, True], [False, True, True], [True, True, True], [False, False, False]])
    result = SearchResult(np.zeros(4), hits, 10, 0.5)
    assert (result.top1, result.top5, result.top10) == (0.25, 0.5, 0.75)
