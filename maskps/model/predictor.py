"""A trained network as functions of an image: numpy outside, tensors inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskps.errors import TrainingError
from maskps.model.network import MaskGuidedPersonSearch, weights_digest
from maskps.model.prediction import Feature, ImageDetections, ImagePredictor, Resize
from maskps.model.resize import resize_image
from maskps.model.roi_heads import RoIDetections


class Predictor(ImagePredictor):
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
        super().__init__(
            shorter_side,
            longest_side,
            resize=resize,
            unit_length=unit_length,
            weigh_by_score=weigh_by_score,
        )
        self.device = torch.device(device)
        self.engine = self.device.type
        self.model = model.to(self.device)
        self.feature = feature

    @property
    def weights(self) -> str:  # type: ignore[override]  # computed when it is asked for
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
        with self.evaluating():
            (found,) = self.model([tensor])
        return self._detections(found, scale, image)

    def detect_and_embed(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[ImageDetections, NDArray[np.float32]]:
        """Returns the results of `detect` and `embed`, in little more time than one of them."""
        tensor, scale = self._resized(image)
        with self.evaluating():
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
        with self.evaluating():
            (pooled,) = self.model.pool_boxes([tensor], [self._scaled(boxes, scale)])
            return self._features(pooled)

    def masks(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the (n, S, S) float32 foreground probabilities within given boxes; arguments as `embed`.

        S is the setting mask_size, 14 in the paper.

        Raises:
            TrainingError: the mask branch was not trained.
        """
        self.check_masks()
        tensor, scale = self._resized(image)
        with self.evaluating():
            (masks,) = self.model.predict_masks([tensor], [self._scaled(boxes, scale)])
        return _numpy(masks)

    def check_masks(self) -> None:
        """Raises a TrainingError if the mask branch was not trained."""
        if not self.has_masks:
            raise TrainingError(
                "masks",
                expected="a network that was trained with masks",
                found="the mask branch was not trained",
                hint="train with masks; imported weights have no mask branch",
            )

    def _resized(self, image: NDArray[np.uint8]) -> tuple[Tensor, tuple[float, float]]:
        tensor, scale = resize_image(image, self.shorter_side, self.longest_side, self.resize)
        return tensor.to(self.device), scale

    def _scaled(self, boxes: NDArray[np.float32], scale: tuple[float, float]) -> Tensor:
        return torch.from_numpy(self.to_resized(boxes, scale)).to(self.device)

    def _detections(
        self, found: RoIDetections, scale: tuple[float, float], image: NDArray[np.uint8]
    ) -> ImageDetections:
        features = found.embeddings if self.feature == "embedding" else found.pooled
        rows = ImageDetections(_numpy(found.boxes), _numpy(found.scores), _numpy(features))
        return self.in_original(rows, scale, image)

    def _features(self, pooled: Tensor) -> NDArray[np.float32]:
        found = self.model.roi_heads.embed(pooled) if self.feature == "embedding" else pooled
        return self.features(_numpy(found))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The network is in evaluation mode in the block, and computes no gradients."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.model.train(was_training)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
