"""Pedestrian detection: recall and AP at IoU 0.5 against annotated persons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_iou
from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.metrics import average_precision
from maskps.structures import SceneTable

IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class DetectionResult:
    """Recall and AP of a detector, with the thresholds that they depend on.

    Attributes:
        recall: found persons / persons.
        average_precision: AP over all detections, multiplied by the recall (as the released evaluator does).
        persons: annotated persons.
        detections: detections at or above the score threshold.
        scenes: scenes evaluated.
        score_threshold: 0.5 in the first release; later code bases use 0.01 and are not comparable.
        iou_threshold: a person counts as found from this IoU on.
        labeled_only: whether unlabeled persons were left out. Detections of them then count as wrong, as in
            the released evaluators, so that only the recall means something.
    """

    recall: float
    average_precision: float
    persons: int
    detections: int
    scenes: int
    score_threshold: float
    iou_threshold: float
    labeled_only: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain values, fractions at full precision; the AP as "AP"."""
        return {"AP" if name == "average_precision" else name: value for name, value in asdict(self).items()}


def evaluate_detection(
    scenes: SceneTable,
    detections: Detections,
    *,
    score_threshold: float = 0.5,
    labeled_only: bool = False,
) -> DetectionResult:
    """Returns recall and AP of the detections in these scenes, for all persons or for labeled ones only.

    A detection is right if it and a person are each other's best overlap (the first of equals) with an IoU of
    at least 0.5: the rule of the released evaluator, which also computes the IoU in float32. All detections
    in a scene without a person are wrong (the released code fails there). `labeled_only` leaves out scenes
    without a labeled person, as the released code does.

    Raises:
        AnnotationError: the detections lack a scene, or no scene has a person.
    """
    is_person = scenes.is_labeled if labeled_only else np.ones(scenes.num_persons, dtype=np.bool_)
    if not is_person.any():
        what = "labeled persons" if labeled_only else "annotated persons"
        raise AnnotationError("scenes", expected=what, found="none in any scene")
    rows = detections.rows_of(scenes.names, what="scenes")
    is_kept = detections.scores >= float(score_threshold)
    is_match = np.zeros(len(detections), dtype=np.bool_)
    is_seen = np.zeros(len(detections), dtype=np.bool_)
    looked_at = 0
    for scene, row in enumerate(rows):
        annotated = slice(scenes.offsets[scene], scenes.offsets[scene + 1])
        persons = scenes.boxes[annotated][is_person[annotated]]
        if labeled_only and len(persons) == 0:
            continue
        looked_at += 1
        span = np.arange(detections.offsets[row], detections.offsets[row + 1])
        span = span[is_kept[span]]
        is_seen[span] = True
        is_match[span] = mutual_best(box_iou(persons, detections.boxes[span]))
    recall = float(is_match.sum() / is_person.sum())
    precision = average_precision(is_match[is_seen], detections.scores[is_seen])
    return DetectionResult(
        recall=recall,
        average_precision=precision * recall,
        persons=int(is_person.sum()),
        detections=int(is_seen.sum()),
        scenes=looked_at,
        score_threshold=float(score_threshold),
        iou_threshold=IOU_THRESHOLD,
        labeled_only=labeled_only,
    )


def mutual_best(iou: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns (m,) bool: whether each detection is the best overlap of its best person, at IoU >= 0.5.

    Args:
        iou: (n, m) of n persons with m detections; either may be 0.
    """
    if iou.size == 0:
        return np.zeros(iou.shape[1], dtype=np.bool_)
    rounded = iou.astype(np.float32)
    best_person = rounded.argmax(axis=0)
    columns = np.arange(rounded.shape[1])
    is_mutual = rounded.argmax(axis=1)[best_person] == columns
    return is_mutual & (rounded[best_person, columns] >= IOU_THRESHOLD)
