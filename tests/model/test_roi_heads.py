"""RoI sampling, the box losses, mask targets and detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torchvision.ops import roi_align

from maskps.model import MaskGuidedPersonSearch
from maskps.model.detection import BoxFilter, box_losses
from maskps.model.region_pooler import masked_mean
from maskps.model.roi_heads import RoIHeads
from maskps.model.rois import SampledRois, proposal_masks, proposals_with_mask

Make = Callable[..., Any]


@pytest.fixture
def heads(small_model: Callable[..., MaskGuidedPersonSearch]) -> Callable[..., RoIHeads]:
    return lambda **settings: small_model(**settings).roi_heads


def _rois_of(sampled: SampledRois) -> list[tuple[list[float], int, bool]]:
    boxes = torch.cat(sampled.boxes).tolist()
    rows = zip(boxes, sampled.pids.tolist(), sampled.is_foreground.tolist(), strict=True)
    return sorted(rows)


def test_a_roi_carries_the_pid_of_the_person_it_overlaps_most(heads: Make) -> None:
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 20], [4, 0, 14, 20]]),
        "pids": torch.tensor([5, 6]),
    }
    proposals = [torch.tensor([[1.0, 0, 11, 20], [3, 0, 13, 20], [50, 50, 60, 60]])]
    sampled = heads().sampler(proposals, [target])
    by_box = {tuple(box): pid for box, pid, _ in _rois_of(sampled)}
    assert by_box[(1, 0, 11, 20)] == 5 and by_box[(3, 0, 13, 20)] == 6 and by_box[(50, 50, 60, 60)] == 0


@pytest.mark.parametrize(("height", "is_foreground"), [(9.99, False), (10.0, True), (10.01, True)])
def test_foreground_begins_at_an_iou_of_one_half(heads: Make, height: float, is_foreground: bool) -> None:
    target = {"boxes": torch.tensor([[0.0, 0, 10, 20]]), "pids": torch.tensor([3])}
    sampled = heads().sampler([torch.tensor([[0.0, 0, 10, height]])], [target])
    roi = next(roi for roi in _rois_of(sampled) if roi[0][3] < 20)
    assert roi[2] == is_foreground and roi[1] == (3 if is_foreground else 0)


def test_an_unlabeled_person_is_foreground(heads: Make, target: Make) -> None:
    sampled = heads().sampler([torch.zeros(0, 4)], [target([-1], masks=False)])
    assert sampled.pids.tolist() == [-1] and sampled.is_foreground.tolist() == [True]


def test_the_persons_own_boxes_are_among_the_rois(heads: Make, target: Make) -> None:
    one = target([1, 2], masks=False)
    sampled = heads().sampler([torch.tensor([[60.0, 60, 70, 90]])], [one])
    torch.testing.assert_close(sampled.matched_boxes[sampled.is_foreground], one["boxes"][[0, 1]].clone())


def test_without_persons_all_rois_are_background(heads: Make, target: Make) -> None:
    proposals = [torch.rand(5, 4).cumsum(1)]
    sampled = heads().sampler(proposals, [target([], masks=False)])
    assert len(sampled.pids) == 5 and not sampled.is_foreground.any() and not sampled.pids.any()


def test_persons_are_counted_through_the_batch(heads: Make, target: Make) -> None:
    targets = [target([1, 2], masks=False), target([], masks=False), target([3], masks=False)]
    far = torch.tensor([[100.0, 0, 110, 9]])
    sampled = heads().sampler([far, far, far], targets)
    foreground = sampled.is_foreground
    pids = torch.tensor([1, 2, 3])
    assert torch.equal(pids[sampled.persons[foreground]], sampled.pids[foreground])
    assert foreground.sum() == 3 and [len(boxes) for boxes in sampled.boxes] == [3, 1, 2]


def _sampled(boxes: list[list[float]], persons: list[int]) -> SampledRois:
    rows, who = torch.tensor(boxes), torch.tensor(persons)
    return SampledRois([rows], who >= 0, torch.where(who >= 0, 1, 0), who, rows)


def _mask_loss(
    roi_heads: RoIHeads, regions: torch.Tensor, rois: SampledRois, targets: list[dict[str, Any]]
) -> torch.Tensor:
    with_mask = proposals_with_mask(rois, targets)
    branch = roi_heads.mask_branch
    return branch.loss(branch.head(regions[with_mask]), with_mask, rois, targets)


def test_only_foreground_rois_of_persons_with_a_mask_are_proposals_with_mask(target: Make) -> None:
    one = target([4, -1, 5], masks=True)
    rois = _sampled([[0.0, 0, 9, 9]] * 4, [0, 1, 2, -1])
    assert proposals_with_mask(rois, [one]).tolist() == [True, False, True, False]
    assert not proposals_with_mask(rois, [target([4, -1, 5], masks=False)]).any()
    nobody = _sampled([[0.0, 0, 9, 9]], [-1])
    assert proposals_with_mask(nobody, [target([], masks=False)]).tolist() == [False]


def test_a_mask_target_is_the_part_of_the_outline_in_the_proposal(target: Make) -> None:
    # The outline covers y 20..50 and x 6..32. Of 14 cells of 5 pixels from y = 0: cells 4..9.
    one = target([4], masks=True)
    rois = _sampled([[6.0, 0, 34, 70]], [0])
    wanted = proposal_masks(rois, proposals_with_mask(rois, [one]), [one])
    expected = torch.zeros(14, 14, dtype=torch.bool)
    expected[4:10, :13] = True
    assert torch.equal(wanted[0], expected)


def test_a_soft_target_is_the_covered_fraction(target: Make) -> None:
    one = target([4], masks=True)
    rois = _sampled([[6.0, 45, 34, 55]], [0])
    wanted = proposal_masks(rois, proposals_with_mask(rois, [one]), [one], size=1, soft=True)
    assert wanted.item() == pytest.approx(26 * 5 / 280, abs=1e-6)


def test_flipping_boxes_and_outlines_flips_the_targets(target: Make) -> None:
    width, one = 100.0, target([4], masks=True)
    edges = one["mask_edges"][0]
    triangle = torch.stack(
        [edges[0], torch.cat([edges[0, 2:], edges[2, :2]]), torch.cat([edges[2, :2], edges[0, :2]])]
    )
    # Mirroring swaps the end points of an edge, so that the outline keeps its orientation.
    mirrored = torch.stack(
        [width - triangle[:, 2], triangle[:, 3], width - triangle[:, 0], triangle[:, 1]], 1
    )
    box = [3.0, 15, 37, 66]
    masks = []
    for outline, roi in ((triangle, box), (mirrored, [width - box[2], box[1], width - box[0], box[3]])):
        rois = _sampled([roi], [0])
        masks.append(proposal_masks(rois, torch.tensor([True]), [one | {"mask_edges": [outline]}])[0])
    assert masks[0].any() and not masks[0].all() and torch.equal(masks[0], masks[1].flip(1))


def test_box_losses_are_the_loops_of_eqs_1_and_2(heads: Make) -> None:
    roi_heads = heads()
    boxes = torch.tensor([[0.0, 0, 10, 20], [5, 5, 25, 45], [50, 50, 60, 90]])
    matched = torch.tensor([[1.0, 2, 12, 20], [5, 6, 23, 50], [50, 50, 60, 90]])
    foreground = torch.tensor([True, True, False])
    rois = SampledRois([boxes], foreground, torch.tensor([1, -1, 0]), torch.tensor([0, 1, -1]), matched)
    pooled = torch.randn(3, roi_heads.res5.out_channels, generator=torch.Generator().manual_seed(0))
    head = roi_heads.box_head
    loss_cls, loss_reg = box_losses(head.logits(pooled), head.deltas(pooled, foreground), rois)

    probabilities = roi_heads.box_head.classifier(pooled).softmax(1)
    slow_cls = -sum(probabilities[row, int(foreground[row])].log() for row in range(3)) / 3
    slow_reg = torch.tensor(0.0)
    deltas = roi_heads.box_head.regressor(pooled)
    for row in (0, 1):
        (x0, y0, x1, y1), (u0, v0, u1, v1) = boxes[row], matched[row]
        w, h = x1 - x0, y1 - y0
        wanted = [
            10 * ((u0 + u1) / 2 - (x0 + x1) / 2) / w,
            10 * ((v0 + v1) / 2 - (y0 + y1) / 2) / h,
            5 * ((u1 - u0) / w).log(),
            5 * ((v1 - v0) / h).log(),
        ]
        for delta, value in zip(deltas[row], wanted, strict=True):
            d = (delta - value).abs()
            slow_reg = slow_reg + (0.5 * d**2 if d < 1 else d - 0.5)
    torch.testing.assert_close(loss_cls, slow_cls)
    torch.testing.assert_close(loss_reg, slow_reg / 3)


def test_the_losses_of_a_batch_are_the_means_over_its_images(heads: Make, target: Make) -> None:
    """Two images with 6 and 2 RoIs, of which 4 and 1 are persons: each counts one half."""
    roi_heads = heads()
    generator = torch.Generator().manual_seed(0)
    regions = torch.randn(8, roi_heads.res5.out_channels, 7, 7, generator=generator)
    boxes = torch.tensor([[6.0, 20, 32, 80]] * 8) + torch.rand(8, 4, generator=generator)
    pids = torch.tensor([1, 2, 3, -1, 0, 0, 5, 0])
    persons = torch.tensor([0, 1, 2, 3, -1, -1, 4, -1])
    targets = [target([1, 2, 3, -1], masks=True), target([5], masks=True)]

    def losses(first: int, last: int, counts: list[int], targets: list[dict[str, Any]]) -> torch.Tensor:
        rows = slice(first, last)
        is_foreground = pids[rows] != 0
        own = torch.where(is_foreground, persons[rows] - (persons[first] if first else 0), -1)
        matched = boxes[rows] + 1.5 * is_foreground[:, None]
        rois = SampledRois(list(boxes[rows].split(counts)), is_foreground, pids[rows], own, matched)
        pooled = regions[rows].mean(dim=(2, 3))
        return torch.stack(
            [
                *box_losses(
                    roi_heads.box_head.logits(pooled), roi_heads.box_head.deltas(pooled, is_foreground), rois
                ),
                roi_heads._id_loss(roi_heads.embedding(pooled[is_foreground]), rois),
                _mask_loss(roi_heads, regions[rows], rois, targets),
            ]
        )

    together = losses(0, 8, [6, 2], targets)
    alone = [losses(0, 6, [6], targets[:1]), losses(6, 8, [2], targets[1:])]
    assert (torch.stack(alone) > 0).all()
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_lambda_belongs_to_the_image(heads: Make, target: Make, reduction: str) -> None:
    """One image with masks among four gives a quarter of the mask loss that it gives alone."""
    roi_heads = heads(mask_loss_reduction=reduction)
    masked, unmasked = target([4, -1], masks=True), target([4, -1], masks=False)
    box = [[6.0, 20, 32, 80], [60.0, 60, 70, 90]]
    regions = torch.randn(2, roi_heads.res5.out_channels, 7, 7, generator=torch.Generator().manual_seed(0))
    alone = _mask_loss(roi_heads, regions, _sampled(box, [0, -1]), [masked])

    rows = _sampled(box * 4, [0, -1, 2, 1, 4, 3, 6, -1])
    rois = dataclasses.replace(rows, boxes=[torch.tensor(box)] * 4)
    batch = [unmasked, unmasked, masked, unmasked]
    assert proposals_with_mask(rois, batch).tolist() == [False] * 4 + [True] + [False] * 3
    together = _mask_loss(roi_heads, regions.repeat(4, 1, 1, 1), rois, batch)
    torch.testing.assert_close(together, alone / 4)
    together.backward()
    assert all(parameter.grad is not None for parameter in roi_heads.mask_branch.head.parameters())


def test_without_masks_in_the_batch_the_mask_loss_is_zero_with_a_gradient(heads: Make, target: Make) -> None:
    roi_heads = heads()
    regions = torch.zeros(1, roi_heads.res5.out_channels, 7, 7)
    loss = _mask_loss(roi_heads, regions, _sampled([[6.0, 20, 32, 80]], [0]), [target([4], masks=False)])
    loss.backward()
    assert loss == 0 and all((p.grad == 0).all() for p in roi_heads.mask_branch.head.parameters())


def test_without_any_roi_the_losses_are_zero_with_gradients(heads: Make, target: Make) -> None:
    roi_heads = heads()
    features = torch.zeros(1, 256, 4, 4)
    losses = roi_heads.losses([features], [torch.zeros(0, 4)], [target([], masks=False)], [(64, 64)])
    sum(losses.values()).backward()
    assert all(loss == 0 for loss in losses.values())
    assert all(parameter.grad is not None for parameter in roi_heads.parameters())


@pytest.mark.parametrize("detection_feature", ["proposal", "detection"])
def test_nothing_above_the_threshold_is_no_detection(heads: Make, detection_feature: str) -> None:
    roi_heads = heads(box_score_threshold=1.0, detection_feature=detection_feature).eval()
    proposals = [torch.tensor([[0.0, 0, 30, 40]]), torch.zeros(0, 4)]
    found = roi_heads.detect([torch.zeros(2, 256, 4, 4)], proposals, [(64, 64), (64, 64)])
    assert [one.embeddings.shape for one in found] == [(0, 32), (0, 32)]


@pytest.mark.parametrize("detection_feature", ["proposal", "detection"])
def test_without_any_proposal_nothing_is_detected(heads: Make, detection_feature: str) -> None:
    roi_heads = heads(detection_feature=detection_feature).eval()
    (found,) = roi_heads.detect([torch.zeros(1, 256, 4, 4)], [torch.zeros(0, 4)], [(64, 64)])
    assert [part.shape[0] for part in found] == [0, 0, 0, 0] and found.boxes.shape == (0, 4)


def _slow_detections(
    boxes: list[list[float]],
    scores: list[float],
    *,
    size: tuple[int, int],
    least: float,
    nms: float,
    most: int,
) -> list[tuple[list[float], float]]:
    """Boxes and scores of an image's detections: one box after the other, the best first."""
    kept: list[tuple[list[float], float]] = []
    for score, box in sorted(zip(scores, boxes, strict=True), reverse=True):
        x0, x1 = (min(max(x, 0.0), size[1]) for x in box[::2])
        y0, y1 = (min(max(y, 0.0), size[0]) for y in box[1::2])
        if score <= least or x1 - x0 < 0.01 or y1 - y0 < 0.01:
            continue
        is_new = True
        for (u0, v0, u1, v1), _ in kept:
            shared = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
            is_new &= shared / ((x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared) <= nms
        if is_new and len(kept) < most:
            kept.append(([x0, y0, x1, y1], score))
    return kept


@pytest.mark.parametrize("most", [5, 300])
@pytest.mark.parametrize("nms", [0.2, 0.4, 0.9])
def test_detections_are_those_of_the_loop_over_boxes_best_first(heads: Make, nms: float, most: int) -> None:
    """Boxes that overlap, cross the border, or are too small; one score lies at the threshold itself."""
    roi_heads = heads(box_nms=nms, detections_per_image=most).eval()
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(roi_heads.box_head.classifier.weight, std=0.1, generator=generator)
    torch.nn.init.zeros_(roi_heads.box_head.regressor.weight)
    features = torch.randn(2, 256, 4, 4, generator=generator)
    corners = torch.rand(2, 60, 2, generator=generator) * 50 - 5
    proposals = list(torch.cat([corners, corners + torch.rand(2, 60, 2, generator=generator) * 30], dim=2))
    pooled = roi_heads.region_features([features], proposals).mean(dim=(2, 3))
    scores = roi_heads.box_head.classifier(pooled).softmax(dim=1)[:, 1].tolist()
    assert len(set(scores)) == 120
    least = sorted(scores)[40]
    roi_heads.box_filter = BoxFilter(least, nms, most)
    found = roi_heads.detect([features], proposals, [(50, 60), (60, 50)])
    for image, size in enumerate([(50, 60), (60, 50)]):
        boxes, own = proposals[image].tolist(), scores[60 * image : 60 * image + 60]
        expected = _slow_detections(boxes, own, size=size, least=least, nms=nms, most=most)
        assert len(expected) >= 5
        torch.testing.assert_close(found[image].scores, torch.tensor([score for _, score in expected]))
        torch.testing.assert_close(found[image].boxes, torch.tensor([box for box, _ in expected]))


def test_a_detections_feature_comes_from_its_proposal_or_from_its_own_box(heads: Make) -> None:
    features = torch.randn(1, 256, 4, 4, generator=torch.Generator().manual_seed(0))
    proposals = [torch.tensor([[0.0, 0, 30, 40]])]
    for choice in ("proposal", "detection"):
        roi_heads = heads(box_score_threshold=0.0, detection_feature=choice).eval()
        torch.nn.init.constant_(roi_heads.box_head.regressor.bias, 1.0)
        (found,) = roi_heads.detect([features], proposals, [(64, 64)])
        box = proposals[0] if choice == "proposal" else found.boxes
        pooled = roi_heads.region_features([features], [box]).mean(dim=(2, 3))
        torch.testing.assert_close(found.pooled, pooled)
        torch.testing.assert_close(found.embeddings, roi_heads.embed(pooled))


def test_mask_pooling_is_the_mean_of_the_cells_weighted_by_the_mask(heads: Make) -> None:
    roi_heads = heads(mask_pooling=True)
    regions = torch.rand(2, roi_heads.res5.out_channels, 7, 7, generator=torch.Generator().manual_seed(0))
    weights = roi_heads.mask_branch.head(regions).sigmoid()
    pooled = roi_heads.pool([], [], regions)
    for row in range(2):
        total, mean = torch.tensor(0.0), torch.zeros(roi_heads.res5.out_channels)
        for y in range(7):
            for x in range(7):
                weight = weights[row, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()
                total, mean = total + weight, mean + weight * regions[row, :, y, x]
        torch.testing.assert_close(pooled[row], mean / total)
    plain = heads().pool([], [], regions)
    torch.testing.assert_close(plain, regions.mean(dim=(2, 3)))
    torch.testing.assert_close(heads(pooling="max").pool([], [], regions), regions.amax(dim=(2, 3)))


def test_an_empty_mask_pools_zeros_and_no_nan() -> None:
    assert not masked_mean(torch.ones(1, 3, 7, 7), torch.full((1, 14, 14), -1e9)).any()


@pytest.mark.parametrize("mask_features", ["res5", "res2", "res3"])
def test_mask_pooling_embeds_detections_as_it_embeds_given_boxes(
    small_model: Make, images: list[torch.Tensor], mask_features: str
) -> None:
    """In a batch of two images, each with two persons found."""
    settings = {"mask_pooling": True, "mask_features": mask_features, "detection_feature": "detection"}
    model = small_model(box_score_threshold=0.0, detections_per_image=2, **settings).eval()
    with torch.inference_mode():
        found = model(images)
        pooled = model.pool_boxes(images, [one.boxes for one in found])
    assert [len(one.boxes) for one in found] == [2, 2]
    for one, own in zip(found, pooled, strict=True):
        torch.testing.assert_close(one.pooled, own)


def test_mask_pooling_trains_on_the_predicted_mask_but_never_trains_it(heads: Make, target: Make) -> None:
    """Nobody has a mask, so that only the identification loss could move the mask branch."""
    roi_heads = heads(mask_pooling=True)
    features = torch.rand(1, 256, 6, 8, generator=torch.Generator().manual_seed(0))
    one = target([1, 2], masks=False)
    losses = roi_heads.losses([features], [torch.tensor([[60.0, 60, 70, 90]])], [one], [(64, 64)])
    torch.nn.init.eye_(roi_heads.id_loss.lookup_table)
    roi_heads.losses([features], [torch.tensor([[60.0, 60, 70, 90]])], [one], [(64, 64)])[
        "loss_id"
    ].backward()
    assert losses["loss_mask"] == 0
    grads = [parameter.grad for parameter in roi_heads.mask_branch.head.parameters()]
    assert all(grad is None or not grad.any() for grad in grads)
    assert roi_heads.embedding.projections[0].weight.grad.any()


@pytest.mark.parametrize(("stage", "stride"), [("res2", 4), ("res3", 8)])
def test_the_mask_branch_sees_the_finer_features_of_its_own_boxes(
    heads: Make, stage: str, stride: int
) -> None:
    roi_heads = heads(mask_features=stage)
    width = roi_heads.mask_branch.head.fine.in_channels
    index = {"res2": 1, "res3": 2}[stage]
    stages = [torch.zeros(0)] * 4
    stages[index] = torch.rand(2, width, 64 // stride, 96 // stride)
    boxes = [torch.tensor([[8.0, 8, 40, 60]]), torch.tensor([[30.0, 0, 90, 33], [1, 2, 30, 50]])]
    regions = torch.rand(3, roi_heads.res5.out_channels, 7, 7)
    fine = roi_align(stages[index], boxes, (14, 14), 1 / stride, sampling_ratio=2, aligned=True)
    expected = roi_heads.mask_branch.head(regions, fine)
    torch.testing.assert_close(roi_heads.mask_branch.logits(stages, boxes, regions), expected)


def test_an_embedding_norm_takes_the_mean_of_the_step_away(heads: Make) -> None:
    """Without it, different persons start alike: their cosine is far above 0."""
    pooled = torch.rand(40, heads().res5.out_channels, generator=torch.Generator().manual_seed(0))

    def likeness(roi_heads: RoIHeads) -> float:
        embedded = roi_heads.embed(pooled)
        return ((embedded @ embedded.T).sum().item() - 40) / (40 * 39)

    assert likeness(heads()) > 0.5
    assert abs(likeness(heads(embedding_norm=True))) < 0.05


def test_a_step_with_a_single_person_uses_the_running_statistics(heads: Make) -> None:
    roi_heads = heads(embedding_norm=True)
    pooled = torch.rand(1, roi_heads.res5.out_channels)
    alone = roi_heads.embed(pooled)
    torch.testing.assert_close(alone, roi_heads.eval().embed(pooled))
    assert roi_heads.embedding.norm.num_batches_tracked == 0
