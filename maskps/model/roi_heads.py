"""Everything behind RoIAlign: res5, the box head, the identification head and the mask branch (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_iou, clip_boxes_to_image, nms, remove_small_boxes

from maskps.losses.image_means import image_mean_weights, images_of_rows
from maskps.losses.mask import MaskReduction, batch_mask_loss
from maskps.losses.oim import OIMLoss
from maskps.masks.coverage import mask_targets
from maskps.model.box_deltas import apply_deltas, deltas_to
from maskps.model.mask_head import MaskHead
from maskps.model.precision import EmbeddingNorm, FullPrecisionLinear, max_over_cells, mean_over_cells
from maskps.model.roi_align import RegionGrid
from maskps.model.sampling import BalancedSampler
from maskps.model.stages import Res5
from maskps.structures import BACKGROUND_PID

DetectionFeature = Literal["proposal", "detection"]
MaskTarget = Literal["binary", "soft"]
MaskFeatures = Literal["res5", "res2", "res3"]
Pooling = Literal["mean", "max"]

STRIDE = 16
"""Pixels of the image per cell of the features of res4."""

FINE_STRIDES = {"res2": 4, "res3": 8}
"""The same for the features that the mask branch may see besides F_p."""


@dataclass(frozen=True)
class SampledRois:
    """The RoIs of a training step, rows in the order of the images.

    Attributes:
        boxes: per image (r, 4) float32, xyxy, pixels of the resized image.
        is_foreground: (R,) bool, IoU >= 0.5 with a person.
        pids: (R,) int64, the pid of that person (labeled or not); `BACKGROUND_PID` for background.
        persons: (R,) int64, that person's row among all persons of the batch; only for foreground.
        matched_boxes: (R, 4) float32, that person's box; the RoI's own for background.
    """

    boxes: list[Tensor]
    is_foreground: Tensor
    pids: Tensor
    persons: Tensor
    matched_boxes: Tensor

    @property
    def counts(self) -> list[int]:
        """How many RoIs each image has."""
        return [len(boxes) for boxes in self.boxes]


class RoIDetections(NamedTuple):
    """The persons detected in one image, best first; k may be 0.

    Attributes:
        boxes: (k, 4) float32, xyxy, pixels of the resized image, clipped at its border.
        scores: (k,) float32 in 0..1.
        pooled: (k, C5) float32, the pooled features f_p.
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
        id_loss: OIM with its table and queue; its `lookup_table` sets the length of an embedding.
        mask_channels: width of the mask branch.
        mask_features: what the mask branch sees: "res5" is F_p alone, "res2" and "res3" add the features of
            that stage, which are finer.
        fine_channels: of the features of that stage; 0 for "res5".
        mask_pooling: embed the mean of F_p weighted by the predicted mask. Scores and boxes keep the plain
            pooling, and the identification loss does not train the mask.
        embedding_norm: a batch norm behind the projection to f_id, as in SeqNet and NAE.
        pooling: "mean" of the cells of F_p (Sec. 3.2), or their maximum, as in SeqNet and NAE.
        rois_per_image: RoIs per image in training.
        foreground_fraction: largest share of foreground among them; 0.25 in the OIM release.
        roi_pool: cells per side of RoIAlign; a mask has as many.
        score_threshold: detections at or below this score are dropped.
        nms_threshold: of two detections with a larger IoU, the one with the lower score is dropped.
        detections_per_image: only this many are kept, the best.
        detection_feature: where a detection's features are pooled. "proposal": in the proposal that it was
            refined from (one pass, as in the OIM release). "detection": again in the refined box, as for
            queries, which costs a second pass of res5 over the few detections. The paper does not say.
        mask_target: "binary" (covered area >= 0.5 of a cell) or "soft" (the covered fraction).
        mask_reduction: see `maskps.losses.mask.mask_loss`.
    """

    def __init__(
        self,
        res5: Res5,
        id_loss: OIMLoss,
        *,
        mask_channels: int = 256,
        mask_features: MaskFeatures = "res5",
        fine_channels: int = 0,
        mask_pooling: bool = False,
        embedding_norm: bool = False,
        pooling: Pooling = "mean",
        rois_per_image: int = 128,
        foreground_fraction: float = 0.25,
        roi_pool: int = 14,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.4,
        detections_per_image: int = 300,
        detection_feature: DetectionFeature = "proposal",
        mask_target: MaskTarget = "binary",
        mask_reduction: MaskReduction = "mean",
    ) -> None:
        super().__init__()
        self.res5 = res5
        self.id_loss = id_loss
        # The release has 8 class-specific box outputs. With one foreground class 4 of them never get a
        # gradient, so they are left out here.
        self.classifier = FullPrecisionLinear(res5.out_channels, 2)
        self.regressor = FullPrecisionLinear(res5.out_channels, 4)
        embedding_dim = id_loss.lookup_table.shape[1]
        self.embedding = FullPrecisionLinear(res5.out_channels, embedding_dim)
        self.embedding_norm = EmbeddingNorm(embedding_dim) if embedding_norm else None
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.normal_(self.regressor.weight, std=0.001)
        nn.init.kaiming_normal_(self.embedding.weight)
        for layer in (self.classifier, self.regressor, self.embedding):
            nn.init.zeros_(layer.bias)
        # Last, so that all else starts alike whatever the mask branch sees: runs can be compared in pairs.
        self.mask_head = MaskHead(res5.out_channels, mask_channels, fine_channels)

        self.roi_pool = roi_pool
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.detections_per_image = detections_per_image
        self.detection_feature = detection_feature
        self.mask_features = mask_features
        self.mask_pooling = mask_pooling
        self.pooling = pooling
        self.mask_target = mask_target
        self.mask_reduction = mask_reduction
        self.sampler = BalancedSampler(rois_per_image, foreground_fraction)

    def region_features(self, stages: Sequence[Tensor], boxes: list[Tensor]) -> Tensor:
        """Returns F_p (R, C5, 7, 7) of boxes by RoIAlign and res5.

        Args:
            stages: of `Stem.stages`; the last one is res4's.
            boxes: per image (r, 4), xyxy, pixels of the resized image.
        """
        features = stages[-1]
        height, width = features.shape[2:]
        grid = RegionGrid(boxes, (height, width), self.roi_pool, spatial_scale=1 / STRIDE)
        return self.res5.pool(features, grid)

    def mask_logits(self, stages: Sequence[Tensor], boxes: list[Tensor], regions: Tensor) -> Tensor:
        """Returns the masks in the boxes before the sigmoid, (R, 14, 14).

        Args:
            stages, boxes: as for `region_features`.
            regions: F_p of these boxes.
        """
        if self.mask_features == "res5":
            return self.mask_head(regions)
        stride = FINE_STRIDES[self.mask_features]
        features = stages[1 if self.mask_features == "res2" else 2]
        height, width = features.shape[2:]
        grid = RegionGrid(boxes, (height, width), self.roi_pool, spatial_scale=1 / stride)
        return self.mask_head(regions, grid.pool(features))

    def pool(self, stages: Sequence[Tensor], boxes: list[Tensor], regions: Tensor) -> Tensor:
        """Returns f_p (R, C5), the features that are embedded; arguments as `mask_logits`."""
        if not self.mask_pooling:
            return self._pooled(regions)
        return _masked_mean(regions, self.mask_logits(stages, boxes, regions))

    def _pooled(self, regions: Tensor) -> Tensor:
        """Returns f_p (R, C5) of F_p without a mask, float32 or wider."""
        return mean_over_cells(regions) if self.pooling == "mean" else max_over_cells(regions)

    def embed(self, pooled: Tensor) -> Tensor:
        """Returns f_id (R, D), L2-normalised, of pooled features f_p (R, C5)."""
        embedded = self.embedding(pooled)
        return F.normalize(embedded if self.embedding_norm is None else self.embedding_norm(embedded), dim=1)

    def losses(
        self, stages: Sequence[Tensor], proposals: list[Tensor], targets: Sequence[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """Returns loss_rcnn_cls, loss_rcnn_reg, loss_id and loss_mask, each the mean of its images' losses.

        OIM remembers the embeddings; its table and queue move only at `OIMLoss.commit`.

        Args:
            stages: as for `region_features`.
            proposals: per image (n, 4) float32; the boxes of the persons are added to them.
            targets: per image a dict as for `MaskGuidedPersonSearch.forward`.
        """
        rois = self.sample(proposals, targets)
        if len(rois.pids) == 0:
            zero = torch.stack([parameter.sum() for parameter in self.parameters()]).sum() * 0.0
            return dict.fromkeys(("loss_rcnn_cls", "loss_rcnn_reg", "loss_id", "loss_mask"), zero)
        regions = self.region_features(stages, rois.boxes)
        pooled = self._pooled(regions)
        loss_cls, loss_reg = self._box_losses(pooled, rois)
        foreground, with_mask = rois.is_foreground, proposals_with_mask(rois, targets)
        embedded = pooled[foreground]
        segmented = foreground if self.mask_pooling else with_mask
        boxes = [rows[own] for rows, own in zip(rois.boxes, segmented.split(rois.counts), strict=True)]
        logits = self.mask_logits(stages, boxes, regions[segmented])
        if self.mask_pooling:
            embedded = _masked_mean(regions[foreground], logits)
            logits = logits[with_mask[foreground]]
        return {
            "loss_rcnn_cls": loss_cls,
            "loss_rcnn_reg": loss_reg,
            "loss_id": self._id_loss(embedded, rois),
            "loss_mask": self._mask_loss(logits, with_mask, rois, targets),
        }

    def detect(
        self, stages: Sequence[Tensor], proposals: list[Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> list[RoIDetections]:
        """Returns the detections of each image: scored above the threshold, and best first after NMS.

        Args:
            stages: as for `region_features`.
            proposals: per image (n, 4) float32, xyxy; n may be 0.
            image_sizes: per image (height, width), at which boxes are clipped.
        """
        counts = [len(rows) for rows in proposals]
        regions = self.region_features(stages, proposals)
        pooled = self._pooled(regions)
        boxes = apply_deltas(self.regressor(pooled), start=torch.cat(proposals))
        scores = self.classifier(pooled).softmax(dim=1)[:, 1]
        found = []
        for image_boxes, image_scores, size in zip(
            boxes.split(counts), scores.split(counts), image_sizes, strict=True
        ):
            image_boxes = clip_boxes_to_image(image_boxes, size)
            best = self._best(image_boxes, image_scores)
            found.append((image_boxes[best], image_scores[best], best))
        if self.detection_feature == "detection":
            embedded_boxes = [image_boxes for image_boxes, _, _ in found]
            regions = self.region_features(stages, embedded_boxes)
        else:
            embedded_boxes = [rows[best] for rows, (_, _, best) in zip(proposals, found, strict=True)]
            own = [rows[best] for rows, (_, _, best) in zip(regions.split(counts), found, strict=True)]
            regions = torch.cat(own)
        pooled = self.pool(stages, embedded_boxes, regions)
        rows = pooled.split([len(image_boxes) for image_boxes in embedded_boxes])
        return [
            RoIDetections(image_boxes, image_scores, own, self.embed(own))
            for (image_boxes, image_scores, _), own in zip(found, rows, strict=True)
        ]

    def _best(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Returns (k,) int64: the rows of an image's boxes that are detections, best first."""
        kept = torch.where(scores > self.score_threshold)[0]
        kept = kept[remove_small_boxes(boxes[kept], 1.0)]
        kept = kept[nms(boxes[kept], scores[kept], self.nms_threshold)]
        return kept[: self.detections_per_image]

    @torch.no_grad()
    def sample(self, proposals: list[Tensor], targets: Sequence[dict[str, Any]]) -> SampledRois:
        """Returns the RoIs of a training step: a balanced choice of proposals and the persons' own boxes.

        There are at most `rois_per_image` of an image. A RoI with IoU >= 0.5 is foreground and belongs to the
        person that it overlaps most (the first on ties); all others are background.
        """
        candidates = [
            torch.cat([boxes, target["boxes"]]) for boxes, target in zip(proposals, targets, strict=True)
        ]
        matches = [
            self._match(boxes, target["boxes"]) for boxes, target in zip(candidates, targets, strict=True)
        ]
        positives, negatives = self.sampler([(match >= 0).to(torch.int64) for match in matches])
        boxes, foreground, pids, persons, matched = [], [], [], [], []
        first_person = 0
        for rows, match, positive, negative, target in zip(
            candidates, matches, positives, negatives, targets, strict=True
        ):
            chosen = torch.cat([torch.where(positive)[0], torch.where(negative)[0]])
            match, rows = match[chosen], rows[chosen]
            is_foreground = match >= 0
            # Background (-1) takes the added last row. So images without persons need no special case.
            pid_or_background = F.pad(target["pids"], (0, 1), value=BACKGROUND_PID)
            box_or_any = F.pad(target["boxes"], (0, 0, 0, 1))
            boxes.append(rows)
            foreground.append(is_foreground)
            pids.append(pid_or_background[match])
            persons.append(match + first_person)
            matched.append(torch.where(is_foreground[:, None], box_or_any[match], rows))
            first_person += len(target["boxes"])
        return SampledRois(
            boxes=boxes,
            is_foreground=torch.cat(foreground),
            pids=torch.cat(pids),
            persons=torch.cat(persons),
            matched_boxes=torch.cat(matched),
        )

    def _match(self, boxes: Tensor, persons: Tensor) -> Tensor:
        """Returns (n,) int64: the row of the person each box belongs to, -1 for background."""
        if len(persons) == 0 or len(boxes) == 0:
            return torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
        overlaps, rows = box_iou(persons, boxes).max(dim=0)
        return torch.where(overlaps < 0.5, -1, rows)

    def _box_losses(self, pooled: Tensor, rois: SampledRois) -> tuple[Tensor, Tensor]:
        """Returns L_RCNN: cross entropy, Eq. (1), and smooth L1, Eq. (2), per sampled RoI of an image."""
        foreground = rois.is_foreground
        weights = image_mean_weights(images_of_rows(rois.counts, pooled.device), len(rois.boxes))
        values = F.cross_entropy(self.classifier(pooled), foreground.to(torch.int64), reduction="none")
        boxes = torch.cat(rois.boxes)[foreground]
        wanted = deltas_to(rois.matched_boxes[foreground], start=boxes)
        deltas = self.regressor(pooled[foreground])
        distances = F.smooth_l1_loss(deltas, wanted, beta=1.0, reduction="none").sum(dim=1)
        return (values * weights).sum(), (distances * weights[foreground]).sum()

    def _id_loss(self, pooled: Tensor, rois: SampledRois) -> Tensor:
        """Returns L_identification, Eq. (5), of the pooled features of the foreground RoIs."""
        foreground = rois.is_foreground
        counts = torch.stack([rows.sum() for rows in foreground.split(rois.counts)]).tolist()
        return self.id_loss(self.embed(pooled), rois.pids[foreground], counts)

    def _mask_loss(
        self, logits: Tensor, with_mask: Tensor, rois: SampledRois, targets: Sequence[dict[str, Any]]
    ) -> Tensor:
        """Returns lambda L_mask of Eq. (7), from Eq. (6) over each image's proposals with mask.

        Args:
            logits: (S, 14, 14), of the proposals with mask.
            with_mask: (R,) bool, which of the RoIs these are.
        """
        soft = self.mask_target == "soft"
        wanted = proposal_masks(rois, with_mask, targets, size=logits.shape[-1], soft=soft)
        counts = torch.stack([rows.sum() for rows in with_mask.split(rois.counts)]).tolist()
        return batch_mask_loss(logits, wanted, counts, reduction=self.mask_reduction)


def _masked_mean(regions: Tensor, logits: Tensor) -> Tensor:
    """Returns the mean (R, C5) of F_p over its cells, weighted by the predicted masks.

    Args:
        regions: F_p (R, C5, m, m).
        logits: (R, 2m, 2m), of the mask branch. They get no gradient.
    """
    kind = torch.promote_types(regions.dtype, torch.float32)
    weights = F.avg_pool2d(logits.detach().to(kind).sigmoid()[:, None], 2)
    weighted = (regions.to(kind) * weights).sum(dim=(2, 3))
    return weighted / weights.sum(dim=(2, 3)).clamp(min=_LEAST_WEIGHT)


_LEAST_WEIGHT = 1e-3
"""Sum of the weights of an empty mask, so that its mean is 0 and not undefined."""


def proposals_with_mask(rois: SampledRois, targets: Sequence[dict[str, Any]]) -> Tensor:
    """Returns (R,) bool: the "proposals with mask" of Sec. 3.2, foreground RoIs of persons with a mask."""
    has_mask = torch.cat([target["mask_present"] for target in targets])
    # Background may point at any row or be -1: the added last row keeps -1 valid.
    return F.pad(has_mask, (0, 1))[rois.persons] & rois.is_foreground


def proposal_masks(
    rois: SampledRois,
    with_mask: Tensor,
    targets: Sequence[dict[str, Any]],
    *,
    size: int = 14,
    soft: bool = False,
) -> Tensor:
    """Returns the true masks of the proposals with mask, cut at the proposals: (S, size, size).

    Computed from the outlines (`maskps.masks.coverage`), without resampling.

    Args:
        with_mask: (R,) bool, of `proposals_with_mask`; S are true.
        soft: the covered fraction of each cell as float32, instead of bool at a half.
    """
    boxes = torch.cat(rois.boxes)[with_mask]
    if len(boxes) == 0:
        return boxes.new_zeros((0, size, size), dtype=boxes.dtype if soft else torch.bool)
    outlines = [edges for target in targets for edges in target["mask_edges"]]
    edges = pad_sequence(outlines, batch_first=True)[rois.persons[with_mask]]
    return mask_targets(edges, boxes, size=size, soft=soft)
