"""Who annotates which scene: equal shares of the work, drawn from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskps.errors import ConfigError


@dataclass(frozen=True)
class Shares:
    """A distribution of S scenes to annotators.

    Attributes:
        scenes: per annotator the (n,) int64 scenes, ascending.
        doubled: (D,) int64, ascending: the scenes that two annotators have.
    """

    scenes: tuple[NDArray[np.int64], ...]
    doubled: NDArray[np.int64]


def share_scenes(persons: ArrayLike, annotators: int, *, double: float = 0.0, seed: int = 0) -> Shares:
    """Returns shares that are balanced by persons, not by scenes; the same input gives the same shares.

    Scenes are dealt in order of falling number of persons, each to the annotator with the fewest persons so
    far (a doubled scene to two annotators); ties are drawn. Without doubled scenes, no two annotators differ
    by more persons than the fullest scene has.

    Args:
        persons: (S,) persons to draw in each scene.
        double: share of the scenes, 0 to 1, that two annotators get; rounded up to whole scenes.

    Raises:
        ConfigError: no annotator, more annotators than scenes, a share outside 0 to 1, doubled scenes for a
            single annotator, or a negative seed.
    """
    counts = np.asarray(persons, dtype=np.int64)
    _check(len(counts), annotators, double, seed)
    rng = np.random.default_rng(seed)
    # Rounded: 0.07 * 100 is 7.000000000000001.
    doubled = rng.choice(len(counts), math.ceil(round(double * len(counts), 6)), replace=False)
    times = np.ones(len(counts), dtype=np.int64)
    times[doubled] = 2
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    tie_break = rng.random((len(counts), annotators))
    load = np.zeros(annotators, dtype=np.int64)
    given: list[list[int]] = [[] for _ in range(annotators)]
    for scene in order.tolist():
        for annotator in np.lexsort((tie_break[scene], load))[: times[scene]].tolist():
            given[annotator].append(scene)
            load[annotator] += counts[scene]
    return Shares(
        scenes=tuple(np.array(sorted(scenes), dtype=np.int64) for scenes in given),
        doubled=np.sort(doubled).astype(np.int64),
    )


def _check(scenes: int, annotators: int, double: float, seed: int) -> None:
    two = "two annotators or more, to give an image to two"
    for is_right, where, expected, found, hint in (
        (annotators >= 1, "annotators", "at least one", "none", "name the annotators"),
        (annotators <= scenes, "annotators", f"at most {scenes}, one per image", annotators, "name fewer"),
        (0 <= double <= 1, "double", "a share from 0 to 1", f"{double:g}", "give 0.05 for 5 %"),
        (annotators >= 2 or not double, "double", two, "one", "name another, or leave the option out"),
        (seed >= 0, "seed", "0 or above", seed, "give another seed"),
    ):
        if not is_right:
            raise ConfigError(where, expected=expected, found=str(found), hint=hint)
