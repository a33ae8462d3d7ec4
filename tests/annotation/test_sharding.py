"""Shares are balanced by persons, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskps.errors import ConfigError
from maskps_annotation.sharding import share_scenes

PERSONS = st.lists(st.integers(1, 12), min_size=4, max_size=60)


@settings(max_examples=60, deadline=None)
@given(persons=PERSONS, annotators=st.integers(1, 4), seed=st.integers(0, 5))
def test_every_scene_goes_to_one_annotator_and_loads_differ_by_one_scene_at_most(
    persons: list[int], annotators: int, seed: int
) -> None:
    shares = share_scenes(persons, annotators, seed=seed)
    assert sorted(np.concatenate(shares.scenes).tolist()) == list(range(len(persons)))
    loads = [sum(persons[scene] for scene in share) for share in shares.scenes]
    assert max(loads) - min(loads) <= max(persons)


@settings(max_examples=60, deadline=None)
@given(persons=PERSONS, annotators=st.integers(2, 4), double=st.floats(0, 1), seed=st.integers(0, 5))
def test_doubled_scenes_go_to_two_annotators_and_all_others_to_one(
    persons: list[int], annotators: int, double: float, seed: int
) -> None:
    shares = share_scenes(persons, annotators, double=double, seed=seed)
    times = np.bincount(np.concatenate(shares.scenes), minlength=len(persons))
    assert np.flatnonzero(times == 2).tolist() == shares.doubled.tolist()
    assert set(times.tolist()) <= {1, 2}
    assert all(len(set(share.tolist())) == len(share) for share in shares.scenes)


def test_persons_are_balanced_not_scenes() -> None:
    shares = share_scenes([9, 1, 1, 1, 1, 1, 1, 1, 1, 1], 2)
    assert sorted(len(share) for share in shares.scenes) == [1, 9]


def test_the_same_seed_gives_the_same_shares_and_another_one_others() -> None:
    one, same, other = (share_scenes([2] * 40, 3, double=0.2, seed=seed) for seed in (4, 4, 5))
    assert [share.tolist() for share in one.scenes] == [share.tolist() for share in same.scenes]
    assert one.doubled.tolist() == same.doubled.tolist()
    assert one.doubled.tolist() != other.doubled.tolist()


@pytest.mark.parametrize(("double", "count"), [(0.0, 0), (0.05, 5), (0.07, 7), (0.071, 8), (1.0, 100)])
def test_the_doubled_share_is_rounded_up_to_whole_scenes(double: float, count: int) -> None:
    assert len(share_scenes([1] * 100, 2, double=double).doubled) == count


def test_doubled_scenes_bring_every_pair_of_annotators_together() -> None:
    shares = share_scenes([1] * 200, 3, double=0.3, seed=1)
    pairs = {
        tuple(row for row, share in enumerate(shares.scenes) if scene in share)
        for scene in shares.doubled.tolist()
    }
    assert pairs == {(0, 1), (0, 2), (1, 2)}


@pytest.mark.parametrize(
    ("annotators", "double", "seed"),
    [(0, 0.0, 0), (5, 0.0, 0), (1, 0.5, 0), (2, 1.5, 0), (2, -0.1, 0), (2, float("nan"), 0), (2, 0.0, -1)],
)
def test_what_cannot_be_dealt_is_refused_with_a_hint(annotators: int, double: float, seed: int) -> None:
    with pytest.raises(ConfigError) as caught:
        share_scenes([1, 1, 1, 1], annotators, double=double, seed=seed)
    assert caught.value.hint
