"""The mask-guided person-search network (Sec. 3.2, Fig. 3) and its use on images. Needs torch."""

from __future__ import annotations

from maskps.model.backbone import backbone_state, load_backbone, split_backbone
from maskps.model.build import build_model, build_predictor
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Feature, ImageDetections, Predictor
from maskps.model.resize import resize_image, resized_size

__all__ = [
    "Feature",
    "ImageDetections",
    "MaskGuidedPersonSearch",
    "Predictor",
    "backbone_state",
    "build_model",
    "build_predictor",
    "load_backbone",
    "resize_image",
    "resized_size",
    "split_backbone",
]
