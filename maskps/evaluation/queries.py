"""Which row of the query embeddings belongs to which query of a protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.protocols.protocol import SearchProtocol

BOX_TOLERANCE = 0.5
"""Pixels by which a query's box may differ from the protocol's: some code bases round to whole pixels."""


def query_rows(protocol: SearchProtocol, detections: Detections) -> NDArray[np.int64]:
    """Returns the (Q,) row of `query_embeddings` of each of the protocol's queries.

    Detections that name their queries serve any protocol whose queries are among them: the row is that of
    the same scene with the nearest box, no corner more than half a pixel away. Without names the rows are
    taken to be in the protocol's order, and their number must be the protocol's.

    Raises:
        AnnotationError: a query that the detections lack, or another number of queries.
    """
    if detections.query_names is None or detections.query_boxes is None:
        if len(detections.query_embeddings) != protocol.num_queries:
            raise AnnotationError(
                "detections, query_embeddings",
                expected=f"one row for each of the protocol's {protocol.num_queries} queries, in its order",
                found=f"{len(detections.query_embeddings)} rows",
                hint="the subsets have query lists of their own; embed the queries of this very protocol, or "
                "say which query each row is with query_names and query_boxes",
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
            found=f"none; {len(missing)} of the protocol's {protocol.num_queries} queries are not there",
            hint="embed the queries of this protocol too",
        )
    return rows
