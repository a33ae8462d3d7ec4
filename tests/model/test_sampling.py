"""The choice of anchors and RoIs."""

from __future__ import annotations

import torch

from maskps.model.sampling import BalancedSampler, generators_of


def _marks(positives: int, negatives: int, ignored: int = 0) -> torch.Tensor:
    return torch.cat([torch.ones(positives), torch.zeros(negatives), -torch.ones(ignored)])


def test_at_most_the_fraction_is_positive_and_negatives_fill_up() -> None:
    (positive,), (negative,) = BalancedSampler(8, 0.25)([_marks(10, 20)])
    assert (positive.sum(), negative.sum()) == (2, 6)


def test_few_positives_leave_more_negatives() -> None:
    (positive,), (negative,) = BalancedSampler(8, 0.5)([_marks(1, 20)])
    assert (positive.sum(), negative.sum()) == (1, 7)


def test_only_positives_are_chosen_as_positives_and_ignored_ones_never() -> None:
    marks = _marks(3, 3, ignored=4)
    (positive,), (negative,) = BalancedSampler(20, 0.5)([marks])
    assert torch.equal(positive, (marks == 1))
    assert torch.equal(negative, (marks == 0))


def test_nothing_to_choose_from_is_fine() -> None:
    (positive,), (negative,) = BalancedSampler(8, 0.5)([torch.zeros(0)])
    assert len(positive) == len(negative) == 0


def test_with_seeds_an_image_gets_the_same_choice_in_any_company() -> None:
    sampler, marks = BalancedSampler(8, 0.5), _marks(30, 60)
    sampler.generators = generators_of([4, 5])
    positives, negatives = sampler([_marks(7, 90), marks])
    sampler.generators = generators_of([5])
    (positive,), (negative,) = sampler([marks])
    assert torch.equal(positives[1], positive) and torch.equal(negatives[1], negative)


def test_seeds_leave_torchs_default_generator_alone() -> None:
    state = torch.get_rng_state()
    sampler = BalancedSampler(8, 0.5)
    sampler.generators = generators_of([4])
    sampler([_marks(30, 60)])
    assert torch.equal(torch.get_rng_state(), state)


def test_without_seeds_the_default_generator_decides() -> None:
    choices = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            choices.append(BalancedSampler(8, 0.5)([_marks(30, 60)])[0][0])
    assert torch.equal(choices[0], choices[1])
