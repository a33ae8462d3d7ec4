"""The mask-guided person-search network (Sec. 3.2, Fig. 3) and its use on images.

Names are imported when they are first used: `OnnxPredictor` works without torch, all others need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskps.model.backbone import backbone_state, load_backbone, split_backbone
    from maskps.model.build import build_model, build_predictor
    from maskps.model.export import export_network
    from maskps.model.network import MaskGuidedPersonSearch
    from maskps.model.onnx_predictor import OnnxPredictor
    from maskps.model.prediction import Feature, ImageDetections, resized_size
    from maskps.model.predictor import Predictor
    from maskps.model.resize import resize_image

_MODULE_OF = {
    "Feature": "prediction",
    "ImageDetections": "prediction",
    "MaskGuidedPersonSearch": "network",
    "OnnxPredictor": "onnx_predictor",
    "Predictor": "predictor",
    "backbone_state": "backbone",
    "build_model": "build",
    "build_predictor": "build",
    "export_network": "export",
    "load_backbone": "backbone",
    "resize_image": "resize",
    "resized_size": "prediction",
    "split_backbone": "backbone",
}

__all__ = [
    "Feature",
    "ImageDetections",
    "MaskGuidedPersonSearch",
    "OnnxPredictor",
    "Predictor",
    "backbone_state",
    "build_model",
    "build_predictor",
    "export_network",
    "load_backbone",
    "resize_image",
    "resized_size",
    "split_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
