"""Counts of a test protocol, and its anomalies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text, xyxy_to_xywh
from maskps.protocols.protocol import SearchProtocol

DOUBLED_IMAGE = "doubled-gallery-image"
OWN_IMAGE = "own-image-in-gallery"


@dataclass(frozen=True)
class Anomaly:
    """Something in a protocol that you should know before comparing numbers.

    Attributes:
        kind: `DOUBLED_IMAGE` (evaluators differ: some count both entries, some skip the second but keep its
            true box) or `OWN_IMAGE` (the released evaluator counts the query's own image).
        query: index of the query, from 0.
        query_id: the data set's own identity.
        image: name of the scene.
        text: the anomaly in one sentence.
    """

    kind: str
    query: int
    query_id: str
    image: str
    text: str


@dataclass(frozen=True)
class ProtocolSummary:
    """Counts of a protocol.

    Attributes:
        queries: number of queries.
        query_images: distinct scenes of queries.
        gallery_images: distinct scenes in galleries.
        gallery_sizes: distinct lengths of galleries, rising.
        truths: true boxes of all queries together.
        anomalies: by kind, then by query.
    """

    queries: int
    query_images: int
    gallery_images: int
    gallery_sizes: tuple[int, ...]
    truths: int
    anomalies: tuple[Anomaly, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, ready for JSON."""
        return {
            **asdict(self),
            "gallery_sizes": list(self.gallery_sizes),
            "anomalies": [*map(asdict, self.anomalies)],
        }


def describe_protocol(protocol: SearchProtocol) -> ProtocolSummary:
    """Returns the counts and anomalies of a protocol. Without queries, the counts are 0."""
    in_gallery = np.zeros(len(protocol.image_names) + 1, dtype=bool)
    in_gallery[protocol.galleries] = True  # -1 marks the surplus last element
    return ProtocolSummary(
        queries=protocol.num_queries,
        query_images=len(np.unique(protocol.query_scenes)),
        gallery_images=int(in_gallery[:-1].sum()),
        gallery_sizes=tuple(np.unique(protocol.lengths).tolist()),
        truths=len(protocol.truth_positions),
        anomalies=(*_doubled_images(protocol), *_own_images(protocol)),
    )


def _doubled_images(protocol: SearchProtocol) -> list[Anomaly]:
    rows = np.sort(protocol.galleries, axis=1)
    doubled = (rows[:, 1:] == rows[:, :-1]) & (rows[:, 1:] >= 0)
    found = sorted({(int(query), int(rows[query, column])) for query, column in np.argwhere(doubled)})
    anomalies = []
    for query, scene in found:
        times = int(np.count_nonzero(protocol.galleries[query] == scene))
        boxes = _true_boxes(protocol, query, scene)
        different = len(np.unique(boxes, axis=0))
        if len(boxes) > 1 and different == 1:
            what = f"with {len(boxes)} identical true boxes {_xywh(boxes[0])}"
        elif len(boxes) > 1:
            what = f"with {different} different true boxes {' '.join(map(_xywh, boxes))}"
        elif len(boxes) == 1:
            what = f"once with the true box {_xywh(boxes[0])}"
        else:
            what = "without a true box"
        anomalies.append(
            _anomaly(protocol, DOUBLED_IMAGE, query, scene, f"is {times} times in the gallery, {what}")
        )
    return anomalies


def _own_images(protocol: SearchProtocol) -> list[Anomaly]:
    anomalies = []
    own = (protocol.galleries == protocol.query_scenes[:, None]).any(axis=1)
    for query in np.flatnonzero(own).tolist():
        scene = int(protocol.query_scenes[query])
        boxes = _true_boxes(protocol, query, scene)
        if not len(boxes):
            what = "without a true box"
        elif (boxes == protocol.query_boxes[query]).all(axis=1).any():
            what = f"with the identical box {_xywh(protocol.query_boxes[query])} as a true one: a free hit"
        else:
            what = f"with another true box {_xywh(boxes[0])} (query box {_xywh(protocol.query_boxes[query])})"
        text = f"is the query's own image and in its gallery, {what}"
        anomalies.append(_anomaly(protocol, OWN_IMAGE, query, scene, text))
    return anomalies


def _anomaly(protocol: SearchProtocol, kind: str, query: int, scene: int, text: str) -> Anomaly:
    query_id, image = str(protocol.query_ids[query]), str(protocol.image_names[scene])
    return Anomaly(kind, query, query_id, image, f"query {query} ({query_id}): {image} {text}")


def _true_boxes(protocol: SearchProtocol, query: int, scene: int) -> NDArray[np.float32]:
    rows = slice(int(protocol.truth_offsets[query]), int(protocol.truth_offsets[query + 1]))
    in_scene = protocol.galleries[query, protocol.truth_positions[rows]] == scene
    return protocol.truth_boxes[rows][in_scene]


def _xywh(box: NDArray[np.float32]) -> str:
    return box_text(xyxy_to_xywh(box)[0])
