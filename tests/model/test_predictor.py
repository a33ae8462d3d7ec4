"""The network as functions of an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from maskps.model import MaskGuidedPersonSearch, Predictor, resize_image

Model = Callable[..., MaskGuidedPersonSearch]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize(("feature", "length"), [("embedding", 32), ("pooled", 512)])
def test_detections_are_numpy_in_pixels_of_the_original(
    small_model: Model, image: np.ndarray, feature: str, length: int
) -> None:
    predictor = Predictor(small_model(), 48, 100, feature=feature)
    found = predictor.detect(image)
    assert predictor.dim == length
    count = len(found.boxes)
    assert count > 0 and found.scores.shape == (count,) and found.embeddings.shape == (count, length)
    assert all(column.dtype == np.float32 for column in found)
    assert found.boxes[:, 2].max() <= 90 and found.boxes[:, 3].max() <= 120
    assert found.boxes[:, 3].max() > 64  # the resized image is 64 high
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("resize", ["antialiased", "torchvision"])
def test_query_boxes_are_scaled_with_the_image(small_model: Model, image: np.ndarray, resize: str) -> None:
    model = small_model().eval()
    boxes = np.array([[10, 20, 50, 110], [0, 0, 90, 120]], np.float32)
    tensor, (sx, sy) = resize_image(image, 49, 100, resize)
    scaled = torch.from_numpy(boxes * np.array([sx, sy, sx, sy], np.float32))
    with torch.no_grad():
        (expected,) = model.embed_boxes([tensor], [scaled])
    found = Predictor(model, 49, 100, resize=resize).embed(image, boxes)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_pooled_query_features_have_unit_length(small_model: Model, image: np.ndarray) -> None:
    predictor = Predictor(small_model(), 48, 100, feature="pooled")
    features = predictor.embed(image, np.array([[10, 20, 50, 110]], np.float32))
    assert features.shape == (1, 512) and np.linalg.norm(features) == pytest.approx(1, rel=1e-5)


def test_weights_have_a_digest_that_a_changed_number_changes(small_model: Model) -> None:
    model = small_model()
    before = Predictor(model).weights
    assert before == Predictor(small_model()).weights and len(before) == 64
    with torch.no_grad():
        next(model.parameters())[0] += 1
    assert Predictor(model).weights != before


def test_no_boxes_give_no_features_and_no_masks(small_model: Model, image: np.ndarray) -> None:
    predictor = Predictor(small_model(), 48, 100)
    empty = np.zeros((0, 4), np.float32)
    assert predictor.embed(image, empty).shape == (0, 32)
    assert predictor.masks(image, empty).shape == (0, 14, 14)


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_of_the_network_is_restored(small_model: Model, image: np.ndarray, mode: bool) -> None:
    model = small_model().train(mode)
    Predictor(model, 48, 100).detect(image)
    assert model.training == mode and model.roi_heads.res5.training == mode


def test_the_mode_is_restored_after_an_error(small_model: Model, image: np.ndarray) -> None:
    model = small_model().train()
    predictor = Predictor(model, 48, 100)
    with pytest.raises(RuntimeError):
        predictor.embed(image[:, :, :2], np.zeros((0, 4), np.float32))
    assert model.training


def test_training_goes_on_after_a_detection(
    small_model: Model, image: np.ndarray, target: Callable[..., dict]
) -> None:
    model = small_model()
    Predictor(model, 48, 100).detect(image)
    losses = model([torch.rand(3, 96, 96)], [target([1], masks=True)])
    sum(losses.values()).backward()


def test_the_same_image_gives_the_same_bits(small_model: Model, image: np.ndarray) -> None:
    first, second = (Predictor(small_model(), 48, 100).detect(image) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
