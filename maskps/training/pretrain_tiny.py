"""Makes the backbone that maskps ships for the recipe `tiny`; run it as a module.

    python -m maskps.training.pretrain_tiny WORK

A narrow ResNet learns little from 300 scenes in a few minutes, so it gets a start on other scenes. This
script renders a larger synthetic set from its own seed (other people, other cameras) and trains on it,
without any mask, in two parts: first the whole network of the recipe from random weights, then conv1..res5
alone, as a classifier of the people in windows around their boxes, with background as one more class. Only
the backbone is kept: RPN, box head, embedding and mask branch start from random weights in every run.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from maskps.boxes import box_iou
from maskps.config import TrainConfig, load_config
from maskps.datasets import open_dataset
from maskps.io.files import written_atomically
from maskps.io.images import read_image
from maskps.model.backbone import Res5, Stem, backbone_state, pretrained_path
from maskps.model.network import IMAGE_MEAN, IMAGE_STD
from maskps.model.resize import Resize, resize_image
from maskps.model.roi_align import RegionGrid
from maskps.structures import PersonSearchDataset
from maskps.synthetic import SplitScale, SynthScale, write_synthetic
from maskps.training.loop import train
from maskps.training.run import RECORD
from maskps.training.trained import load_run

SEED = 20_200_827
"""Of the scenes. `maskps-data synth` with any other seed shares no person and no camera with them."""

SCALE = SynthScale(
    400,
    (0.15, 0.42),
    SplitScale(3000, 0, 2000, 12_000, 2400, 150, (3, 9)),
    SplitScale(60, 0, 20, 60, 60, 4, (2, 6)),
    galleries=(50,),
    occluded=1,
    low_resolution=2,
    subset_gallery=50,
)
"""Four labeled persons per scene, six scenes per person: a backbone learns most from identities."""

SCENE_SETTINGS = (
    "pretrained=none",
    "masks=false",
    "frozen_stages=0",
    "freeze_batch_norm=none",
    "shorter_side=300",
    "longest_side=400",
    "embedding_dim=128",
    "embedding_norm=false",
    "pooling=mean",
    "mask_features=res5",
    "anchor_sizes=[24, 48, 96, 160]",
    "rois_per_image=20",
    "oim_temperature=0.05",
    "oim_queue_length=2000",
    "id_weight=1",
    "epochs=6",
    "batch_size=6",
    "optimizer=sgd",
    "bias_lr_factor=2",
    "precise_bn_images=0",
    "learning_rate=0.03",
    "warmup_steps=200",
)
"""Of the first part, on top of the recipe `tiny`. Scenes keep their rendered size."""

MARGIN = 16  # pixels of the resized scene around a box
ROUNDS = (8, 4)  # epochs of each; in each the rate falls to 0 and the classifier starts over
BATCH = 64
RATE = 1e-3
WARMUP = 100  # steps
COSINE_SCALE = 16.0
HEIGHT_STEP, WIDTH_STEP = 64, 32  # pixels; oneDNN compiles kernels for each size, so there are few
CHUNK = 24  # batches; windows are sorted by size within a chunk, to need little padding


@dataclass(frozen=True)
class Window:
    """A person, or background, with a margin: pixels (3, h, w) uint8, the box (4,) in them, the class."""

    pixels: Tensor
    box: Tensor
    label: int


@click.command()
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Rendering processes.")
def main(work: Path, jobs: int) -> None:
    """Render into WORK/scenes, train in WORK/run, and write the package's weight file."""
    if not (work / "scenes").exists():
        write_synthetic(work / "scenes", scale=SCALE, seed=SEED, jobs=jobs)
    dataset = open_dataset(work / "scenes")
    config = load_config("tiny", SCENE_SETTINGS)
    train(config, dataset, None, work / "run", resume=(work / "run" / RECORD).exists())
    model = load_run(work / "run").model
    stem, res5 = model.stem, model.roi_heads.res5
    stem.train().requires_grad_(True)
    res5.train().requires_grad_(True)
    windows = read_windows(dataset, load_config("tiny"))
    for number, epochs in enumerate(ROUNDS):
        rng = np.random.default_rng((SEED, number))
        train_on_windows(stem, res5, windows, classes=dataset.num_train_ids + 1, epochs=epochs, rng=rng)
    content = safetensors.torch.save(backbone_state(stem, res5))
    old = pretrained_path(config.backbone, "shipped")
    target = old.with_name(f"{config.backbone}-{hashlib.sha256(content).hexdigest()[:8]}.safetensors")
    with written_atomically(target) as temporary:
        temporary.write_bytes(content)
    if old != target:
        old.unlink(missing_ok=True)
    click.echo(f"wrote {target}, {target.stat().st_size / 1e6:.1f} MB")


def read_windows(dataset: PersonSearchDataset, config: TrainConfig) -> list[Window]:
    """Returns the windows of all labeled persons, class pid - 1, and one of background a scene."""
    rng = np.random.default_rng(SEED)
    windows = []
    for row in range(len(dataset.train)):
        scene = dataset.train[row]
        image, scale = resize_image(
            read_image(dataset.image_path(scene.name)),
            config.shorter_side,
            config.longest_side,
            cast(Resize, config.resize),
        )
        pixels = (image * 255).round().to(torch.uint8)
        boxes = scene.boxes * np.array(scale * 2, np.float32)
        windows += [
            _window(pixels, boxes[i], int(scene.pids[i]) - 1) for i in np.flatnonzero(scene.is_labeled)
        ]
        empty = _empty_box(boxes, pixels.shape[2], pixels.shape[1], rng)
        if empty is not None:
            windows.append(_window(pixels, empty, dataset.num_train_ids))
    return windows


def train_on_windows(
    stem: Stem,
    res5: Res5,
    windows: list[Window],
    *,
    classes: int,
    epochs: int,
    rng: np.random.Generator,
) -> None:
    """Trains both parts to classify the windows: cosine softmax on the pooled features f_p.

    The prototypes start at the mean features of each class. Random ones would take most of the time to get
    there, and would harm the features meanwhile.
    """
    neck = nn.BatchNorm1d(res5.out_channels, affine=False)
    prototypes = nn.Parameter(_mean_features(stem, res5, neck, windows, classes, rng))
    parameters = [*stem.parameters(), *res5.parameters(), prototypes]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=1e-3)
    steps = epochs * len(_batches(windows, rng))
    step, started = 0, time.monotonic()
    for epoch in range(epochs):
        correct = count = 0
        for members in _batches(windows, rng):
            for group in optimizer.param_groups:
                warm = min(1.0, (step + 1) / WARMUP)
                group["lr"] = RATE * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
            pooled, labels = _pooled(stem, res5, [windows[i] for i in members], rng)
            logits = COSINE_SCALE * F.normalize(neck(pooled)) @ F.normalize(prototypes).T
            loss = F.cross_entropy(logits, labels, label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            correct += int((logits.argmax(dim=1) == labels).sum())
            count += len(labels)
            step += 1
        minutes = (time.monotonic() - started) / 60
        click.echo(f"epoch {epoch + 1}/{epochs}: right {correct / count:.1%}, {minutes:.1f} min", err=True)


@torch.no_grad()
def _mean_features(
    stem: Stem,
    res5: Res5,
    neck: nn.BatchNorm1d,
    windows: list[Window],
    classes: int,
    rng: np.random.Generator,
) -> Tensor:
    """Sets the statistics of `neck` to those of the windows; returns (classes, C) unit vectors, the mean
    normalised features of each class."""
    stem.eval()
    res5.eval()
    parts = [_pooled(stem, res5, [windows[i] for i in members], rng) for members in _batches(windows, rng)]
    stem.train()
    res5.train()
    features, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    neck.running_mean = features.mean(dim=0)
    neck.running_var = features.var(dim=0)
    unit = F.normalize(neck.eval()(features))
    neck.train()
    return F.normalize(torch.zeros(classes, unit.shape[1]).index_add_(0, labels, unit))


def _pooled(stem: Stem, res5: Res5, windows: list[Window], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Returns the pooled features f_p (B, C) of the persons in the windows, and their labels (B,)."""
    images, boxes, labels = _joined(windows, rng)
    features = stem(images)
    grid = RegionGrid(boxes, (features.shape[2], features.shape[3]))
    return res5.pool(features, grid).mean(dim=(2, 3)), labels


def _window(pixels: Tensor, box: NDArray, label: int) -> Window:
    _, height, width = pixels.shape
    x0, y0 = (max(0, math.floor(side) - MARGIN) for side in box[:2])
    x1, y1 = min(width, math.ceil(box[2]) + MARGIN), min(height, math.ceil(box[3]) + MARGIN)
    shift = torch.tensor([x0, y0, x0, y0], dtype=torch.float32)
    return Window(pixels[:, y0:y1, x0:x1].clone(), torch.from_numpy(box.astype(np.float32)) - shift, label)


def _empty_box(boxes: NDArray, width: int, height: int, rng: np.random.Generator) -> NDArray | None:
    """Returns a random box of a person's shape without a person in it, or None after ten tries."""
    for _ in range(10):
        tall = rng.uniform(60, 200)
        wide = tall * rng.uniform(0.3, 0.5)
        x, y = rng.uniform(0, width - wide), rng.uniform(0, max(1.0, height - tall))
        box = np.array([x, y, x + wide, min(y + tall, height)])
        if box_iou(box[None], boxes).max(initial=0) < 0.1:
            return box
    return None


def _batches(windows: list[Window], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Returns the batches of an epoch in random order; the windows of a batch have about the same size."""
    heights, widths = np.array([window.pixels.shape[1:] for window in windows]).T
    rows = np.ceil(heights / HEIGHT_STEP)
    batches = []
    for chunk in np.array_split(rng.permutation(len(windows)), max(1, len(windows) // (BATCH * CHUNK))):
        chunk = chunk[np.lexsort((widths[chunk], rows[chunk]))]
        batches += [chunk[i : i + BATCH] for i in range(0, len(chunk) - BATCH + 1, BATCH)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _joined(windows: list[Window], rng: np.random.Generator) -> tuple[Tensor, list[Tensor], Tensor]:
    """Returns images (B, 3, H, W), boxes and labels (B,), with random light, flip and box for each."""
    height = math.ceil(max(window.pixels.shape[1] for window in windows) / HEIGHT_STEP) * HEIGHT_STEP
    width = math.ceil(max(window.pixels.shape[2] for window in windows) / WIDTH_STEP) * WIDTH_STEP
    images = torch.zeros(len(windows), 3, height, width).to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGE_MEAN, IMAGE_STD))
    boxes = []
    for row, window in zip(images, windows, strict=True):
        pixels, box = window.pixels.float() / 255, window.box
        _, h, w = pixels.shape
        if rng.random() < 0.5:
            pixels = pixels.flip(2)
            box = torch.stack([w - box[2], box[1], w - box[0], box[3]])
        light = rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, (3, 1, 1))
        row[:, :h, :w] = (pixels * torch.from_numpy(light).float() - mean) / std
        size = torch.stack([box[2] - box[0], box[3] - box[1]]).repeat(2)
        boxes.append((box + size * torch.from_numpy(rng.normal(0, 0.05, 4)).float())[None])
    return images, boxes, torch.tensor([window.label for window in windows])


if __name__ == "__main__":
    main()
