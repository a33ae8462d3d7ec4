"""Mask targets for your own trainer: how much of each cell of a proposal its person covers.

Try it:

    maskps-data synth scenes --scale tiny
    maskps-data build-subset scenes --out subset --labelme scenes/truth/labelme
    python examples/mask_targets.py scenes subset
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from maskps.datasets import open_dataset
from maskps.io.images import image_size
from maskps.masks import flip_edges, mask_targets, pad_edges, scale_edges
from maskps.subset import open_subset


def main(root: Path, subset_folder: Path) -> None:
    dataset = open_dataset(root)
    masks = open_subset(subset_folder, dataset).masks
    rng = np.random.default_rng(0)

    for scene_row, name in enumerate(dataset.train.names):
        persons = [row for row in dataset.train.persons_of(scene_row) if row in masks.outlines]
        if not persons:
            continue  # no masks in this image: its mask loss is 0

        # What your trainer does to the image, it also does to the outlines. Nothing is rasterised.
        scale = 1.5
        width = image_size(dataset.image_path(str(name)))[0] * scale
        edges = pad_edges([masks.outlines[row].edges() for row in persons])  # (N, E, 4), pixels of the scene
        edges = flip_edges(scale_edges(edges, scale, scale), width)

        # Stand-ins for proposals: the flipped boxes, each side moved by up to 5 pixels. (N, 4) xyxy
        boxes = dataset.train.boxes[persons] * scale
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        boxes += rng.uniform(-5, 5, boxes.shape)

        targets = mask_targets(edges, boxes)  # (N, 14, 14) bool; soft=True gives the shares
        print(f"{name}: {len(persons)} targets, {targets.mean():.0%} of their cells covered")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
