"""Measuring person search: extraction, rules, matching, ranking, metrics (Sec. 4.1).

Only `extraction` imports torch, and nothing here imports `extraction`.
"""

from maskps.evaluation.detection import DetectionResult, evaluate_detection
from maskps.evaluation.detections_file import Detections, read_detections, write_detections
from maskps.evaluation.methods.context import evaluate_with_context
from maskps.evaluation.methods.reranking import evaluate_reranked
from maskps.evaluation.ranking import RankedHit, ranked_results
from maskps.evaluation.rules import RULES, Rules
from maskps.evaluation.search import SCORE_THRESHOLD, SearchResult, evaluate_search, evaluate_searches

__all__ = [
    "RULES",
    "SCORE_THRESHOLD",
    "DetectionResult",
    "Detections",
    "RankedHit",
    "Rules",
    "SearchResult",
    "evaluate_detection",
    "evaluate_reranked",
    "evaluate_search",
    "evaluate_searches",
    "evaluate_with_context",
    "ranked_results",
    "read_detections",
    "write_detections",
]
