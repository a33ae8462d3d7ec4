"""What an ablation measures of each network beside its search, where persons with outlines are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskps.evaluation.background import Cutout, measure_background_sensitivity, plan_cutouts
from maskps.evaluation.mask_quality import check_not_empty, measure_masks
from maskps.masks.outlined_persons import PersonOutlines
from maskps.structures import PersonSearchDataset

if TYPE_CHECKING:
    from maskps.model.predictor import Predictor

MEASURES = {
    "mask_iou": "mask IoU",
    "mean_mask_iou": "mean mask IoU",
    "background_sensitivity": "background sensitivity",
}
"""Name of each measure, a fraction, and its head in tables; see `MaskQuality` and `BackgroundSensitivity`."""


@dataclass(frozen=True)
class OutlineMeasures:
    """The persons with whom every network of an ablation is measured.

    Attributes:
        outlines: of persons whom no training uses.
        cutouts: the persons of test images among them, with other backgrounds; empty without such persons.
    """

    outlines: PersonOutlines
    cutouts: list[Cutout]

    @classmethod
    def of(cls, outlines: PersonOutlines, dataset: PersonSearchDataset) -> OutlineMeasures:
        """Returns the measures with these outlines.

        Raises:
            AnnotationError: no outline; or as `plan_cutouts`.
            InputFileError: as `plan_cutouts`.
        """
        check_not_empty(outlines)
        return cls(outlines, plan_cutouts(dataset, outlines) if outlines.test else [])

    def measure(
        self,
        predictor: Predictor,
        dataset: PersonSearchDataset,
        *,
        has_mask_loss: bool,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """Returns each of `MEASURES` that applies to the network.

        Args:
            has_mask_loss: whether its mask branch was trained; else its masks are not measured.
            progress: called with (done, in all): images with outlines, then persons before backgrounds.

        Raises:
            InputFileError: an image is missing or broken.
        """
        measured = {}
        if has_mask_loss:
            quality = measure_masks(predictor, dataset, self.outlines, progress=progress)
            measured = {"mask_iou": quality.iou, "mean_mask_iou": quality.iou_mean_mask}
        if self.cutouts:
            moved = measure_background_sensitivity(predictor, dataset, self.cutouts, progress=progress)
            measured["background_sensitivity"] = moved.sensitivity
        return measured
