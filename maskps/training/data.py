"""Training batches: their images and order, resized and flipped together with boxes and outlines.

A step sees `images_per_step` images. Each process takes its share of them, in micro-batches of `batch_size`.

Every random number comes from (seed, epoch, scene) alone. So the batches are the same with any number of
loader processes, after a resumption, and with or without masks.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from maskps.boxes import flip_boxes
from maskps.config import TrainConfig
from maskps.errors import AnnotationError, ConfigError, InputFileError, MaskpsError, TrainingError
from maskps.io.images import read_image
from maskps.masks.outlines import flip_edges, scale_edges
from maskps.model.resize import Resize, resize_image
from maskps.structures import MaskState, PersonSearchDataset, Scene
from maskps.subset import Subset
from maskps.training.interrupts import ignore_signals, signals_held_back
from maskps.training.replacement import ResizedScene, with_persons_of

_ORDER, _SCENE, _SHUFFLE, _PASTE = 1, 2, 3, 4
"""First entry of each kind of seed, so that their random numbers are independent."""


@dataclass(frozen=True)
class Batch:
    """Images of one forward pass, as the network takes them.

    Attributes:
        names: names of the scenes.
        images: (3, h, w) float32, 0..1, RGB, each of its own size.
        targets: per image a dict of "boxes" (n, 4) float32 xyxy in the resized image, "pids" (n,) int64,
            "mask_edges" (n tensors of (E, 4) float32, in the resized image; (0, 4) without a mask),
            "mask_present" (n,) bool, and "seed", the int from which anchors and RoIs are sampled.
        share: the part of its step's images that these are; their mean loss has this weight in the step's. 0
            for an image that only keeps a process busy when the last step of an epoch has none left for it.
    """

    names: list[str]
    images: list[Tensor]
    targets: list[dict[str, Any]]
    share: float = 1.0

    def to(self, device: torch.device) -> Batch:
        """Returns the batch with its tensors on `device`; "seed" stays a number."""

        def moved(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return [moved(entry) for entry in value] if isinstance(value, list) else value

        targets = [{key: moved(value) for key, value in target.items()} for target in self.targets]
        return dataclasses.replace(self, images=moved(self.images), targets=targets)

    def pin_memory(self) -> Batch:
        """Returns the batch with its images in page-locked memory; called by torch's loader."""
        return dataclasses.replace(self, images=[image.pin_memory() for image in self.images])


class SceneDataset(Dataset[Batch]):
    """The images of an epoch; the item (epoch, number) is a batch of one image.

    The numbers are the rows of all training scenes, also of those without labeled persons or without any
    person. With `flips = "doubled"` the images' mirrors follow: number N + row, of N scenes.

    Args:
        subset: the mask subset; None trains without masks, as `config.masks = False` does.

    Raises:
        AnnotationError: a box without width or height, or no training scene at all.
        ConfigError: masks are on, but there is no subset; masks to shuffle, but fewer than 2 persons with an
            outline; backgrounds to replace, but no person with one.
        TrainingError: labeled persons of the subset without an outline, and not `allow_missing_masks`.
    """

    def __init__(self, dataset: PersonSearchDataset, subset: Subset | None, config: TrainConfig) -> None:
        self.dataset = dataset
        self.config = config
        boxes = dataset.train.boxes
        if len(dataset.train) == 0:
            raise AnnotationError(dataset.root, expected="training scenes", found="none")
        empty = np.flatnonzero((boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1]))
        if len(empty):
            raise AnnotationError(
                f"scene '{dataset.train.names[dataset.train.scene_of_person[empty[0]]]}'",
                expected="boxes with a width and a height",
                found=f"{boxes[empty[0]].tolist()}, and {len(empty)} such boxes in all",
            )
        self.outlines = mask_edges(dataset, subset, config)
        self.edges = self.outlines
        if config.masks and config.shuffle_masks:
            self.edges = _shuffled(self.outlines, boxes, config.seed)
        if config.background_replacement and not self.outlines:
            raise ConfigError(
                "background_replacement",
                expected="persons with an outline, to show before other backgrounds",
                found="none in the mask subset",
                hint="build it with outlines, or train with background_replacement = 0",
            )
        self._scenes_with_outlines = np.unique(dataset.train.scene_of_person[sorted(self.outlines)])

    def __len__(self) -> int:
        return images_per_epoch(self.config, len(self.dataset.train))

    def __getitem__(self, item: tuple[int, int]) -> Batch:
        epoch, number = item
        is_mirror, row = divmod(number, len(self.dataset.train))
        rng = np.random.default_rng([_SCENE, self.config.seed, epoch, number])
        is_flipped = rng.random() < {"random": 0.5, "doubled": is_mirror, "none": 0.0}[self.config.flips]
        sampling_seed = int(rng.integers(2**63))

        scene = self._with_pasted(self._resized(row), epoch, number)
        image, edges, width = scene.image, scene.edges, scene.image.shape[2]
        boxes: NDArray[np.floating] = scene.boxes
        if is_flipped:
            image = image.flip(2)
            boxes = flip_boxes(boxes, width)
            edges = [flip_edges(one, width) for one in edges]
        target = {
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "pids": torch.from_numpy(scene.pids.astype(np.int64)),
            "mask_edges": [torch.from_numpy(one.astype(np.float32)) for one in edges],
            "mask_present": torch.tensor([len(one) > 0 for one in edges], dtype=torch.bool),
            "seed": sampling_seed,
        }
        return Batch([str(self.dataset.train.names[row])], [image], [target])

    def _with_pasted(self, scene: ResizedScene, epoch: int, number: int) -> ResizedScene:
        """Returns the scene, by chance with persons of another one before its background.

        Its random numbers are its own: flips and sampling are those of a run without pasted persons.
        """
        if not self.config.background_replacement:
            return scene
        rng = np.random.default_rng([_PASTE, self.config.seed, epoch, number])
        if rng.random() >= self.config.background_replacement:
            return scene
        # If it draws itself, nobody comes: its identities are there already.
        return with_persons_of(scene, self._resized(int(rng.choice(self._scenes_with_outlines))), rng=rng)

    def _resized(self, row: int) -> ResizedScene:
        scene = self.dataset.train[row]
        image, (scale_x, scale_y) = resize_image(
            self._pixels(scene),
            self.config.shorter_side,
            self.config.longest_side,
            cast(Resize, self.config.resize),
        )
        outlines, edges = (
            [
                scale_edges(of_person.get(person, _NO_EDGES), scale_x, scale_y)
                for person in self.dataset.train.persons_of(row)
            ]
            for of_person in (self.outlines, self.edges)
        )
        boxes = scene.boxes * np.array([scale_x, scale_y, scale_x, scale_y])
        return ResizedScene(image, boxes, scene.pids, outlines, edges)

    def _pixels(self, scene: Scene) -> NDArray[np.uint8]:
        path = self.dataset.image_path(scene.name)
        pixels = read_image(path)
        found = (pixels.shape[1], pixels.shape[0])
        if scene.size is not None and scene.size != found:
            raise InputFileError(
                path,
                expected=f"{scene.size[0]} x {scene.size[1]} pixels, as the annotation says",
                found=f"{found[0]} x {found[1]}",
                hint="the boxes refer to the released image; do not resize or rotate it",
            )
        return pixels


_NO_EDGES = np.zeros((0, 4))


def mask_edges(
    dataset: PersonSearchDataset, subset: Subset | None, config: TrainConfig
) -> dict[int, NDArray[np.float64]]:
    """Returns the outline of every person with a mask as (E, 4) edges, by person row of `dataset.train`.

    With `config.masks` off it is empty.

    Raises:
        ConfigError: masks are on, but there is no subset.
        TrainingError: labeled persons of the subset without an outline, and not `allow_missing_masks`.
    """
    if not config.masks:
        return {}
    if subset is None:
        raise ConfigError(
            "masks",
            expected="a mask subset to train with",
            found="none",
            hint="give the folder of maskps-data build-subset with --subset, or train with --no-masks",
        )
    missing = np.flatnonzero(subset.masks.states == MaskState.MISSING)
    if len(missing) and not config.allow_missing_masks:
        wanted = np.count_nonzero(subset.masks.states != MaskState.NOT_APPLICABLE)
        scenes = np.unique(dataset.train.scene_of_person[missing])
        raise TrainingError(
            "mask subset",
            expected=f"an outline of each of its {wanted} labeled persons",
            found=f"{len(missing)} persons without one, in {len(scenes)} images, the first of them "
            f"'{dataset.train.names[scenes[0]]}'",
            hint="draw them and build the subset again with --labelme, train with --no-masks, or train with "
            "--set allow_missing_masks=true: they then count as persons without mask",
        )
    present = np.flatnonzero(subset.masks.states == MaskState.PRESENT)
    return {int(row): subset.masks.outlines[int(row)].edges() for row in present}


def _shuffled(
    edges: dict[int, NDArray[np.float64]], boxes: NDArray[np.float32], seed: int
) -> dict[int, NDArray[np.float64]]:
    """Returns for every person the outline of another one, moved and scaled from that one's box to its own.

    The control to training with masks: the mask loss keeps its size and what the outlines have in common, and
    loses what is a person's own. The persons stand in a circle, in an order drawn from the seed, and each has
    the outline of the one before: nobody keeps the own one, nobody's is lost, and a run never changes them.

    Args:
        edges: (E, 4) by person row.
        boxes: (P, 4) xyxy, of all person rows.

    Raises:
        ConfigError: fewer than 2 persons.
    """
    if len(edges) < 2:
        raise ConfigError(
            "shuffle_masks",
            expected="at least 2 persons with an outline, to exchange them",
            found=f"{len(edges)}",
            hint="train with a larger mask subset, or with shuffle_masks = false",
        )
    order = np.random.default_rng([_SHUFFLE, seed]).permutation(sorted(edges))
    shuffled = {}
    for own, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
        (low, high), (other_low, other_high) = boxes[[own, other]].astype(np.float64).reshape(2, 2, 2)
        scale = (high - low) / (other_high - other_low)
        shuffled[own] = (edges[other] - np.tile(other_low, 2)) * np.tile(scale, 2) + np.tile(low, 2)
    return shuffled


def images_per_step(config: TrainConfig, processes: int = 1) -> int:
    """Returns how many images a step of the optimiser sees, over all micro-batches and processes."""
    return config.batch_size * config.accumulate * processes


def images_per_epoch(config: TrainConfig, num_scenes: int) -> int:
    """Returns how many images an epoch has: all scenes, and their mirrors if flips double the set."""
    return num_scenes * 2 if config.flips == "doubled" else num_scenes


def steps_per_epoch(num_images: int, images: int) -> int:
    """Returns the number of steps in an epoch, of `images` images each; the last may have fewer."""
    return -(-num_images // images)


def shares(
    rows: list[int], *, batch_size: int, rank: int = 0, size: int = 1
) -> list[tuple[list[int], float]]:
    """Returns the micro-batches of one process in a step, each with its share of the step's images.

    A step's images are cut into groups of `batch_size` per process, and each group is spread over the
    processes in order. All processes have the same number of micro-batches. A process for which no image is
    left takes the step's first one, with share 0.

    Args:
        rows: the images of the step, in their order; at least one.
        rank, size: the number of this process, and how many there are.
    """
    own = []
    for start in range(0, len(rows), batch_size * size):
        group = rows[start : start + batch_size * size]
        first, last = (-(-len(group) * number // size) for number in (rank, rank + 1))
        own.append((group[first:last] or rows[:1], (last - first) / len(rows)))
    return own


def epoch_order(num_images: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns (num_images,): the numbers of an epoch's images in an order that seed and epoch decide."""
    return np.random.default_rng([_ORDER, seed, epoch]).permutation(num_images)


def batches_of_steps(
    scenes: SceneDataset, *, first_step: int = 0, pin_memory: bool = False, rank: int = 0, size: int = 1
) -> Generator[list[Batch], None, None]:
    """Yields one process's micro-batches of each step, from step `first_step` (from 0) to the end of the run.

    One loader serves all epochs, so its processes neither restart nor idle between them.

    Args:
        rank, size: the number of this process, and how many there are.

    Raises:
        MaskpsError: an image that cannot be used, also if a loader process found it.
    """

    def steps() -> Iterator[list[tuple[list[tuple[int, int]], float]]]:
        """Yields the micro-batches of each step: their items (epoch, number), and their share."""
        for epoch in range(first_step // per_epoch, config.epochs):
            order = epoch_order(len(scenes), seed=config.seed, epoch=epoch).tolist()
            done = max(0, first_step - epoch * per_epoch)
            for start in range(done * images, len(order), images):
                rows = order[start : start + images]
                own = shares(rows, batch_size=config.batch_size, rank=rank, size=size)
                yield [([(epoch, row) for row in part], share) for part, share in own]

    config = scenes.config
    images = images_per_step(config, size)
    per_epoch = steps_per_epoch(len(scenes), images)
    loader = DataLoader(
        _Guarded(scenes),
        batch_sampler=(items for step in steps() for items, _ in step),
        collate_fn=_joined,
        num_workers=config.num_workers,
        worker_init_fn=ignore_signals,
        pin_memory=pin_memory,
    )
    others = set(multiprocessing.active_children())
    with signals_held_back():
        loaded = iter(loader)
    workers = set(multiprocessing.active_children()) - others
    try:
        for step in steps():
            batches = []
            for _, share in step:
                batch = next(loaded)
                if isinstance(batch, MaskpsError):
                    raise batch
                batches.append(dataclasses.replace(batch, share=share))
            yield batches
    finally:
        del loaded  # the loader asks its processes to end, and waits some seconds
        # Python would wait without limit at its end for one that is stuck.
        for worker in workers & set(multiprocessing.active_children()):
            worker.join(timeout=1)
            worker.kill()


class _Guarded(Dataset["Batch | MaskpsError"]):
    """Returns errors as items: a loader that raises them itself buries the message in a traceback."""

    def __init__(self, scenes: SceneDataset) -> None:
        self.scenes = scenes

    def __getitem__(self, item: tuple[int, int]) -> Batch | MaskpsError:
        try:
            return self.scenes[item]
        except MaskpsError as error:
            return error


def _joined(items: list[Batch | MaskpsError]) -> Batch | MaskpsError:
    joined = Batch([], [], [])
    for item in items:
        if isinstance(item, MaskpsError):
            return item
        joined.names.extend(item.names)
        joined.images.extend(item.images)
        joined.targets.extend(item.targets)
    return joined
