"""The shared resize."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

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


@pytest.mark.parametrize("sides", [(900, 1500), (600, 1000), (64, 96)])
@pytest.mark.parametrize(
    "size", [(1080, 1920), (576, 704), (600, 800), (900, 1500), (333, 777), (1001, 999), (97, 41), (49, 49)]
)
def test_like_torchvision_it_gives_the_pixels_and_boxes_of_its_detectors(
    size: tuple[int, int], sides: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes = torch.tensor([[0.0, 0, size[1], size[0]], [3.3, 7.9, size[1] / 3, size[0] / 2]])
    theirs = GeneralizedRCNNTransform(*sides, [0.0] * 3, [1.0] * 3, size_divisible=1).eval()
    batch, targets = theirs([torch.from_numpy(image).permute(2, 0, 1) / 255], [{"boxes": boxes}])
    tensor, scale = resize_image(image, *sides, "torchvision")
    assert torch.equal(tensor, batch.tensors[0]) and tensor.is_contiguous()
    assert targets is not None
    torch.testing.assert_close(boxes * torch.tensor(scale * 2), targets[0]["boxes"], atol=0, rtol=2e-7)


def test_like_torchvision_every_size_of_image_becomes_the_size_of_its_detectors() -> None:
    theirs = GeneralizedRCNNTransform(90, 150, [0.0] * 3, [1.0] * 3, size_divisible=1).eval()
    for height in range(20, 260, 3):
        for width in range(20, 300, 7):
            expected = tuple(theirs.resize(torch.zeros(1, height, width))[0].shape[1:])
            assert resized_size(height, width, 90, 150, "torchvision") == expected


def test_like_torchvision_a_very_long_image_keeps_a_pixel() -> None:
    tensor, scale = resize_image(np.zeros((1, 500, 3), np.uint8), 60, 100, "torchvision")
    assert tensor.shape == (3, 1, 100) and scale == (0.2, 1.0)
