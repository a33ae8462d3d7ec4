"""The mask-guided person-search network, Fig. 3."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from maskps.model.region_pooler import STRIDE
from maskps.model.roi_heads import RoIDetections, RoIHeads
from maskps.model.sampling import generators_of
from maskps.model.stages import Stem

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""Of ImageNet, RGB in 0..1: what torchvision's weights were trained with."""


class MaskGuidedPersonSearch(nn.Module):
    """Detection, identification and segmentation on shared features (Sec. 3.2).

    Image -> stem (conv1..res4) -> RPN -> RoIAlign -> res5 -> F_p -> box head, embedding and mask branch.

    Args:
        stem: first part of the backbone, (B, 3, H, W) -> (B, C4, H/16, W/16).
        rpn: proposals on these features.
        roi_heads: everything after RoIAlign.
        size_divisor: images are padded right and below to multiples of it, itself a multiple of 16.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(
        self, stem: Stem, rpn: RegionProposalNetwork, roi_heads: RoIHeads, *, size_divisor: int = STRIDE
    ) -> None:
        super().__init__()
        self.size_divisor = size_divisor
        self.stem = stem
        self.rpn = rpn
        self.roi_heads = roi_heads
        # Constants: they move with the model to its device but are not saved.
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN)[:, None, None], persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGE_STD)[:, None, None], persistent=False)

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Any]] | None = None
    ) -> dict[str, Tensor] | list[RoIDetections]:
        """Returns the six losses in training mode (targets needed), the detections otherwise.

        Args:
            images: per image (3, h, w) float, RGB in 0..1; sizes may differ.
            targets: per image, all in pixels of that (resized) image:
                boxes (n, 4) float32 xyxy; pids (n,) int64, 1..N or `UNLABELED_PID`;
                mask_present (n,) bool; mask_edges, a list of n (E, 4) float32 arrays of outline edges
                (x0, y0, x1, y1), (0, 4) for a person without mask; and optionally seed, an int from which
                this image's anchors and RoIs are sampled (without it, torch's default generator decides).
                n may be 0. Persons without area are ignored.

        Returns:
            Training: the six scalars of `maskps.losses.LOSS_NAMES`, and with a first head its two, each the
            mean of its images' losses. All are finite and have gradients, for every kind of image. OIM's
            table and queue move when `commit` is called, not here. Otherwise: the detections of each image.
        """
        batch = self._batch(images)
        stages = self.stem.stages(batch.tensors)
        if not self.training:
            proposals, _ = self.rpn(batch, {"res4": stages[-1]})
            return self.roi_heads.detect(stages, proposals, batch.image_sizes)

        assert targets is not None and len(targets) == len(images), "training needs a target per image"
        targets = [_with_area(target) for target in targets]
        generators = generators_of([target.get("seed") for target in targets])
        self.rpn.fg_bg_sampler.generators = generators
        self.roi_heads.sampler.balanced.generators = generators
        proposals, rpn_losses = self.rpn(batch, {"res4": stages[-1]}, targets)
        return {
            "loss_rpn_cls": rpn_losses["loss_objectness"],
            "loss_rpn_reg": rpn_losses["loss_rpn_box_reg"],
            **self.roi_heads.losses(stages, proposals, targets, batch.image_sizes),
        }

    def take_pending(self) -> list[tuple[Tensor, Tensor]]:
        """Returns what OIM remembers of each forward pass since the last commit, and makes it forget that.

        A run of several processes gathers these and gives all of them to `commit`.
        """
        return self.roi_heads.id_loss.take_pending()

    def commit(self, passes: Sequence[tuple[Tensor, Tensor]] | None = None) -> None:
        """Moves OIM's table and queue; call it once after each step of the optimiser.

        Args:
            passes: embeddings and pids of forward passes, of `take_pending`; None: all since the last commit.
        """
        self.roi_heads.id_loss.commit(passes)

    def embed_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Returns per image the (n, D) embeddings pooled from given boxes: the features of queries.

        Args:
            images: as for `forward`.
            boxes: per image (n, 4) float32, xyxy, pixels of the resized image; n may be 0.
        """
        return [self.roi_heads.embed(pooled) for pooled in self.pool_boxes(images, boxes)]

    def pool_boxes(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Returns per image the (n, C) features f_p of given boxes, those that are embedded.

        C is C5, or C4 + C5 if the embedding takes both. Arguments as `embed_boxes`.
        """
        return self._pooled(self.stem.stages(self._batch(images).tensors), boxes)

    def detect_and_pool(
        self, images: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> tuple[list[RoIDetections], list[Tensor]]:
        """Returns the detections and the pooled features of given boxes, from one pass through the stem.

        For evaluation mode only. Arguments as `embed_boxes`.
        """
        batch = self._batch(images)
        stages = self.stem.stages(batch.tensors)
        proposals, _ = self.rpn(batch, {"res4": stages[-1]})
        found = self.roi_heads.detect(stages, proposals, batch.image_sizes)
        return found, self._pooled(stages, boxes)

    def predict_masks(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Returns per image the (n, S, S) foreground probabilities of the masks in given boxes.

        Search does not need them: the mask branch only guides the training. Arguments as `embed_boxes`.
        """
        stages = self.stem.stages(self._batch(images).tensors)
        regions = self.roi_heads.region_features(stages, boxes)
        probabilities = self.roi_heads.mask_branch.logits(stages, boxes, regions).float().sigmoid()
        return list(probabilities.split([len(rows) for rows in boxes]))

    def _pooled(self, stages: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Returns per image the (n, C) features f_p of given boxes."""
        regions = self.roi_heads.region_features(stages, boxes)
        pooled = self.roi_heads.pool(stages, boxes, regions)
        return list(pooled.split([len(rows) for rows in boxes]))

    def _batch(self, images: Sequence[Tensor]) -> ImageList:
        """Returns the normalised images in one tensor, zero-padded right and below to `size_divisor`."""
        height = _round_up(max(image.shape[1] for image in images), self.size_divisor)
        width = _round_up(max(image.shape[2] for image in images), self.size_divisor)
        shape = (len(images), 3, height, width)
        # Channels last is faster for convolutions, and for RoIAlign, which then copies nothing.
        tensors = images[0].new_zeros(shape).contiguous(memory_format=torch.channels_last)
        for row, image in zip(tensors, images, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = (image - self.image_mean) / self.image_std
        return ImageList(tensors, [(image.shape[1], image.shape[2]) for image in images])


def weights_digest(model: MaskGuidedPersonSearch) -> str:
    """Returns the sha256 (hex) of the network's weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _round_up(size: int, multiple: int) -> int:
    return (size + multiple - 1) // multiple * multiple


def _with_area(target: dict[str, Any]) -> dict[str, Any]:
    """Returns the target without persons whose box has no area: their box targets would be infinite."""
    boxes = target["boxes"]
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    if bool(has_area.all()):
        return target
    kept = torch.where(has_area)[0]
    return {
        **target,
        "boxes": boxes[kept],
        "pids": target["pids"][kept],
        "mask_present": target["mask_present"][kept],
        "mask_edges": [target["mask_edges"][row] for row in kept.tolist()],
    }
