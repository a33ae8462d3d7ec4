"""Which regions a training step uses, and the masks in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_iou

from maskps.masks.coverage import mask_targets
from maskps.model.sampling import BalancedSampler
from maskps.structures import BACKGROUND_PID


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

    def counts_of(self, rows: Tensor) -> list[int]:
        """Returns how many of the chosen rows, (R,) bool, each image has."""
        return torch.stack([own.sum() for own in rows.split(self.counts)]).tolist()

    def boxes_of(self, rows: Tensor) -> list[Tensor]:
        """Returns the boxes of the chosen rows, (R,) bool, per image."""
        return [boxes[own] for boxes, own in zip(self.boxes, rows.split(self.counts), strict=True)]


class RoISampler:
    """Chooses the RoIs of a training step: a balanced choice of proposals and the persons' own boxes.

    Args:
        rois_per_image: at most that many of an image.
        foreground_fraction: largest share of foreground among them; 0.25 in the OIM release.

    Attributes:
        balanced: makes the random choice; holds the images' generators.
    """

    def __init__(self, rois_per_image: int, foreground_fraction: float) -> None:
        self.balanced = BalancedSampler(rois_per_image, foreground_fraction)

    @torch.no_grad()
    def __call__(self, proposals: Sequence[Tensor], targets: Sequence[dict[str, Any]]) -> SampledRois:
        """Returns the RoIs of a step.

        A RoI with IoU >= 0.5 is foreground and belongs to the person that it overlaps most (the first on
        ties); all others are background.

        Args:
            proposals: per image (n, 4) float32; the boxes of the persons are added to them.
            targets: per image a dict as for `MaskGuidedPersonSearch.forward`.
        """
        candidates = [
            torch.cat([boxes, target["boxes"]]) for boxes, target in zip(proposals, targets, strict=True)
        ]
        matches = [_match(boxes, target["boxes"]) for boxes, target in zip(candidates, targets, strict=True)]
        positives, negatives = self.balanced([(match >= 0).to(torch.int64) for match in matches])
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


def _match(boxes: Tensor, persons: Tensor) -> Tensor:
    """Returns (n,) int64: the row of the person each box belongs to, -1 for background."""
    if len(persons) == 0 or len(boxes) == 0:
        return torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
    overlaps, rows = box_iou(persons, boxes).max(dim=0)
    return torch.where(overlaps < 0.5, -1, rows)


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
