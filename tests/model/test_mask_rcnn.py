"""Mask R-CNN's proposals, with random weights from a local file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

from maskps.errors import InputFileError
from maskps.model.mask_rcnn import MaskRcnnProposer
from maskps.structures import Scene

IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def proposer(tmp_path_factory: pytest.TempPathFactory) -> MaskRcnnProposer:
    """Random weights that call everything a person, whose mask fills the box."""
    torch.manual_seed(0)
    network = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.bias[1] += 20
        network.roi_heads.mask_predictor.mask_fcn_logits.bias[1] += 20
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(network.state_dict(), path)
    found = MaskRcnnProposer(path)
    # Quick: a small image, of which few regions are looked at.
    found.model.transform.min_size = (180,)
    found.model.rpn._post_nms_top_n = {"training": 40, "testing": 40}
    found.model.roi_heads.detections_per_img = 20
    return found


def test_masks_go_to_the_boxes_that_they_fit(
    proposer: MaskRcnnProposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    persons = boxes, scores, masks = proposer._persons(IMAGE)
    monkeypatch.setattr(proposer, "_persons", lambda image: persons)  # one pass is slow enough
    assert masks.shape == (len(boxes), 28, 28)
    assert scores.min() > 0.5
    assert (boxes >= 0).all()
    assert (boxes <= np.array([120, 90, 120, 90]) + 1e-3).all()
    assert (boxes.max(axis=0)[2:] > np.array([100, 70])).all()  # in pixels of the original image
    # A labeled person at the best of them, an unlabeled one beside that, and nobody at the others.
    beside = boxes[(boxes[:, 0] >= boxes[0, 2]) | (boxes[:, 2] <= boxes[0, 0])][0]
    both = np.array([beside, boxes[0]], np.float32)
    found = proposer.propose(Scene("a.jpg", both, np.array([-1, 7]), np.zeros(2, np.bool_)), IMAGE)
    assert list(found) == [1]
    assert found[1].outline.bounds == pytest.approx(boxes[0], abs=1e-3)
    assert found[1].by == "maskrcnn random.pth"
    assert 0.9 < found[1].sureness < 1


def test_a_scene_without_persons_gets_no_proposals(proposer: MaskRcnnProposer) -> None:
    scene = Scene("a.jpg", np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    assert proposer.propose(scene, IMAGE) == {}


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(InputFileError, match="maskrcnn_resnet50_fpn_v2"):
        MaskRcnnProposer(path)
