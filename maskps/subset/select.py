"""The draw of the images that get masks: portions, a draw in each, a filter (Sec. 3.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, ConfigError
from maskps.structures import SceneTable

GENERATOR = "numpy PCG64"
"""Name of the random generator, kept in the subset's record: another generator draws other images."""

Source = Literal["draw", "names", "labelme"]
"""How the images were chosen: by a seeded draw, a list of names, or the LabelMe files in a folder."""

Order = Literal["name", "number"]
"""Order in which images are cut into portions: names sorted as text (s1, s10, s100, s2), or by the numbers in
them (s1, s2, s10, s100)."""


@dataclass(frozen=True)
class SubsetSelection:
    """The images chosen for mask labeling.

    Attributes:
        source: how they were chosen.
        drawn: (N,) int64, the scene rows that were drawn, in the order of the portions, or given.
        kept: (K,) int64, the drawn rows with a labeled person, rising.
        seed: of the draw, and of the order in which nested subsets grow.
        portions: (first, last + 1) places of each portion in the order of the draw; empty without a draw.
        portion_size, per_portion, order: of the draw; None without.
        nested: (K,) int64, the kept rows in the order in which nested subsets grow; empty without them.
        proportions: label of each nested subset, e.g. "3%", to its number of images: the first of `nested`.
    """

    source: Source
    drawn: NDArray[np.int64]
    kept: NDArray[np.int64]
    seed: int = 0
    portions: tuple[tuple[int, int], ...] = ()
    portion_size: int | None = None
    per_portion: int | None = None
    order: Order | None = None
    nested: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    proportions: Mapping[str, int] = field(default_factory=dict)


def select_subset(
    train: SceneTable,
    *,
    portion_size: int = 5,
    per_portion: int = 1,
    order: Order = "name",
    seed: int = 0,
) -> SubsetSelection:
    """Returns a selection as in Sec. 3.1: "randomly select one image from each portion, and filter out the
    images with only unlabeled persons".

    The last portion takes the remainder: 11,206 images in fives are 2,241 portions, the last of 6. If there
    are fewer images than `portion_size`, they are one portion. The paper states neither its draw nor the
    order of the images, so its 1,833 images cannot be redrawn; our draw keeps about 1,943 (`expected_kept`).

    Args:
        per_portion: images of each portion. They are drawn in rounds, so that a larger number contains the
            images of a smaller one.
        order: of the images before they are cut into portions.
        seed: of the draw; the same seed draws the same images from the same table.

    Raises:
        ConfigError: a portion_size or per_portion below 1, more per portion than a portion holds, an
            unknown order, a negative seed.
    """
    _check_at_least("portion_size", portion_size, 1)
    _check_at_least("per_portion", per_portion, 1)
    _check_at_least("seed", seed, 0)
    if per_portion > portion_size:
        raise ConfigError(
            "per_portion",
            expected=f"at most the {portion_size} images of a portion",
            found=str(per_portion),
            hint="draw fewer per portion, or make portions larger",
        )
    rows = portion_order(train, order)
    portions = tuple(pairwise(_portion_bounds(len(train), portion_size)))
    rng = np.random.default_rng(seed)
    left = [list(range(start, end)) for start, end in portions]
    rounds = min(per_portion, max(map(len, left), default=0))
    places = [
        portion.pop(int(rng.integers(0, len(portion)))) for _ in range(rounds) for portion in left if portion
    ]
    drawn = rows[np.array(sorted(places), dtype=np.int64)]
    return SubsetSelection(
        source="draw",
        drawn=drawn,
        kept=with_labeled(train, drawn),
        seed=seed,
        portions=portions,
        portion_size=portion_size,
        per_portion=per_portion,
        order=order,
    )


def check_kept(train: SceneTable, selection: SubsetSelection) -> None:
    """Raises AnnotationError if the selection keeps no image, so that there is nothing to outline."""
    if len(selection.kept):
        return
    is_draw = selection.source == "draw"
    others = int(np.count_nonzero(train.labeled_per_scene))
    hint = "give persons an identity; training without masks needs no subset"
    if others:
        hint = "draw more images, or with another seed" if is_draw else "list images with labeled persons"
    raise AnnotationError(
        "mask subset",
        expected=f"a labeled person in one of the {len(selection.drawn):,} images "
        + ("drawn" if is_draw else "given"),
        found=f"none; {others:,} of the {len(train):,} training images have one",
        hint=hint,
    )


def portion_order(train: SceneTable, order: Order) -> NDArray[np.int64]:
    """Returns the (S,) int64 scene rows in the order in which they are cut into portions.

    Raises:
        ConfigError: an unknown order.
    """
    if order not in get_args(Order):
        raise ConfigError(
            "order", expected=" or ".join(get_args(Order)), found=f"'{order}'", hint="see --help"
        )
    if order == "name":
        return np.argsort(train.names, kind="stable").astype(np.int64)
    keys = [_number_key(name) for name in train.names.tolist()]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def with_labeled(train: SceneTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns those of the rows whose scene has a labeled person, rising."""
    return np.sort(rows[train.labeled_per_scene[rows] > 0])


def expected_kept(
    train: SceneTable, *, portion_size: int = 5, per_portion: int = 1, order: Order = "name"
) -> tuple[float, float]:
    """Returns mean and standard deviation, over seeds, of the number of images that `select_subset` keeps.

    Of k images drawn from a portion of n, of which m have a labeled person, k m / n have one on average
    (hypergeometric). Portions are independent.
    """
    has_labeled = train.labeled_per_scene[portion_order(train, order)] > 0
    bounds = np.array(_portion_bounds(len(train), portion_size), dtype=np.int64)
    sizes = np.diff(bounds)
    if not len(sizes):
        return 0.0, 0.0
    share = np.add.reduceat(has_labeled, bounds[:-1], dtype=np.int64) / sizes
    drawn = np.minimum(per_portion, sizes)
    variance = drawn * share * (1 - share) * (sizes - drawn) / np.maximum(sizes - 1, 1)
    return float((drawn * share).sum()), float(np.sqrt(variance.sum()))


def _portion_bounds(count: int, portion_size: int) -> list[int]:
    """Returns the first place of each portion, and at the end the number of images; [0] without images."""
    portions = count // portion_size or min(count, 1)
    return [index * portion_size for index in range(portions)] + [count]


def _number_key(name: str) -> list[tuple[int, str]]:
    """Returns text and numbers of a name in turn; numbers sort by value, however long they are."""
    parts = re.split("([0-9]+)", name)
    keys = [(0, part) for part in parts]
    for index in range(1, len(parts), 2):
        digits = parts[index].lstrip("0")
        keys[index] = (len(digits), digits)
    return [*keys, (0, name)]


def _check_at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(option, expected=f"{least} or more", found=str(value), hint="give a larger number")
