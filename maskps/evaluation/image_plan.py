"""Which images the network has to see for some protocols, and what it has to return for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.boxes_inside import check_boxes_inside
from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.io.images import check_images
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

Query = tuple[str, NDArray[np.float32]]
"""The image of a query and its box, (4,) float32."""


class ImageFeatures(NamedTuple):
    """What the network returns for one image.

    Attributes:
        boxes: (n, 4) float32, of the detections; n = 0 if none are wanted here.
        scores: (n,) float32.
        embeddings: (n, D) float32.
        queries: (q, D) float32, of the queries whose box is in the image, in the plan's order.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    queries: NDArray[np.float32]


@dataclass(frozen=True)
class ImagePlan:
    """The images that some protocols need, each once.

    Attributes:
        names: (M,), of the images: those of the first protocol, then what the others add.
        is_detected: (M,) bool, whether persons are detected there.
        query_names: (Q,) str, the image of each query: the queries of the first protocol in its order, then
            those that the others add. Queries with the same image and box are one.
        query_boxes: (Q, 4) float32.
        queries_of: for each image, the rows of its queries.
    """

    names: tuple[str, ...]
    is_detected: NDArray[np.bool_]
    query_names: NDArray[np.str_]
    query_boxes: NDArray[np.float32]
    queries_of: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(
        cls, dataset: PersonSearchDataset, protocols: Sequence[SearchProtocol], *, query_images: bool = False
    ) -> ImagePlan:
        """Returns the plan of these protocols.

        Args:
            query_images: detect persons in the queries' images too, not only in gallery images.

        Raises:
            InputFileError: images are missing.
            AnnotationError: a protocol has no query; or as `check_boxes_inside`, for the queries and the
                images' test persons.
        """
        if not all(protocol.num_queries for protocol in protocols):
            raise AnnotationError(dataset.root, expected="a protocol with queries", found="none")
        is_detected = _images(protocols, query_images)
        check_images(dataset.test_folder, list(is_detected), what="images of the test protocol")
        queries = _distinct_queries(protocols)
        test = dataset.test.select(np.flatnonzero(np.isin(dataset.test.names, list(is_detected))))
        names = np.array([name for name, _ in queries])
        boxes = np.stack([box for _, box in queries])
        check_boxes_inside(
            dataset,
            np.concatenate([names, test.names[test.scene_of_person]]),
            np.concatenate([boxes, test.boxes]),
        )
        rows_of: dict[str, list[int]] = {name: [] for name in is_detected}
        for row, (name, _) in enumerate(queries):
            rows_of[name].append(row)
        return cls(
            names=tuple(is_detected),
            is_detected=np.array(list(is_detected.values())),
            query_names=names,
            query_boxes=boxes,
            queries_of=tuple(np.array(rows, dtype=np.int64) for rows in rows_of.values()),
        )

    def joined(self, features: Mapping[int, ImageFeatures]) -> Detections:
        """Returns the detections in all images, from the features of each, by its row in `names`.

        Images in which nobody was to be detected are not listed.
        """
        rows = np.flatnonzero(self.is_detected).tolist()
        queries = np.concatenate([features[row].queries for row in range(len(self.names))])
        in_order = np.argsort(np.concatenate(self.queries_of))
        return Detections.from_images(
            [self.names[row] for row in rows],
            [features[row].boxes for row in rows],
            [features[row].scores for row in rows],
            [features[row].embeddings for row in rows],
            queries[in_order],
            query_names=self.query_names,
            query_boxes=self.query_boxes,
        )


def _images(protocols: Sequence[SearchProtocol], query_images: bool) -> dict[str, bool]:
    """Returns all images of galleries and queries, and whether persons are detected there."""
    is_detected: dict[str, bool] = {}
    for protocol in protocols:
        in_gallery = np.zeros(len(protocol.image_names), dtype=np.bool_)
        in_gallery[protocol.galleries[protocol.galleries >= 0]] = True
        is_needed = in_gallery.copy()
        is_needed[protocol.query_scenes] = True
        for image in np.flatnonzero(is_needed).tolist():
            name = str(protocol.image_names[image])
            is_detected[name] = is_detected.get(name, query_images) or bool(in_gallery[image])
    return is_detected


def _distinct_queries(protocols: Sequence[SearchProtocol]) -> list[Query]:
    """Returns the queries of the first protocol, then those of the others that are not among them."""
    queries: list[Query] = []
    for protocol in protocols:
        known = {(name, box.tobytes()) for name, box in queries}
        names = protocol.image_names[protocol.query_scenes].tolist()
        boxes = protocol.query_boxes.astype(np.float32)
        own = list(zip(names, boxes, strict=True))
        queries += [(name, box) for name, box in own if (name, box.tobytes()) not in known]
    return queries
