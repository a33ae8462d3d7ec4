"""The mask branch: what it sees, and its loss, Eq. (6) with the lambda of Eq. (7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from maskps.losses.mask import MaskReduction, batch_mask_loss
from maskps.model.mask_head import MaskHead
from maskps.model.region_pooler import RegionPooler
from maskps.model.rois import SampledRois, proposal_masks

MaskTarget = Literal["binary", "soft"]
MaskFeatures = Literal["res5", "res2", "res3"]

_FINE = {"res2": (1, 4), "res3": (2, 8)}
"""Of the stages that it may see besides F_p: the index in `Stem.stages`, and the stride in pixels."""


class MaskBranch(nn.Module):
    """Predicts the masks in boxes, and compares them with the outlines.

    Args:
        head: F_p, and perhaps finer features, -> logits.
        pooler: as that of the other heads.
        features: what the mask branch sees: "res5" is F_p alone, "res2" and "res3" add the features of that
            stage, which are finer.
        target: "binary" (covered area >= 0.5 of a cell) or "soft" (the covered fraction).
        reduction: see `maskps.losses.mask.mask_loss`.
    """

    def __init__(
        self,
        head: MaskHead,
        *,
        pooler: RegionPooler,
        features: MaskFeatures = "res5",
        target: MaskTarget = "binary",
        reduction: MaskReduction = "mean",
    ) -> None:
        super().__init__()
        self.head, self.pooler = head, pooler
        self.features, self.target, self.reduction = features, target, reduction

    def logits(self, stages: Sequence[Tensor], boxes: Sequence[Tensor], regions: Tensor) -> Tensor:
        """Returns the masks in the boxes before the sigmoid, (R, M, M): M is `mask_size`, 14 or 28.

        Args:
            stages: of `Stem.stages`.
            boxes: per image (r, 4), xyxy, pixels of the resized image.
            regions: F_p of these boxes.
        """
        if self.features == "res5":
            return self.head(regions)
        index, stride = _FINE[self.features]
        return self.head(regions, self.pooler.align(stages[index], boxes, stride=stride))

    def loss(
        self, logits: Tensor, with_mask: Tensor, rois: SampledRois, targets: Sequence[dict[str, Any]]
    ) -> Tensor:
        """Returns lambda L_mask of Eq. (7), from Eq. (6) over each image's proposals with mask.

        Args:
            logits: (S, M, M), of the proposals with mask.
            with_mask: (R,) bool, which of the RoIs these are.
            targets: per image a dict as for `MaskGuidedPersonSearch.forward`.
        """
        soft = self.target == "soft"
        wanted = proposal_masks(rois, with_mask, targets, size=logits.shape[-1], soft=soft)
        return batch_mask_loss(logits, wanted, rois.counts_of(with_mask), reduction=self.reduction)
