"""Measuring person search: extraction, rules, matching, ranking, metrics (Sec. 4.1).

Only `extraction` imports torch, and nothing here imports `extraction`.
"""

from maskps.evaluation.detection import DetectionResult, evaluate_detection
from maskps.evaluation.detections_file import Detections, read_detections, write_detections
from maskps.evaluation.methods import METHODS, Method, QueryGallery, context_matching, k_reciprocal_reranking
from maskps.evaluation.ranking import RankedHit, ranked_results
from maskps.evaluation.rules import RULES, Rules
from maskps.evaluation.search import SCORE_THRESHOLD, SearchResult, evaluate_search, evaluate_searches

__all__ = [
    "METHODS",
    "RULES",
    "SCORE_THRESHOLD",
    "DetectionResult",
    "Detections",
    "Method",
    "QueryGallery",
    "RankedHit",
    "Rules",
    "SearchResult",
    "context_matching",
    "evaluate_detection",
    "evaluate_search",
    "evaluate_searches",
    "k_reciprocal_reranking",
    "ranked_results",
    "read_detections",
    "write_detections",
]
