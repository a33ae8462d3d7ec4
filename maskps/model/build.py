"""From settings to a network; no other module knows both."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, cast

import torch

from maskps.errors import ConfigError
from maskps.losses.mask import MaskReduction
from maskps.losses.oim import OIMLoss
from maskps.model.backbone import split_backbone
from maskps.model.detection import BoxFilter
from maskps.model.embedding import Embedding
from maskps.model.faster_rcnn_head import FasterRCNNHead
from maskps.model.heads import HEADS
from maskps.model.mask_branch import MaskBranch, MaskFeatures, MaskTarget
from maskps.model.mask_head import MaskHead
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Feature, Predictor
from maskps.model.proposals import build_rpn
from maskps.model.region_pooler import Pooling, RegionPooler
from maskps.model.resize import Resize
from maskps.model.roi_heads import DetectionFeature, OIMMean, RoIHeads
from maskps.model.rois import RoISampler
from maskps.model.sequential_head import FirstHead
from maskps.model.stages import Res5, Stem

if TYPE_CHECKING:
    from maskps.config import TrainConfig


def build_model(config: TrainConfig, num_pids: int) -> MaskGuidedPersonSearch:
    """Returns the network of these settings, initialised from `config.seed`, on the CPU, in training mode.

    The same settings give the same weights to the bit. The state of torch's default generator stays the same.

    Args:
        config: the settings of a run.
        num_pids: labeled training identities, the rows of OIM's table.

    Raises:
        ConfigError: the weights would not fit into this machine's memory; or as `split_backbone`.
        InputFileError: as `split_backbone`.
    """
    with torch.device("meta"):  # shapes without numbers
        tensors = _network(config, num_pids, pretrained="none").state_dict().values()
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise ConfigError(
            "the network of these settings",
            expected=f"at most {memory / 1e9:,.1f} GB of weights, the memory of this machine",
            found=f"{needed / 1e9:,.1f} GB",
            hint="lower embedding_dim, oim_queue_length, rpn_channels or mask_channels",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = _network(config, num_pids, pretrained=config.pretrained)
    return model.to(memory_format=torch.channels_last)


def build_predictor(
    config: TrainConfig,
    model: MaskGuidedPersonSearch,
    device: str | torch.device,
    *,
    feature: Feature = "embedding",
    unit_length: bool = True,
) -> Predictor:
    """Returns a predictor that resizes images as the training does; arguments as `Predictor`.

    With `unit_length`, detections are weighed by their scores if the settings say so: only products need it.
    """
    return Predictor(
        model,
        config.shorter_side,
        config.longest_side,
        device,
        resize=cast(Resize, config.resize),
        feature=feature,
        unit_length=unit_length,
        # By a distance, a vector shorter than the query's would often be nearer.
        weigh_by_score=config.score_weighted_similarity and unit_length,
    )


def _network(config: TrainConfig, num_pids: int, *, pretrained: str) -> MaskGuidedPersonSearch:
    stem, res5 = split_backbone(
        config.backbone,
        pretrained=pretrained,
        frozen_stages=config.frozen_stages,
        freeze_batch_norm=config.freeze_batch_norm,
    )
    stem.recompute = res5.recompute = config.activation_checkpointing
    rpn = build_rpn(
        stem.channels[-1],
        channels=config.rpn_channels,
        anchor_sizes=config.anchor_sizes,
        anchor_ratios=config.anchor_ratios,
        batch_size=config.rpn_batch_size,
        pre_nms_top_n=(config.rpn_pre_nms_top_n_train, config.rpn_pre_nms_top_n_test),
        post_nms_top_n=(config.rpn_post_nms_top_n_train, config.rpn_post_nms_top_n_test),
        nms=config.rpn_nms,
    )
    roi_heads = _roi_heads(config, stem, res5, num_pids)
    return MaskGuidedPersonSearch(stem, rpn, roi_heads, size_divisor=config.size_divisor)


def _roi_heads(config: TrainConfig, stem: Stem, res5: Res5, num_pids: int) -> RoIHeads:
    head = HEADS[config.head]
    # TrainConfig checks the names of choices; for mypy they are plain text.
    pooler = RegionPooler(config.roi_pool, cast(Pooling, config.pooling), config.roi_align_aligned)
    box_head = head.box_head(res5.out_channels)
    channels = {"res5": [res5.out_channels], "res4_res5": [stem.channels[-1], res5.out_channels]}
    embedding = Embedding(
        channels[config.embedding_features], config.embedding_dim, norm=config.embedding_norm
    )
    box_head.reset_parameters()
    embedding.reset_parameters()
    first = _first_head(config, res5, pooler) if head.refines_first else None
    # Last, so that all else starts alike whatever the mask branch sees: runs can be compared in pairs.
    fine_channels = {"res2": stem.channels[1], "res3": stem.channels[2]}.get(config.mask_features, 0)
    mask_branch = MaskBranch(
        MaskHead(
            res5.out_channels,
            config.mask_channels,
            fine_channels,
            doubled=config.mask_size == 28,
        ),
        pooler=pooler,
        features=cast(MaskFeatures, config.mask_features),
        target=cast(MaskTarget, config.mask_target),
        reduction=cast(MaskReduction, config.mask_loss_reduction),
    )
    id_loss = OIMLoss(
        num_pids,
        dim=config.embedding_dim,
        queue_length=config.oim_queue_length,
        temperature=config.oim_temperature,
        momentum=config.oim_momentum,
    )
    return RoIHeads(
        res5,
        box_head,
        embedding,
        id_loss,
        mask_branch,
        first=first,
        pooler=pooler,
        sampler=RoISampler(config.rois_per_image, config.roi_foreground_fraction),
        box_filter=_box_filter(config, config.box_nms),
        mask_pooling=config.mask_pooling,
        oim_mean=cast(OIMMean, config.oim_mean),
        detection_feature=cast(DetectionFeature, config.detection_feature),
    )


def _first_head(config: TrainConfig, res5: Res5, pooler: RegionPooler) -> FirstHead:
    """Returns the first of two heads; its res5 starts as a copy of the second's."""
    box_head = FasterRCNNHead(res5.out_channels)
    box_head.reset_parameters()
    box_filter = _box_filter(config, config.first_nms)
    return FirstHead(copy.deepcopy(res5), box_head, pooler=pooler, box_filter=box_filter)


def _box_filter(config: TrainConfig, nms: float) -> BoxFilter:
    return BoxFilter(config.box_score_threshold, nms, config.detections_per_image)
