"""SeqNet's network at test time, from torchvision's detection parts: our network is compared with it.

Source: Li and Miao, "Sequential End-to-end Network for Efficient Person Search", AAAI 2021, and the authors'
code (github.com/serend1p1ty/SeqNet), whose facts this file states in its own words. The state dict has the
names and shapes of that code's `SeqNet` class. `published_state_dict` spells them as torchvision 0.4 does,
which made the published file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.models.resnet import Bottleneck
from torchvision.ops import MultiScaleRoIAlign, batched_nms, clip_boxes_to_image, remove_small_boxes

SECOND_NMS = 0.5
DETECTIONS = 300


class Gallery(NamedTuple):
    """The detections of one scene: (N, 4) xyxy in its own pixels, (N,) scores, (N, 256) embeddings."""

    boxes: Tensor
    scores: Tensor
    embeddings: Tensor


class SeqNetOracle(nn.Module):
    """SeqNet, for one image at a time and without training.

    Args:
        table_size: labeled identities: 5532 in CUHK-SYSU, 482 in PRW.
        queue_size: rows of the circular queue: 5000 for CUHK-SYSU, 500 for PRW.
        min_size, max_size: the image's shorter side, and the limit of its longer one, in pixels.
        proposals: the region proposal network's boxes an image.
    """

    def __init__(
        self,
        table_size: int = 5532,
        queue_size: int = 5000,
        *,
        min_size: int = 900,
        max_size: int = 1500,
        proposals: int = 300,
    ) -> None:
        super().__init__()
        resnet = resnet50(weights=None)
        self.backbone = IntermediateLayerGetter(resnet, {"layer3": "feat_res4"})
        self.rpn = RegionProposalNetwork(
            AnchorGenerator(sizes=((32, 64, 128, 256, 512),), aspect_ratios=((0.5, 1.0, 2.0),)),
            RPNHead(1024, num_anchors=15),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 12000, "testing": 6000},
            post_nms_top_n={"training": 2000, "testing": proposals},
            nms_thresh=0.7,
        )
        heads = RoIHeads(
            box_roi_pool=MultiScaleRoIAlign(["feat_res4"], output_size=14, sampling_ratio=2),
            box_head=nn.Sequential(OrderedDict(layer4=resnet.layer4)),
            # of the second head, in spite of its name: the first head's is faster_rcnn_predictor
            box_predictor=nn.ModuleDict({"bbox_pred": nn.Sequential(nn.Linear(2048, 8), nn.BatchNorm1d(8))}),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=128,
            positive_fraction=0.5,
            bbox_reg_weights=None,
            score_thresh=0.5,
            nms_thresh=0.4,
            detections_per_img=DETECTIONS,
        )
        widths = {"feat_res4": 1024, "feat_res5": 2048}
        projectors = {
            level: nn.Sequential(nn.Linear(width, 128), nn.BatchNorm1d(128))
            for level, width in widths.items()
        }
        heads.embedding_head = nn.ModuleDict(
            {"projectors": nn.ModuleDict(projectors), "rescaler": nn.BatchNorm1d(1)}
        )
        heads.reid_loss = nn.Module()
        heads.reid_loss.register_buffer("lut", torch.zeros(table_size, 256))
        heads.reid_loss.register_buffer("cq", torch.zeros(queue_size, 256))
        heads.faster_rcnn_predictor = FastRCNNPredictor(2048, num_classes=2)
        heads.reid_head = deepcopy(heads.box_head)
        self.roi_heads = heads
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
        )
        self.eval()

    @torch.no_grad()
    def gallery(self, image: Tensor, *, score_weighted: bool = True) -> Gallery:
        """The persons found in a scene of (3, H, W) float 0..1, best first.

        score_weighted: an embedding is as long as its detection's score (confidence-weighted similarity).
        """
        images, _ = self.transform([image])
        features = self.backbone(images.tensors)
        proposals, _ = self.rpn(images, features)
        boxes, scores = self._first_head(features, proposals[0], images.image_sizes)
        if len(boxes) == 0:
            return Gallery(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 256))
        pooled, deltas = self._second_head(features, boxes, images.image_sizes)
        embeddings, _ = self._embed(pooled)
        if score_weighted:
            embeddings = embeddings * scores[:, None]
        boxes = self._person_boxes(deltas, boxes, images.image_sizes)
        sized = remove_small_boxes(boxes, min_size=1e-2)
        one_class = torch.zeros(len(sized), dtype=torch.int64)
        kept = sized[batched_nms(boxes[sized], scores[sized], one_class, SECOND_NMS)[:DETECTIONS]]
        detections = self.transform.postprocess(
            [{"boxes": boxes[kept]}], images.image_sizes, [tuple(image.shape[-2:])]
        )
        return Gallery(detections[0]["boxes"], scores[kept], embeddings[kept])

    def query(self, image: Tensor, boxes: Tensor) -> Tensor:
        """Embeddings (N, 256), of length 1, of the boxes (N, 4), xyxy in the pixels of `image` (3, H, W)."""
        return self._embeddings_and_logits(image, boxes)[0]

    def person_logits(self, image: Tensor, boxes: Tensor) -> Tensor:
        """(N,) the norm-aware logits of boxes: trained with, never a detection's score."""
        return self._embeddings_and_logits(image, boxes)[1]

    @torch.no_grad()
    def _embeddings_and_logits(self, image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        images, targets = self.transform([image], [{"boxes": boxes}])
        features = self.backbone(images.tensors)
        pooled, _ = self._second_head(features, targets[0]["boxes"], images.image_sizes)
        return self._embed(pooled)

    def _first_head(
        self, features: dict[str, Tensor], proposals: Tensor, sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        rois = self.roi_heads.box_roi_pool(features, [proposals], sizes)
        pooled = F.adaptive_max_pool2d(self.roi_heads.box_head(rois), 1)
        logits, deltas = self.roi_heads.faster_rcnn_predictor(pooled)
        boxes, scores, _ = self.roi_heads.postprocess_detections(logits, deltas, [proposals], sizes)
        return boxes[0], scores[0]

    def _second_head(
        self, features: dict[str, Tensor], boxes: Tensor, sizes: list[tuple[int, int]]
    ) -> tuple[dict[str, Tensor], Tensor]:
        rois = self.roi_heads.box_roi_pool(features, [boxes], sizes)
        res5 = self.roi_heads.reid_head(rois)
        pooled = {"feat_res4": rois.amax((2, 3)), "feat_res5": res5.amax((2, 3))}
        return pooled, self.roi_heads.box_predictor["bbox_pred"](pooled["feat_res5"])

    def _embed(self, pooled: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        head = self.roi_heads.embedding_head
        raw = torch.cat([project(pooled[level]) for level, project in head["projectors"].items()], dim=1)
        norms = raw.norm(dim=1, keepdim=True)
        return raw / norms.clamp(min=1e-12), head["rescaler"](norms)[:, 0]

    def _person_boxes(self, deltas: Tensor, boxes: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        background_and_person = self.roi_heads.box_coder.decode(deltas, [boxes])
        return clip_boxes_to_image(background_and_person[:, 1], sizes[0])


def published_state_dict(oracle: SeqNetOracle) -> dict[str, Tensor]:
    """The state dict in the spelling of torchvision 0.4: today's rpn.head.conv.0.0.* was rpn.head.conv.*."""
    return {
        name.replace("rpn.head.conv.0.0.", "rpn.head.conv."): value
        for name, value in oracle.state_dict().items()
    }


def random_image(seed: int, height: int, width: int) -> Tensor:
    """A (3, height, width) float image in 0..1 of large and small coloured blobs, as many at every size."""
    rng = torch.Generator().manual_seed(seed)
    image = torch.zeros(3, height, width)
    for grid in ((6, 8), (24, 32)):
        blobs = torch.rand(1, 3, *grid, generator=rng)
        image += F.interpolate(blobs, (height, width), mode="bilinear", align_corners=False)[0] / 2
    return image


@torch.no_grad()
def random_oracle(
    seed: int,
    table_size: int = 5532,
    queue_size: int = 5000,
    *,
    min_size: int = 900,
    max_size: int = 1500,
    proposals: int = 300,
    images: list[Tensor] | None = None,
    last_norms: float = 1.0,
) -> SeqNetOracle:
    """An oracle with random weights with which an image has detections; arguments as of `SeqNetOracle`.

    images: like those in which persons must be found, (3, H, W) float 0..1; by default two of `random_image`.
    last_norms: times the scale of the last norm of each residual block. Random blocks of scale 1 enlarge the
        rounding of float32 several hundred times on the way to the boxes; 0.1 keeps it small.

    Every batch norm has scales and shifts of its own and nearly the statistics of `images`: features keep
    their magnitude. The outputs of the region proposal network and of the first head are scaled so that
    their scores are spread out: in such an image, some proposals pass 0.5 and some do not.
    """
    oracle = SeqNetOracle(table_size, queue_size, min_size=min_size, max_size=max_size, proposals=proposals)
    rng = torch.Generator().manual_seed(seed)
    for module in oracle.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5, generator=rng)
            if module.bias is not None:
                module.bias.normal_(0, 0.1, generator=rng)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.weight.uniform_(0.5, 1.5, generator=rng)
            module.bias.normal_(0, 0.2, generator=rng)
    for module in oracle.modules():
        if isinstance(module, Bottleneck):
            module.bn3.weight.mul_(last_norms)
    # boxes move: the second suppression has work
    oracle.roi_heads.box_predictor["bbox_pred"][1].weight.mul_(3)
    for table in (oracle.roi_heads.reid_loss.lut, oracle.roi_heads.reid_loss.cq):
        table.copy_(F.normalize(table.normal_(generator=rng), dim=1))
    _settle(oracle, images or [random_image(1000 * seed + k, 120, 180) for k in range(2)], rng)
    return oracle


def _settle(oracle: SeqNetOracle, like: list[Tensor], rng: torch.Generator) -> None:
    """Set the statistics of the batch norms, and the scale of the output layers, from images."""
    heads, out = oracle.roi_heads, oracle.roi_heads.faster_rcnn_predictor
    images, _ = oracle.transform(like)
    with _statistics_of_the_batch(oracle.backbone):
        oracle.backbone(images.tensors)
    features = oracle.backbone(images.tensors)
    hidden = oracle.rpn.head.conv(features["feat_res4"])
    _spread(oracle.rpn.head.cls_logits, hidden, 1.0, rng)
    _spread(oracle.rpn.head.bbox_pred, hidden, 0.2, rng)
    boxes = [proposals[:48:3] for proposals in oracle.rpn(images, features)[0]]
    rois = heads.box_roi_pool(features, boxes, images.image_sizes)
    with _statistics_of_the_batch(heads):
        heads.box_head(rois)
        res5 = heads.reid_head(rois)
        pooled = {"feat_res4": rois.amax((2, 3)), "feat_res5": res5.amax((2, 3))}
        oracle._embed(pooled)
        heads.box_predictor["bbox_pred"](pooled["feat_res5"])
    pooled_first = heads.box_head(rois).amax((2, 3))
    _spread(out.cls_score, pooled_first, 1.0, rng)
    _spread(out.bbox_pred, pooled_first, 1.0, rng)


@contextmanager
def _statistics_of_the_batch(part: nn.Module) -> Iterator[None]:
    """Batch norms take nine tenths of the statistics of what passes through."""
    norms = [module for module in part.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)]
    for norm in norms:
        norm.train().momentum = 0.9
    yield
    for norm in norms:
        norm.eval().momentum = 0.1


def _spread(layer: nn.Conv2d | nn.Linear, inputs: Tensor, deviation: float, rng: torch.Generator) -> None:
    """Scale and shift each output of `layer`: mean near 0, standard deviation `deviation` over `inputs`."""
    layer.bias.zero_()
    outputs = layer(inputs).transpose(0, 1).flatten(1)
    scale = deviation / outputs.std(dim=1)
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.copy_(-scale * outputs.mean(dim=1))
    layer.bias.add_(0.1 * deviation * torch.randn(len(scale), generator=rng))
