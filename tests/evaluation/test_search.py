"""The search evaluation against a literal, slow re-telling of the released evaluator, and its promises."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from maskps import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.protocol import SearchProtocol, read_protocol
from maskps.evaluation.search import SearchResult, evaluate_search, ranked_results


def float32_product(gallery: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The released similarity; exact (in any order of summation) on the small multiples of 1/8 used here."""
    return gallery.dot(query).ravel()


def rounded_product(gallery: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.einsum("nd,d->n", gallery.astype(np.float64), query.astype(np.float64)).astype(np.float32)


def slow_release(
    protocol: SearchProtocol,
    detections: Detections,
    similarity: Callable[[np.ndarray, np.ndarray], np.ndarray],
    threshold: float = 0.5,
) -> tuple[list[float], list[list[bool]]]:
    """The released evaluator, told again with its loops and scikit-learn: APs and top-1, 5, 10 per query."""
    name_to_det = {}
    for i, name in enumerate(detections.image_names):
        rows = np.arange(detections.offsets[i], detections.offsets[i + 1])
        rows = rows[np.where(detections.scores[rows] >= threshold)[0]]
        if len(rows) > 0:
            name_to_det[str(name)] = (detections.boxes[rows], detections.embeddings[rows])
    aps, accs = [], []
    for q in range(protocol.num_queries):
        y_true: list[int] = []
        y_score: list[np.float32] = []
        count_gt, count_tp = 0, 0
        truths = range(protocol.truth_offsets[q], protocol.truth_offsets[q + 1])
        truth_at = {int(protocol.truth_positions[t]): protocol.truth_boxes[t].astype(float) for t in truths}
        for position, image in enumerate(protocol.galleries[q]):
            if image < 0:
                continue
            gt = truth_at.get(position)
            count_gt += gt is not None
            name = str(protocol.image_names[image])
            if name not in name_to_det:
                continue
            det, feat_g = name_to_det[name]
            sim = similarity(feat_g, detections.query_embeddings[q])
            label = np.zeros(len(sim), dtype=np.int32)
            if gt is not None:
                w, h = gt[2] - gt[0], gt[3] - gt[1]
                iou_thresh = min(0.5, (w * h * 1.0) / ((w + 10) * (h + 10)))
                inds = np.argsort(sim)[::-1]
                sim = sim[inds]
                det = det[inds]
                for j, roi in enumerate(det.astype(float)):
                    if literal_iou(roi, gt) >= iou_thresh:
                        label[j] = 1
                        count_tp += 1
                        break
            y_true.extend(list(label))
            y_score.extend(list(sim))
        score = np.asarray(y_score, dtype=np.float32)
        true = np.asarray(y_true, dtype=np.int32)
        recall = count_tp * 1.0 / count_gt
        aps.append(0.0 if count_tp == 0 else average_precision_score(true, score) * recall)
        inds = np.argsort(score)[::-1]
        accs.append([bool(min(1, sum(true[inds][:k]))) for k in (1, 5, 10)])
    return aps, accs


def literal_iou(a: np.ndarray, b: np.ndarray) -> float:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    inter = max(0, x2 - x1) * max(0, y2 - y1)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter * 1.0 / union


def assert_equals_release(
    protocol: SearchProtocol, detections: Detections, similarity: Callable = float32_product
) -> SearchResult:
    result = evaluate_search(protocol, detections)
    aps, accs = slow_release(protocol, detections, similarity)
    np.testing.assert_allclose(result.average_precisions, aps, rtol=0, atol=1e-12)
    assert result.hits.tolist() == accs
    assert abs(result.mAP - np.mean(aps)) < 1e-12
    return result


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


BOX = [0.0, 0.0, 100.0, 200.0]
HALF = [0.0, 0.0, 100.0, 80.0]


def worked_example(*, found_in_g3: bool) -> tuple[SearchProtocol, Detections]:
    """Ranking g1 (overlaps), g2, g1 (overlaps, claimed), g3 (overlap 0.4), and perhaps g3 (overlap 0.8)."""
    in_g3 = [(HALF, 0.6)] + ([([0.0, 0.0, 100.0, 160.0], 0.5)] if found_in_g3 else [])
    return tiny_case(
        {"g1": [(BOX, 0.9), (BOX, 0.7)], "g2": [(BOX, 0.8)], "g3": in_g3}, {"g1": BOX, "g3": BOX}
    )


@pytest.mark.parametrize(("found_in_g3", "expected"), [(True, 0.70), (False, 0.50)])
def test_worked_example(found_in_g3: bool, expected: float) -> None:
    result = evaluate_search(*worked_example(found_in_g3=found_in_g3))
    assert result.average_precisions[0] == pytest.approx(expected, abs=1e-15)
    assert result.hits.tolist() == [[True, True, True]]


@pytest.mark.parametrize("seed", range(25))
def test_equals_the_release_with_many_ties(seed: int) -> None:
    """Embeddings of few distinct values: every product is exact and most similarities are tied."""
    protocol, detections = random_case(seed, ties=True)
    assert_equals_release(protocol, detections)


@pytest.mark.parametrize("seed", range(15))
def test_equals_the_release_on_unit_embeddings(seed: int) -> None:
    result = assert_equals_release(*random_case(seed, ties=False), similarity=rounded_product)
    assert 0 < result.mAP < 1


def test_equals_the_release_on_the_real_protocol(real_data: Path) -> None:
    """Random detections near the true boxes of TestG100, its doubled images and own images included."""
    protocol = read_protocol(real_data / "cuhk_sysu" / "TestG100.mat")
    some = np.array([0, 377, 493, 1250, 1633, 1997, 2132, 2561, *range(1000, 1060)])
    protocol = only_queries(protocol, some)
    rng = np.random.default_rng(0)
    truth_images = protocol.galleries[protocol.query_of_truth, protocol.truth_positions]
    boxes, scores, embeddings = [], [], []
    for image in range(len(protocol.image_names)):
        near = protocol.truth_boxes[truth_images == image]
        near = near + rng.normal(0, 6, near.shape)
        corner = rng.uniform(0, 400, (rng.integers(0, 4), 2))
        found = np.concatenate(
            [near, np.concatenate([corner, corner + rng.uniform(20, 99, corner.shape)], 1)]
        )
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        boxes.append(found)
        scores.append(rng.uniform(0.3, 1, len(found)))
        # Whole numbers over 8: exact products, and ties in abundance.
        embeddings.append(rng.integers(-3, 4, (len(found), 6)) / 8)
    detections = Detections.from_images(
        list(protocol.image_names), boxes, scores, embeddings, rng.integers(-3, 4, (len(some), 6)) / 8
    )
    result = assert_equals_release(protocol, detections)
    assert result.gallery_size == 100


def only_queries(protocol: SearchProtocol, queries: np.ndarray) -> SearchProtocol:
    counts = np.diff(protocol.truth_offsets)[queries]
    truths = np.concatenate(
        [np.arange(protocol.truth_offsets[q], protocol.truth_offsets[q + 1]) for q in queries]
    )
    return dataclasses.replace(
        protocol,
        **{
            name: getattr(protocol, name)[queries]
            for name in ("query_scenes", "query_boxes", "query_ids", "query_hard", "galleries")
        },
        **{
            name: getattr(protocol, name)[truths] for name in ("truth_positions", "truth_boxes", "truth_hard")
        },
        truth_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


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


def test_ranked_results_tell_the_worked_example() -> None:
    hits = ranked_results(*worked_example(found_in_g3=True), 0, 10)
    assert [(hit.image_name, hit.is_match) for hit in hits] == [
        ("g1", True), ("g2", False), ("g1", False), ("g3", False), ("g3", True),
    ]  # fmt: skip
    assert [round(hit.similarity, 6) for hit in hits] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert hits[3].box.tolist() == HALF
    assert [hit.image_name for hit in ranked_results(*worked_example(found_in_g3=True), 0, 2)] == ["g1", "g2"]


@pytest.mark.parametrize("seed", range(8))
def test_ranked_results_agree_with_the_hits(seed: int) -> None:
    protocol, detections = random_case(seed, ties=True)
    result = evaluate_search(protocol, detections)
    for query in range(protocol.num_queries):
        is_match = [hit.is_match for hit in ranked_results(protocol, detections, query, 10)]
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
