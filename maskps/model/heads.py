"""Heads by name; see docs/extend/head.md."""

from __future__ import annotations

from typing import NamedTuple

from maskps.model.box_head import BoxHead
from maskps.model.faster_rcnn_head import FasterRCNNHead
from maskps.model.norm_aware_head import NormAwareHead


class Head(NamedTuple):
    """A way from proposals to detections.

    Attributes:
        box_head: gives the scores and boxes.
        refines_first: a first Faster R-CNN head with a res5 of its own refines the proposals, and its scores
            are those of the detections.
    """

    box_head: type[BoxHead]
    refines_first: bool = False


HEADS = {
    "single": Head(FasterRCNNHead),  # Sec. 3.2
    "norm_aware": Head(NormAwareHead),  # NAE
    "sequential": Head(NormAwareHead, refines_first=True),  # SeqNet
}
"""By the name that the setting `head` takes."""
