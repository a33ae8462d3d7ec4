"""Context matching against SeqNet's procedure with all assignments tried, and its promises."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import numpy as np
import pytest
from literal_search import literal_iou, literal_seqnet, rounded_product
from search_cases import BOX, random_case, tiny_case

from maskps import AnnotationError
from maskps.evaluation import METHODS, Detections, context_matching, evaluate_search
from maskps.evaluation.methods import Method, QueryGallery
from maskps.evaluation.result_file import ResultData
from maskps.evaluation.task import ScoringOptions, SearchTask, score
from maskps.protocols import ProtocolName, SearchProtocol


def literal_context(protocol: SearchProtocol, detections: Detections, k1: int, k2: int):
    """SeqNet's CBGM with every assignment tried instead of the Kuhn-Munkres algorithm."""

    def change(q: int, name2sim: dict[str, np.ndarray], name_to_det: dict) -> None:
        sims, imgs = [], []
        for name, sim in name2sim.items():
            sims.extend(list(sim))
            imgs.extend([name] * len(sim))
        persons = [detections.query_embeddings[q].astype(float), *beside(q)][:k2]
        for name in {imgs[i] for i in np.argsort(np.array(sims, np.float32))[-k1:]}:
            feats = name_to_det[name][1].astype(float)
            pairs, largest = best_assignment(np.array([[p @ f for f in feats] for p in persons]))
            if 0 in pairs:
                name2sim[name][pairs[0]] = largest

    def beside(q: int) -> list[np.ndarray]:
        name = protocol.image_names[protocol.query_scenes[q]]
        image = detections.image_names.tolist().index(name)
        rows = range(detections.offsets[image], detections.offsets[image + 1])
        rows = [row for row in rows if detections.scores[row] >= 0.5]
        box = protocol.query_boxes[q].astype(float)
        rows = [row for row in rows if literal_iou(detections.boxes[row].astype(float), box) <= 0.5]
        rows = sorted(rows, key=lambda row: -detections.scores[row])
        length = np.linalg.norm(detections.query_embeddings[q])
        found = [detections.embeddings[row].astype(float) for row in rows]
        return [one / np.linalg.norm(one) * length for one in found]

    return change


def best_assignment(graph: np.ndarray) -> tuple[dict[int, int], float]:
    """Person -> detection with the largest sum, and the largest value in it."""
    rows, columns = graph.shape
    if rows <= columns:
        choices = [list(enumerate(chosen)) for chosen in permutations(range(columns), rows)]
    else:
        choices = [[(row, column) for column, row in enumerate(chosen)]
                   for chosen in permutations(range(rows), columns)]  # fmt: skip
    best = max(choices, key=lambda pairs: sum(graph[i, j] for i, j in pairs))
    return dict(best), max(graph[i, j] for i, j in best)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("k1", "k2"), [(2, 2), (10, 3), (1000, 4)])
def test_equals_the_literal_procedure(seed: int, k1: int, k2: int) -> None:
    protocol, detections = random_case(seed, ties=False)
    result = evaluate_search(protocol, detections, rules="seqnet", method=context_matching(k1=k1, k2=k2))
    change = literal_context(protocol, detections, k1, k2)
    aps, accs = literal_seqnet(protocol, detections, rounded_product, context=change)
    np.testing.assert_allclose(result.average_precisions, aps, rtol=0, atol=1e-12)
    assert result.hits.tolist() == accs


def companion_case() -> tuple[SearchProtocol, Detections]:
    """Both gallery persons are a little like the query; beside the right one stands its companion."""
    other = [300.0, 0.0, 400.0, 200.0]
    beside_query = [([0.0, 0.0, 10.0, 20.0], 1.0), (other, 0.0)]
    found = {"g1": [(BOX, 0.5), (other, 0.0)], "g2": [(BOX, 0.6)], "query.jpg": beside_query}
    protocol, detections = tiny_case(found, {"g1": BOX}, gallery=["g1", "g2"])
    return protocol, detections


def test_a_certain_companion_lifts_the_right_answer() -> None:
    assert evaluate_search(*companion_case()).top1 == 0.0
    assert evaluate_search(*companion_case(), method=METHODS["cbgm"]).top1 == 1.0


def test_without_others_beside_the_query_nothing_changes() -> None:
    protocol, detections = random_case(3, ties=False)
    plain = evaluate_search(protocol, detections)
    context = evaluate_search(protocol, detections, method=context_matching(k2=1))
    np.testing.assert_array_equal(plain.average_precisions, context.average_precisions)


def test_the_image_of_a_query_must_be_known() -> None:
    protocol, detections = tiny_case({"g1": [(BOX, 0.9)]}, {"g1": BOX})
    with pytest.raises(AnnotationError, match=r"'query\.jpg'[\s\S]*beside them"):
        evaluate_search(protocol, detections, method=METHODS["cbgm"])


def crowd(images: int = 40) -> QueryGallery:
    """A query with four companions, each more like itself than the one before; all are in every image.

    The query is the less like itself the later the image comes.
    """
    names = [f"g{image:02}.jpg" for image in range(images)]
    in_gallery = [np.diag([0.5 - 0.001 * image, 0.6, 0.7, 0.8, 0.9]) for image in range(images)]
    places = [[200.0 * place, 0.0, 200.0 * place + 50, 90.0] for place in range(5)]
    detections = Detections.from_images(
        [*names, "query.jpg"],
        [np.array(places)] * images + [np.array(places[1:])],
        [np.ones(5)] * images + [np.linspace(0.9, 0.8, 4)],
        [*in_gallery, np.eye(5)[1:]],
        np.eye(5)[:1],
    )
    protocol, _ = tiny_case({name: [] for name in names}, {})
    rows = np.arange(5 * images)
    return QueryGallery(
        protocol=protocol,
        query=0,
        embedding=detections.query_embeddings[0],
        detections=detections,
        rows=rows,
        entries=rows // 5,
        images=rows // 5,
        similarities=detections.embeddings[rows] @ detections.query_embeddings[0],
        score_threshold=0.5,
    )


def test_the_persons_beside_a_query_are_compared_without_the_weight_of_their_scores() -> None:
    """SeqNet turns its score-weighted similarity off in the query's image."""
    gallery = crowd()
    weighted = gallery.detections.embeddings.copy()
    weighted[-4:] *= gallery.detections.scores[-4:, None]
    other = dataclasses.replace(
        gallery, detections=dataclasses.replace(gallery.detections, embeddings=weighted)
    )
    adjust = METHODS["cbgm"].adjust
    assert adjust is not None
    np.testing.assert_allclose(adjust(other), adjust(gallery), rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "images", "last_companion"),
    [(METHODS["cbgm"], 10, 0.7), (METHODS["cbgm"].for_format["prw"], 30, 0.8)],
    ids=["cuhk-sysu", "prw"],
)
def test_seqnets_settings_differ_by_data_set(method: Method, images: int, last_companion: float) -> None:
    """10 images and two companions on CUHK-SYSU, 30 images and three companions on PRW."""
    gallery = crowd()
    assert method.adjust is not None
    changed = method.adjust(gallery)[::5]
    np.testing.assert_allclose(changed[:images], last_companion, rtol=1e-6)
    np.testing.assert_array_equal(changed[images:], gallery.similarities[::5][images:])


@pytest.mark.parametrize(
    ("kind", "published"),
    [
        ("cuhk-sysu", context_matching(k1=10, k2=3)),
        ("protocol", context_matching(k1=10, k2=3)),
        ("prw", context_matching(k1=30, k2=4)),
    ],
)
def test_scores_use_the_settings_published_for_the_data(kind: str, published: Method) -> None:
    """The two settings rank this case differently."""
    protocol, detections = random_case(11, ties=False)
    task = SearchTask(ResultData(kind, "mine", False, "0" * 64), None, {ProtocolName("all"): protocol})
    (line,) = score(task, detections, ScoringOptions(methods=("cbgm",)))
    expected = evaluate_search(protocol, detections, method=published)
    np.testing.assert_array_equal(line.average_precisions, expected.average_precisions)
