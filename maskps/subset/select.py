"""Which images get masks: portions, one draw per portion, a filter (Sec. 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.structures import SceneTable

GENERATOR = "numpy PCG64"
"""Name of the random generator, kept in the subset's record: another one draws other images."""


@dataclass(frozen=True)
class SubsetSelection:
    """The images drawn for mask labeling.

    Attributes:
        portions: (start, end) scene rows of each portion, end excluded; together all rows in order.
        drawn: (N,) int64, one scene row per portion.
        kept: (K,) int64, the drawn rows that hold a labeled person, in order.
    """

    portions: tuple[tuple[int, int], ...]
    drawn: NDArray[np.int64]
    kept: NDArray[np.int64]


def select_subset(train: SceneTable, *, portion_size: int = 5, seed: int = 0) -> SubsetSelection:
    """Returns a selection as in Sec. 3.1: "randomly select one image from each portion, and filter out the
    images with only unlabeled persons".

    Portions follow the table's order; the last takes the remainder: 11,206 images in fives are 2,241
    portions, the last of 6. Fewer images than `portion_size` are one portion, none are no portion. The paper
    does not name its draw, so its 1,833 images cannot be redrawn; a draw of ours keeps about 1,943.

    Args:
        seed: of the draw; the same seed draws the same images from the same table.

    Raises:
        ConfigError: portion_size below 1, or a negative seed.
    """
    if portion_size < 1:
        raise ConfigError("portion_size", expected="1 or more", found=str(portion_size))
    if seed < 0:
        raise ConfigError("seed", expected="0 or more", found=str(seed))
    count = len(train) // portion_size or min(len(train), 1)
    bounds = [index * portion_size for index in range(count)] + [len(train)]
    portions = tuple((bounds[index], bounds[index + 1]) for index in range(count))
    rng = np.random.default_rng(seed)
    drawn = np.array([start + rng.integers(0, end - start) for start, end in portions], dtype=np.int64)
    kept = drawn[train.labeled_per_scene[drawn] > 0]
    return SubsetSelection(portions, drawn, kept)
