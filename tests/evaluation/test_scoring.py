"""Scores of blocks of queries: several protocols at once, causes of failures, properties of the AP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_cases import BOX, random_case, tiny_case

from maskps import AnnotationError, ConfigError
from maskps.evaluation import evaluate_search, evaluate_searches, search
from maskps.evaluation.metrics import average_precision
from maskps.evaluation.rules import apply_rules
from maskps.evaluation.scoring import BELOW_THRESHOLD, FAILURES, IOU_TOO_LOW, NOT_DETECTED, WRONG_FIRST
from maskps.protocols import full_set
from maskps.protocols.sets import select_queries

TENTH = [0.0, 0.0, 100.0, 20.0]


def with_names(protocol, detections):
    """The case with distinct queries, and detections that name them."""
    boxes = protocol.query_boxes + np.arange(protocol.num_queries, dtype=np.float32)[:, None]
    names = protocol.image_names[protocol.query_scenes]
    return (
        dataclasses.replace(protocol, query_boxes=boxes),
        dataclasses.replace(detections, query_boxes=boxes, query_names=names),
    )


@pytest.mark.parametrize("sparse_cost", [0, 10**9], ids=["by image", "all at once"])
@pytest.mark.parametrize("pairs_at_once", [1, 40, 10**6])
@pytest.mark.parametrize("queries_at_once", [1, 4, 64])
def test_several_protocols_together_equal_each_alone(
    sparse_cost: int, pairs_at_once: int, queries_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, detections = with_names(*random_case(3, ties=True))
    protocols = {"all": protocol, "part": select_queries(protocol, np.array([5, 0, 3]))}
    alone = {name: evaluate_search(one, detections) for name, one in protocols.items()}
    monkeypatch.setattr(search, "_SPARSE_COST", sparse_cost)
    monkeypatch.setattr(search, "_PAIRS_AT_ONCE", pairs_at_once)
    monkeypatch.setattr(search, "_QUERIES_AT_ONCE", queries_at_once)
    together = evaluate_searches(protocols, detections)
    for name, result in alone.items():
        np.testing.assert_array_equal(together[name].average_precisions, result.average_precisions)
        np.testing.assert_array_equal(together[name].hits, result.hits)


def test_a_larger_gallery_never_raises_an_average_precision() -> None:
    for seed in range(5):
        protocol, detections = random_case(seed, ties=False)
        paper = apply_rules(protocol, "paper")  # as the full set: no scene twice, not the query's own
        queries = np.flatnonzero(paper.truths)
        small = select_queries(paper.protocol, queries)
        own = dataclasses.replace(detections, query_embeddings=detections.query_embeddings[queries])
        aps = evaluate_search(small, own).average_precisions
        assert (evaluate_search(full_set(small), own).average_precisions <= aps + 1e-12).all()


@pytest.mark.parametrize(
    ("found", "score", "cause"),
    [
        ({"g1": []}, 1.0, NOT_DETECTED),
        ({"g1": [([0.0, 0.0, 100.0, 19.0], 0.9)]}, 1.0, NOT_DETECTED),
        ({"g1": [(TENTH, 0.9)]}, 1.0, IOU_TOO_LOW),
        ({"g1": [(BOX, 0.9)]}, 0.4, BELOW_THRESHOLD),
        ({"g1": [(TENTH, 0.9)]}, 0.4, NOT_DETECTED),
        ({"g1": [(BOX, 0.9)], "g2": [(BOX, 0.95)]}, 1.0, WRONG_FIRST),
        ({"g1": [(BOX, 0.9)], "g2": [(BOX, 0.8)]}, 1.0, None),
    ],
)
def test_each_wrong_first_answer_has_its_cause(found: dict, score: float, cause: str | None) -> None:
    result = evaluate_search(*tiny_case(found, {"g1": BOX}, scores=score))
    assert result.failures == {name: int(name == cause) for name in FAILURES}


@pytest.mark.parametrize("seed", range(6))
def test_causes_add_up_to_the_queries_without_a_first_hit(seed: int) -> None:
    result = evaluate_search(*random_case(seed, ties=True))
    assert sum(result.failures.values()) == np.count_nonzero(~result.hits[:, 0])


def test_per_query_numbers_on_request() -> None:
    result = evaluate_search(*random_case(0, ties=False))
    numbers = result.to_dict(per_query=True)
    assert set(numbers) - set(result.to_dict()) == {"query_ids", "average_precisions", "hits"}
    assert numbers["query_ids"] == [f"p{i}" for i in range(6)]
    assert np.mean(numbers["average_precisions"]) == numbers["mAP"] and len(numbers["hits"][0]) == 3


def test_normalising_undoes_lengths() -> None:
    protocol, detections = random_case(2, ties=False)
    lengths = np.random.default_rng(0).uniform(0.1, 9, (len(detections), 1)).astype(np.float32)
    longer = dataclasses.replace(detections, embeddings=detections.embeddings * lengths)
    plain = evaluate_search(protocol, detections)
    np.testing.assert_allclose(
        evaluate_search(protocol, longer, normalize=True).average_precisions, plain.average_precisions
    )
    assert (evaluate_search(protocol, longer).average_precisions != plain.average_precisions).any()


def test_rules_of_another_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="oim, seqnet, paper"):
        evaluate_search(*random_case(0, ties=False), rules="coco")  # type: ignore[arg-type]


def test_paper_refuses_a_query_that_is_only_in_its_own_image() -> None:
    protocol, detections = tiny_case({"query.jpg": [(BOX, 0.9)], "g2": []}, {"query.jpg": BOX})
    assert evaluate_search(protocol, detections).mAP == 1.0
    with pytest.raises(AnnotationError, match=r"no true box for query 0[\s\S]*rules 'paper'"):
        evaluate_search(protocol, detections, rules="paper")


@pytest.mark.parametrize(("rules", "expected"), [("oim", 1.0), ("seqnet", 0.5), ("paper", 1.0)])
def test_a_person_found_in_an_image_listed_twice(rules: str, expected: float) -> None:
    case = tiny_case({"g1": [(BOX, 0.9)], "g2": []}, {"g1": BOX}, gallery=["g1", "g1", "g2"])
    assert evaluate_search(*case, rules=rules).mAP == expected  # type: ignore[arg-type]


def test_paper_takes_the_true_box_of_a_second_entry_if_the_first_has_none() -> None:
    protocol, detections = tiny_case({"g1": [(BOX, 0.9)]}, {"g1": BOX}, gallery=["g1", "g1"])
    second = dataclasses.replace(
        protocol,
        truth_offsets=np.array([0, 1]),
        truth_positions=np.array([1], np.int32),
        truth_boxes=protocol.truth_boxes[1:],
        truth_hard=protocol.truth_hard[1:],
    )
    assert evaluate_search(second, detections, rules="paper").mAP == 1.0
    assert evaluate_search(second, detections, rules="seqnet").mAP == 0.0


scored = st.lists(st.tuples(st.booleans(), st.integers(-20, 20)), min_size=1, max_size=40)
"""Whether each candidate is a match, and its score: few values, so that many are tied."""


@pytest.mark.parametrize("increasing", [np.exp, np.cbrt, lambda x: 3 * x - 7], ids=["exp", "root", "line"])
@settings(max_examples=40)
@given(candidates=scored)
def test_average_precision_is_unchanged_by_an_increasing_map(
    increasing: Callable[[np.ndarray], np.ndarray], candidates: list[tuple[bool, int]]
) -> None:
    is_match, scores = np.array([c[0] for c in candidates]), np.array([c[1] for c in candidates], float)
    assert average_precision(is_match, increasing(scores)) == average_precision(is_match, scores)


@settings(max_examples=60)
@given(candidates=scored, seed=st.integers(0, 1000))
def test_average_precision_is_unchanged_by_shuffling(candidates: list[tuple[bool, int]], seed: int) -> None:
    is_match, scores = np.array([c[0] for c in candidates]), np.array([c[1] for c in candidates], float)
    order = np.random.default_rng(seed).permutation(len(candidates))
    assert average_precision(is_match[order], scores[order]) == average_precision(is_match, scores)


@settings(max_examples=60)
@given(candidates=scored, score=st.integers(-25, 25))
def test_a_distractor_never_raises_the_average_precision(
    candidates: list[tuple[bool, int]], score: int
) -> None:
    is_match, scores = np.array([c[0] for c in candidates]), np.array([c[1] for c in candidates], float)
    before = average_precision(is_match, scores)
    after = average_precision(np.append(is_match, False), np.append(scores, score))
    assert after <= before + 1e-15
    if score < scores.min():
        assert after == before
