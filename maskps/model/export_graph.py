"""The network as a graph for one image of any size, with fixed numbers of rows, for `maskps export`."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image, nms

from maskps.model.detection import LEAST_SIDE, BoxFilter, moved_boxes
from maskps.model.network import IMAGE_MEAN, IMAGE_STD, MaskGuidedPersonSearch
from maskps.model.region_pooler import STRIDE, RegionPooler
from maskps.model.roi_align import RegionGrid
from maskps.model.stages import Res5, Stem

_NONE = -1.0
"""The score of a row without a detection."""

_CHUNK_ROWS = 10
"""Regions that one product of RoIAlign takes, where their number is fixed: a graph has no loops."""


class ExportGraph(nn.Module):
    """The detections of a network in one image, and the embeddings of given boxes, in one pass.

    A copy of the network's parts in evaluation mode; the network itself stays as it is. Whatever chooses rows
    by a condition in the network (proposals, detections) has a fixed number of rows here, best first, and
    score -1 in those that are left over. So no size depends on the content of the image, which the ONNX
    exporter cannot express.

    Args:
        model: the network.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, model: MaskGuidedPersonSearch) -> None:
        super().__init__()
        model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
        self.size_divisor = model.size_divisor
        self.stem, self.rpn, self.heads = model.stem, model.rpn, model.roi_heads
        self.first = self.heads.first
        pooler = self.heads.pooler
        fixed = _FixedPooler(pooler.size, pooler.pooling, pooler.aligned)
        self.heads.pooler = self.heads.mask_branch.pooler = fixed
        if self.first is not None:
            self.first.pooler = fixed
        for module in self.modules():
            if isinstance(module, Stem | Res5):
                module.recompute = False
        del self.heads.id_loss
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN)[:, None, None], persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGE_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor, given: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns boxes (k, 4), scores (k,) and embeddings (k, D) of detections, and (n, D) of given boxes.

        All are float32; boxes are xyxy in pixels of the resized image, embeddings have length 1. k is
        `detections_per_image`, or the number of proposals if that is smaller. The detections come first, best
        first; the other rows have score -1.

        Args:
            image: (3, H, W) float32, RGB in 0..1, already resized.
            given: (n, 4) float32, xyxy, pixels of the resized image; n may be 0.
        """
        size = (image.shape[1], image.shape[2])
        right, below = -size[1] % self.size_divisor, -size[0] % self.size_divisor
        pixels = F.pad((image - self.image_mean) / self.image_std, (0, right, 0, below))
        stages = self.stem.stages(pixels[None].contiguous(memory_format=torch.channels_last))
        proposals, scores = self._proposals(stages[-1], size)
        if self.first is not None:
            proposals, scores = self._refined(stages[-1], proposals, scores, size)
        boxes, scores, pooled = self._detections(stages, proposals, scores, size)
        given_pooled = self.heads.pool(stages, [given], self.heads.region_features(stages, [given]))
        return boxes, scores, self.heads.embed(pooled), self.heads.embed(given_pooled)

    def _proposals(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Returns the proposals (r, 4) of one image and their scores (r,), as torchvision's RPN."""
        (objectness,), (deltas,) = self.rpn.head([features])
        anchors = self._anchors(features)
        # (1, A, h, w) and (1, 4 A, h, w); anchors lie cell by cell.
        logits = objectness[0].permute(1, 2, 0).reshape(-1)
        deltas = deltas[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1).reshape(-1, 4)
        boxes = self.rpn.box_coder.decode_single(deltas, anchors)
        count = self.rpn.pre_nms_top_n()
        # An image may have fewer anchors than that; the added boxes have no area.
        logits, rows = F.pad(logits, (0, count), value=-1e9).topk(count)
        boxes = clip_boxes_to_image(F.pad(boxes, (0, 0, 0, count))[rows], size)
        scores = _with_sides(boxes, logits.sigmoid(), self.rpn.min_size)
        rows = _best(boxes, scores, self.rpn.nms_thresh, self.rpn.post_nms_top_n())
        return _taken(boxes, rows), _taken(scores, rows, value=_NONE)

    def _anchors(self, features: Tensor) -> Tensor:
        """Returns (h w A, 4): every cell's anchors, line by line."""
        y, x = (torch.arange(length, dtype=torch.float32) * STRIDE for length in features.shape[2:])
        shifts = torch.stack([x.expand(y.shape[0], -1), y[:, None].expand(-1, x.shape[0])] * 2, dim=-1)
        (cell,) = self.rpn.anchor_generator.cell_anchors
        return (shifts.reshape(-1, 1, 4) + cell.float()).reshape(-1, 4)

    def _refined(
        self, features: Tensor, proposals: Tensor, scores: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Returns what the first head makes of the proposals: boxes (k, 4) and scores (k,)."""
        assert self.first is not None
        pooler, box_head, box_filter = self.first.pooler, self.first.box_head, self.first.box_filter
        pooled = pooler.over_cells(pooler.res5(self.first.res5, features, [proposals]))
        scores = torch.where(scores < 0, _NONE, box_head.logits(pooled).softmax(dim=1)[:, 1])
        (boxes,) = moved_boxes([proposals], box_head.deltas(pooled), [size])
        scores, rows = _filtered(box_filter, boxes, scores)
        return _taken(boxes, rows), _taken(scores, rows, value=_NONE)

    def _detections(
        self, stages: list[Tensor], proposals: Tensor, scores: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns boxes (k, 4), scores (k,) and pooled features (k, C); see `RoIHeads.detect`."""
        heads = self.heads
        regions = heads.region_features(stages, [proposals])
        plain = heads.pooler.over_cells(regions)
        pooled = heads.pool(stages, [proposals], regions)
        if self.first is None:
            embedded = heads.embedding(pooled) if heads.box_head.scores_embeddings else None
            found = heads.box_head.logits(plain, embedded).softmax(dim=1)[:, 1]
            scores = torch.where(scores < 0, _NONE, found)
        (boxes,) = moved_boxes([proposals], heads.box_head.deltas(plain), [size])
        scores, rows = _filtered(heads.box_filter, boxes, scores)
        boxes, scores = _taken(boxes, rows), _taken(scores, rows, value=_NONE)
        if heads.detection_feature == "proposal":
            return boxes, scores, _taken(pooled, rows)
        return boxes, scores, heads.pool(stages, [boxes], heads.region_features(stages, [boxes]))


class _FixedGrid(RegionGrid):
    """A grid whose chunks depend neither on the size of the map nor on the number of given boxes."""

    def chunks(self, weights: Tensor, elements: int) -> Sequence[Tensor]:
        return weights.split(_CHUNK_ROWS) if isinstance(weights.shape[0], int) else [weights]


class _FixedPooler(RegionPooler):
    def grid(self, features: Tensor, boxes: Sequence[Tensor], stride: int) -> RegionGrid:
        size = (features.shape[2], features.shape[3])
        return _FixedGrid(boxes, size, self.size, spatial_scale=1 / stride, aligned=self.aligned)


def _with_sides(boxes: Tensor, scores: Tensor, least: float) -> Tensor:
    """Returns the scores, -1 for boxes that are narrower or lower than `least` pixels."""
    return torch.where((boxes[:, 2:] - boxes[:, :2] >= least).all(dim=1), scores, _NONE)


def _best(boxes: Tensor, scores: Tensor, threshold: float, count: int) -> Tensor:
    """Returns (k,) int64: the rows of boxes (n, 4) that remain after NMS, best first; k is count or n.

    Row n stands for none. Boxes with score -1 come last, so they suppress no other box.
    """
    count = min(count, boxes.shape[0])
    kept = nms(boxes, scores, threshold)
    return torch.cat([kept, torch.full((count,), boxes.shape[0])])[:count]


def _filtered(box_filter: BoxFilter, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the scores, -1 for boxes that the filter drops, and the rows of its detections as `_best`."""
    scores = torch.where(scores > box_filter.score_threshold, scores, _NONE)
    scores = _with_sides(boxes, scores, LEAST_SIDE)
    return scores, _best(boxes, scores, box_filter.nms_threshold, box_filter.per_image)


def _taken(values: Tensor, rows: Tensor, *, value: float = 0.0) -> Tensor:
    """Returns `values[rows]`; the row behind the last one is filled with `value`."""
    return F.pad(values, (0, 0) * (values.dim() - 1) + (0, 1), value=value)[rows]
