"""Test protocols as data: which queries, which galleries, which true boxes (Sec. 4.1).

protocol   the record `SearchProtocol`, and the reader of TestG*.mat files
sets       protocols made from a protocol: the full set, PRW's cameras, fewer queries or entries
identities which texts are the same identity, or mean nobody
summary    what a protocol holds, and its anomalies
"""

from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.protocols.sets import (
    Cameras,
    ProtocolName,
    camera_protocol,
    full_set,
    select_entries,
    select_queries,
    whole_test_protocol,
)
from maskps.protocols.summary import Anomaly, ProtocolSummary, describe_protocol

__all__ = [
    "Anomaly",
    "Cameras",
    "ProtocolName",
    "ProtocolSummary",
    "SearchProtocol",
    "camera_protocol",
    "describe_protocol",
    "full_set",
    "read_protocol",
    "select_entries",
    "select_queries",
    "whole_test_protocol",
]
