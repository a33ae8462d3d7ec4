"""The draw of Sec. 3.1: portions in order, one image each, images without labeled persons dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maskps.errors import ConfigError
from maskps.structures import SceneTable
from maskps.subset import expected_kept, select_subset
from maskps.subset.select import Order, portion_order


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


def test_more_images_per_portion_hold_those_of_fewer() -> None:
    draws = [set(select_subset(scenes(103), per_portion=count, seed=4).drawn.tolist()) for count in (1, 2, 5)]
    assert [len(draw) for draw in draws] == [20, 40, 100]
    assert draws[0] < draws[1] < draws[2]


@pytest.mark.parametrize("count", [2, 3])
def test_every_portion_gives_its_number_of_images(count: int) -> None:
    selection = select_subset(scenes(23), per_portion=count)
    for start, end in selection.portions:
        assert sum(start <= row < end for row in selection.drawn) == count


def test_a_set_smaller_than_a_portion_gives_what_it_has() -> None:
    assert select_subset(scenes(3), per_portion=5).drawn.tolist() == [0, 1, 2]


def test_more_per_portion_than_a_portion_holds_are_refused() -> None:
    with pytest.raises(ConfigError, match="per_portion"):
        select_subset(scenes(20), portion_size=4, per_portion=5)


NAMES = ["s1.jpg", "s10.jpg", "s2.jpg", "t1.jpg", "s02.jpg", "c2s1_000007.jpg", "c10s1_000003.jpg"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", ["c10s1_000003.jpg", "c2s1_000007.jpg", "s02.jpg", "s1.jpg", "s10.jpg", "s2.jpg", "t1.jpg"]),
        (
            "number",
            ["c2s1_000007.jpg", "c10s1_000003.jpg", "s1.jpg", "s02.jpg", "s2.jpg", "s10.jpg", "t1.jpg"],
        ),
    ],
)
def test_images_are_cut_into_portions_in_the_order_that_is_asked_for(
    order: Order, expected: list[str]
) -> None:
    """Text compares digit by digit; numbers by value, equal ones by text."""
    table = replace(scenes(7), names=np.array(NAMES))
    assert table.names[portion_order(table, order)].tolist() == expected
    every = select_subset(table, portion_size=1, order=order)
    assert table.names[every.drawn].tolist() == expected
    assert every.kept.tolist() == list(range(7))  # kept ones stand as in the table


def test_a_number_of_any_length_has_its_place() -> None:
    long = "9" * 5000
    table = replace(scenes(3), names=np.array([f"s{long}.jpg", "s.jpg", "s7.jpg"]))
    assert portion_order(table, "number").tolist() == [2, 0, 1]


def test_an_unknown_order_is_an_error() -> None:
    with pytest.raises(ConfigError, match="size"):
        select_subset(scenes(5), order="size")  # type: ignore[arg-type]


def test_the_expected_number_of_kept_images_is_that_of_the_draws() -> None:
    """Ten portions with 1 labeled image of 5, ten with 4: mean 10, variance 20 x 0.2 x 0.8."""
    table = scenes(100)
    is_labeled = np.tile([1, 0, 0, 0, 0, 1, 1, 1, 1, 0], 10)
    table.pids[is_labeled == 0] = -1
    assert expected_kept(table) == pytest.approx((10.0, 3.2**0.5))
    kept = [len(select_subset(table, seed=seed).kept) for seed in range(400)]
    assert np.mean(kept) == pytest.approx(10.0, abs=0.4)
    assert np.std(kept) == pytest.approx(3.2**0.5, abs=0.25)


def test_two_of_five_are_drawn_without_laying_back() -> None:
    """k n p = 2 x 0.4 per portion; the hypergeometric variance has the factor (5 - 2) / (5 - 1)."""
    table = scenes(50)
    table.pids[np.tile([0, 1, 1, 0, 1], 10) == 1] = -1
    mean, deviation = expected_kept(table, per_portion=2)
    assert (mean, deviation**2) == pytest.approx((8.0, 10 * 2 * 0.4 * 0.6 * 0.75))


def test_nothing_is_expected_of_no_images() -> None:
    assert expected_kept(scenes(0)) == (0.0, 0.0)
