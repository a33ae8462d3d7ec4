"""Which row of the query embeddings belongs to which query of a protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.protocols.protocol import SearchProtocol

BOX_TOLERANCE = 0.5
"""Pixels by which each side of a query's box may differ from the protocol's: some code bases round."""


def query_rows(protocol: SearchProtocol, detections: Detections) -> NDArray[np.int64]:
    """Returns (Q,) int64, the row of `query_embeddings` of each of the protocol's queries.

    Detections that name their queries serve any protocol whose queries are among them. The row is then that
    of the same scene with the nearest box, at most `BOX_TOLERANCE` away. Without names, the rows must be the
    protocol's queries in the protocol's order.

    Raises:
        AnnotationError: the detections lack a query, or have another number of queries.
    """
    if detections.query_names is None or detections.query_boxes is None:
        if len(detections.query_embeddings) != protocol.num_queries:
            raise AnnotationError(
                "detections, query_embeddings",
                expected=f"one row for each of the protocol's {protocol.num_queries} queries, in its order",
                found=f"{len(detections.query_embeddings)} rows",
                hint="the subsets have other queries; embed the queries of this protocol, or name the query "
                "of each row with query_names and query_boxes",
            )
        return np.arange(protocol.num_queries)
    names = protocol.image_names[protocol.query_scenes]
    rows = np.full(protocol.num_queries, -1, dtype=np.int64)
    rows_of_scene: dict[str, list[int]] = {}
    for row, name in enumerate(detections.query_names.tolist()):
        rows_of_scene.setdefault(name, []).append(row)
    for query, name in enumerate(names.tolist()):
        known = rows_of_scene.get(name, [])
        if known:
            away = np.abs(detections.query_boxes[known] - protocol.query_boxes[query]).max(axis=1)
            nearest = int(away.argmin())
            rows[query] = known[nearest] if away[nearest] <= BOX_TOLERANCE else -1
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        first = missing[0]
        raise AnnotationError(
            f"detections, query '{protocol.query_ids[first]}'",
            expected=f"a row for box {protocol.query_boxes[first].tolist()} in '{names[first]}'",
            found=f"no such row; {len(missing)} of the protocol's {protocol.num_queries} queries are missing",
            hint="embed the queries of this protocol too",
        )
    return rows
