"""From test images to `Detections`: the one step of the evaluation that runs the network. Needs torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.protocol import SearchProtocol
from maskps.images import check_images, read_image
from maskps.model.predictor import ImageDetections, Predictor
from maskps.structures import PersonSearchDataset


def extract_detections(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
    *,
    score_threshold: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Detections:
    """Returns what the network finds in a protocol's gallery images, and the features of its queries.

    Every image is read once. Gallery images are detected once each, however many galleries list them;
    query features are pooled from the query's own box, as in the released evaluation, never from a
    detection. The result lists the gallery images only: those that were looked at for detections.

    Args:
        score_threshold: detections below it are dropped, on top of the network's own threshold. The search
            metric drops those below 0.5 itself.
        progress: called with (images done, images in all) after every image.

    Raises:
        InputFileError: an image is missing or broken; all are looked for before the first is read.
        AnnotationError: the protocol has no query.
    """
    names = [str(name) for name in protocol.image_names]
    if protocol.num_queries == 0:
        raise AnnotationError(dataset.root, expected="a protocol with queries", found="none")
    check_images(dataset.image_dir, names, what="images of the test protocol")
    is_gallery = np.zeros(len(names), dtype=np.bool_)
    is_gallery[protocol.galleries[protocol.galleries >= 0]] = True
    queries_of = _queries_by_image(protocol)

    detections: list[ImageDetections] = []
    query_embeddings: list[NDArray[np.float32]] = []
    for row, name in enumerate(names):
        image = read_image(dataset.image_path(name))
        if len(queries_of[row]):
            query_embeddings.append(predictor.embed(image, protocol.query_boxes[queries_of[row]]))
        if is_gallery[row]:
            detections.append(_above(predictor.detect(image), score_threshold))
        if progress is not None:
            progress(row + 1, len(names))
    in_protocol_order = np.argsort(np.concatenate(queries_of))
    return Detections.from_images(
        [name for name, is_wanted in zip(names, is_gallery, strict=True) if is_wanted],
        [one.boxes for one in detections],
        [one.scores for one in detections],
        [one.embeddings for one in detections],
        np.concatenate(query_embeddings)[in_protocol_order],
    )


def _above(detections: ImageDetections, score_threshold: float) -> ImageDetections:
    is_kept = detections.scores >= score_threshold
    return ImageDetections(*(column[is_kept] for column in detections))


def _queries_by_image(protocol: SearchProtocol) -> list[NDArray[np.int64]]:
    """Returns for each row of `image_names` the queries whose box is in that image."""
    order = np.argsort(protocol.query_scenes, kind="stable").astype(np.int64)
    counts = np.bincount(protocol.query_scenes, minlength=len(protocol.image_names))
    return np.split(order, np.cumsum(counts)[:-1])
