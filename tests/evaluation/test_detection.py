"""Detection recall and AP."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from maskps import AnnotationError, Scene, SceneTable
from maskps.boxes import box_iou
from maskps.evaluation.detection import evaluate_detection, mutual_best
from maskps.evaluation.detections_file import Detections


def scene(name: str, boxes: list[list[float]], pids: list[int] | None = None) -> Scene:
    return Scene(
        name,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), -1, np.int64) if pids is None else np.array(pids, np.int64),
        np.zeros(len(boxes), bool),
    )


def found(names: list[str], boxes: list, scores: list) -> Detections:
    counts = [len(one) for one in scores]
    return Detections.from_images(
        names,
        [np.array(one, float).reshape(-1, 4) for one in boxes],
        [np.array(one, float) for one in scores],
        [np.zeros((count, 2)) for count in counts],
        np.zeros((0, 2)),
    )


def slow_release(scenes: SceneTable, detections: Detections, threshold: float) -> tuple[float, float]:
    """The released rule, restated with loops."""
    y_true, y_score, count_gt, count_tp = [], [], 0, 0
    place = {str(name): row for row, name in enumerate(detections.image_names)}
    for i in range(len(scenes)):
        row = place[scenes[i].name]
        span = [
            j
            for j in range(detections.offsets[row], detections.offsets[row + 1])
            if detections.scores[j] >= threshold
        ]
        gt = scenes[i].boxes
        count_gt += len(gt)
        if not span:
            continue
        ious = np.array([[box_iou(g, detections.boxes[j])[0, 0] for j in span] for g in gt], np.float32)
        matrix = ious >= 0.5
        for j in range(len(span)):
            for g in range(len(gt)):
                if g != np.argmax(ious[:, j]):
                    matrix[g, j] = False
        for g in range(len(gt)):
            for j in range(len(span)):
                if j != np.argmax(ious[g, :]):
                    matrix[g, j] = False
        y_score += [detections.scores[j] for j in span]
        y_true += [bool(matrix[:, j].any()) for j in range(len(span))]
        count_tp += int(matrix.sum())
    recall = count_tp / count_gt
    return recall, average_precision_score(y_true, y_score) * recall if count_tp else 0.0


def test_equals_the_slow_release_on_random_detections() -> None:
    rng = np.random.default_rng(3)
    scenes, boxes, scores = [], [], []
    for i in range(30):
        corner = rng.integers(0, 60, (rng.integers(1, 6), 2))
        persons = np.concatenate([corner, corner + rng.integers(10, 40, corner.shape)], axis=1)
        scenes.append(scene(f"s{i}.jpg", persons.tolist()))
        moved = np.concatenate([persons, persons[: rng.integers(0, 4)]]) + rng.integers(-6, 7, 4)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
        moved = moved[: rng.integers(0, len(moved) + 1)]
        boxes.append(moved)
        scores.append(rng.integers(0, 8, len(moved)) / 8)
    table = SceneTable.from_scenes(scenes)
    detections = found([one.name for one in scenes][::-1], boxes[::-1], scores[::-1])
    result = evaluate_detection(table, detections, score_threshold=0.25)
    recall, ap = slow_release(table, detections, 0.25)
    assert 0.1 < recall < 0.9
    assert result.recall == pytest.approx(recall, abs=1e-12)
    assert result.average_precision == pytest.approx(ap, abs=1e-12)


def test_second_detection_of_a_person_is_wrong() -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 10, 20]])])
    result = evaluate_detection(table, found(["a"], [[[0, 0, 10, 20], [0, 0, 10, 19]]], [[0.8, 0.9]]))
    assert result.recall == 1.0
    assert result.average_precision == 0.5
    assert (result.persons, result.detections, result.scenes) == (1, 2, 1)


@pytest.mark.parametrize(("width", "expected"), [(4.99, 0.0), (5.0, 1.0), (5.01, 1.0)])
def test_iou_of_exactly_one_half_counts(width: float, expected: float) -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 10, 20]])])
    assert evaluate_detection(table, found(["a"], [[[0, 0, width, 20]]], [[0.9]])).recall == expected


@pytest.mark.parametrize(("score", "expected"), [(0.49, 0.0), (0.5, 1.0)])
def test_score_at_the_threshold_counts(score: float, expected: float) -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 10, 20]])])
    assert evaluate_detection(table, found(["a"], [[[0, 0, 10, 20]]], [[score]])).recall == expected


def test_scene_without_persons_makes_its_detections_wrong() -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 10, 20]]), scene("b", [])])
    box = [[0, 0, 10, 20]]
    result = evaluate_detection(table, found(["a", "b"], [box, box], [[0.6], [0.9]]))
    assert (result.recall, result.average_precision) == (1.0, 0.5)


def test_nothing_detected_is_zero() -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 10, 20]])])
    result = evaluate_detection(table, found(["a"], [[]], [[]]))
    assert (result.recall, result.average_precision) == (0.0, 0.0)


def test_result_names_both_thresholds() -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 10, 20]])])
    numbers = evaluate_detection(table, found(["a"], [[]], [[]]), score_threshold=0.01).to_dict()
    assert (numbers["score_threshold"], numbers["iou_threshold"]) == (0.01, 0.5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_no_person_or_no_detection_matches_nothing(shape: tuple[int, int]) -> None:
    assert not mutual_best(np.zeros(shape)).any()


def test_missing_scene_is_named_with_the_count() -> None:
    table = SceneTable.from_scenes([scene("a", [[0, 0, 1, 2]]), scene("b", []), scene("c", [])])
    with pytest.raises(AnnotationError, match=r"'b'[\s\S]*2 of them"):
        evaluate_detection(table, found(["a"], [[]], [[]]))


def test_no_person_at_all_is_an_error() -> None:
    with pytest.raises(AnnotationError, match="annotated persons"):
        evaluate_detection(SceneTable.from_scenes([scene("a", [])]), found(["a"], [[]], [[]]))


LABELED, UNLABELED = [0.0, 0.0, 10.0, 20.0], [50.0, 0.0, 60.0, 20.0]


def labeled_and_not() -> SceneTable:
    """Scene a has one person of each kind, b an unlabeled one, c none."""
    return SceneTable.from_scenes(
        [scene("a", [LABELED, UNLABELED], [1, -1]), scene("b", [UNLABELED]), scene("c", [])]
    )


def test_labeled_only_leaves_out_unlabeled_persons_and_scenes_without_a_labeled_one() -> None:
    boxes = [[LABELED], [UNLABELED], [LABELED]]
    detections = found(["a", "b", "c"], boxes, [[0.9], [0.9], [0.9]])
    both = evaluate_detection(labeled_and_not(), detections)
    labeled = evaluate_detection(labeled_and_not(), detections, labeled_only=True)
    assert (both.recall, both.persons, both.scenes, both.detections) == (2 / 3, 3, 3, 3)
    assert (labeled.recall, labeled.persons, labeled.scenes, labeled.detections) == (1.0, 1, 1, 1)
    assert labeled.to_dict()["labeled_only"] is True


def test_labeled_only_counts_detections_of_unlabeled_persons_as_wrong() -> None:
    detections = found(["a", "b", "c"], [[UNLABELED, LABELED], [], []], [[0.9, 0.8], [], []])
    assert evaluate_detection(labeled_and_not(), detections, labeled_only=True).average_precision == 0.5


def test_labeled_only_needs_a_labeled_person() -> None:
    table = SceneTable.from_scenes([scene("a", [UNLABELED])])
    with pytest.raises(AnnotationError, match="labeled persons"):
        evaluate_detection(table, found(["a"], [[]], [[]]), labeled_only=True)
