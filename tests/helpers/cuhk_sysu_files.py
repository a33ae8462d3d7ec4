"""CUHK-SYSU's files with any content, also such as our writer would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskps.io.matlab import cell_matrix, char_matrix, number_matrix, struct_matrix, write_mat

IMAGES, POOL = "annotation/Images.mat", "annotation/pool.mat"
TRAIN_TEST = "annotation/test/train_test"
TRAIN = f"{TRAIN_TEST}/Train.mat"

Box = tuple[float, ...]
"""x, y, width, height; another number of values is a damaged box."""

Scenes = list[tuple[str, list[Box]]]
"""Names and boxes."""

Persons = list[tuple[str, list[tuple[str, Box]]]]
"""Identities, and the scene and box of each appearance."""


def write_images(root: Path, scenes: Scenes) -> None:
    elements = [
        char_matrix(name)
        + number_matrix((len(boxes),))
        + struct_matrix(("idlocate", "ishard"), [number_matrix(box) + number_matrix((0,)) for box in boxes])
        for name, boxes in scenes
    ]
    write_mat(root / IMAGES, [struct_matrix(("imname", "nAppear", "box"), elements, name="Img")])


def write_train(root: Path, persons: Persons) -> None:
    cells = []
    for identity, appearances in persons:
        scenes = [char_matrix(name) + number_matrix(box) + number_matrix((0,)) for name, box in appearances]
        scene = struct_matrix(("imname", "idlocate", "ishard"), scenes)
        person = char_matrix(identity) + number_matrix((len(scenes),)) + scene
        cells.append(struct_matrix(("idname", "nAppear", "scene"), [person]))
    write_mat(root / TRAIN, [cell_matrix(cells, name="Train")])


def write_pool(root: Path, names: Sequence[str]) -> None:
    write_mat(root / POOL, [cell_matrix([char_matrix(name) for name in names], name="pool")])
