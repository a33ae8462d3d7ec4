"""The search metric's three rules restated with plain loops and scikit-learn, from their description.

Slow on purpose and without any code of `maskps.evaluation`: what the library must equal, and what the
benchmark compares it with. Each returns the APs and the top-1, 5, 10 of all queries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score

from maskps.evaluation import Detections
from maskps.protocols import SearchProtocol

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


def float32_product(gallery: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The released similarity; exact (in any order of summation) on the small multiples of 1/8 used here."""
    return gallery.dot(query).ravel()


def rounded_product(gallery: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.einsum("nd,d->n", gallery.astype(np.float64), query.astype(np.float64)).astype(np.float32)


def rounded_distance(gallery: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Minus the squared Euclidean distance in float64, rounded to float32."""
    return -((gallery.astype(np.float64) - query) ** 2).sum(axis=1).astype(np.float32)


def kept_detections(detections: Detections, threshold: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Boxes and embeddings by image; images without a detection are not there."""
    name_to_det = {}
    for i, name in enumerate(detections.image_names):
        rows = np.arange(detections.offsets[i], detections.offsets[i + 1])
        rows = rows[np.where(detections.scores[rows] >= threshold)[0]]
        if len(rows) > 0:
            name_to_det[str(name)] = (detections.boxes[rows], detections.embeddings[rows])
    return name_to_det


def literal_iou(a: np.ndarray, b: np.ndarray) -> float:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    inter = max(0, x2 - x1) * max(0, y2 - y1)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter * 1.0 / union


def labelled(sim: np.ndarray, det: np.ndarray, gt: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """One image's labels and similarities, as the OIM release has them and SeqNet after it."""
    label = np.zeros(len(sim), dtype=np.int32)
    if gt is not None:
        w, h = gt[2] - gt[0], gt[3] - gt[1]
        iou_thresh = min(0.5, (w * h * 1.0) / ((w + 10) * (h + 10)))
        inds = np.argsort(sim)[::-1]
        sim, det = sim[inds], det[inds]
        for j, roi in enumerate(det.astype(float)):
            if literal_iou(roi, gt) >= iou_thresh:
                label[j] = 1
                break
    return label, sim


def literal_oim(
    protocol: SearchProtocol,
    detections: Detections,
    similarity: Similarity = float32_product,
    threshold: float = 0.5,
) -> tuple[list[float], list[list[bool]]]:
    """The evaluator of the OIM release: APs and top-1, 5, 10 per query."""
    name_to_det = kept_detections(detections, threshold)
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
            label, sim = labelled(sim, det, gt)
            count_tp += int(label.sum())
            y_true.extend(list(label))
            y_score.extend(list(sim))
        ap, acc = scored(y_true, y_score, count_tp, count_gt)
        aps.append(ap)
        accs.append(acc)
    return aps, accs


def literal_seqnet(
    protocol: SearchProtocol,
    detections: Detections,
    similarity: Similarity = float32_product,
    threshold: float = 0.5,
    context: Callable[[int, dict[str, np.ndarray], dict], None] | None = None,
) -> tuple[list[float], list[list[bool]]]:
    """SeqNet's: two dictionaries by image name, so that a doubled image is there once, its truth twice.

    `context` changes the similarities in place, as its CBGM does: (query, name -> sim, name -> det).
    """
    name_to_det = kept_detections(detections, threshold)
    aps, accs = [], []
    for q in range(protocol.num_queries):
        count_gt, count_tp = 0, 0
        name2sim: dict[str, np.ndarray] = {}
        name2gt: dict[str, np.ndarray | None] = {}
        truths = range(protocol.truth_offsets[q], protocol.truth_offsets[q + 1])
        truth_at = {int(protocol.truth_positions[t]): protocol.truth_boxes[t].astype(float) for t in truths}
        for position, image in enumerate(protocol.galleries[q]):
            if image < 0:
                continue
            gt = truth_at.get(position)
            count_gt += gt is not None
            name = str(protocol.image_names[image])
            if name not in name_to_det or name in name2sim:
                continue
            name2sim[name] = similarity(name_to_det[name][1], detections.query_embeddings[q]).copy()
            name2gt[name] = gt
        if context is not None:
            context(q, name2sim, name_to_det)
        y_true: list[int] = []
        y_score: list[np.float32] = []
        for name, sim in name2sim.items():
            gt = name2gt[name]
            det = name_to_det[name][0]
            label, sim = labelled(sim, det, gt)
            count_tp += int(label.sum())
            y_true.extend(list(label))
            y_score.extend(list(sim))
        ap, acc = scored(y_true, y_score, count_tp, count_gt)
        aps.append(ap)
        accs.append(acc)
    return aps, accs


def literal_paper(
    protocol: SearchProtocol,
    detections: Detections,
    similarity: Similarity = float32_product,
    threshold: float = 0.5,
) -> tuple[list[float], list[list[bool]]]:
    """Sec. 4.1: the gallery is a set of images without the query's, each with one true box or none."""
    name_to_det = kept_detections(detections, threshold)
    aps, accs = [], []
    for q in range(protocol.num_queries):
        gallery: dict[str, np.ndarray | None] = {}
        truths = range(protocol.truth_offsets[q], protocol.truth_offsets[q + 1])
        truth_at = {int(protocol.truth_positions[t]): protocol.truth_boxes[t].astype(float) for t in truths}
        for position, image in enumerate(protocol.galleries[q]):
            if image < 0 or image == protocol.query_scenes[q]:
                continue
            name = str(protocol.image_names[image])
            if gallery.get(name) is None:
                gallery[name] = truth_at.get(position)
        y_true: list[int] = []
        y_score: list[np.float32] = []
        count_tp = 0
        for name, gt in gallery.items():
            if name not in name_to_det:
                continue
            det, feat_g = name_to_det[name]
            sim = similarity(feat_g, detections.query_embeddings[q])
            inds = np.argsort(sim)[::-1] if gt is not None else np.arange(len(sim))
            found = False
            for roi, value in zip(det[inds].astype(float), sim[inds], strict=True):
                right = gt is not None and not found and literal_iou(roi, gt) > 0.5
                found = found or right
                y_true.append(int(right))
                y_score.append(value)
            count_tp += found
        count_gt = sum(gt is not None for gt in gallery.values())
        ap, acc = scored(y_true, y_score, count_tp, count_gt)
        aps.append(ap)
        accs.append(acc)
    return aps, accs


def scored(
    y_true: list[int], y_score: list[np.float32], count_tp: int, count_gt: int
) -> tuple[float, list[bool]]:
    score = np.asarray(y_score, dtype=np.float32)
    true = np.asarray(y_true, dtype=np.int32)
    recall = count_tp * 1.0 / count_gt
    ap = 0.0 if count_tp == 0 else average_precision_score(true, score) * recall
    inds = np.argsort(score)[::-1]
    return ap, [bool(min(1, sum(true[inds][:k]))) for k in (1, 5, 10)]


LITERAL = {"oim": literal_oim, "seqnet": literal_seqnet, "paper": literal_paper}
