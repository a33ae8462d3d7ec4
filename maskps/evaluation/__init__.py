"""Measuring person search: protocols, matching, metrics. Nothing here imports torch."""

from maskps.evaluation.detection import DetectionResult, evaluate_detection
from maskps.evaluation.detections_file import Detections, read_detections, write_detections
from maskps.evaluation.methods.context import evaluate_with_context
from maskps.evaluation.methods.reranking import evaluate_reranked
from maskps.evaluation.ranking import RankedHit, ranked_results
from maskps.evaluation.rules import RULES, Rules
from maskps.evaluation.search import SCORE_THRESHOLD, SearchResult, evaluate_search, evaluate_searches
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.protocols.sets import camera_protocol, full_set
from maskps.protocols.summary import Anomaly, ProtocolSummary, describe_protocol

__all__ = [
    "RULES",
    "SCORE_THRESHOLD",
    "Anomaly",
    "DetectionResult",
    "Detections",
    "ProtocolSummary",
    "RankedHit",
    "Rules",
    "SearchProtocol",
    "SearchResult",
    "camera_protocol",
    "describe_protocol",
    "evaluate_detection",
    "evaluate_reranked",
    "evaluate_search",
    "evaluate_searches",
    "evaluate_with_context",
    "full_set",
    "ranked_results",
    "read_detections",
    "read_protocol",
    "write_detections",
]
