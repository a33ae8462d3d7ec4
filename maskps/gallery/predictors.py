"""What a gallery needs of a network: any object with these methods, with or without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from maskps.gallery.records import Network

if TYPE_CHECKING:
    from maskps.model.prediction import ImageDetections

MIN_SCORE = 0.5
"""Lowest score of a detection that counts as a person, if nothing else is asked for."""


class PersonPredictor(Protocol):
    """`maskps.model.Predictor`, or its like: the fields of `Network`, and two methods."""

    @property
    def weights(self) -> str:
        """As in `Network`, as are the next six."""
        ...

    @property
    def feature(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def shorter_side(self) -> int: ...

    @property
    def longest_side(self) -> int: ...

    @property
    def recipe(self) -> str: ...

    @property
    def terms(self) -> str: ...

    def detect(self, image: NDArray[np.uint8]) -> ImageDetections:
        """Returns the persons in an image (H, W, 3) uint8 RGB: boxes, scores and features."""
        ...

    def embed(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the (n, D) float32 features of given boxes (n, 4), xyxy in pixels."""
        ...


def network_of(predictor: PersonPredictor) -> Network:
    """Returns what a gallery records of a network."""
    return Network(
        weights=predictor.weights,
        feature=predictor.feature,
        dim=predictor.dim,
        shorter_side=predictor.shorter_side,
        longest_side=predictor.longest_side,
        recipe=predictor.recipe,
        terms=predictor.terms,
    )


def persons_in(
    predictor: PersonPredictor, image: NDArray[np.uint8], min_score: float = MIN_SCORE
) -> ImageDetections:
    """Returns the persons in an image (H, W, 3) uint8 RGB whose score is `min_score` or more, best first."""
    found = predictor.detect(image)
    is_person = found.scores >= min_score
    return found._replace(
        boxes=found.boxes[is_person],
        scores=found.scores[is_person],
        embeddings=found.embeddings[is_person],
    )


def unit_vectors(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns (n, D) features divided by their length, so that their products are cosines.

    A feature that a network weighs by the detection's score loses that weight.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a length of 0 gives NaN, which `Persons` refuses
        lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
        return (features / lengths).astype(np.float32)
