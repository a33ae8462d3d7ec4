"""A trained network as functions of an image: numpy outside, tensors inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskps.boxes import clip_boxes
from maskps.errors import TrainingError
from maskps.model.network import MaskGuidedPersonSearch, weights_digest
from maskps.model.resize import Resize, resize_image
from maskps.model.roi_heads import RoIDetections

Feature = Literal["embedding", "pooled"]


class ImageDetections(NamedTuple):
    """The persons found in one image, best first.

    Attributes:
        boxes: (n, 4) float32, xyxy, pixels of the original image, clipped at its border.
        scores: (n,) float32 in 0..1.
        embeddings: (n, D) float32, L2-normalised if the predictor's `unit_length` is on, then times the
            scores if `weigh_by_score` is on.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class Predictor:
    """Detects persons, and embeds given boxes, in images of any size.

    Each call runs the network in evaluation mode, and then restores the mode it was in.

    Args:
        model: the network; it is moved to `device`.
        shorter_side: pixels of the shorter side after resizing (Sec. 4.2), as in training.
        longest_side: limit of the longer side, as in training.
        device: where to compute.
        resize: the mode of `resize_image`, as in training.
        feature: the vector that search compares: "embedding" is f_id (256 numbers, Sec. 3.2), "pooled" is
            f_p (Res5 features, 2048 numbers, Sec. 4.2). The paper names both.
        unit_length: divide features by their length, so that their products are cosines. f_id already has
            length 1; for f_p this changes the ranking by Euclidean distance.
        weigh_by_score: multiply the features of a detection by its score, so that products with a query's
            are similarities weighted by confidence (SeqNet, Sec. "CWS"). Those of given boxes stay as they
            are.

    Attributes:
        recipe, terms: the name of the network's recipe, and on which terms its weights may be used; "" if
            unknown. `Run.predictor` sets them.
        has_masks: whether the mask branch was trained; `Run.predictor` sets it.
    """

    recipe, terms = "", ""
    has_masks = True

    def __init__(
        self,
        model: MaskGuidedPersonSearch,
        shorter_side: int = 600,
        longest_side: int = 1000,
        device: str | torch.device = "cpu",
        *,
        resize: Resize = "antialiased",
        feature: Feature = "embedding",
        unit_length: bool = True,
        weigh_by_score: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.shorter_side = shorter_side
        self.longest_side = longest_side
        self.resize = resize
        self.feature = feature
        self.unit_length = unit_length
        self.weigh_by_score = weigh_by_score

    @property
    def weights(self) -> str:
        """The sha256 (hex) of the network's weights."""
        return weights_digest(self.model)

    @property
    def dim(self) -> int:
        """How many numbers a feature has."""
        embedding = self.model.roi_heads.embedding
        return embedding.dim if self.feature == "embedding" else sum(embedding.channels)

    def detect(self, image: NDArray[np.uint8]) -> ImageDetections:
        """Returns the persons in an image (H, W, 3) uint8 RGB."""
        tensor, scale = self._resized(image)
        with self._evaluating():
            (found,) = self.model([tensor])
        return self._detections(found, scale, image)

    def detect_and_embed(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[ImageDetections, NDArray[np.float32]]:
        """Returns the results of `detect` and `embed`, in little more time than one of them."""
        tensor, scale = self._resized(image)
        with self._evaluating():
            (found,), (pooled,) = self.model.detect_and_pool([tensor], [self._scaled(boxes, scale)])
            features = self._features(pooled)
        return self._detections(found, scale, image), features

    def embed(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the (n, D) float32 features of persons at known boxes, as for queries.

        Args:
            image: (H, W, 3) uint8, RGB.
            boxes: (n, 4) xyxy, pixels of the original image; n may be 0.
        """
        tensor, scale = self._resized(image)
        with self._evaluating():
            (pooled,) = self.model.pool_boxes([tensor], [self._scaled(boxes, scale)])
            return self._features(pooled)

    def masks(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the (n, 14, 14) foreground probabilities within given boxes; arguments as `embed`.

        Raises:
            TrainingError: the mask branch was not trained.
        """
        if not self.has_masks:
            raise TrainingError(
                "masks",
                expected="a network that was trained with masks",
                found="the mask branch was not trained",
                hint="train with masks; imported weights have no mask branch",
            )
        tensor, scale = self._resized(image)
        with self._evaluating():
            (masks,) = self.model.predict_masks([tensor], [self._scaled(boxes, scale)])
        return _numpy(masks)

    def _resized(self, image: NDArray[np.uint8]) -> tuple[Tensor, tuple[float, float]]:
        tensor, scale = resize_image(image, self.shorter_side, self.longest_side, self.resize)
        return tensor.to(self.device), scale

    def _scaled(self, boxes: NDArray[np.float32], scale: tuple[float, float]) -> Tensor:
        rows = np.asarray(boxes, dtype=np.float32).reshape(-1, 4) * np.array(scale * 2, dtype=np.float32)
        return torch.from_numpy(rows).to(self.device)

    def _detections(
        self, found: RoIDetections, scale: tuple[float, float], image: NDArray[np.uint8]
    ) -> ImageDetections:
        boxes = _numpy(found.boxes) / np.array(scale * 2, dtype=np.float32)
        height, width = image.shape[:2]
        scores = _numpy(found.scores)
        features = self._unit(found.embeddings if self.feature == "embedding" else found.pooled)
        if self.weigh_by_score:
            features = features * scores[:, None]
        return ImageDetections(clip_boxes(boxes, width, height), scores, features)

    def _features(self, pooled: Tensor) -> NDArray[np.float32]:
        return self._unit(self.model.roi_heads.embed(pooled) if self.feature == "embedding" else pooled)

    def _unit(self, found: Tensor) -> NDArray[np.float32]:
        features = _numpy(found)
        if not self.unit_length:
            return features
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        return (features / np.maximum(norms, 1e-12)).astype(np.float32)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.model.train(was_training)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
