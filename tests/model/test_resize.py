"""The shared resize."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskps.model import resize_image, resized_size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((600, 800), (600, 800)),
        ((300, 400), (600, 800)),
        ((800, 450), (1000, 562)),
        ((450, 800), (562, 1000)),
        ((100, 5000), (20, 1000)),
        ((1, 5000), (1, 1000)),
    ],
)
def test_the_shorter_side_becomes_600_unless_the_longer_would_exceed_1000(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized_size(*size, 600, 1000) == expected


def test_the_scale_is_the_exact_ratio_of_the_sizes() -> None:
    tensor, scale = resize_image(np.zeros((333, 777, 3), np.uint8), 100, 1000)
    assert tensor.shape == (3, 100, 233) and tensor.dtype == torch.float32
    assert scale == (233 / 777, 100 / 333)


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    tensor, scale = resize_image(image, 40, 100)
    assert scale == (1.0, 1.0)
    torch.testing.assert_close(tensor, torch.from_numpy(image).permute(2, 0, 1) / 255.0)
    assert tensor.is_contiguous()


def test_shrinking_averages_over_the_pixels_it_covers() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2] = 255
    tensor, _ = resize_image(image, 8, 100)
    assert (tensor[:, :, 1:-1] - 0.5).abs().max() < 0.05


def test_content_stays_at_its_scaled_place() -> None:
    image = np.zeros((120, 80, 3), np.uint8)
    image[60:, :] = 255
    tensor, _ = resize_image(image, 40, 100)
    assert tensor.shape == (3, 60, 40)
    assert tensor[:, :29].max() == 0 and tensor[:, 31:].min() == 1


def test_the_image_given_is_not_changed_and_may_be_a_view() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)[:, ::-1]
    before = image.copy()
    mirrored, _ = resize_image(image, 20, 100)
    plain, _ = resize_image(np.ascontiguousarray(image), 20, 100)
    assert np.array_equal(image, before) and torch.equal(mirrored, plain)
