"""The weights that make a sum over rows the mean over images of each image's mean."""

from __future__ import annotations

import torch

from maskps.losses import image_mean_weights, images_of_rows


def test_a_row_weighs_one_over_its_images_rows_and_the_images() -> None:
    images = images_of_rows([2, 0, 3, 1], torch.device("cpu"))
    assert images.tolist() == [0, 0, 2, 2, 2, 3]
    expected = torch.tensor([1 / 8, 1 / 8, 1 / 12, 1 / 12, 1 / 12, 1 / 4])
    torch.testing.assert_close(image_mean_weights(images, 4), expected)


def test_an_image_without_rows_counts_as_a_zero() -> None:
    weights = image_mean_weights(torch.tensor([1, 1]), 2)
    assert (torch.tensor([3.0, 5.0]) * weights).sum() == 2


def test_without_any_row_there_is_no_weight() -> None:
    images = images_of_rows([0, 0], torch.device("cpu"))
    assert image_mean_weights(images, 2).shape == (0,)
