"""Which images to draw next: those whose proposed masks are least sure, so that they teach most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from maskps.io.images import read_image
from maskps.masks.proposed_outlines import sureness_of
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset
from maskps_annotation.proposers import MaskPredictor


@dataclass(frozen=True)
class NextImage:
    """An image of a subset in which outlines are missing.

    Attributes:
        name: of the image.
        persons: labeled persons without an outline.
        uncertainty: from 0 to 1: 1 minus the mean of their masks' `sureness_of`.
    """

    name: str
    persons: int
    uncertainty: float


def next_images(
    subset: Subset,
    dataset: PersonSearchDataset,
    predictor: MaskPredictor,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[NextImage]:
    """Returns the images in which outlines are missing, those with the least sure masks first.

    Uncertainty sampling (Lewis and Gale 1994), by image. The mean over the persons, and not their sum, ranks
    them: an image with many persons costs as many drawings.

    Args:
        predictor: of a run that was trained with the outlines so far.
        progress: called after each image with (images done, images in all).

    Raises:
        InputFileError: an image is missing or broken.
        TrainingError: the run was trained without masks.
    """
    train = dataset.train
    missing = np.flatnonzero(subset.masks.states == MaskState.MISSING)
    scenes = train.scene_of_person[missing]
    found = []
    rows = np.unique(scenes).tolist()
    for done, scene in enumerate(rows, start=1):
        name = str(train.names[scene])
        boxes = train.boxes[missing[scenes == scene]]
        sureness = sureness_of(predictor.masks(read_image(dataset.image_path(name)), boxes))
        found.append(NextImage(name, len(boxes), 1 - float(sureness.mean())))
        if progress is not None:
            progress(done, len(rows))
    return sorted(found, key=lambda image: (-image.uncertainty, image.name))
