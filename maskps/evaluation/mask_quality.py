"""How well a network predicts masks, on persons whose outlines its training did not use.

Search does not need masks; they guide the training (Sec. 3.2). A branch that has learned nothing about the
single person predicts no better than one constant mask, and that is measured beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskps.errors import AnnotationError
from maskps.io.images import read_image
from maskps.masks.coverage import mask_targets, pad_edges
from maskps.masks.outlined_persons import PersonOutlines
from maskps.structures import PersonSearchDataset

if TYPE_CHECKING:
    from maskps.model.predictor import Predictor

_LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1: the cross entropy of a wrong certainty is then finite."""

_logger = logging.getLogger(__name__)


class PredictedMasks(NamedTuple):
    """Masks of persons in their annotated boxes.

    Attributes:
        predicted: (n, S, S) float32, the network's foreground probabilities.
        targets: (n, S, S) bool, the true masks, as the training takes them from outlines (Sec. 4.2).
    """

    predicted: NDArray[np.float32]
    targets: NDArray[np.bool_]


@dataclass(frozen=True)
class MaskQuality:
    """What the mask branch predicts, beside two constant masks.

    The mean mask is the mean of the true masks of the same persons. No constant mask has a lower cross
    entropy here, so it is a strong opponent.

    Attributes:
        test_persons, train_persons: persons measured in test images, and in training images whose masks the
            training did not use.
        iou, iou_mean_mask, iou_all_ones: mean over the persons of the IoU of the binary masks (probability
            0.5 or more) of the network, the mean mask, and the mask that covers the whole box.
        bce, bce_mean_mask: mean binary cross entropy of a cell, in nats, as the loss of Eq. (6).
    """

    test_persons: int
    train_persons: int
    iou: float
    iou_mean_mask: float
    iou_all_ones: float
    bce: float
    bce_mean_mask: float

    @classmethod
    def of(cls, masks: PredictedMasks, outlines: PersonOutlines) -> MaskQuality:
        """Returns the numbers of these masks, which are those of the persons of `outlines`."""
        predicted, targets = masks
        mean = targets.mean(axis=0)
        return cls(
            test_persons=len(outlines.test),
            train_persons=len(outlines.train),
            iou=float(mask_ious(predicted >= 0.5, targets).mean()),
            iou_mean_mask=float(mask_ious(mean >= 0.5, targets).mean()),
            iou_all_ones=float(mask_ious(True, targets).mean()),
            bce=cross_entropy(predicted, targets),
            bce_mean_mask=cross_entropy(mean, targets),
        )

    @property
    def persons(self) -> int:
        """All persons measured."""
        return self.test_persons + self.train_persons


def measure_masks(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    outlines: PersonOutlines,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MaskQuality:
    """Returns how well the network predicts the masks of these persons.

    Logs a warning if its masks are worse than one constant mask.

    Args:
        outlines: which the training did not use; `PersonOutlines.without_images` leaves out the others.
        progress: as `predict_masks`.

    Raises:
        AnnotationError: no outline.
        InputFileError: as `predict_masks`.
    """
    check_not_empty(outlines)
    quality = MaskQuality.of(predict_masks(predictor, dataset, outlines, progress=progress), outlines)
    warn_if_below_mean_mask(quality)
    return quality


def warn_if_below_mean_mask(quality: MaskQuality) -> None:
    """Logs a warning if the predicted masks are worse than one constant mask."""
    if quality.iou < quality.iou_mean_mask:
        _logger.warning(
            "The predicted masks (IoU %.3f) are worse than one constant mask (%.3f): the mask branch has not "
            "learned the shape of a person, so masks cannot guide the embedding.",
            quality.iou, quality.iou_mean_mask,
        )  # fmt: skip


def check_not_empty(outlines: PersonOutlines) -> None:
    """Raises an AnnotationError if there is no outline to measure with."""
    if not len(outlines):
        raise AnnotationError(
            "outlines",
            expected="outlines of persons in test images, or in training images whose masks the training did "
            "not use",
            found="none; those in images whose masks the training used do not count",
            hint="draw some persons of test images in LabelMe, and give the folder of those files",
        )


def predict_masks(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    outlines: PersonOutlines,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PredictedMasks:
    """Returns predicted and true masks in the order of `outlines.images`; each image is read once.

    Args:
        outlines: one or more.
        progress: called after each image with (images done, images in all).

    Raises:
        InputFileError: an image is missing or broken.
    """
    predicted, targets = [], []
    images = list(outlines.images(dataset))
    for done, image in enumerate(images, start=1):
        pixels = read_image(dataset.image_path(image.name))
        predicted.append(predictor.masks(pixels, image.boxes))
        edges = pad_edges([one.edges() for one in image.outlines])
        targets.append(mask_targets(edges, image.boxes, size=predicted[-1].shape[-1]))
        if progress is not None:
            progress(done, len(images))
    return PredictedMasks(np.concatenate(predicted), np.concatenate(targets))


def mask_ious(masks: ArrayLike, targets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns (n,) the IoU of two binary masks of each person; 1 where both are empty.

    Args:
        masks: bool (n, M, M), or one that all persons share: (M, M) or a single value.
        targets: (n, M, M) bool.
    """
    masks = np.asarray(masks, dtype=np.bool_)
    both = (masks & targets).sum(axis=(1, 2))
    either = (masks | targets).sum(axis=(1, 2))
    return np.divide(both, either, out=np.ones(len(targets)), where=either > 0)


def cross_entropy(probabilities: NDArray[np.floating], targets: NDArray[np.bool_]) -> float:
    """Returns the mean binary cross entropy of a cell, in nats, in float64.

    Args:
        probabilities: (n, M, M), or (M, M) that all persons share; taken as 1e-7 from 0 and 1 or further.
        targets: (n, M, M) bool, n >= 1.
    """
    inside = np.clip(np.asarray(probabilities, dtype=np.float64), _LEAST, 1 - _LEAST)
    return float(-np.log(np.where(targets, inside, 1 - inside)).mean())
