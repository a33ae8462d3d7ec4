"""Measuring person search: protocols, matching, metrics. Nothing here imports torch."""

from maskps.evaluation.detection import DetectionResult, evaluate_detection
from maskps.evaluation.detections_file import Detections, read_detections, write_detections
from maskps.evaluation.protocol import SearchProtocol
from maskps.evaluation.search import (
    SCORE_THRESHOLD,
    RankedHit,
    SearchResult,
    evaluate_search,
    ranked_results,
)

__all__ = [
    "SCORE_THRESHOLD",
    "DetectionResult",
    "Detections",
    "RankedHit",
    "SearchProtocol",
    "SearchResult",
    "evaluate_detection",
    "evaluate_search",
    "ranked_results",
    "read_detections",
    "write_detections",
]
