"""With the same weights our network gives the boxes, scores and embeddings of SeqNet's.

In float64 the two agree to the last digits, so every operation is the same. In float32, rounding on the way
through some 60 convolutions decides; the bounds are those of the claim in docs/weights.md.
"""

from __future__ import annotations

import pytest
import torch
from seqnet_oracle import random_image
from seqnet_pair import Differences, SeqNetPair

SIZES = [(50, 70), (72, 128), (97, 61)]
"""(height, width): small; the shape of 1080 x 1920, made smaller; odd."""


@pytest.fixture(scope="module")
def in_float64() -> SeqNetPair:
    return SeqNetPair.random(0, min_size=64, max_size=110, proposals=12).double()


@pytest.fixture(scope="module")
def in_float32() -> SeqNetPair:
    return SeqNetPair.random(0, min_size=64, max_size=110, proposals=20, last_norms=0.1)


def boxes_in(height: int, width: int) -> torch.Tensor:
    """Two persons and the whole image."""
    return torch.tensor([[5.0, 8, 25, 45], [13.3, 5.5, 30.7, 44.1], [0, 0, width, height]])


def check(found: Differences, *, pixels: float, other: float) -> None:
    assert found.detections[0] == found.detections[1] > 1
    assert found.boxes < pixels and max(found.scores, found.embeddings, found.given) < other


def test_every_operation_is_seqnets(in_float64: SeqNetPair) -> None:
    image = random_image(5, 50, 70).double()
    check(in_float64.of_networks(image, boxes_in(50, 70).double()), pixels=1e-7, other=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_from_the_image_to_the_weighted_similarity_in_float32(
    size: tuple[int, int], in_float32: SeqNetPair
) -> None:
    image = (random_image(5, *size) * 255).round().to(torch.uint8)
    check(in_float32.of_images(image, boxes_in(*size)), pixels=0.01, other=1e-5)
