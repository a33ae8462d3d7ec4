"""Which anchors and RoIs a training step uses: a balanced random choice per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class BalancedSampler:
    """Chooses positives and negatives at random, at most `positive_fraction` of them positive.

    Args:
        batch_size_per_image: how many are chosen of an image; fewer if there are not enough negatives.
        positive_fraction: largest share of positives; negatives take the place of missing ones.

    Attributes:
        generators: one per image, on the CPU. Each image's choice then depends on its generator alone: not on
            the device, the other images of the batch, the number of processes, or what ran before. Without
            them, torch's default generator decides.
    """

    generators: Sequence[torch.Generator | None] | None = None

    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, marks: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the chosen positives and the chosen negatives, per image as (n,) bool.

        Args:
            marks: per image (n,): 1 or more is a positive, 0 a negative, anything below neither.
        """
        generators = self.generators or [None] * len(marks)
        positives, negatives = [], []
        for image, generator in zip(marks, generators, strict=True):
            most = int(self.batch_size_per_image * self.positive_fraction)
            positive = _choose(torch.where(image >= 1)[0], most, generator)
            rest = self.batch_size_per_image - len(positive)
            negative = _choose(torch.where(image == 0)[0], rest, generator)
            positives.append(_as_mask(positive, len(image)))
            negatives.append(_as_mask(negative, len(image)))
        return positives, negatives


def generators_of(seeds: Sequence[int | None]) -> list[torch.Generator | None]:
    """Returns a generator per image; None for an image without a seed."""
    return [None if seed is None else torch.Generator().manual_seed(seed) for seed in seeds]


def _choose(candidates: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        order = torch.randperm(len(candidates), device=candidates.device)
    else:
        order = torch.randperm(len(candidates), generator=generator).to(candidates.device)
    return candidates[order[:count]]


def _as_mask(rows: Tensor, length: int) -> Tensor:
    mask = torch.zeros(length, dtype=torch.bool, device=rows.device)
    mask[rows] = True
    return mask
