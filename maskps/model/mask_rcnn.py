"""Proposed outlines of torchvision's Mask R-CNN, which has seen the persons of COCO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, maskrcnn_resnet50_fpn_v2

from maskps.errors import InputFileError
from maskps.masks.assignment import FoundMask, assign_masks
from maskps.masks.proposed_outlines import ProposedOutline, propose_outline, sureness_of
from maskps.model.processes import open_device
from maskps.model.tensor_files import read_tensors
from maskps.structures import Scene, SceneTable

LEAST_SCORE = 0.5
"""Persons that the network is less sure of are left out, as import-masks does."""

_PERSON = 1  # COCO's number of the class
_WHAT = "weights of torchvision's maskrcnn_resnet50_fpn_v2"
_URL = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
_HINT = f"download {_URL} and give maskrcnn:FILE"


class MaskRcnnProposer:
    """Detects persons, and assigns their masks to the boxes of the data set as `assign_masks` does.

    Args:
        weights: a local file; nothing is downloaded.
        device: where to compute.

    Raises:
        InputFileError: no such file, or not the weights of this network.
    """

    def __init__(self, weights: Path, *, device: torch.device | str = "cpu") -> None:
        self.device = open_device(device)
        state = read_tensors(weights, what=_WHAT, if_missing=_HINT, if_broken=_HINT)
        model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, box_score_thresh=LEAST_SCORE)
        try:
            model.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            found = (str(error).splitlines() or [""])[-1].strip()[:200]
            raise InputFileError(weights, expected=_WHAT, found=found, hint=_HINT) from error
        self.model = model.to(self.device).eval()
        self.by = f"maskrcnn {weights.name}"

    def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
        """Returns the proposals, as `maskps.masks.proposed_outlines.Proposer`."""
        if not scene.is_labeled.any():
            return {}
        boxes, scores, masks = self._persons(image)
        found, sureness = [], {}
        for box, score, cells, sure in zip(boxes, scores, masks, sureness_of(masks), strict=True):
            outline = propose_outline(cells, box)
            if outline is not None:
                found.append(FoundMask(self.by, 0, outline, box=box, score=float(score)))
                sureness[id(outline)] = float(sure)
        assigned = assign_masks(found, SceneTable.from_scenes([scene]))
        return {
            index: ProposedOutline(outline, sureness[id(outline)], self.by)
            for index, outline in assigned.outlines.items()
        }

    def _persons(
        self, image: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        """Returns (n, 4) boxes in pixels of the image, (n,) scores, and (n, 28, 28) masks in these boxes.

        These are the network's own steps, without the last one, which makes bitmaps of the image's size.
        """
        pixels = torch.from_numpy(np.array(image)).to(self.device).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            batch, _ = self.model.transform([pixels])
            features = self.model.backbone(batch.tensors)
            proposals, _ = self.model.rpn(batch, features)
            (found,), _ = self.model.roi_heads(features, proposals, batch.image_sizes)
        is_person = (found["labels"] == _PERSON).cpu().numpy()
        height, width = batch.image_sizes[0]
        scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
        boxes, scores, masks = (found[name].cpu().numpy()[is_person] for name in ("boxes", "scores", "masks"))
        return boxes.astype(np.float64) * scale, scores, masks[:, 0]
