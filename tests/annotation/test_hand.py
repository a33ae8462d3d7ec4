"""The simulated hand leaves a good proposal alone, mends a poor one by few vertices, and drops a bad one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from maskps.masks import Outline, mask_targets
from maskps.masks.outlines import outline_from_shapely

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
BOX = (20.0, 20.0, 110.0, 157.0)  # no side of a drawing halves a cell
BODY = shapely.union(shapely.Point(55, 50).buffer(25), shapely.box(35, 60, 75, 155)).simplify(0.5)
ARM = shapely.box(60, 70, 108, 95)
HOLE = shapely.box(45, 100, 65, 130)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("hand")


def outline(geometry: Any) -> Outline:
    return outline_from_shapely(geometry)


def mend(hand: Any, proposed: Any, true: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return hand.mended(outline(proposed), outline(true), BOX, 0.3, rng, (120, 180))


def test_a_proposal_as_good_as_the_own_drawing_is_left_alone_to_the_bit(hand: Any) -> None:
    proposed = BODY.simplify(1.0)
    left = mend(hand, proposed, BODY)
    assert left.is_untouched and left.cells <= left.own_cells
    for ring, given in zip(left.rings, outline(proposed).rings, strict=True):
        assert (ring == given).all()


def test_a_missing_arm_takes_few_vertices_and_ends_as_good_as_the_own_drawing(hand: Any) -> None:
    true = shapely.union(BODY, ARM)
    made = mend(hand, BODY, true)
    assert 1 <= made.moved + made.added + made.deleted <= 8
    assert made.cells <= made.own_cells
    ours, theirs = (
        mask_targets(one.edges(), np.array([BOX])) for one in (Outline(made.rings), outline(true))
    )
    assert made.cells == (ours != theirs).sum()


@pytest.mark.parametrize("swap", [False, True])
def test_a_hole_that_is_missing_is_added_and_one_too_many_is_deleted(hand: Any, swap: bool) -> None:
    whole, holed = BODY, shapely.difference(BODY, HOLE)
    made = mend(hand, whole, holed) if not swap else mend(hand, holed, whole)
    assert len(made.rings) == (1 if swap else 2)
    assert (made.moved, made.added, made.deleted) == ((0, 0, 4) if swap else (0, 4, 0))


def test_a_part_that_is_missing_is_added(hand: Any) -> None:
    cut = shapely.difference(BODY, shapely.box(0, 100, 120, 110))
    upper = max(shapely.get_parts(cut), key=lambda part: -part.bounds[1])
    made = mend(hand, upper, cut)
    assert len(made.rings) == 2 and made.deleted == 0


def test_what_takes_more_vertices_than_a_drawing_is_drawn_anew(hand: Any) -> None:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    spikes = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (60, 70) + (60, 90)
    spikes[::2] = 0.3 * spikes[::2] + 0.7 * np.array((60, 90))
    made = mend(hand, shapely.Polygon(spikes), shapely.union(BODY, ARM))
    assert made.deleted == 60 and made.moved == 0 and made.added == sum(map(len, made.rings))
    assert made.cells == made.own_cells


def test_the_same_seed_mends_the_same_way(hand: Any) -> None:
    first, again = (mend(hand, BODY, shapely.union(BODY, ARM), seed=3) for _ in range(2))
    assert all((one == two).all() for one, two in zip(first.rings, again.rings, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_a_mended_outline_has_its_holes_inside_and_its_parts_apart(hand: Any, seed: int) -> None:
    slit = shapely.box(70, 100, 74, 130)
    made = mend(
        hand, shapely.difference(BODY, slit), shapely.difference(BODY, shapely.box(70, 90, 76, 150)), seed
    )
    whole = Outline(made.rings)
    assert len(outline(whole.to_shapely()).rings) == len(made.rings)
    assert whole.to_shapely().is_valid


@pytest.mark.parametrize("seed", range(3))
def test_a_hand_that_looks_at_the_border_ends_as_near_to_it_as_its_own_drawing(hand: Any, seed: int) -> None:
    """Also where the own drawing's parts overlap by the noise, as those of this cut person do."""
    cut = shapely.difference(BODY, shapely.box(0, 100, 120, 100.4))
    rng = np.random.default_rng(seed)
    own = hand.own_drawing(outline(cut), 1.0, np.random.default_rng(seed), (120, 180))
    made = hand.mended(outline(shapely.box(*BOX)), outline(cut), BOX, 1.0, rng, (120, 180), looks_at="border")
    goal = hand._Goal(outline(cut), BOX)
    ours, theirs = (goal.distance(hand._geometry(rings)) for rings in (made.rings, own))
    assert len(own) == 2 and not made.is_untouched
    assert ours <= theirs
