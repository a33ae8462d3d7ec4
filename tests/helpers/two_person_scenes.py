"""A data set of two labeled persons an image, its subset, and drawings in its packs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from maskps.masks import LabelMeShape, Outline, write_labelme
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset import build_subset, select_subset
from maskps_annotation.pack_files import prefilled
from maskps_annotation.pack_record import PackSet

BOXES = [(10.0, 10.0, 30.0, 70.0), (50.0, 10.0, 80.0, 70.0)]
"""Of the first and the second person of every image."""


def polygon(person: int, inset: float = 1.0) -> np.ndarray:
    """(6, 2): an outline in the box of an image's first or second person, so many pixels from its sides."""
    x0, y0, x1, y1 = np.array(BOXES[person]) + np.array([1, 1, -1, -1]) * inset
    return np.array([(x0 + 3, y0), (x1 - 3, y0), (x1, y0 + 9), (x1, y1 - 9), (x1 - 3, y1), (x0, y1)])


def write_scenes(root: Path, names: Sequence[str]) -> PersonSearchDataset:
    """Training images of 100 x 90 pixels; the persons are id1, id2, ...; there is no test image.

    A pixel of image n is as bright as the number of its column plus 10 n.
    """
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = np.arange(100, dtype=np.uint8) + np.uint8(10 * number)
        Image.fromarray(np.tile(columns[:, None], (90, 1, 3))).save(path, quality=100)
    persons = 2 * len(names)
    train = SceneTable(
        names=np.array(names),
        offsets=np.arange(0, persons + 2, 2),
        boxes=np.tile(np.array(BOXES, dtype=np.float32), (len(names), 1)),
        pids=np.arange(1, persons + 1),
        is_hard=np.zeros(persons, dtype=np.bool_),
    )
    return PersonSearchDataset(
        root=root,
        kind="test",
        image_dir=root,
        train=train,
        test=train.select([]),
        train_ids=np.array([f"id{pid}" for pid in range(1, persons + 1)]),
        test_ids=np.array([], dtype=np.str_),
        fingerprint="f1",
    )


def build(dataset: PersonSearchDataset, out: Path, outlines: dict[int, Outline] | None = None) -> Path:
    """The subset of all images, with these outlines by row of the training persons."""
    every = select_subset(dataset.train, portion_size=1)
    build_subset(dataset, out, every, outlines=lambda rows: outlines or {})
    return out


def draw(
    packs: PackSet, annotator: str, scene: str, polygons: dict[str, np.ndarray], *, done: bool = True
) -> Path:
    """Writes an annotator's file of a scene, with one polygon for each of these slots."""
    pack = next(pack for pack in packs.packs if pack.annotator == annotator)
    packed = next(packed for packed in pack.scenes if packed.scene == scene)
    file = prefilled(packed, packs.fingerprint)
    shapes = tuple(LabelMeShape(slot, points) for slot, points in polygons.items())
    path = pack.folder / packed.file_name
    write_labelme(path, replace(file, shapes=(*file.shapes, *shapes), flags={"done": done}))
    return path
