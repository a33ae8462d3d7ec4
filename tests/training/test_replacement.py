"""Background replacement: pasted persons keep their pixels, and nothing else of the image changes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from maskps.boxes import flip_boxes
from maskps.errors import ConfigError
from maskps.masks.mask_file import PersonMasks
from maskps.masks.outlines import flip_edges, outline_from_polygons
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset
from maskps.training import SceneDataset, TrainConfig, train
from maskps.training.data import Batch, batches_of_steps
from maskps.training.replacement import MOST_PERSONS, ResizedScene, with_persons_of

MakeConfig = Callable[..., TrainConfig]
NO_OUTLINE = np.zeros((0, 4))


def edges_of(*corners: tuple[float, float]) -> np.ndarray:
    return outline_from_polygons([np.array(corners, float)], where="test").edges()


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return edges_of((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def scene_of(
    boxes: list[list[float]],
    pids: list[int],
    outlines: list[np.ndarray] | None = None,
    *,
    size: tuple[int, int] = (40, 60),
    noise: int = 0,
) -> ResizedScene:
    """A scene of random pixels; `size` is (height, width)."""
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(noise))
    own = outlines or [NO_OUTLINE] * len(boxes)
    return ResizedScene(image, np.array(boxes, float).reshape(-1, 4), np.array(pids), own, own)


def test_pixels_inside_the_outline_are_the_source_s_and_all_others_stay() -> None:
    scene = scene_of([[0, 0, 8, 40]], [5])
    # An L of whole pixels: its box holds pixels that are not the person's.
    corners = (10, 12), (14, 12), (14, 30), (20, 30), (20, 36), (10, 36)
    other = scene_of([[10, 12, 20, 36]], [7], [edges_of(*corners)], noise=1)
    is_person = np.zeros((24, 10), bool)
    is_person[:, :4] = is_person[18:] = True

    result = with_persons_of(scene, other, rng=np.random.default_rng(0))
    x, y = (int(value) for value in result.boxes[1, :2])
    assert (x, y) != (10, 12) and y == 12, "feet at the height they had"
    patch = result.image[:, y : y + 24, x : x + 10]
    assert torch.equal(patch[:, is_person], other.image[:, 12:36, 10:20][:, is_person])
    assert torch.equal(patch[:, ~is_person], scene.image[:, y : y + 24, x : x + 10][:, ~is_person])
    patch[:] = scene.image[:, y : y + 24, x : x + 10]
    assert torch.equal(result.image, scene.image)


def test_box_identity_and_outlines_come_along() -> None:
    scene = scene_of([[0, 0, 8, 40]], [5], [rectangle(1, 1, 8, 40)])
    other = scene_of([[-2.5, 12.25, 20, 36]], [7], [rectangle(1.5, 12, 19, 35.5)], noise=1)
    others_shape = rectangle(3, 13, 18, 30)
    other = dataclasses.replace(other, edges=[others_shape])
    result = with_persons_of(scene, other, rng=np.random.default_rng(0))
    shift = result.boxes[1] - other.boxes[0]
    assert shift[0] == shift[2] == int(shift[0]) != 0 and shift[1] == shift[3] == 0
    assert result.pids.tolist() == [5, 7]
    assert np.array_equal(result.boxes[0], scene.boxes[0])
    assert np.array_equal(result.outlines[1], other.outlines[0] + shift)
    assert np.array_equal(result.edges[1], others_shape + shift)
    assert result.edges[0] is scene.edges[0] and result.outlines[0] is scene.outlines[0]


def test_pixels_on_the_border_are_mixed_by_their_covered_share() -> None:
    scene = scene_of([], [])
    other = scene_of([[10, 12, 20, 36]], [7], [rectangle(10.25, 12, 20, 36)], noise=1)
    result = with_persons_of(scene, other, rng=np.random.default_rng(0))
    x = int(result.boxes[0, 0])
    mixed = 0.75 * other.image[:, 12:36, 10] + 0.25 * scene.image[:, 12:36, x]
    torch.testing.assert_close(result.image[:, 12:36, x], mixed)
    assert torch.equal(result.image[:, 12:36, x + 1], other.image[:, 12:36, 11])


def test_black_pixels_beside_the_person_stay_black() -> None:
    angles = np.sort(np.random.default_rng(0).random(40)) * 2 * np.pi
    star = edges_of(*zip(15 + 9 * np.cos(angles), 20 + 14 * np.sin(angles), strict=True))
    other = scene_of([[5, 5, 25, 35]], [7], [star], noise=1)
    scene = scene_of([], [])
    scene.image[:] = 0
    image = with_persons_of(scene, other, rng=np.random.default_rng(0)).image
    assert 300 < (image > 0).all(0).sum() < 650
    assert image[image > 0].min() > 1e-9


@pytest.mark.parametrize(("left", "right", "width"), [(-4.5, 6, 6), (55, 63.5, 5)])
def test_only_the_part_inside_its_image_is_pasted(left: float, right: float, width: int) -> None:
    other = scene_of([[left, 12, right, 44]], [7], [rectangle(left, 12, right, 44)], noise=1)
    scene = scene_of([], [])
    result = with_persons_of(scene, other, rng=np.random.default_rng(0))
    assert (result.image != scene.image).all(0).sum() == width * (40 - 12)
    x0, y0, x1, y1 = result.boxes[0].tolist()
    assert (x1 - x0, y0, y1) == (right - left, 12, 44), "the box is moved as it was annotated"
    assert (result.image != scene.image).all(0).any(0).nonzero()[0] == max(x0, x0 - left)


def test_the_arguments_do_not_change() -> None:
    scene = scene_of([], [])
    before = scene.image.clone()
    other = scene_of([[10, 12, 20, 36]], [7], [rectangle(10, 12, 20, 36)], noise=1)
    assert not torch.equal(with_persons_of(scene, other, rng=np.random.default_rng(0)).image, before)
    assert torch.equal(scene.image, before)


def test_every_column_that_touches_no_box_is_drawn_and_no_other() -> None:
    # Boxes at other heights do not count; the second ends where the person's head begins.
    scene = scene_of([[13.5, 20, 30.5, 39], [50, 2, 60, 12], [50, 36, 60, 40]], [1, 2, 3])
    other = scene_of([[10, 12, 20, 36]], [7], [rectangle(10, 12, 20, 36)], noise=1)
    drawn = {
        int(with_persons_of(scene, other, rng=np.random.default_rng(seed)).boxes[-1, 0])
        for seed in range(600)
    }
    assert drawn == {*range(0, 13 - 10 + 1), *range(31, 50 + 1)}


@pytest.mark.parametrize(
    ("height", "bottom"),
    [(80, 72), (60, 54), (26, 24)],  # 36 of 40, in proportion; in the last, the head would be cut off
)
def test_feet_stand_at_the_same_share_of_the_height(height: int, bottom: int) -> None:
    other = scene_of([[10, 12, 20, 36]], [7], [rectangle(10, 12, 20, 36)], noise=1)
    result = with_persons_of(scene_of([], [], size=(height, 60)), other, rng=np.random.default_rng(0))
    assert result.boxes[0, 1::2].tolist() == [bottom - 24, bottom]


@pytest.mark.parametrize("size", [(24, 60), (40, 10)])
def test_a_person_may_fill_the_scene(size: tuple[int, int]) -> None:
    other = scene_of([[10, 12, 20, 36]], [7], [rectangle(10, 12, 20, 36)], noise=1)
    result = with_persons_of(scene_of([], [], size=size), other, rng=np.random.default_rng(0))
    assert result.pids.tolist() == [7]


@pytest.mark.parametrize("size", [(23, 60), (40, 9)])
def test_a_person_larger_than_the_scene_is_left_out(size: tuple[int, int]) -> None:
    scene = scene_of([], [], size=size)
    other = scene_of([[10, 12, 20, 36]], [7], [rectangle(10, 12, 20, 36)], noise=1)
    assert with_persons_of(scene, other, rng=np.random.default_rng(0)) is scene


def test_persons_who_cannot_come_are_left_out() -> None:
    boxes = [[0, 12, 5, 36], [10, 12, 15, 36], [20, 12, 25, 36]]
    outlines = [rectangle(*boxes[0]), NO_OUTLINE, rectangle(*boxes[2])]
    other = scene_of(boxes, [1, 2, 3], outlines, noise=1)
    result = with_persons_of(scene_of([[0, 0, 9, 40]], [3]), other, rng=np.random.default_rng(0))
    assert result.pids.tolist() == [3, 1]  # 2 has no outline, 3 is there already
    full = scene_of([[0, 0, 28, 40], [32, 0, 60, 40]], [8, 9])  # 4 columns are free
    assert with_persons_of(full, other, rng=np.random.default_rng(0)) is full


def test_a_few_persons_come_at_most_and_do_not_touch_each_other() -> None:
    boxes = [[6.0 * k, 12, 6.0 * k + 5, 36] for k in range(8)]
    other = scene_of(boxes, list(range(1, 9)), [rectangle(*box) for box in boxes], noise=1)
    come = set()
    for seed in range(40):
        result = with_persons_of(scene_of([], []), other, rng=np.random.default_rng(seed))
        assert len(set(result.pids.tolist())) == len(result.pids) == MOST_PERSONS
        left = np.sort(result.boxes[:, 0])
        assert (np.diff(left) >= 5).all()
        come |= set(result.pids.tolist())
    assert come == set(range(1, 9))


def is_changed(batch: Batch, plain: Batch) -> bool:
    return not torch.equal(batch.images[0], plain.images[0])


def equal(first: Batch, second: Batch) -> bool:
    (one,), (two,) = first.targets, second.targets
    return (
        first.names == second.names
        and torch.equal(first.images[0], second.images[0])
        and one.keys() == two.keys()
        and all(torch.equal(a, b) for a, b in zip(one["mask_edges"], two["mask_edges"], strict=True))
        and all(torch.equal(one[key], two[key]) for key in ("boxes", "pids", "mask_present"))
        and one["seed"] == two["seed"]
    )


def test_a_pasted_person_of_the_data_set_is_that_of_its_own_training_image(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    own = SceneDataset(dataset, subset, make_config(flips="none"))[0, 0]
    scenes = SceneDataset(dataset, subset, make_config(flips="none", background_replacement=1))
    left, top, right, bottom = own.targets[0]["boxes"][1].int().tolist()  # of person 2
    rows = np.arange(top, bottom) + 0.5
    tip = (right - left) * (1 - abs(2 * rows - top - bottom) / (bottom - top))  # the fixture's triangle
    is_inside = torch.from_numpy(np.arange(1, right - left + 1) < tip[:, None] - 1)
    columns = set()
    for epoch in range(12):
        (image,), (target,) = scenes[epoch, 3].images, scenes[epoch, 3].targets  # a scene without persons
        assert target["mask_present"].all()
        for person in torch.nonzero(target["pids"] == 2)[:, 0].tolist():
            x0, y0, x1, y1 = target["boxes"][person].int().tolist()
            assert (x1 - x0, y0, y1) == (right - left, top, bottom)
            columns.add(x0)
            found = image[:, y0:y1, x0:x1][:, is_inside]
            assert torch.equal(found, own.images[0][:, top:bottom, left:right][:, is_inside])
    assert len(columns) > 3


def test_a_flip_mirrors_scene_and_pasted_persons_together(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    straight = SceneDataset(dataset, subset, make_config(flips="none", background_replacement=1))
    random = SceneDataset(dataset, subset, make_config(flips="random", background_replacement=1))
    mirrored = 0
    for epoch in range(8):
        first, second = straight[epoch, 3], random[epoch, 3]
        if equal(first, second):
            continue
        mirrored += 1
        assert torch.equal(second.images[0].flip(2), first.images[0])
        (one,), (two,) = first.targets, second.targets
        assert len(one["boxes"]) > 0
        assert torch.equal(torch.from_numpy(flip_boxes(two["boxes"].numpy(), 96)), one["boxes"])
        for a, b in zip(one["mask_edges"], two["mask_edges"], strict=True):
            assert torch.equal(flip_edges(b, 96), a)
    assert 2 <= mirrored <= 6


def test_the_mirror_of_a_doubled_set_gets_persons_of_its_own(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    scenes = SceneDataset(dataset, subset, make_config(flips="doubled", background_replacement=1))
    images = [(scenes[epoch, 3].images[0], scenes[epoch, 9].images[0].flip(2)) for epoch in range(4)]
    assert not all(torch.equal(image, mirror) for image, mirror in images)


def test_images_into_which_nobody_came_are_those_of_a_run_without(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    plain = SceneDataset(dataset, subset, make_config())
    scenes = SceneDataset(dataset, subset, make_config(background_replacement=0.5))
    items = [(epoch, row) for epoch in range(20) for row in (1, 3)]
    changed = 0
    for item in items:
        batch, without = scenes[item], plain[item]
        assert batch.names == without.names
        assert batch.targets[0]["seed"] == without.targets[0]["seed"]
        own = len(without.targets[0]["pids"])
        assert torch.equal(batch.targets[0]["boxes"][:own], without.targets[0]["boxes"])
        assert is_changed(batch, without) == (len(batch.targets[0]["pids"]) > own)
        assert is_changed(batch, without) or equal(batch, without)
        changed += is_changed(batch, without)
    assert 0.3 * len(items) < changed < 0.7 * len(items)


def batches(scenes: SceneDataset, first_step: int = 0) -> list[Batch]:
    return list(chain.from_iterable(batches_of_steps(scenes, first_step=first_step)))


def test_neither_worker_processes_nor_a_resumption_change_the_images(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    changes = {"background_replacement": 0.7, "batch_size": 1}
    plain = batches(SceneDataset(dataset, subset, make_config(batch_size=1)))
    whole = batches(SceneDataset(dataset, subset, make_config(**changes)))
    workers = batches(SceneDataset(dataset, subset, make_config(**changes, num_workers=2)))
    resumed = batches(SceneDataset(dataset, subset, make_config(**changes)), first_step=3)
    assert sum(map(is_changed, whole, plain)) >= 2
    assert all(equal(a, b) for a, b in zip(whole, workers, strict=True))
    assert all(equal(a, b) for a, b in zip(whole[3:], resumed, strict=True))


def test_another_seed_shows_other_persons_elsewhere(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    first, second = (
        SceneDataset(dataset, subset, make_config(flips="none", background_replacement=1, seed=seed))
        for seed in (0, 1)
    )
    assert any(is_changed(first[epoch, 3], second[epoch, 3]) for epoch in range(3))


def test_shuffled_masks_cut_nobody_out(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    train_table = dataset.train
    outlines = dict(subset.masks.outlines)
    x0, y0, x1, y1 = train_table.boxes[0].tolist()
    outlines[0] = outline_from_polygons([[[x0, y0], [x1, y0], [x1, y1]]], where="test")
    other = dataclasses.replace(subset, masks=PersonMasks(subset.masks.states, outlines))
    own = SceneDataset(dataset, other, make_config(background_replacement=1))
    shuffled = SceneDataset(dataset, other, make_config(background_replacement=1, shuffle_masks=True))
    differ = 0
    for epoch in range(6):
        first, second = own[epoch, 3], shuffled[epoch, 3]
        assert torch.equal(first.images[0], second.images[0])
        pairs = zip(first.targets[0]["mask_edges"], second.targets[0]["mask_edges"], strict=True)
        differ += sum(not torch.equal(a, b) for a, b in pairs)
    assert differ


def test_only_persons_of_the_subset_come(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    states = subset.masks.states.copy()
    states[[0, 1]] = MaskState.NOT_APPLICABLE
    (last,) = [row for row in subset.masks.outlines if row > 1]
    smaller = dataclasses.replace(subset, masks=PersonMasks(states, {last: subset.masks.outlines[last]}))
    scenes = SceneDataset(dataset, smaller, make_config(background_replacement=1))
    assert [scenes[epoch, 3].targets[0]["pids"].tolist() for epoch in range(4)] == [[1]] * 4
    assert scenes[0, 4].targets[0]["pids"].tolist() == [1, -1], "its own scene: nobody else is there"


def test_without_outlines_it_is_refused(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> None:
    with pytest.raises(ConfigError, match="mask_weight = 0"):
        make_config(background_replacement=0.1, masks=False)
    states = np.zeros_like(subset.masks.states)
    empty = dataclasses.replace(subset, masks=PersonMasks(states, {}))
    with pytest.raises(ConfigError, match="none in the mask subset"):
        SceneDataset(dataset, empty, make_config(background_replacement=0.1))


def test_it_trains_without_the_mask_loss(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(background_replacement=1, mask_weight=0, epochs=1)
    train(config, dataset, subset, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        others = sum(value for key, value in line.items() if key.startswith("loss_") and key != "loss_mask")
        assert line["loss"] == pytest.approx(others)
    assert any(line["loss_mask"] for line in lines), "it is measured"
