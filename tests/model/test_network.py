"""The whole network: losses for every kind of image, detections, query features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from maskps.losses import LOSS_NAMES, total_loss
from maskps.model import MaskGuidedPersonSearch, resize_image
from maskps.model.network import IMAGE_MEAN, IMAGE_STD

Model = Callable[..., MaskGuidedPersonSearch]
Target = Callable[..., dict[str, Any]]

BATCHES: dict[str, list[tuple[list[int], bool]]] = {
    "labeled and unlabeled persons, masks": [([1, -1, 7], True), ([2], True)],
    "masks in one image only": [([1, -1], True), ([2], False)],
    "no masks": [([1, -1], False), ([2], False)],
    "no labeled person": [([-1, -1], False), ([-1], False)],
    "no person in one image": [([], False), ([3], True)],
    "no person at all": [([], False), ([], False)],
}


@pytest.mark.parametrize("batch", list(BATCHES))
def test_six_finite_losses_and_a_gradient_for_every_parameter(
    small_model: Model, images: list[Tensor], target: Target, batch: str
) -> None:
    model = small_model()
    losses = model(images, [target(pids, masks=masks) for pids, masks in BATCHES[batch]])
    assert list(losses) == list(LOSS_NAMES)
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())
    total_loss(losses).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_images_enter_as_rgb_with_the_mean_and_deviation_of_imagenet(small_model: Model) -> None:
    image = torch.tensor([0.485 + 0.229, 0.456, 0.406 - 0.225])[:, None, None].expand(3, 16, 16)
    pixels = small_model()._batch([image]).tensors[0]
    torch.testing.assert_close(pixels[:, 0, 0], torch.tensor([1.0, 0.0, -1.0]))


def test_images_enter_as_in_torchvisions_detectors_with_their_resize_and_padding(small_model: Model) -> None:
    generator = np.random.default_rng(0)
    originals = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((150, 90), (77, 131))]
    theirs = GeneralizedRCNNTransform(100, 160, list(IMAGE_MEAN), list(IMAGE_STD), size_divisible=32).eval()
    expected, _ = theirs([torch.from_numpy(image).permute(2, 0, 1) / 255 for image in originals])
    ours = [resize_image(image, 100, 160, "torchvision")[0] for image in originals]
    batch = small_model(size_divisor=32)._batch(ours)
    assert batch.image_sizes == expected.image_sizes == [(160, 96), (94, 160)]
    torch.testing.assert_close(batch.tensors, expected.tensors, atol=2e-6, rtol=0)


def test_images_are_padded_to_the_stride_of_the_features(small_model: Model, images: list[Tensor]) -> None:
    assert small_model()._batch(images).tensors.shape == (2, 3, 112, 144)


@pytest.mark.parametrize(
    ("pids", "masks", "zero"),
    [
        ([1, -1], True, set()),
        ([1, -1], False, {"loss_mask"}),
        ([-1], False, {"loss_mask", "loss_id"}),
        ([], False, {"loss_mask", "loss_id", "loss_rpn_reg", "loss_rcnn_reg"}),
    ],
)
def test_a_loss_is_zero_exactly_where_its_targets_lack(
    small_model: Model, images: list[Tensor], target: Target, pids: list[int], masks: bool, zero: set[str]
) -> None:
    losses = small_model()(images[:1], [target(pids, masks=masks)])
    assert {name for name, loss in losses.items() if loss == 0} == zero


def test_masks_do_not_change_the_other_five_losses(
    small_model: Model, images: list[Tensor], target: Target
) -> None:
    with_masks, without = (
        small_model()(images[:1], [target([1, -1, 2], masks=masks)]) for masks in (True, False)
    )
    assert all(torch.equal(with_masks[name], without[name]) for name in LOSS_NAMES[:5])


def test_two_runs_from_the_same_seeds_are_equal_to_the_bit(
    small_model: Model, images: list[Tensor], target: Target
) -> None:
    states = []
    for _ in range(2):
        model = small_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        for step in range(3):
            optimizer.zero_grad()
            total_loss(model(images, [target([1, -1, 2], masks=True, seed=step)] * 2)).backward()
            optimizer.step()
            model.commit()
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_seed_of_a_target_decides_the_sampling_and_nothing_global(
    small_model: Model, images: list[Tensor], target: Target
) -> None:
    state = torch.get_rng_state()
    first, again, other = (
        small_model()(images[:1], [target([1, -1], masks=True, seed=seed)]) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in LOSS_NAMES)
    assert not torch.equal(first["loss_rpn_cls"], other["loss_rpn_cls"])


def test_persons_without_area_are_ignored(small_model: Model, images: list[Tensor], target: Target) -> None:
    one = target([1, -1], masks=True)
    flat = {
        "boxes": torch.cat([one["boxes"][:1], torch.tensor([[50.0, 20, 50, 80]]), one["boxes"][1:]]),
        "pids": torch.tensor([1, 2, -1]),
        "mask_edges": [one["mask_edges"][0], torch.zeros(0, 4), one["mask_edges"][1]],
        "mask_present": torch.tensor([True, False, False]),
        "seed": 1,
    }
    expected, found = small_model()(images[:1], [one]), small_model()(images[:1], [flat])
    assert all(torch.equal(expected[name], found[name]) for name in LOSS_NAMES)


@pytest.mark.parametrize("pids", [[], [1, -1]])
def test_broken_weights_give_losses_that_are_not_finite_rather_than_a_crash(
    small_model: Model, images: list[Tensor], target: Target, pids: list[int]
) -> None:
    model = small_model()
    torch.nn.init.constant_(model.rpn.head.deltas.bias, float("nan"))
    torch.nn.init.constant_(model.rpn.head.objectness.bias, float("nan"))
    losses = model(images[:1], [target(pids, masks=False)])
    assert not torch.isfinite(total_loss(losses))


def test_an_image_smaller_than_a_cell_of_the_features_is_no_problem(
    small_model: Model, target: Target
) -> None:
    losses = small_model(freeze_batch_norm="stem")([torch.rand(3, 9, 7)], [target([], masks=False)])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_training_updates_table_and_queue_and_they_are_saved(
    small_model: Model, images: list[Tensor], target: Target
) -> None:
    model = small_model()
    model(images[:1], [target([2, -1], masks=False)])
    state = model.state_dict()
    assert not state["roi_heads.id_loss.lookup_table"].any()
    model.commit()
    table = state["roi_heads.id_loss.lookup_table"]
    assert table[1].any() and not table[[0, 2, 3, 4, 5, 6]].any()
    assert state["roi_heads.id_loss.circular_queue"].any()
    assert state["roi_heads.id_loss.queue_position"] > 0
    copy = small_model(seed=1)
    copy.load_state_dict(state)
    assert all(torch.equal(state[key], value) for key, value in copy.state_dict().items())


def test_a_step_of_gradient_descent_lowers_the_loss(
    small_model: Model, images: list[Tensor], target: Target
) -> None:
    model = small_model(freeze_batch_norm="none")
    targets = [target([1, -1, 2], masks=True)] * 2
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    totals = []
    for _ in range(8):
        optimizer.zero_grad()
        total = total_loss(model(images, targets))
        total.backward()
        optimizer.step()
        model.commit()
        totals.append(total.item())
    assert min(totals[4:]) < 0.9 * totals[0]


@pytest.mark.parametrize("detection_feature", ["proposal", "detection"])
def test_detections_have_their_shapes_and_frame(
    small_model: Model, images: list[Tensor], detection_feature: str
) -> None:
    model = small_model(detection_feature=detection_feature).eval()
    with torch.no_grad():
        found = model(images)
    assert len(found) == 2
    for image, one in zip(images, found, strict=True):
        count = len(one.boxes)
        assert count > 0 and one.scores.shape == (count,)
        assert one.embeddings.shape == (count, 32) and one.pooled.shape[0] == count
        torch.testing.assert_close(one.embeddings.norm(dim=1), torch.ones(count))
        assert (one.boxes.amax(0)[2:] <= torch.tensor([image.shape[2], image.shape[1]])).all()
        assert (one.scores.diff() <= 0).all()


def test_query_features_of_a_box_are_those_of_a_detection_pooled_there(
    small_model: Model, images: list[Tensor]
) -> None:
    model = small_model(detection_feature="detection").eval()
    with torch.no_grad():
        found = model(images)
        embeddings = model.embed_boxes(images, [one.boxes for one in found])
        pooled = model.pool_boxes(images, [one.boxes for one in found])
    for one, embedded, rows in zip(found, embeddings, pooled, strict=True):
        torch.testing.assert_close(one.embeddings, embedded, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.pooled, rows, atol=1e-5, rtol=1e-5)


def test_no_boxes_give_no_query_features(small_model: Model, images: list[Tensor]) -> None:
    boxes = [torch.zeros(0, 4), torch.tensor([[3.0, 4, 40, 80]])]
    model = small_model().eval()
    with torch.no_grad():
        assert [len(rows) for rows in model.embed_boxes(images, boxes)] == [0, 1]
        masks = model.predict_masks(images, boxes)
        assert [tuple(rows.shape) for rows in model.predict_masks(images, [torch.zeros(0, 4)] * 2)] == [
            (0, 14, 14),
            (0, 14, 14),
        ]
    assert masks[1].shape == (1, 14, 14) and masks[1].min() > 0 and masks[1].max() < 1


def test_the_size_of_one_image_does_not_move_the_boxes_of_another(
    small_model: Model, images: list[Tensor]
) -> None:
    model = small_model().eval()
    boxes = torch.tensor([[20.0, 10, 60, 60]])
    with torch.no_grad():
        (alone,) = model.pool_boxes(images[:1], [boxes])
        beside, _ = model.pool_boxes([images[0], torch.rand(3, 160, 160)], [boxes, torch.zeros(0, 4)])
    # Only cells near the padded border see a difference.
    assert torch.nn.functional.cosine_similarity(alone, beside).item() > 0.99
