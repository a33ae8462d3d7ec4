"""The region proposal network: torchvision's, for one feature map of stride 16."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.rpn import RegionProposalNetwork

from maskps.losses.image_means import image_mean_weights
from maskps.model.precision import FullPrecisionAnchors, float32_or_wider
from maskps.model.sampling import BalancedSampler


class ProposalHead(nn.Module):
    """A 3x3 convolution, then objectness and box deltas of every anchor.

    As torchvision's RPNHead, but the width of the 3x3 convolution is free. Faster R-CNN and the OIM release
    use 512 on the 1024 channels of res4.
    """

    def __init__(self, in_channels: int, channels: int, num_anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, num_anchors, 1)
        self.deltas = nn.Conv2d(channels, num_anchors * 4, 1)
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=0.01)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Returns objectness (B, A, h, w) and deltas (B, 4 A, h, w) for each (B, C, h, w)."""
        hidden = [F.relu(self.conv(level)) for level in features]
        # Under autocast the convolutions are in bfloat16; all that follows, boxes and losses, is in float32.
        objectness = [float32_or_wider(self.objectness(level)) for level in hidden]
        return objectness, [float32_or_wider(self.deltas(level)) for level in hidden]


class ProposalNetwork(RegionProposalNetwork):
    """torchvision's RPN, whose losses are means over images of each image's loss (decision 8).

    torchvision takes the mean over all sampled anchors of the batch, so an image with fewer anchors (a small
    one, for example) has less weight than the others. With one image per batch both are the same.
    """

    def compute_loss(
        self,
        objectness: Tensor,
        pred_bbox_deltas: Tensor,
        labels: list[Tensor],
        regression_targets: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Returns the losses of objectness, Eq. (1), and of the deltas, Eq. (2), scaled; A anchors an image.

        Args:
            objectness: (B A, 1) float32.
            pred_bbox_deltas: (B A, 4) float32.
            labels: per image (A,) float32: 1 a person, 0 background, -1 neither.
            regression_targets: per image (A, 4) float32.
        """
        positives, negatives = self.fg_bg_sampler(labels)
        of_persons = torch.where(torch.cat(positives))[0]
        sampled = torch.cat([of_persons, torch.where(torch.cat(negatives))[0]])
        weights = image_mean_weights(sampled // len(labels[0]), len(labels))
        values = F.binary_cross_entropy_with_logits(
            objectness.flatten()[sampled], torch.cat(labels)[sampled], reduction="none"
        )
        distances = F.smooth_l1_loss(
            pred_bbox_deltas[of_persons],
            torch.cat(regression_targets)[of_persons],
            beta=1 / 9,
            reduction="none",
        ).sum(dim=1)
        return (values * weights).sum(), (distances * weights[: len(of_persons)]).sum()


def build_rpn(
    in_channels: int,
    *,
    channels: int = 512,
    anchor_sizes: Sequence[int] = (128, 256, 512),
    anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
    batch_size: int = 256,
    pre_nms_top_n: tuple[int, int] = (12000, 6000),
    post_nms_top_n: tuple[int, int] = (2000, 300),
    nms: float = 0.7,
) -> ProposalNetwork:
    """Returns the RPN of Sec. 3.2, trained by Eq. (1) on objectness and Eq. (2) on the box deltas.

    Anchors are positive from IoU 0.7 (and the best ones of each person), negative below 0.3. At most half of
    a batch is positive. The paper gives none of these numbers; all are the OIM release's. As in the release,
    Eq. (2) has its scaled form, quadratic below 1/9 (the release's "sigma 3"). Three things are torchvision's
    and differ from the release:

    - anchors that cross the border take part; the release leaves them out of the training;
    - small proposals stay; the release drops those below 16 pixels of the original scene, although labeled
      persons can be as small as 12 x 34 pixels and unlabeled ones 7 x 20;
    - anchors are centred at 0, 16, 32, ... pixels; the release's at 7.5, 23.5, 39.5, ...

    Args:
        channels: width of the 3x3 convolution.
        anchor_sizes: square roots of the anchors' areas, in pixels of the resized image.
        anchor_ratios: height over width.
        batch_size: anchors per image in the two losses.
        pre_nms_top_n: proposals before NMS in (training, test).
        post_nms_top_n: proposals after NMS in (training, test).
        nms: of two proposals with a larger IoU, the one with the lower score is dropped.
    """
    anchors = FullPrecisionAnchors((tuple(anchor_sizes),), (tuple(anchor_ratios),))
    rpn = ProposalNetwork(
        anchors,
        ProposalHead(in_channels, channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=batch_size,
        positive_fraction=0.5,
        pre_nms_top_n={"training": pre_nms_top_n[0], "testing": pre_nms_top_n[1]},
        post_nms_top_n={"training": post_nms_top_n[0], "testing": post_nms_top_n[1]},
        nms_thresh=nms,
    )
    rpn.fg_bg_sampler = BalancedSampler(batch_size, 0.5)
    return rpn
