"""A training step of SeqNet's network from torchvision's detection parts, for `bench_train_step.py`.

The network is the one that the tests compare ours with, `tests/model/seqnet_oracle.py`. The step follows the
authors' code (github.com/serend1p1ty/SeqNet): RoIs are sampled anew for the second head, both heads take
maxima, and res4's regions are cut once for res5 and for the embedding. OIM is one product with the table and
the queue, and a cross entropy; the update of the table, which the authors do row by row in a loop, is left
out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import clip_boxes_to_image

from maskps.config import TrainConfig

sys.path.append(str(Path(__file__).parents[1] / "model"))
from seqnet_oracle import SeqNetOracle


class SeqNetInTraining(SeqNetOracle):
    """SeqNet with its losses; conv1 and its norm do not train, as in the recipe `modern`.

    Args:
        identities: labeled identities, the rows of OIM's table.
    """

    def __init__(self, config: TrainConfig, identities: int) -> None:
        sizes = {"min_size": config.shorter_side, "max_size": config.longest_side}
        super().__init__(identities, config.oim_queue_length, **sizes)
        self.temperature = config.oim_temperature
        self.roi_heads.fg_bg_sampler.batch_size_per_image = config.rois_per_image
        self.roi_heads.fg_bg_sampler.positive_fraction = config.roi_foreground_fraction
        for name in ("conv1", "bn1"):
            self.backbone[name].requires_grad_(False)
        for table in (self.roi_heads.reid_loss.lut, self.roi_heads.reid_loss.cq):
            table.copy_(F.normalize(torch.randn(table.shape), dim=1))
        self.train()

    def forward(self, images: list[Tensor], targets: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Returns the losses.

        Args:
            images: per image (3, h, w) float, RGB in 0..1.
            targets: per image boxes (n, 4), xyxy, and as labels the pids (n,).
        """
        resized, targets = self.transform(images, targets)
        features = self.backbone(resized.tensors)
        proposals, losses = self.rpn(resized, features, targets)
        heads, sizes = self.roi_heads, resized.image_sizes
        proposals, _, pids, wanted = heads.select_training_samples(proposals, targets)
        regions = heads.box_head(heads.box_roi_pool(features, proposals, sizes))
        logits, deltas = heads.faster_rcnn_predictor(F.adaptive_max_pool2d(regions, 1))
        persons = [rows.clamp(max=1) for rows in pids]
        losses["first_cls"], losses["first_reg"] = fastrcnn_loss(logits, deltas, persons, wanted)

        moved = heads.box_coder.decode(deltas.detach(), proposals)[:, 1].split([len(rows) for rows in pids])
        refined = [clip_boxes_to_image(rows, size) for rows, size in zip(moved, sizes, strict=True)]
        boxes, _, pids, wanted = heads.select_training_samples(refined, targets)
        regions = heads.box_roi_pool(features, boxes, sizes)
        parts = {"feat_res4": regions, "feat_res5": heads.reid_head(regions)}
        pooled = {name: F.adaptive_max_pool2d(part, 1).flatten(1) for name, part in parts.items()}
        embeddings, logits = self._embed(pooled)
        person = torch.cat(pids) > 0
        deltas = heads.box_predictor["bbox_pred"](pooled["feat_res5"])
        losses["cls"] = F.binary_cross_entropy_with_logits(logits, person.float())
        distances = F.smooth_l1_loss(deltas[person, 4:], torch.cat(wanted)[person], reduction="sum")
        losses["reg"] = distances / len(person)
        table = torch.cat([heads.reid_loss.lut, heads.reid_loss.cq])
        similarities = embeddings[person] @ table.T / self.temperature
        losses["id"] = F.cross_entropy(similarities, torch.cat(pids)[person] - 1)
        return losses
