"""Photos whose persons are stripes of one colour, and a predictor that finds them without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 16, 32
"""Of a stripe, in pixels."""


class Found(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray


class StripePredictor:
    """Finds stripes that are not black; the vector of a person is the mean colour of the box."""

    feature, dim, shorter_side, longest_side, recipe, terms = "embedding", 3, HEIGHT, 512, "stripes", ""

    def __init__(self, weights: str = "ab" * 32) -> None:
        self.weights = weights
        self.images = 0

    def detect(self, image: np.ndarray) -> Found:
        self.images += 1
        columns = range(0, image.shape[1], WIDTH)
        boxes = np.array([[x, 0, x + WIDTH, image.shape[0]] for x in columns], np.float32).reshape(-1, 4)
        boxes = boxes[[bool(image[:, x : x + WIDTH].any()) for x in columns]]
        scores = np.linspace(0.95, 0.55, len(boxes)).astype(np.float32)
        return Found(boxes, scores, 3 * self.embed(image, boxes))  # of any length

    def embed(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        colours = [image[int(y0) : int(y1), int(x0) : int(x1)].mean((0, 1)) for x0, y0, x1, y1 in boxes]
        return np.array(colours, np.float32).reshape(-1, 3)


def write_photo(path: Path, colours: Sequence[Sequence[int]], **saving: Any) -> Path:
    """Writes a photo with a stripe of each of these colours."""
    pixels = np.zeros((HEIGHT, WIDTH * len(colours), 3), np.uint8)
    for number, colour in enumerate(colours):
        pixels[:, number * WIDTH : (number + 1) * WIDTH] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **saving)
    return path
