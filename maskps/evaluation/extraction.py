"""From test images to `Detections`: the one step of the evaluation that runs the network. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.evaluation.detections_file import Detections
from maskps.io.images import check_images, read_image
from maskps.model.predictor import ImageDetections, Predictor
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

Progress = Callable[[int, int], None]


class ImageFeatures(NamedTuple):
    """What the network makes of one image.

    Attributes:
        detections: none in an image where none are wanted.
        queries: (q, D) float32, the features of the queries whose box is in the image, in the plan's order.
    """

    detections: ImageDetections
    queries: NDArray[np.float32]


@dataclass(frozen=True)
class ImagePlan:
    """The images that the protocols need, each once, and what is wanted of them.

    Attributes:
        names: (M,) of the images: those of the first protocol, then what others add.
        is_detected: (M,) bool, persons are to be detected there.
        query_names: (Q,) str, the image of each query: the queries of the first protocol in its order, then
            those that others add. A query is its image and box.
        query_boxes: (Q, 4) float32.
        queries_of: for each image the rows of its queries.
    """

    names: tuple[str, ...]
    is_detected: NDArray[np.bool_]
    query_names: NDArray[np.str_]
    query_boxes: NDArray[np.float32]
    queries_of: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(
        cls, dataset: PersonSearchDataset, protocols: Sequence[SearchProtocol], *, context: bool = False
    ) -> ImagePlan:
        """Returns the plan of these protocols, whose images must all be there.

        Args:
            context: detect persons in the queries' images too, not in gallery images only.

        Raises:
            InputFileError: images are missing.
            AnnotationError: a protocol has no query.
        """
        is_detected: dict[str, bool] = {}
        queries: list[tuple[str, NDArray[np.float32]]] = []
        for number, protocol in enumerate(protocols):
            if protocol.num_queries == 0:
                raise AnnotationError(dataset.root, expected="a protocol with queries", found="none")
            in_gallery = np.zeros(len(protocol.image_names), dtype=np.bool_)
            in_gallery[protocol.galleries[protocol.galleries >= 0]] = True
            is_wanted = in_gallery.copy()
            is_wanted[protocol.query_scenes] = True
            for image in np.flatnonzero(is_wanted).tolist():
                name = str(protocol.image_names[image])
                is_detected[name] = is_detected.get(name, context) or bool(in_gallery[image])
            known = {(name, box.tobytes()) for name, box in queries} if number else set()
            for name, box in zip(
                protocol.image_names[protocol.query_scenes].tolist(),
                protocol.query_boxes.astype(np.float32),
                strict=True,
            ):
                if (name, box.tobytes()) not in known:
                    queries.append((name, box))
        check_images(dataset.image_dir, list(is_detected), what="images of the test protocol")
        rows_of: dict[str, list[int]] = {name: [] for name in is_detected}
        for row, (name, _) in enumerate(queries):
            rows_of[name].append(row)
        return cls(
            names=tuple(is_detected),
            is_detected=np.array(list(is_detected.values())),
            query_names=np.array([name for name, _ in queries]),
            query_boxes=np.stack([box for _, box in queries]),
            queries_of=tuple(np.array(rows, dtype=np.int64) for rows in rows_of.values()),
        )

    def joined(self, features: Mapping[int, ImageFeatures]) -> Detections:
        """Returns the detections of all images, whose features are given by row.

        The result lists those images only that were looked at for detections.
        """
        found = [features[row].detections for row in np.flatnonzero(self.is_detected).tolist()]
        queries = np.concatenate([features[row].queries for row in range(len(self.names))])
        in_order = np.argsort(np.concatenate(self.queries_of))
        return Detections.from_images(
            [self.names[row] for row in np.flatnonzero(self.is_detected)],
            [one.boxes for one in found],
            [one.scores for one in found],
            [one.embeddings for one in found],
            queries[in_order],
            query_names=self.query_names,
            query_boxes=self.query_boxes,
        )


def extract_detections(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocols: SearchProtocol | Sequence[SearchProtocol],
    *,
    score_threshold: float = 0.0,
    gt_boxes: bool = False,
    progress: Progress | None = None,
) -> Detections:
    """Returns what the network finds in the protocols' gallery images, and the features of their queries.

    Every image is read and goes through the network once, however many galleries and protocols list it.
    Query features are pooled from the query's own box, as in the released evaluation, never from a
    detection. Of one protocol they are in its order; of several in that of the first, then what others add.

    Args:
        score_threshold: detections below it are dropped, on top of the network's own threshold. The search
            metric drops those below 0.5 itself.
        gt_boxes: take the annotated persons of the gallery images, with score 1, for detections: how good
            the features are without the detector (the released evaluator's "use_gt").
        progress: called with (images done, images in all) after every image.

    Raises:
        InputFileError: an image is missing or broken; all are looked for before the first is read.
        AnnotationError: a protocol has no query.
    """
    plan = ImagePlan.of(dataset, [protocols] if isinstance(protocols, SearchProtocol) else protocols)
    features: dict[int, ImageFeatures] = {}
    for row in range(len(plan.names)):
        found = image_features(predictor, dataset, plan, row, gt_boxes=gt_boxes)
        is_kept = found.detections.scores >= score_threshold
        kept = ImageDetections(*(column[is_kept] for column in found.detections))
        features[row] = found._replace(detections=kept)
        if progress is not None:
            progress(row + 1, len(plan.names))
    return plan.joined(features)


def image_features(
    predictor: Predictor, dataset: PersonSearchDataset, plan: ImagePlan, row: int, *, gt_boxes: bool = False
) -> ImageFeatures:
    """Returns the detections and the queries' features of one image of the plan; arguments as above.

    Raises:
        InputFileError: the image is missing or broken.
        AnnotationError: with `gt_boxes`, an image that the data set's test scenes lack.
    """
    image = read_image(dataset.image_path(plan.names[row]))
    boxes = plan.query_boxes[plan.queries_of[row]]
    if not plan.is_detected[row]:
        return _embedded(predictor, image, boxes[:0], boxes)
    if gt_boxes:
        scene = dataset.test[int(dataset.test.rows_of([plan.names[row]])[0])]
        return _embedded(predictor, image, scene.boxes, boxes)
    if len(boxes):
        return ImageFeatures(*predictor.detect_and_embed(image, boxes))
    detections = predictor.detect(image)
    return ImageFeatures(detections, detections.embeddings[:0])


def _embedded(
    predictor: Predictor,
    image: NDArray[np.uint8],
    persons: NDArray[np.float32],
    queries: NDArray[np.float32],
) -> ImageFeatures:
    """Returns the features of these persons as detections with score 1, and of these queries."""
    embedded = predictor.embed(image, np.concatenate([persons, queries]))
    scores = np.ones(len(persons), dtype=np.float32)
    return ImageFeatures(ImageDetections(persons, scores, embedded[: len(persons)]), embedded[len(persons) :])
