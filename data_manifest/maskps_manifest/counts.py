"""The record for the published size of a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Images and annotated persons of a split, or of a part of it.

    Attributes:
        images: number of images.
        labeled: persons with an identity (LP in the paper's Table 1).
        unlabeled: persons without one (UP).
    """

    images: int
    labeled: int
    unlabeled: int

    @property
    def persons(self) -> int:
        return self.labeled + self.unlabeled

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.images + other.images, self.labeled + other.labeled, self.unlabeled + other.unlabeled
        )
