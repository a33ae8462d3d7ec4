"""Image and person counts of a mask subset: the paper's Table 1."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.structures import SceneTable
from maskps_manifest.counts import Counts


@dataclass(frozen=True)
class Table1:
    """Table 1: the images of the subset, and all other training images; comparable to the published rows."""

    with_masks: Counts
    without_masks: Counts

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Returns {"with_masks": {"images", "labeled", "unlabeled"}, "without_masks": {...}}."""
        return asdict(self)

    def as_rows(self) -> tuple[str, list[str], list[list[str]]]:
        """Returns title, column heads and rows for printing, as in the paper, with a row of sums."""
        rows = (
            ("Images with masks", self.with_masks),
            ("Images without masks", self.without_masks),
            ("Together", self.with_masks + self.without_masks),
        )
        return (
            "Table 1",
            ["", "Images", "Labeled (LP)", "Unlabeled (UP)"],
            [
                [name, f"{counts.images:,}", f"{counts.labeled:,}", f"{counts.unlabeled:,}"]
                for name, counts in rows
            ],
        )


def table1(train: SceneTable, kept_rows: NDArray[np.int64]) -> Table1:
    """Returns Table 1 for these scenes of the subset (Sec. 3.1).

    An image counts as one with masks because it is in the subset, whether its outlines are drawn yet or not.

    Args:
        kept_rows: (K,) scene rows of the subset, each once.
    """
    is_kept = np.zeros(len(train), dtype=np.bool_)
    is_kept[kept_rows] = True
    return Table1(with_masks=_count(train, is_kept), without_masks=_count(train, ~is_kept))


def _count(train: SceneTable, scenes: NDArray[np.bool_]) -> Counts:
    persons = scenes[train.scene_of_person]
    labeled = int((persons & train.is_labeled).sum())
    return Counts(images=int(scenes.sum()), labeled=labeled, unlabeled=int(persons.sum()) - labeled)
