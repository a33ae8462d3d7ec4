"""Everything behind RoIAlign: res5, the box head, the identification head and the mask branch (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskps.losses.oim import OIMLoss
from maskps.losses.total import FIRST_HEAD_LOSS_NAMES, ROI_LOSS_NAMES
from maskps.model.box_head import BoxHead
from maskps.model.detection import BoxFilter, box_losses, moved_boxes
from maskps.model.embedding import Embedding
from maskps.model.mask_branch import MaskBranch
from maskps.model.region_pooler import RegionPooler, masked_mean
from maskps.model.rois import RoISampler, SampledRois, proposals_with_mask
from maskps.model.sequential_head import FirstHead
from maskps.model.stages import Res5

DetectionFeature = Literal["proposal", "detection"]
OIMMean = Literal["images", "rois"]


class RoIDetections(NamedTuple):
    """The persons detected in one image, best first; k may be 0.

    Attributes:
        boxes: (k, 4) float32, xyxy, pixels of the resized image, clipped at its border.
        scores: (k,) float32 in 0..1.
        pooled: (k, C) float32, the pooled features f_p that are embedded.
        embeddings: (k, D) float32, L2-normalised.
    """

    boxes: Tensor
    scores: Tensor
    pooled: Tensor
    embeddings: Tensor


class RoIHeads(nn.Module):
    """Turns proposals into losses (training) or into detections with embeddings.

    Args:
        res5: second part of the backbone, (R, C4, 14, 14) -> F_p (R, C5, 7, 7).
        box_head: scores and boxes.
        embedding: f_p -> f_id. If it takes the channels of res4 and res5, f_p is both, one after the other.
        id_loss: OIM with its table and queue.
        mask_branch: masks of F_p.
        first: the first of two heads; it refines the proposals, and its scores are those of the detections.
        pooler: RoIAlign, and the pooling of a region to one vector.
        sampler: the RoIs of a training step.
        box_filter: which boxes are detections.
        mask_pooling: embed the mean of F_p weighted by the predicted mask. Scores and boxes keep the plain
            pooling, and the identification loss does not train the mask.
        oim_mean: L_identification is the mean of the images' means ("images"), or the mean over all labeled
            RoIs of a forward pass ("rois"), as in SeqNet and NAE.
        detection_feature: where a detection's features are pooled. "proposal": in the box that it was refined
            from (one pass, as in the OIM release). "detection": again in the refined box, as for queries,
            which costs another pass of res5 over the few detections. The paper does not say.
    """

    def __init__(
        self,
        res5: Res5,
        box_head: BoxHead,
        embedding: Embedding,
        id_loss: OIMLoss,
        mask_branch: MaskBranch,
        *,
        first: FirstHead | None = None,
        pooler: RegionPooler,
        sampler: RoISampler,
        box_filter: BoxFilter,
        mask_pooling: bool = False,
        oim_mean: OIMMean = "images",
        detection_feature: DetectionFeature = "proposal",
    ) -> None:
        super().__init__()
        self.res5, self.box_head, self.embedding = res5, box_head, embedding
        self.id_loss, self.mask_branch, self.first = id_loss, mask_branch, first
        self.pooler, self.sampler, self.box_filter = pooler, sampler, box_filter
        self.mask_pooling, self.oim_mean = mask_pooling, oim_mean
        self.detection_feature = detection_feature

    def region_features(self, stages: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Returns F_p (R, C5, 7, 7) of boxes by RoIAlign and res5.

        Args:
            stages: of `Stem.stages`; the last one is res4's.
            boxes: per image (r, 4), xyxy, pixels of the resized image.
        """
        return self.pooler.res5(self.res5, stages[-1], boxes)

    def pool(self, stages: Sequence[Tensor], boxes: Sequence[Tensor], regions: Tensor) -> Tensor:
        """Returns f_p (R, C), the features that are embedded.

        Args:
            stages, boxes: as for `region_features`.
            regions: F_p of these boxes.
        """
        if not self.mask_pooling:
            return self._with_res4(stages, boxes, self.pooler.over_cells(regions))
        masks = self.mask_branch.logits(stages, boxes, regions)
        return self._with_res4(stages, boxes, masked_mean(regions, masks), masks)

    def _with_res4(
        self, stages: Sequence[Tensor], boxes: Sequence[Tensor], pooled: Tensor, masks: Tensor | None = None
    ) -> Tensor:
        """Returns f_p: features pooled from F_p (R, C5), behind those of res4 if the embedding takes both.

        Args:
            masks: logits (R, M, M) to pool res4 with; None to pool it plainly.
        """
        if len(self.embedding.channels) == 1:
            return pooled
        if masks is None:
            res4 = self.pooler.pooled(stages[-1], boxes)
        else:
            res4 = masked_mean(self.pooler.align(stages[-1], boxes), masks)
        return torch.cat([res4, pooled], dim=1)

    def embed(self, pooled: Tensor) -> Tensor:
        """Returns f_id (R, D), L2-normalised, of pooled features f_p (R, C)."""
        return F.normalize(self.embedding(pooled), dim=1)

    def losses(
        self,
        stages: Sequence[Tensor],
        proposals: Sequence[Tensor],
        targets: Sequence[dict[str, Any]],
        image_sizes: Sequence[tuple[int, int]],
    ) -> dict[str, Tensor]:
        """Returns loss_rcnn_cls, loss_rcnn_reg, loss_id and loss_mask, each the mean of its images' losses.

        Before them come loss_first_cls and loss_first_reg if there is a first head. OIM remembers the
        embeddings; its table and queue move only at `OIMLoss.commit`.

        Args:
            stages: as for `region_features`.
            proposals: per image (n, 4) float32; the boxes of the persons are added to them.
            targets: per image a dict as for `MaskGuidedPersonSearch.forward`.
            image_sizes: per image (height, width).
        """
        losses: dict[str, Tensor] = {}
        rois = self.sampler(proposals, targets)
        if len(rois.pids) == 0:
            zero = torch.stack([parameter.sum() for parameter in self.parameters()]).sum() * 0.0
            first_names = () if self.first is None else FIRST_HEAD_LOSS_NAMES
            return dict.fromkeys([*first_names, *ROI_LOSS_NAMES], zero)
        if self.first is not None:
            losses, refined = self.first.losses(stages[-1], rois, image_sizes)
            rois = self.sampler(refined, targets)
        foreground, with_mask = rois.is_foreground, proposals_with_mask(rois, targets)
        embedded_rows = torch.ones_like(foreground) if self.box_head.scores_embeddings else foreground
        masked_rows = embedded_rows if self.mask_pooling else with_mask

        regions = self.region_features(stages, rois.boxes)
        plain = self.pooler.over_cells(regions)
        masks = self.mask_branch.logits(stages, rois.boxes_of(masked_rows), regions[masked_rows])
        boxes = rois.boxes_of(embedded_rows)
        if self.mask_pooling:
            pooled = self._with_res4(stages, boxes, masked_mean(regions[embedded_rows], masks), masks)
        else:
            pooled = self._with_res4(stages, boxes, plain[embedded_rows])
        embedded = self.embedding(pooled)
        logits = self.box_head.logits(plain, embedded)
        loss_cls, loss_reg = box_losses(logits, self.box_head.deltas(plain, foreground), rois)
        return losses | {
            "loss_rcnn_cls": loss_cls,
            "loss_rcnn_reg": loss_reg,
            "loss_id": self._id_loss(embedded[foreground[embedded_rows]], rois),
            "loss_mask": self.mask_branch.loss(masks[with_mask[masked_rows]], with_mask, rois, targets),
        }

    def _id_loss(self, embedded: Tensor, rois: SampledRois) -> Tensor:
        """Returns L_identification, Eq. (5), of the embeddings (F, D) of the foreground RoIs."""
        counts = rois.counts_of(rois.is_foreground) if self.oim_mean == "images" else None
        return self.id_loss(F.normalize(embedded, dim=1), rois.pids[rois.is_foreground], counts)

    def detect(
        self,
        stages: Sequence[Tensor],
        proposals: Sequence[Tensor],
        image_sizes: Sequence[tuple[int, int]],
    ) -> list[RoIDetections]:
        """Returns the detections of each image: scored above the threshold, and best first after NMS.

        Args:
            stages: as for `region_features`.
            proposals: per image (n, 4) float32, xyxy; n may be 0.
            image_sizes: per image (height, width), at which boxes are clipped.
        """
        scores, pooled = None, None
        if self.first is not None:
            proposals, found_scores = self.first.detect(stages[-1], proposals, image_sizes)
            scores = torch.cat(found_scores)
        counts = [len(rows) for rows in proposals]
        regions = self.region_features(stages, proposals)
        plain = self.pooler.over_cells(regions)
        if scores is None:
            embedded = None
            if self.box_head.scores_embeddings:
                pooled = self.pool(stages, proposals, regions)
                embedded = self.embedding(pooled)
            scores = self.box_head.logits(plain, embedded).softmax(dim=1)[:, 1]
        boxes = moved_boxes(proposals, self.box_head.deltas(plain), image_sizes)
        best = [self.box_filter.best(*image) for image in zip(boxes, scores.split(counts), strict=True)]
        boxes = [rows[kept] for rows, kept in zip(boxes, best, strict=True)]

        def of_detections(rows: Tensor) -> list[Tensor]:
            return [own[kept] for own, kept in zip(rows.split(counts), best, strict=True)]

        if self.detection_feature == "detection":
            pooled = self.pool(stages, boxes, self.region_features(stages, boxes))
        elif pooled is not None:
            pooled = torch.cat(of_detections(pooled))
        else:
            origins = of_detections(torch.cat(list(proposals)))
            pooled = self.pool(stages, origins, torch.cat(of_detections(regions)))
        image_pooled = pooled.split([len(rows) for rows in boxes])
        return [
            RoIDetections(rows, own, features, self.embed(features))
            for rows, own, features in zip(boxes, of_detections(scores), image_pooled, strict=True)
        ]
