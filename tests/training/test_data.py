"""Batches: flips keep pixels, boxes and outlines together; order and draws depend on the seed alone."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pytest
import torch

from maskps.errors import AnnotationError, ConfigError, InputFileError, TrainingError
from maskps.io.images import read_image
from maskps.masks.coverage import coverage
from maskps.masks.mask_file import PersonMasks
from maskps.masks.outlines import outline_from_polygons
from maskps.model import resize_image
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset
from maskps.training import SceneDataset, TrainConfig
from maskps.training.data import Batch, batches_of_steps, epoch_order, shares
from maskps.training.run import RunInfo

MakeConfig = Callable[..., TrainConfig]


def batches(scenes: SceneDataset, first_step: int = 0) -> Iterator[Batch]:
    """All batches of one process, without the borders of the steps."""
    return chain.from_iterable(batches_of_steps(scenes, first_step=first_step))


def equal(first: Batch, second: Batch) -> bool:
    return first.names == second.names and all(
        torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True)
    )


def tensors(batch: Batch) -> list[torch.Tensor]:
    found = list(batch.images)
    for target in batch.targets:
        found += [target["boxes"], target["pids"], target["mask_present"], *target["mask_edges"]]
        found.append(torch.tensor(target["seed"]))
    return found


def test_an_item_has_the_documented_shapes_and_types(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    batch = SceneDataset(dataset, subset, make_config())[0, 0]
    (image,), (target,) = batch.images, batch.targets
    assert (image.dtype, image.shape) == (torch.float32, (3, 64, 96))
    assert image.min() >= 0 and 0.5 < image.max() <= 1
    assert (target["boxes"].dtype, target["boxes"].shape) == (torch.float32, (3, 4))
    assert (target["pids"].dtype, target["pids"].tolist()) == (torch.int64, [1, 2, -1])
    assert target["mask_present"].tolist() == [True, True, False]
    assert [tuple(edges.shape) for edges in target["mask_edges"]] == [(3, 4), (3, 4), (0, 4)]
    assert {edges.dtype for edges in target["mask_edges"]} == {torch.float32}


def test_a_flip_keeps_pixels_boxes_and_outlines_together(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    straight = SceneDataset(dataset, subset, make_config(flips="none"))[0, 0]
    flipped = SceneDataset(dataset, subset, make_config(flips="doubled"))[0, len(dataset.train)]
    assert torch.equal(flipped.images[0].flip(2), straight.images[0])
    assert flipped.targets[0]["boxes"][0].tolist() == [96 - 22, 6, 96 - 4, 56]
    for which in range(2):
        covered = [
            coverage(batch.targets[0]["mask_edges"][which][None], batch.targets[0]["boxes"][which][None])[0]
            for batch in (straight, flipped)
        ]
        assert covered[0].sum() > 0.4 * 14 * 14
        torch.testing.assert_close(covered[1].flip(1), covered[0])


def test_boxes_and_outlines_are_scaled_with_the_image(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    config = make_config(shorter_side=32, longest_side=48, flips="none")
    batch = SceneDataset(dataset, subset, config)[0, 0]
    assert batch.images[0].shape == (3, 32, 48)
    assert batch.targets[0]["boxes"][0].tolist() == [2, 3, 11, 28]
    corners = batch.targets[0]["mask_edges"][0].reshape(-1, 2)
    assert corners.amin(0).tolist() == [2, 3]
    assert corners.amax(0).tolist() == [11, 28]


def test_outlines_stay_on_their_boxes_where_rounded_sizes_change_the_aspect(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    shape = SceneDataset(dataset, subset, make_config(flips="none"))[0, 0].images[0].shape
    config = make_config(shorter_side=17, longest_side=48, flips="none")
    batch = SceneDataset(dataset, subset, config)[0, 0]
    _, height, width = batch.images[0].shape
    assert width * shape[1] != height * shape[2], "the same aspect: the test would show nothing"
    corners = batch.targets[0]["mask_edges"][0].reshape(-1, 2)
    around = torch.cat([corners.amin(0), corners.amax(0)])
    torch.testing.assert_close(around, batch.targets[0]["boxes"][0], atol=1e-4, rtol=0)


def test_images_are_resized_as_the_setting_says(
    dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    for mode, width in (("antialiased", 26), ("torchvision", 25)):
        config = make_config(shorter_side=17, longest_side=48, flips="none", masks=False, resize=mode)
        batch = SceneDataset(dataset, None, config)[0, 0]
        expected, (sx, _) = resize_image(read_image(dataset.image_path("s0.jpg")), 17, 48, mode)
        assert torch.equal(batch.images[0], expected) and expected.shape == (3, 17, width)
        assert batch.targets[0]["boxes"][0, 0] == pytest.approx(4 * sx)


def test_about_half_of_the_images_are_flipped_and_epochs_differ(
    dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    scenes = SceneDataset(dataset, None, make_config(masks=False))
    left = [[scenes[epoch, row].targets[0]["boxes"][0, 0] == 4 for row in (0, 1)] for epoch in range(40)]
    assert 20 < np.sum(left) < 60
    assert 20 < np.sum([first != second for first, second in left[1:]]) * 2 < 60


def test_doubled_an_epoch_holds_every_image_and_its_mirror_once(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    config = make_config(flips="doubled", batch_size=5, epochs=2)
    info = RunInfo.of(SceneDataset(dataset, subset, config))
    assert (info.scenes, info.steps_per_epoch, info.steps) == (6, 3, 6)
    plain = SceneDataset(dataset, subset, make_config(flips="none"))
    images = {row: plain[0, row].images[0] for row in range(6)}
    orders = []
    for epoch in range(2):
        seen = []
        steps = batches_of_steps(SceneDataset(dataset, subset, config), first_step=3 * epoch)
        for _, (batch,) in zip(range(3), steps, strict=False):
            for name, image in zip(batch.names, batch.images, strict=True):
                straight = images[int(name[1])]
                seen.append((name, torch.equal(image, straight), torch.equal(image.flip(2), straight)))
        assert sorted(seen) == [
            (f"s{row}.jpg", not mirrored, mirrored) for row in range(6) for mirrored in (True, False)
        ]
        orders.append(seen)
    assert orders[0] != orders[1]


def test_an_image_and_its_mirror_are_sampled_apart(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    scenes = SceneDataset(dataset, subset, make_config(flips="doubled"))
    assert scenes[0, 1].targets[0]["seed"] != scenes[0, 7].targets[0]["seed"]


@pytest.mark.parametrize("row", [2, 3])
def test_scenes_without_labeled_persons_take_part(
    row: int, dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    target = SceneDataset(dataset, subset, make_config())[0, row].targets[0]
    count = len(dataset.train[row])
    assert target["boxes"].shape == (count, 4)
    assert target["pids"].tolist() == [-1] * count
    assert not target["mask_present"].any()


def test_an_epoch_holds_every_scene_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(50, seed=3, epoch=epoch) for epoch in range(3)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[1], epoch_order(50, seed=3, epoch=1))
    assert not np.array_equal(orders[1], epoch_order(50, seed=4, epoch=1))


def test_the_last_batch_of_an_epoch_holds_what_is_left(
    dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    scenes = SceneDataset(dataset, None, make_config(masks=False, batch_size=4))
    assert [len(batch.images) for batch in batches(scenes)] == [4, 2, 4, 2]


def test_masks_change_neither_order_nor_flips_nor_sampling(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    on = batches(SceneDataset(dataset, subset, make_config()))
    off = batches(SceneDataset(dataset, subset, make_config(masks=False)))
    for first, second in zip(on, off, strict=True):
        assert first.names == second.names
        assert all(torch.equal(a, b) for a, b in zip(first.images, second.images, strict=True))
        for a, b in zip(first.targets, second.targets, strict=True):
            assert a["seed"] == b["seed"]
            assert not b["mask_present"].any()


def test_one_loader_that_ends_leaves_the_processes_of_another_alone(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    first = batches_of_steps(SceneDataset(dataset, subset, make_config(num_workers=1)))
    next(first)
    second = batches_of_steps(SceneDataset(dataset, subset, make_config(num_workers=1)))
    next(second)
    before = set(multiprocessing.active_children())
    first.close()
    left = before & set(multiprocessing.active_children())
    assert len(left) == 1
    second.close()


def test_worker_processes_change_nothing(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    plain = batches(SceneDataset(dataset, subset, make_config()))
    other = batches(SceneDataset(dataset, subset, make_config(num_workers=1)))
    assert all(equal(a, b) for a, b in zip(plain, other, strict=True))


@pytest.mark.parametrize("first", [1, 2, 3, 4, 6])
def test_batches_from_a_later_step_are_the_same(
    first: int, dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    scenes = SceneDataset(dataset, subset, make_config())
    whole = list(batches(scenes))
    rest = list(batches(scenes, first_step=first))
    assert len(whole) == 6
    assert all(equal(a, b) for a, b in zip(whole[first:], rest, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named_also_from_a_worker(
    workers: int, dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    path = dataset.image_path("s4.jpg")
    path.write_bytes(path.read_bytes()[:400])
    scenes = SceneDataset(dataset, None, make_config(masks=False, num_workers=workers))
    with pytest.raises(InputFileError, match=r"s4\.jpg") as caught:
        list(batches(scenes))
    assert str(path) == caught.value.where
    assert "Traceback" not in str(caught.value)


def test_an_image_of_another_size_than_annotated_is_refused(
    dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    size = np.tile([96, 65], (6, 1))
    turned = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, size=size))
    with pytest.raises(InputFileError, match="96 x 65") as caught:
        next(batches(SceneDataset(turned, None, make_config(masks=False))))
    assert caught.value.found == "96 x 64"


def test_an_empty_box_is_refused_with_its_scene(
    dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    boxes = dataset.train.boxes.copy()
    boxes[3, 2] = boxes[3, 0]
    broken = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, boxes=boxes))
    with pytest.raises(AnnotationError, match=r"s1\.jpg"):
        SceneDataset(broken, None, make_config(masks=False))


def without_outline(subset: Subset, row: int) -> Subset:
    states = subset.masks.states.copy()
    states[row] = MaskState.MISSING
    outlines = {key: outline for key, outline in subset.masks.outlines.items() if key != row}
    return dataclasses.replace(subset, masks=PersonMasks(states, outlines))


def test_missing_outlines_are_refused_with_their_number(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    with pytest.raises(TrainingError, match=r"1 persons without one, in 1 images, .* 's0\.jpg'") as caught:
        SceneDataset(dataset, without_outline(subset, 1), make_config())
    assert "3 labeled persons" in caught.value.expected
    assert "allow_missing_masks" in caught.value.hint


def test_missing_outlines_can_be_allowed_and_count_as_no_mask(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    config = make_config(allow_missing_masks=True)
    target = SceneDataset(dataset, without_outline(subset, 1), config)[0, 0].targets[0]
    assert target["mask_present"].tolist() == [True, False, False]


def test_masks_without_a_subset_are_refused(dataset: PersonSearchDataset, make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="--no-masks"):
        SceneDataset(dataset, None, make_config())


def with_outlines_of_all(dataset: PersonSearchDataset, subset: Subset) -> Subset:
    """The outline of a person in its box, another shape for each; all labeled persons have one."""
    rows = np.flatnonzero(dataset.train.is_labeled)
    states = np.full(dataset.train.num_persons, MaskState.NOT_APPLICABLE, np.int8)
    states[rows] = MaskState.PRESENT
    outlines = {}
    for row in rows.tolist():
        x0, y0, x1, y1 = dataset.train.boxes[row].tolist()
        tip = y0 + (row + 1) / (dataset.train.num_persons + 1) * (y1 - y0)
        outlines[row] = outline_from_polygons([[[x0, y0], [x1, tip], [x0, y1]]], where=f"person {row}")
    return dataclasses.replace(subset, masks=PersonMasks(states, outlines))


def shapes_in_their_boxes(scenes: SceneDataset) -> dict[int, np.ndarray]:
    """Every person's outline, as shares of the width and height of its box."""
    shapes = {}
    for row, edges in scenes.edges.items():
        box = scenes.dataset.train.boxes[row].astype(np.float64)
        shapes[row] = (edges.reshape(-1, 2) - box[:2]) / (box[2:] - box[:2])
    return shapes


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_masks_are_the_others_shapes_in_the_own_box(
    seed: int, dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    everyone = with_outlines_of_all(dataset, subset)
    own = shapes_in_their_boxes(SceneDataset(dataset, everyone, make_config(seed=seed)))
    config = make_config(seed=seed, shuffle_masks=True)
    shuffled = shapes_in_their_boxes(SceneDataset(dataset, everyone, config))
    assert sorted(shuffled) == sorted(own) and len(own) == 6
    source = {
        row: [other for other, of_other in own.items() if np.allclose(shape, of_other)]
        for row, shape in shuffled.items()
    }
    assert sorted(source.values()) == [[row] for row in sorted(own)], "every outline is used once"
    assert all(others != [row] for row, others in source.items()), "nobody keeps the own one"


def test_shuffling_is_fixed_by_the_seed(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    everyone = with_outlines_of_all(dataset, subset)
    first, again, other = (
        SceneDataset(dataset, everyone, make_config(seed=seed, shuffle_masks=True)).edges
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(first[row], again[row]) for row in first)
    assert not all(np.array_equal(first[row], other[row]) for row in first)


def test_shuffling_changes_only_the_outlines(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    everyone = with_outlines_of_all(dataset, subset)
    plain = batches(SceneDataset(dataset, everyone, make_config()))
    shuffled = batches(SceneDataset(dataset, everyone, make_config(shuffle_masks=True)))
    for first, second in zip(plain, shuffled, strict=True):
        has_masks = any(target["mask_present"].any() for target in first.targets)
        assert equal(first, second) != has_masks
        for a, b in zip(first.targets, second.targets, strict=True):
            b["mask_edges"] = a["mask_edges"]
        assert equal(first, second)


def test_without_masks_there_is_nothing_to_shuffle(
    dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    assert SceneDataset(dataset, None, make_config(masks=False, shuffle_masks=True)).edges == {}


@pytest.mark.parametrize("masks", [0, 1])
def test_masks_of_fewer_than_two_persons_cannot_be_shuffled(
    masks: int, dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    few = subset
    for row in list(subset.masks.outlines)[masks:]:
        few = without_outline(few, row)
    with pytest.raises(ConfigError, match="shuffle_masks") as caught:
        SceneDataset(dataset, few, make_config(shuffle_masks=True, allow_missing_masks=True))
    assert caught.value.found == str(masks)


@pytest.mark.parametrize(
    ("size", "batch_size", "count"), [(1, 3, 8), (2, 2, 8), (3, 1, 7), (2, 4, 1), (4, 2, 9)]
)
def test_the_shares_of_all_processes_are_the_images_of_the_step_in_order(
    size: int, batch_size: int, count: int
) -> None:
    rows = list(range(10, 10 + count))
    of_processes = [shares(rows, batch_size=batch_size, rank=rank, size=size) for rank in range(size)]
    in_order = [
        row for column in zip(*of_processes, strict=True) for part in column if part[1] for row in part[0]
    ]
    assert in_order == rows
    parts = [part for own in of_processes for part in own]
    assert sum(share for _, share in parts) == pytest.approx(1)
    assert all(len(own) <= batch_size for own, _ in parts)
    assert all(share == pytest.approx(len(own) / count) for own, share in parts if share)


def test_a_process_without_an_image_takes_the_first_as_no_part_of_the_step() -> None:
    assert shares([7], batch_size=1, rank=0, size=2) == [([7], 1.0)]
    assert shares([7], batch_size=1, rank=1, size=2) == [([7], 0.0)]


def test_a_step_has_all_its_micro_batches_with_their_shares(
    dataset: PersonSearchDataset, subset: Subset, make_config: Callable[..., TrainConfig]
) -> None:
    scenes = SceneDataset(dataset, subset, make_config(batch_size=1, accumulate=4, epochs=2))
    steps = [[batch.share for batch in step] for step in batches_of_steps(scenes)]
    assert steps == [[0.25] * 4, [0.5, 0.5]] * 2
    assert len(list(batches_of_steps(scenes, first_step=3))) == 1
