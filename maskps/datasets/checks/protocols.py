"""Checks of test protocols: what in them makes evaluators disagree, and what makes them wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text
from maskps.datasets.checks.tables import RawScenes
from maskps.findings import Finding
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.summary import DOUBLED_IMAGE, describe_protocol

_TOLERANCE = 2.0  # pixels; copies that were rounded differ by up to 1.5 from PRW's real queries


def check_protocol(where: str, protocol: SearchProtocol) -> list[Finding]:
    """Returns what is wrong or odd in one protocol.

    Codes: gallery-image-doubled, own-image-in-gallery, query-without-match, query-box-empty.

    Args:
        where: its file.
    """
    findings = []
    for anomaly in describe_protocol(protocol).anomalies:
        if anomaly.kind == DOUBLED_IMAGE:
            findings.append(
                Finding(
                    "gallery-image-doubled",
                    "warning",
                    where,
                    anomaly.text,
                    "every image once in a gallery",
                    "evaluators differ: some count both entries, some skip the second; say which you use",
                )
            )
        else:
            findings.append(
                Finding(
                    "own-image-in-gallery",
                    "warning",
                    where,
                    anomaly.text,
                    "galleries without the query's own image",
                    "the released evaluator counts it; leave it in to compare with published numbers",
                )
            )
    for query in np.flatnonzero(np.diff(protocol.truth_offsets) == 0).tolist():
        findings.append(
            Finding(
                "query-without-match",
                "warning",
                where,
                f"query {query} ({protocol.query_ids[query]}) has no true box in its gallery",
                "one at least",
                "its average precision is 0, whatever the method; leave the query out",
            )
        )
    for kind, boxes in (("query", protocol.query_boxes), ("true box", protocol.truth_boxes)):
        for row in np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(axis=1)).tolist():
            query = row if kind == "query" else int(protocol.query_of_truth[row])
            findings.append(
                Finding(
                    "query-box-empty",
                    "error",
                    where,
                    f"query {query} ({protocol.query_ids[query]}): a {kind} without area",
                    "width and height above 0",
                    "correct the box; a box without area can never be found",
                )
            )
    return findings


def check_same_queries(protocols: Mapping[str, SearchProtocol]) -> list[Finding]:
    """Returns the protocols whose queries are not those of the first one, in its order.

    Code queries-differ: evaluators take the queries of one gallery size for all of them.

    Args:
        protocols: of several gallery sizes, by file.
    """
    if not protocols:
        return []
    first, wanted = next(iter(protocols.items()))
    findings = []
    for where, protocol in protocols.items():
        different = _first_difference(wanted, protocol)
        if different is not None:
            findings.append(
                Finding(
                    "queries-differ",
                    "warning",
                    where,
                    different,
                    f"the {wanted.num_queries:,} queries of {first}, in its order",
                    "results of the gallery sizes cannot be compared; copy both files again",
                )
            )
    return findings


def _first_difference(wanted: SearchProtocol, found: SearchProtocol) -> str | None:
    if found.num_queries != wanted.num_queries:
        return f"{found.num_queries:,} queries"
    is_same = (
        (found.query_ids == wanted.query_ids)
        & (found.image_names[found.query_scenes] == wanted.image_names[wanted.query_scenes])
        & (found.query_boxes == wanted.query_boxes).all(axis=1)
    )
    if is_same.all():
        return None
    query = int(np.argmin(is_same))
    return (
        f"{np.count_nonzero(~is_same):,} other queries, the first is query {query}: "
        f"{found.query_ids[query]} in {found.image_names[found.query_scenes[query]]}"
    )


def check_query_box(
    where: str, identity: str, box: NDArray[np.float64], scenes: RawScenes, scene: int
) -> list[Finding]:
    """Returns whether the box of a query is one of this identity's in its scene.

    Codes: query-id-not-in-image, query-box-differs.

    Args:
        where: the query, for messages.
        box: (4,) x, y, width, height.
        scene: its image, a row of `scenes`.
    """
    rows = np.arange(scenes.offsets[scene], scenes.offsets[scene + 1])
    rows = rows[scenes.ids[rows] == identity]
    if not len(rows):
        return [
            Finding(
                "query-id-not-in-image",
                "error",
                where,
                f"no box of '{scenes.names[scene]}' has id {identity}",
                "the query's person among the persons of its image",
                "the files may be of different versions; copy them again",
            )
        ]
    distance = np.abs(scenes.boxes[rows] - box).max(axis=1)
    best = int(np.argmin(distance))
    if distance[best] <= _TOLERANCE:
        return []
    return [
        Finding(
            "query-box-differs",
            "warning",
            where,
            f"box {box_text(box)} (x, y, width, height)",
            f"{box_text(scenes.boxes[rows[best]])}, the box of id {identity} in '{scenes.names[scene]}'",
            "the files may be of different versions; copy them again",
        )
    ]
