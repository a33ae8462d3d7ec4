"""What every predictor of an image shares: sizes, boxes, features. Without torch."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import clip_boxes

Feature = Literal["embedding", "pooled"]
Resize = Literal["antialiased", "torchvision"]


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


def resized_size(
    height: int, width: int, shorter_side: int, longest_side: int, mode: Resize = "antialiased"
) -> tuple[int, int]:
    """Returns (height, width) after the shorter side became `shorter_side` pixels (Sec. 4.2).

    The aspect ratio stays the same, up to rounding. If the longer side would exceed `longest_side`, the image
    is made smaller until it fits. The paper states no longest side; 1000 is the OIM release's. "antialiased"
    rounds to the nearest pixel, "torchvision" down.
    """
    scale = min(shorter_side / min(height, width), longest_side / max(height, width))
    whole = int if mode == "torchvision" else round
    return max(1, whole(height * scale)), max(1, whole(width * scale))


class ImagePredictor:
    """What an image shows, by a network that computes somewhere; arguments and methods as `Predictor`.

    This base knows the way between pixels of the original image and those of the resized one.

    Attributes:
        engine: what computes: the kind of a torch device, or "onnxruntime".
        feature: the vector that search compares.
        weights: sha256 (hex) of the network's weights.
    """

    engine: str
    feature: Feature
    weights: str

    def __init__(
        self,
        shorter_side: int,
        longest_side: int,
        *,
        resize: Resize,
        unit_length: bool,
        weigh_by_score: bool,
    ) -> None:
        self.shorter_side, self.longest_side, self.resize = shorter_side, longest_side, resize
        self.unit_length, self.weigh_by_score = unit_length, weigh_by_score

    def detect(self, image: NDArray[np.uint8]) -> ImageDetections:
        raise NotImplementedError

    def embed(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        raise NotImplementedError

    def detect_and_embed(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[ImageDetections, NDArray[np.float32]]:
        raise NotImplementedError

    def to_resized(self, boxes: NDArray[np.float32], scale: tuple[float, float]) -> NDArray[np.float32]:
        """Returns boxes (n, 4) of the original in pixels of the resized image; n may be 0."""
        return np.asarray(boxes, dtype=np.float32).reshape(-1, 4) * np.array(scale * 2, dtype=np.float32)

    def in_original(
        self, found: ImageDetections, scale: tuple[float, float], image: NDArray[np.uint8]
    ) -> ImageDetections:
        """Returns detections of the resized image as those of the original, with features as set."""
        boxes = found.boxes / np.array(scale * 2, dtype=np.float32)
        height, width = image.shape[:2]
        features = self.features(found.embeddings)
        if self.weigh_by_score:
            features = features * found.scores[:, None]
        return ImageDetections(clip_boxes(boxes, width, height), found.scores, features)

    def features(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the network's features (n, D), of length 1 if `unit_length` is on."""
        if not self.unit_length:
            return rows
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.maximum(norms, 1e-12)).astype(np.float32)
