"""What the heads share: losses of scores and boxes, and which boxes are detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes

from maskps.losses.image_means import image_mean_weights, images_of_rows
from maskps.model.box_deltas import apply_deltas, deltas_to
from maskps.model.rois import SampledRois

LEAST_SIDE = 1e-2
"""Pixels; boxes that are narrower or lower are dropped, as in torchvision's detectors."""


@dataclass(frozen=True)
class BoxFilter:
    """Which boxes of an image are detections.

    Attributes:
        score_threshold: boxes at or below this score are dropped.
        nms_threshold: of two boxes with a larger IoU, the one with the lower score is dropped.
        per_image: only this many are kept, the best.
    """

    score_threshold: float
    nms_threshold: float
    per_image: int

    def best(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Returns (k,) int64: the rows of an image's boxes (n, 4) that are detections, best first."""
        kept = torch.where(scores > self.score_threshold)[0]
        kept = kept[remove_small_boxes(boxes[kept], LEAST_SIDE)]
        kept = kept[nms(boxes[kept], scores[kept], self.nms_threshold)]
        return kept[: self.per_image]


def box_losses(logits: Tensor, deltas: Tensor, rois: SampledRois) -> tuple[Tensor, Tensor]:
    """Returns L_RCNN: cross entropy, Eq. (1), and smooth L1, Eq. (2), per sampled RoI of an image.

    Args:
        logits: (R, 2), background and person.
        deltas: (F, 4), of the foreground RoIs.
    """
    foreground = rois.is_foreground
    weights = image_mean_weights(images_of_rows(rois.counts, logits.device), len(rois.boxes))
    values = F.cross_entropy(logits, foreground.to(torch.int64), reduction="none")
    boxes = torch.cat(rois.boxes)[foreground]
    wanted = deltas_to(rois.matched_boxes[foreground], start=boxes)
    distances = F.smooth_l1_loss(deltas, wanted, beta=1.0, reduction="none").sum(dim=1)
    return (values * weights).sum(), (distances * weights[foreground]).sum()


def moved_boxes(
    boxes: Sequence[Tensor], deltas: Tensor, image_sizes: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """Returns per image the boxes (n, 4) after their deltas, clipped at the image's border.

    Args:
        boxes: per image (n, 4), xyxy, pixels of the resized image.
        deltas: (sum of n, 4).
        image_sizes: per image (height, width).
    """
    moved = apply_deltas(deltas, start=torch.cat(list(boxes))).split([len(rows) for rows in boxes])
    return [clip_boxes_to_image(rows, size) for rows, size in zip(moved, image_sizes, strict=True)]
