"""The first of the two heads of SeqNet (Li and Miao 2021): it refines the proposals for the second."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from maskps.model.detection import BoxFilter, box_losses, moved_boxes
from maskps.model.faster_rcnn_head import FasterRCNNHead
from maskps.model.region_pooler import RegionPooler
from maskps.model.rois import SampledRois
from maskps.model.stages import Res5


class FirstHead(nn.Module):
    """A Faster R-CNN head with a res5 of its own. It detects; the second head identifies what it finds.

    Args:
        res5: its own last stage of the backbone.
        box_head: its two linear layers.
        pooler: as that of the second head.
        box_filter: which of its boxes the second head sees at test time.
    """

    def __init__(
        self, res5: Res5, box_head: FasterRCNNHead, *, pooler: RegionPooler, box_filter: BoxFilter
    ) -> None:
        super().__init__()
        self.res5, self.box_head = res5, box_head
        self.pooler, self.box_filter = pooler, box_filter

    def losses(
        self, features: Tensor, rois: SampledRois, image_sizes: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Returns loss_first_cls and loss_first_reg, and per image the refined boxes, without gradient.

        Args:
            features: of res4, (B, C4, h, w).
            rois: a sample of the proposals; each of them is refined.
            image_sizes: per image (height, width), at which boxes are clipped.
        """
        pooled = self._pooled(features, rois.boxes)
        deltas = self.box_head.deltas(pooled)
        loss_cls, loss_reg = box_losses(self.box_head.logits(pooled), deltas[rois.is_foreground], rois)
        refined = moved_boxes(rois.boxes, deltas.detach(), image_sizes)
        return {"loss_first_cls": loss_cls, "loss_first_reg": loss_reg}, refined

    def detect(
        self, features: Tensor, proposals: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Returns per image the refined boxes (k, 4) that pass the filter, and their scores (k,), best first.

        Args:
            proposals: per image (n, 4) float32, xyxy; n may be 0.
            features, image_sizes: as for `losses`.
        """
        counts = [len(rows) for rows in proposals]
        pooled = self._pooled(features, proposals)
        scores = self.box_head.logits(pooled).softmax(dim=1)[:, 1].split(counts)
        boxes = moved_boxes(proposals, self.box_head.deltas(pooled), image_sizes)
        best = [self.box_filter.best(rows, own) for rows, own in zip(boxes, scores, strict=True)]
        return (
            [rows[kept] for rows, kept in zip(boxes, best, strict=True)],
            [own[kept] for own, kept in zip(scores, best, strict=True)],
        )

    def _pooled(self, features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        return self.pooler.over_cells(self.pooler.res5(self.res5, features, boxes))
