"""The draw of Sec. 3.1: portions in order, one image each, images without labeled persons dropped."""

from __future__ import annotations

import numpy as np
import pytest

from maskps.errors import ConfigError
from maskps.structures import SceneTable
from maskps.subset import select_subset


def scenes(count: int, *, labeled: bool = True) -> SceneTable:
    """`count` scenes of one person each."""
    return SceneTable(
        names=np.array([f"s{index:05}.jpg" for index in range(count)], dtype=np.str_),
        offsets=np.arange(count + 1, dtype=np.int64),
        boxes=np.tile(np.array([0, 0, 10, 20], dtype=np.float32), (count, 1)),
        pids=np.arange(1, count + 1) if labeled else np.full(count, -1, dtype=np.int64),
        is_hard=np.zeros(count, dtype=np.bool_),
    )


def test_the_papers_training_set_gives_2241_portions_the_last_of_six() -> None:
    selection = select_subset(scenes(11_206))
    sizes = [end - start for start, end in selection.portions]
    assert len(sizes) == 2_241
    assert set(sizes[:-1]) == {5}
    assert sizes[-1] == 6


@pytest.mark.parametrize("count", [1, 4, 5, 9, 10, 11, 103])
def test_portions_hold_every_image_once_and_one_of_each_is_drawn(count: int) -> None:
    selection = select_subset(scenes(count))
    assert [row for start, end in selection.portions for row in range(start, end)] == list(range(count))
    assert len(selection.drawn) == len(selection.portions)
    for row, (start, end) in zip(selection.drawn, selection.portions, strict=True):
        assert start <= row < end


@pytest.mark.parametrize(("count", "portions"), [(0, 0), (1, 1), (4, 1), (5, 1), (9, 1), (10, 2)])
def test_fewer_images_than_a_portion_are_one_portion_and_none_is_none(count: int, portions: int) -> None:
    assert len(select_subset(scenes(count)).portions) == portions


def test_images_with_only_unlabeled_persons_are_drawn_but_not_kept() -> None:
    table = scenes(100)
    table.pids[50:] = -1
    selection = select_subset(table)
    assert len(selection.drawn) == 20
    assert selection.kept.tolist() == [row for row in selection.drawn.tolist() if row < 50]
    assert len(selection.kept) == 10
    assert len(select_subset(scenes(20, labeled=False)).kept) == 0


def test_the_same_seed_draws_the_same_images_another_seed_others() -> None:
    first, again, other = (select_subset(scenes(500), seed=seed).drawn for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_draw_is_pinned() -> None:
    """numpy PCG64, one `integers(0, size)` per portion; else an old record would draw other images."""
    rng = np.random.default_rng(0)
    expected = [5 * portion + rng.integers(0, 5) for portion in range(6)]
    assert select_subset(scenes(30)).drawn.tolist() == expected == [4, 8, 12, 16, 21, 25]


def test_every_place_of_a_portion_is_drawn_equally_often() -> None:
    """2,000 draws of 5 places: each expected 400 times, standard deviation 18."""
    places = select_subset(scenes(10_000), seed=1).drawn % 5
    assert abs(np.bincount(places, minlength=5) - 400).max() < 72


@pytest.mark.parametrize("portion_size", [0, -5])
def test_a_portion_of_nothing_is_an_error(portion_size: int) -> None:
    with pytest.raises(ConfigError, match="portion_size"):
        select_subset(scenes(10), portion_size=portion_size)


def test_a_negative_seed_is_an_error() -> None:
    with pytest.raises(ConfigError, match="seed"):
        select_subset(scenes(10), seed=-1)
