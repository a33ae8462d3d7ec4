"""Persons with a drawn outline, in the training and the test images of a data set."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from maskps.masks.outlines import Outline
from maskps.structures import PersonSearchDataset, SceneTable


@dataclass(frozen=True)
class OutlinedImage:
    """The persons with an outline in one image.

    Attributes:
        name: of the image.
        boxes: (n, 4) float32 xyxy, as annotated.
        pids: (n,) int64.
        outlines: n, in pixels of the image.
    """

    name: str
    boxes: NDArray[np.float32]
    pids: NDArray[np.int64]
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class PersonOutlines:
    """Outlines of persons of a data set.

    Attributes:
        train, test: person row of the data set's training or test table -> outline.
    """

    train: Mapping[int, Outline] = field(default_factory=dict)
    test: Mapping[int, Outline] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.train) + len(self.test)

    def without_images(self, names: Collection[str], dataset: PersonSearchDataset) -> PersonOutlines:
        """Returns the outlines without those in training images of these names."""
        left_out = np.isin(dataset.train.names, list(names))[dataset.train.scene_of_person]
        return replace(self, train={row: one for row, one in self.train.items() if not left_out[row]})

    def images(self, dataset: PersonSearchDataset) -> Iterator[OutlinedImage]:
        """Yields the images with their persons: of training, then of test, each in the order of its table."""
        for table, outlines in ((dataset.train, self.train), (dataset.test, self.test)):
            yield from _images(table, outlines)


def _images(table: SceneTable, outlines: Mapping[int, Outline]) -> Iterator[OutlinedImage]:
    scenes = table.scene_of_person
    for scene, group in groupby(sorted(outlines), key=lambda row: int(scenes[row])):
        rows = list(group)
        drawn = tuple(outlines[row] for row in rows)
        yield OutlinedImage(str(table.names[scene]), table.boxes[rows], table.pids[rows], drawn)
