"""The heads of NAE and SeqNet beside the paper's: scores, boxes, embeddings, losses; each against a loop."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from maskps.config import TrainConfig
from maskps.losses import FIRST_HEAD_LOSS_NAMES, LOSS_NAMES, total_loss
from maskps.model import MaskGuidedPersonSearch, Predictor
from maskps.model.box_deltas import apply_deltas
from maskps.model.build import build_predictor
from maskps.model.heads import HEADS, Head
from maskps.model.roi_heads import RoIHeads
from maskps.model.rois import proposals_with_mask
from tests.model.test_network import BATCHES

Model = Callable[..., MaskGuidedPersonSearch]
Target = Callable[..., dict[str, Any]]

PAGE = Path(__file__).resolve().parents[2] / "docs/extend/head.md"

FIELD = {"pooling": "max", "embedding_norm": True, "embedding_features": "res4_res5"}
"""What NAE and SeqNet have besides their heads."""

SIZE = (64, 64)
PROPOSALS = [torch.tensor([[0.0, 0, 30, 40], [20, 5, 50, 60], [8, 30, 28, 62]])]


@pytest.fixture
def features() -> Tensor:
    """Of res4, for an image of 64 x 64 pixels."""
    return torch.randn(1, 256, 4, 4, generator=torch.Generator().manual_seed(0))


def _restless(heads: RoIHeads) -> RoIHeads:
    """Gives every batch norm and every layer of the heads numbers that show where they are used."""
    generator = torch.Generator().manual_seed(1)
    parts = [heads.box_head, heads.embedding, *([] if heads.first is None else [heads.first.box_head])]
    for part in parts:
        for name, value in part.state_dict().items():
            if value.is_floating_point():
                low = 0.5 if name.endswith("running_var") else -0.1
                value.copy_(torch.rand(value.shape, generator=generator) * 0.3 + low)
    return heads.eval()


def _fp(heads: RoIHeads, features: Tensor, boxes: Tensor) -> Tensor:
    """F_p of one image's boxes, by torchvision's RoIAlign."""
    return heads.res5(roi_align(features, [boxes], (14, 14), 1 / 16, sampling_ratio=2, aligned=True))


def _normalized(norm: torch.nn.BatchNorm1d, rows: Tensor) -> Tensor:
    return (rows - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias


def test_the_settings_name_every_head() -> None:
    choices = {field.name: field.metadata["choices"] for field in dataclasses.fields(TrainConfig)}
    assert choices["head"] == tuple(HEADS)


@pytest.mark.parametrize("batch", list(BATCHES))
@pytest.mark.parametrize("head", ["norm_aware", "sequential"])
def test_every_kind_of_batch_gives_finite_losses_and_a_gradient_for_every_parameter(
    small_model: Model, images: list[Tensor], target: Target, batch: str, head: str
) -> None:
    model = small_model(head=head, **FIELD)
    losses = model(images, [target(pids, masks=masks) for pids, masks in BATCHES[batch]])
    expected = set(LOSS_NAMES) | (set(FIRST_HEAD_LOSS_NAMES) if head == "sequential" else set())
    assert set(losses) == expected and all(torch.isfinite(loss) for loss in losses.values())
    total_loss(losses).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("head", list(HEADS))
def test_a_batch_is_the_mean_of_its_images_where_no_norm_trains(
    small_model: Model, target: Target, head: str
) -> None:
    """Losses and gradients of four images. The network is in float64; weights and labels stay in float32."""
    model = small_model(head=head, freeze_batch_norm="all", rois_per_image=99, **FIELD).double()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
    images = list(torch.rand(4, 3, 96, 128, generator=torch.Generator().manual_seed(0)).double())
    targets = [
        target([1, -1, 2], masks=True, seed=1),
        target([], masks=False, seed=2),
        target([3], masks=False, seed=3),
        target([4, 5], masks=True, seed=4),
    ]
    found = []
    for parts in ([0, 4], [0, 1, 2, 4]):
        model.zero_grad()
        sums: dict[str, Tensor] = {}
        for first, last in pairwise(parts):
            losses = model(images[first:last], targets[first:last])
            sums = {name: sums.get(name, 0) + loss * (last - first) / 4 for name, loss in losses.items()}
        sum(sums.values()).backward()
        gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        found.append((sums, gradients))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_the_embedding_joins_the_maxima_of_res4_and_res5(small_model: Model, features: Tensor) -> None:
    heads = _restless(small_model(**FIELD, embedding_dim=5).roi_heads)
    boxes = PROPOSALS[0]
    res4 = roi_align(features, [boxes], (14, 14), 1 / 16, sampling_ratio=2, aligned=True).amax(dim=(2, 3))
    res5 = _fp(heads, features, boxes).amax(dim=(2, 3))
    first, second = heads.embedding.projections
    assert (first.out_features, second.out_features) == (2, 3)
    raw = torch.cat([res4 @ first.weight.T + first.bias, res5 @ second.weight.T + second.bias], dim=1)
    expected = F.normalize(_normalized(heads.embedding.norm, raw))
    regions = heads.region_features([features], [boxes])
    torch.testing.assert_close(heads.embed(heads.pool([features], [boxes], regions)), expected)


def test_mask_pooling_weighs_the_cells_of_res4_too(small_model: Model, features: Tensor) -> None:
    heads = small_model(**FIELD, mask_pooling=True).roi_heads.eval()
    boxes = PROPOSALS[0]
    regions = _fp(heads, features, boxes)
    weights = heads.mask_branch.head(regions).sigmoid()
    res4 = roi_align(features, [boxes], (14, 14), 1 / 16, sampling_ratio=2, aligned=True)
    expected = torch.stack([(w * r).sum(dim=(1, 2)) / w.sum() for w, r in zip(weights, res4, strict=True)])
    torch.testing.assert_close(heads.pool([features], [boxes], regions)[:, :256], expected)


def test_nae_scores_a_person_by_the_length_of_the_embedding(small_model: Model, features: Tensor) -> None:
    """The length, not the direction: an embedding twice as long has another score."""
    settings = {"head": "norm_aware", "box_score_threshold": 0.0, "box_nms": 1.0}
    heads = _restless(small_model(**FIELD, **settings).roi_heads)
    pooled = heads.pool([features], PROPOSALS, heads.region_features([features], PROPOSALS))
    raw = heads.embedding(pooled)
    logits = _normalized(heads.box_head.rescaler, raw.norm(dim=1, keepdim=True))[:, 0]
    deltas = _fp(heads, features, PROPOSALS[0]).amax(dim=(2, 3)) @ heads.box_head.regressor.weight.T
    deltas = _normalized(heads.box_head.regressor_norm, deltas + heads.box_head.regressor.bias)
    order = logits.argsort(descending=True)

    (found,) = heads.detect([features], PROPOSALS, [SIZE])
    torch.testing.assert_close(found.scores, logits.sigmoid()[order])
    torch.testing.assert_close(found.boxes, apply_deltas(deltas, start=PROPOSALS[0])[order].clamp(0, 64))
    torch.testing.assert_close(found.embeddings, F.normalize(raw)[order])


def test_nae_learns_scores_by_cross_entropy_on_the_length(
    small_model: Model, features: Tensor, target: Target
) -> None:
    heads = _restless(small_model(**FIELD, head="norm_aware").roi_heads)  # in evaluation mode: fixed norms
    one = target([1, -1], masks=False)
    losses = heads.losses([features], PROPOSALS, [one], [SIZE])
    boxes = torch.cat([PROPOSALS[0], one["boxes"]])
    raw = heads.embedding(heads.pool([features], [boxes], heads.region_features([features], [boxes])))
    logits = _normalized(heads.box_head.rescaler, raw.norm(dim=1, keepdim=True))[:, 0]
    person = torch.tensor([0.0, 0, 0, 1, 1])
    torch.testing.assert_close(losses["loss_rcnn_cls"], F.binary_cross_entropy_with_logits(logits, person))


def test_the_second_head_sees_what_the_first_one_refined(small_model: Model, features: Tensor) -> None:
    """Boxes: moved by both heads. Scores: the first one's. Features: of the boxes between the two."""
    settings = {"head": "sequential", "box_score_threshold": 0.0, "first_nms": 1.0, "box_nms": 1.0}
    heads = _restless(small_model(**FIELD, **settings).roi_heads)
    first = heads.first
    with torch.no_grad():
        for parameter in first.res5.parameters():
            parameter.mul_(1.1)  # it has a res5 of its own
    pooled = first.res5(
        roi_align(features, PROPOSALS, (14, 14), 1 / 16, sampling_ratio=2, aligned=True)
    ).amax(dim=(2, 3))
    scores = first.box_head.classifier(pooled).softmax(dim=1)[:, 1]
    refined = apply_deltas(first.box_head.regressor(pooled), start=PROPOSALS[0]).clamp(0, 64)
    order = scores.argsort(descending=True)
    scores, refined = scores[order], refined[order]
    second = _fp(heads, features, refined).amax(dim=(2, 3))
    boxes = apply_deltas(heads.box_head.deltas(second), start=refined).clamp(0, 64)
    embedded = heads.embed(heads.pool([features], [refined], heads.region_features([features], [refined])))

    (found,) = heads.detect([features], PROPOSALS, [SIZE])
    torch.testing.assert_close(found.scores, scores)
    torch.testing.assert_close(found.boxes, boxes)
    torch.testing.assert_close(found.embeddings, embedded)


def test_each_of_two_heads_has_its_own_nms(small_model: Model, features: Tensor) -> None:
    near = torch.tensor([[0.0, 0, 30, 40], [0, 0, 30, 50]])  # IoU 0.8
    counts = {}
    for first, second in ((1.0, 1.0), (0.7, 1.0), (1.0, 0.7)):
        settings = {"head": "sequential", "box_score_threshold": 0.0, "first_nms": first, "box_nms": second}
        heads = small_model(**settings).roi_heads.eval()
        torch.nn.init.zeros_(heads.first.box_head.regressor.weight)
        torch.nn.init.zeros_(heads.box_head.regressor_norm.weight)
        (found,) = heads.detect([features], [near], [SIZE])
        (between,), _ = heads.first.detect(features, [near], [SIZE])
        counts[first, second] = (len(between), len(found.boxes))
    assert counts == {(1.0, 1.0): (2, 2), (0.7, 1.0): (1, 1), (1.0, 0.7): (2, 1)}


def test_both_heads_learn_each_on_the_boxes_it_sees(
    small_model: Model, features: Tensor, target: Target
) -> None:
    """The first head moves every proposal onto the person: only for the second is it foreground."""
    heads = small_model(head="sequential").roi_heads
    one = target([1], masks=True)  # a box of x 6..32 and y 20..80
    proposals = [torch.tensor([[40.0, 20, 66, 80]])]
    torch.nn.init.zeros_(heads.first.box_head.regressor.weight)
    with torch.no_grad():
        heads.first.box_head.regressor.bias.copy_(torch.tensor([10 * -34 / 26, 0, 0, 0]))
    _, refined = heads.first.losses(features, heads.sampler(proposals, [one]), [(64, 96)])
    sampled = heads.sampler(refined, [one])
    assert sampled.is_foreground[torch.isclose(sampled.matched_boxes[:, 0], torch.tensor(6.0))].all()
    assert int(sampled.is_foreground.sum()) == 2  # the moved proposal and the person's own box
    assert not refined[0].requires_grad
    losses = heads.losses([features], proposals, [one], [(64, 96)])
    assert losses["loss_mask"] > 0 and losses["loss_first_reg"] > 0
    ((_, pids),) = heads.id_loss.take_pending()
    assert pids.tolist() == [1, 1]


def test_the_mask_branch_learns_on_the_second_heads_features_alone(
    small_model: Model, features: Tensor, target: Target
) -> None:
    heads = small_model(head="sequential").roi_heads
    heads.losses([features], PROPOSALS, [target([1], masks=True)], [SIZE])["loss_mask"].backward()
    assert all(parameter.grad is None for parameter in heads.first.parameters())
    assert any(parameter.grad is not None for parameter in heads.res5.parameters())


@pytest.mark.parametrize("mask_pooling", [False, True])
def test_identities_and_masks_are_those_of_their_own_rois_in_a_batch(
    small_model: Model, target: Target, mask_pooling: bool
) -> None:
    """Background lies between the persons of two images, and some persons have no mask."""
    heads = small_model(head="norm_aware", mask_pooling=mask_pooling).roi_heads.eval()
    heads.id_loss.train()
    stages = [torch.randn(2, 256, 6, 8, generator=torch.Generator().manual_seed(0))]
    targets = [target([-1, 1], masks=True), target([2, -1, 3], masks=True)]
    proposals = [torch.tensor([[70.0, 0, 90, 30]]), torch.tensor([[98.0, 0, 118, 30]])]
    rois = heads.sampler(proposals, targets)
    heads.sampler = lambda *_: rois
    losses = heads.losses(stages, proposals, targets, [(96, 128)] * 2)

    ((embeddings, pids),) = heads.id_loss.take_pending()
    regions = heads.region_features(stages, rois.boxes)
    embedded = heads.embed(heads.pool(stages, rois.boxes, regions))
    torch.testing.assert_close(embeddings, embedded[rois.is_foreground])
    assert pids.tolist() == rois.pids[rois.is_foreground].tolist()
    with_mask, branch = proposals_with_mask(rois, targets), heads.mask_branch
    assert 0 < int(with_mask.sum()) < int(rois.is_foreground.sum()) < len(with_mask)
    logits = branch.logits(stages, rois.boxes_of(with_mask), regions[with_mask])
    torch.testing.assert_close(losses["loss_mask"], branch.loss(logits, with_mask, rois, targets))


@pytest.mark.parametrize("aligned", [True, False])
def test_regions_shift_by_half_a_cell_where_roi_align_is_not_aligned(
    small_model: Model, features: Tensor, aligned: bool
) -> None:
    heads = small_model(roi_align_aligned=aligned).roi_heads.eval()
    regions = roi_align(features, PROPOSALS, (14, 14), 1 / 16, sampling_ratio=2, aligned=aligned)
    torch.testing.assert_close(heads.region_features([features], PROPOSALS), heads.res5(regions))


def test_the_first_res5_starts_as_a_copy_of_the_second(small_model: Model) -> None:
    heads = small_model(head="sequential").roi_heads
    ours, other = heads.res5.state_dict(), heads.first.res5.state_dict()
    assert all(torch.equal(ours[name], other[name]) for name in ours)
    assert not {id(p) for p in heads.res5.parameters()} & {id(p) for p in heads.first.res5.parameters()}


def test_oim_averages_over_images_or_over_rois(small_model: Model, target: Target) -> None:
    """Three labeled RoIs in one image and one in another."""
    values = {}
    for mean in ("images", "rois"):
        heads = small_model(oim_mean=mean).roi_heads
        torch.nn.init.eye_(heads.id_loss.lookup_table)
        rois = heads.sampler(
            [torch.zeros(0, 4)] * 2, [target([1, 2, 3], masks=False), target([4], masks=False)]
        )
        embedded = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
        values[mean] = heads._id_loss(embedded, rois)
        logits = (
            F.normalize(embedded) @ torch.cat([heads.id_loss.lookup_table, heads.id_loss.circular_queue]).T
        )
        each = F.cross_entropy(logits / 0.1, rois.pids - 1, reduction="none")
    torch.testing.assert_close(values["rois"], each.mean())
    torch.testing.assert_close(values["images"], (each[:3].mean() + each[3]) / 2)


def test_a_detection_weighs_by_its_score_in_similarities_and_a_query_does_not(small_model: Model) -> None:
    model = small_model(box_score_threshold=0.0)
    image = torch.randint(0, 255, (60, 50, 3), generator=torch.Generator().manual_seed(0)).byte().numpy()
    plain, weighted = (Predictor(model, 64, 96, weigh_by_score=weigh) for weigh in (False, True))
    boxes = plain.detect(image).boxes
    expected, found = plain.detect(image), weighted.detect(image)
    assert len(boxes) > 1
    torch.testing.assert_close(found.embeddings, expected.embeddings * expected.scores[:, None])
    torch.testing.assert_close(weighted.embed(image, boxes), plain.embed(image, boxes))


def test_scores_weigh_products_and_no_distances(small_model: Model) -> None:
    config = TrainConfig(score_weighted_similarity=True)
    predictors = [build_predictor(config, small_model(), "cpu", unit_length=unit) for unit in (True, False)]
    assert [predictor.weigh_by_score for predictor in predictors] == [True, False]


@pytest.mark.parametrize("batch", list(BATCHES))
def test_the_head_of_the_documentation_trains_and_detects(
    small_model: Model, images: list[Tensor], target: Target, monkeypatch: pytest.MonkeyPatch, batch: str
) -> None:
    """docs/extend/head.md as printed; for `build_model` it stands in the place of the single head."""
    names = {"__name__": "added_head", "HEADS": {}, "Head": Head}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    monkeypatch.setitem(HEADS, "single", names["HEADS"]["cosine"])
    model = small_model(box_score_threshold=0.0)
    losses = model(images, [target(pids, masks=masks) for pids, masks in BATCHES[batch]])
    assert all(torch.isfinite(loss) for loss in losses.values())
    total_loss(losses).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    found = model.eval()(images)
    assert all(len(one.boxes) > 0 for one in found)
