"""Which anchors and RoIs a training step looks at: a balanced random choice per image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler


class SeededSampler(BalancedPositiveNegativeSampler):
    """torchvision's balanced sampler, with the chance of each image in the caller's hand.

    With `generators` set (one per image, on the CPU) the choice depends on nothing else: not on the
    device, the other images of the batch, the number of processes, or what ran before. Without, it
    draws from torch's default generator, as torchvision does.
    """

    generators: Sequence[torch.Generator | None] | None = None

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Returns per image two (n,) uint8 marks: the positives (>= 1) and the negatives (0) chosen."""
        generators = self.generators or [None] * len(matched_idxs)
        positives, negatives = [], []
        for marks, generator in zip(matched_idxs, generators, strict=True):
            most = int(self.batch_size_per_image * self.positive_fraction)
            positive = _choose(torch.where(marks >= 1)[0], most, generator)
            rest = self.batch_size_per_image - len(positive)
            negative = _choose(torch.where(marks == 0)[0], rest, generator)
            positives.append(_marked(positive, marks))
            negatives.append(_marked(negative, marks))
        return positives, negatives


def generators_of(seeds: Sequence[int | None]) -> list[torch.Generator | None]:
    """Returns a generator per image, None where the image brings no seed."""
    return [None if seed is None else torch.Generator().manual_seed(seed) for seed in seeds]


def _choose(candidates: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        order = torch.randperm(len(candidates), device=candidates.device)
    else:
        order = torch.randperm(len(candidates), generator=generator).to(candidates.device)
    return candidates[order[:count]]


def _marked(chosen: Tensor, like: Tensor) -> Tensor:
    marks = torch.zeros_like(like, dtype=torch.uint8)
    marks[chosen] = 1
    return marks
