"""Checks of test protocols: what makes evaluators disagree, and what makes results wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text, has_area
from maskps.datasets.checks.tables import RawScenes
from maskps.findings import Finding, Rule
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.summary import DOUBLED_IMAGE, describe_protocol

_TOLERANCE = 2.0  # pixels; copies that were rounded differ by up to 1.5 from PRW's real queries


_IMAGE_DOUBLED = Rule(
    "gallery-image-doubled",
    "warning",
    "every image once in a gallery",
    "evaluators differ: some count both entries, some skip the second; say which you use",
)
_OWN_IMAGE = Rule(
    "own-image-in-gallery",
    "warning",
    "galleries without the query's own image",
    "the released evaluator counts it; leave it in to compare with published numbers",
)
WITHOUT_MATCH = Rule(
    "query-without-match",
    "error",
    "at least one true box in the gallery of each query",
    "'score' and 'eval' refuse it, as its recall is 0 / 0; 'maskps-data cut' leaves such queries out",
)
_BOX_EMPTY = Rule(
    "query-box-empty",
    "error",
    "width and height above 0",
    "correct the box; a box without area can never be found",
)
_OTHER_VERSION = "the files may be of different versions; copy them again"
_QUERIES_DIFFER = Rule(
    "queries-differ",
    "warning",
    hint="results of the gallery sizes cannot be compared; copy both files again",
)
_NOT_IN_IMAGE = Rule(
    "query-id-not-in-image", "error", "the query's person among the persons of its image", _OTHER_VERSION
)
_BOX_DIFFERS = Rule("query-box-differs", "warning", hint=_OTHER_VERSION)


def check_protocol(where: str, protocol: SearchProtocol) -> list[Finding]:
    """Returns what is wrong or odd in one protocol.

    Codes: gallery-image-doubled, own-image-in-gallery, query-without-match, query-box-empty.

    Args:
        where: its file.
    """
    findings = [
        (_IMAGE_DOUBLED if anomaly.kind == DOUBLED_IMAGE else _OWN_IMAGE).broken(where, anomaly.text)
        for anomaly in describe_protocol(protocol).anomalies
    ]
    names = [f"query {query} ({identity})" for query, identity in enumerate(protocol.query_ids.tolist())]
    for query in np.flatnonzero(np.diff(protocol.truth_offsets) == 0).tolist():
        findings.append(WITHOUT_MATCH.broken(where, f"{names[query]} has no true box in its gallery"))
    for row in np.flatnonzero(~has_area(protocol.query_boxes)).tolist():
        findings.append(_BOX_EMPTY.broken(where, f"{names[row]}: a query without area"))
    for row in np.flatnonzero(~has_area(protocol.truth_boxes)).tolist():
        query = int(protocol.query_of_truth[row])
        findings.append(_BOX_EMPTY.broken(where, f"{names[query]}: a true box without area"))
    return findings


def check_same_queries(protocols: Mapping[str, SearchProtocol]) -> list[Finding]:
    """Returns the protocols whose queries are not those of the first one, in the same order.

    Code queries-differ: evaluators use the queries of one gallery size for all of them.

    Args:
        protocols: of several gallery sizes, by file.
    """
    if not protocols:
        return []
    first, wanted = next(iter(protocols.items()))
    expected = f"the {wanted.num_queries:,} queries of {first}, in its order"
    differences = {where: _first_difference(wanted, protocol) for where, protocol in protocols.items()}
    return [
        _QUERIES_DIFFER.broken(where, found, expected=expected)
        for where, found in differences.items()
        if found
    ]


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
    """Returns a finding if the box of a query is not one of its person's boxes in the scene.

    Codes: query-id-not-in-image, query-box-differs.

    Args:
        where: the query, for messages.
        box: (4,) x, y, width, height.
        scene: its image, a row of `scenes`.
    """
    image = scenes.names[scene]
    rows = np.arange(scenes.offsets[scene], scenes.offsets[scene + 1])
    rows = rows[scenes.ids[rows] == identity]
    if not len(rows):
        return [_NOT_IN_IMAGE.broken(where, f"no box of '{image}' has id {identity}")]
    distance = np.abs(scenes.boxes[rows] - box).max(axis=1)
    best = int(np.argmin(distance))
    if distance[best] <= _TOLERANCE:
        return []
    expected = f"{box_text(scenes.boxes[rows[best]])}, the box of id {identity} in '{image}'"
    return [_BOX_DIFFERS.broken(where, f"box {box_text(box)} (x, y, width, height)", expected=expected)]
