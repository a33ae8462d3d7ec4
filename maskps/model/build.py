"""From settings to a network; no other module knows both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import torch

from maskps.errors import ConfigError
from maskps.losses.mask import MaskReduction
from maskps.losses.oim import OIMLoss
from maskps.model.backbone import split_backbone
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Feature, Predictor
from maskps.model.proposals import build_rpn
from maskps.model.resize import Resize
from maskps.model.roi_heads import DetectionFeature, MaskFeatures, MaskTarget, Pooling, RoIHeads

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
    """Returns a predictor that resizes images as the training does; arguments as `Predictor`."""
    return Predictor(
        model,
        config.shorter_side,
        config.longest_side,
        device,
        resize=cast(Resize, config.resize),
        feature=feature,
        unit_length=unit_length,
    )


def _network(config: TrainConfig, num_pids: int, *, pretrained: str) -> MaskGuidedPersonSearch:
    stem, res5 = split_backbone(
        config.backbone,
        pretrained=pretrained,
        frozen_stages=config.frozen_stages,
        freeze_batch_norm=config.freeze_batch_norm,
    )
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
    id_loss = OIMLoss(
        num_pids,
        dim=config.embedding_dim,
        queue_length=config.oim_queue_length,
        temperature=config.oim_temperature,
        momentum=config.oim_momentum,
    )
    roi_heads = RoIHeads(
        res5,
        id_loss,
        mask_channels=config.mask_channels,
        mask_features=cast(MaskFeatures, config.mask_features),
        fine_channels={"res2": stem.channels[1], "res3": stem.channels[2]}.get(config.mask_features, 0),
        mask_pooling=config.mask_pooling,
        embedding_norm=config.embedding_norm,
        pooling=cast(Pooling, config.pooling),
        rois_per_image=config.rois_per_image,
        foreground_fraction=config.roi_foreground_fraction,
        roi_pool=config.roi_pool,
        score_threshold=config.box_score_threshold,
        nms_threshold=config.box_nms,
        detections_per_image=config.detections_per_image,
        # TrainConfig checks these names; for mypy they are plain text.
        detection_feature=cast(DetectionFeature, config.detection_feature),
        mask_target=cast(MaskTarget, config.mask_target),
        mask_reduction=cast(MaskReduction, config.mask_loss_reduction),
    )
    return MaskGuidedPersonSearch(stem, rpn, roi_heads, size_divisor=config.size_divisor)
