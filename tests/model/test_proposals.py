"""The region proposal network as it is put together."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from maskps.model.proposals import ProposalHead, build_rpn


def _run(rpn: torch.nn.Module, *, persons: list[list[float]] | None = None) -> tuple[list, dict]:
    images = ImageList(torch.zeros(1, 3, 96, 128), [(90, 121)])
    features = torch.randn(1, 8, 6, 8, generator=torch.Generator().manual_seed(0))
    targets = None if persons is None else [{"boxes": torch.tensor(persons).reshape(-1, 4)}]
    return rpn(images, {"res4": features}, targets)


def test_the_head_gives_a_score_and_four_deltas_per_anchor() -> None:
    objectness, deltas = ProposalHead(8, 16, 6)([torch.zeros(2, 8, 5, 7)])
    assert objectness[0].shape == (2, 6, 5, 7) and deltas[0].shape == (2, 24, 5, 7)


def test_anchors_have_the_sizes_and_the_height_to_width_ratios_asked_for() -> None:
    rpn = build_rpn(8, anchor_sizes=(32, 64), anchor_ratios=(0.5, 2.0))
    images = ImageList(torch.zeros(1, 3, 96, 128), [(96, 128)])
    (anchors,) = rpn.anchor_generator(images, [torch.zeros(1, 8, 6, 8)])
    width, height = (anchors[:4, 2:] - anchors[:4, :2]).unbind(1)
    assert len(anchors) == 6 * 8 * 4
    # torchvision rounds anchors to whole pixels.
    assert (height / width).sort().values.tolist() == pytest.approx([0.5, 0.5, 2, 2], rel=0.05)
    assert (height * width).sqrt().sort().values.tolist() == pytest.approx([32, 32, 64, 64], rel=0.03)


def test_anchors_are_centred_at_multiples_of_the_stride() -> None:
    rpn = build_rpn(8, anchor_sizes=(32,), anchor_ratios=(1.0,))
    images = ImageList(torch.zeros(1, 3, 48, 64), [(48, 64)])
    (anchors,) = rpn.anchor_generator(images, [torch.zeros(1, 8, 3, 4)])
    x, y = ((anchors[:, :2] + anchors[:, 2:]) / 2).unbind(1)
    assert sorted(set(x.tolist())) == [0, 16, 32, 48] and sorted(set(y.tolist())) == [0, 16, 32]


def test_proposals_of_a_few_pixels_are_kept() -> None:
    rpn = build_rpn(8, channels=4, anchor_sizes=(8,), anchor_ratios=(3.0,)).eval()
    torch.nn.init.zeros_(rpn.head.deltas.weight)
    (boxes,), _ = _run(rpn)
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    assert len(boxes) == 6 * 8 and width.max() < 5 and height.max() < 15


def test_the_box_loss_is_quadratic_below_one_ninth() -> None:
    """The release's "sigma 3": 4.5 d^2 below 1/9, |d| - 1/18 above, per sampled anchor."""
    rpn = build_rpn(8)
    wanted = torch.zeros(2, 4)
    deltas = torch.tensor([[0.1, -0.1, 0.0, 0.0], [0.5, 0.0, -1.0, 0.0]])
    _, loss = rpn.compute_loss(torch.zeros(2, 1), deltas, [torch.ones(2)], [wanted])
    expected = 2 * 4.5 * 0.1**2 + (0.5 - 1 / 18) + (1.0 - 1 / 18)
    assert loss.item() == pytest.approx(expected / 2)


def test_anchors_are_positive_from_an_iou_of_0_7_and_negative_below_0_3() -> None:
    """An anchor of the person's size takes the place of the best one, which is positive anyway."""
    heights = [100.0, 70.1, 69.9, 30.1, 29.9]
    anchors = torch.tensor([[0, 0, 100, height] for height in heights])
    person = torch.tensor([[0.0, 0, 100, 100]])
    ((labels,), _) = build_rpn(8).assign_targets_to_anchors([anchors], [{"boxes": person}])
    assert labels.tolist() == [1, 1, -1, -1, 0]


@pytest.mark.parametrize(("positives", "share"), [(10, 10 / 256), (128, 0.5), (200, 0.5)])
def test_256_anchors_are_sampled_at_most_half_of_them_positive(positives: int, share: float) -> None:
    """Undecided positives cost log 2 each, certain negatives nothing."""
    labels = torch.tensor([1.0] * positives + [0.0] * 400)
    objectness = -1000 * (labels == 0).float()[:, None]
    loss, _ = build_rpn(8).compute_loss(
        objectness, torch.zeros(len(labels), 4), [labels], [labels.new_zeros(len(labels), 4)]
    )
    assert loss.item() == pytest.approx(share * math.log(2))


def test_proposals_lie_in_the_image_and_keep_to_their_number() -> None:
    rpn = build_rpn(8, channels=4, anchor_sizes=(32,), pre_nms_top_n=(50, 50), post_nms_top_n=(9, 5)).eval()
    (boxes,), losses = _run(rpn)
    assert 1 <= len(boxes) <= 5 and losses == {}
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 121).all() and (boxes[:, 3] <= 90).all()


def test_an_image_without_persons_trains_objectness_only() -> None:
    _, losses = _run(build_rpn(8, channels=4, anchor_sizes=(32,)), persons=[])
    assert losses["loss_objectness"] > 0 and losses["loss_rpn_box_reg"] == 0


def test_a_person_unlike_every_anchor_still_gets_its_best_one() -> None:
    _, losses = _run(build_rpn(8, channels=4, anchor_sizes=(128,)), persons=[[50.0, 40, 53, 46]])
    assert losses["loss_rpn_box_reg"] > 0


def test_the_losses_of_a_batch_are_the_means_over_its_images() -> None:
    """The second image has fewer anchors to sample: all others are neither person nor background."""
    generator = torch.Generator().manual_seed(0)
    objectness, deltas = torch.randn(20, 1, generator=generator), torch.randn(20, 4, generator=generator)
    labels = [torch.tensor([1.0, 1] + [0] * 8), torch.tensor([1.0, 0, 0] + [-1] * 7)]
    wanted = [torch.zeros(10, 4), torch.ones(10, 4)]
    rpn = build_rpn(8)
    together = torch.stack(rpn.compute_loss(objectness, deltas, labels, wanted))
    alone = [
        torch.stack(
            rpn.compute_loss(objectness[rows], deltas[rows], labels[image : image + 1], [wanted[image]])
        )
        for image, rows in enumerate((slice(0, 10), slice(10, 20)))
    ]
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)


def test_with_one_image_the_losses_are_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    objectness, deltas = torch.randn(30, 1, generator=generator), torch.randn(30, 4, generator=generator)
    labels = [(torch.rand(30, generator=generator) < 0.3).float()]
    rpn = build_rpn(8)
    ours = rpn.compute_loss(objectness, deltas, labels, [torch.zeros(30, 4)])
    theirs = RegionProposalNetwork.compute_loss(rpn, objectness, deltas, labels, [torch.zeros(30, 4)])
    torch.testing.assert_close(torch.stack(ours), torch.stack(theirs))
