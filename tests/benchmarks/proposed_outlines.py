"""Proposed outlines of synthetic persons without a trained network, and a picture of them in a LabelMe file.

The stand-in for a mask branch sees the true outline in 14x14 cells, a little blurred, with noise on every
cell. In every sixth person it misses the feet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from simulated_annotators import Truth

from maskps.datasets import open_dataset
from maskps.io.images import read_image
from maskps.masks import Outline, coverage, read_labelme
from maskps.masks.labelme_file import LabelMeShape
from maskps.masks.proposed_outlines import propose_outline
from maskps.pictures.drawing import BLUE, GREEN, INK, ORANGE, WHITE, crop_tile, draw_frame, write_text
from maskps.subset import build_subset, select_subset
from maskps_annotation.pack_files import is_prefilled
from maskps_annotation.pack_record import PackedScene

NOISE = 0.1  # of the probability of a cell
FEET = 3  # rows of cells
TILE = (360, 560)  # pixels of one person in the picture


def write_proposed(scenes: Path, out: Path, truth: Truth, *, seed: int = 0) -> None:
    """Writes a subset with what the stand-in proposes for every labeled training person."""
    dataset = open_dataset(scenes)
    train = dataset.train

    def outlines(rows: np.ndarray) -> Mapping[int, Outline]:
        persons = np.flatnonzero(np.isin(train.scene_of_person, rows) & train.is_labeled)
        proposed = {}
        for row in persons.tolist():
            scene = int(train.scene_of_person[row])
            true = truth[str(train.names[scene])][row - int(train.offsets[scene])]
            outline = _proposed(true, train.boxes[row], np.random.default_rng((seed, row)))
            if outline is not None:
                proposed[row] = outline
        return proposed

    build_subset(dataset, out, select_subset(train, portion_size=1), outlines=outlines)


def _proposed(true: Outline, box: np.ndarray, rng: np.random.Generator) -> Outline | None:
    cells = coverage(true.edges(), box[None].astype(np.float64))[0]
    padded = np.pad(cells, 1, mode="edge")
    weights = ((1, 1, 1), (1, 4, 1), (1, 1, 1))
    blurred = sum(weights[y][x] * padded[y : y + 14, x : x + 14] for y in range(3) for x in range(3)) / 12
    seen = np.clip(blurred + rng.normal(0, NOISE, blurred.shape), 0.01, 0.99)
    if rng.random() < 1 / 6:
        seen[-FEET:] = 0.01
    return propose_outline(seen, box)


def draw_before_and_after(
    scene: PackedScene, folder: Path, before: tuple[LabelMeShape, ...], slots: tuple[str, ...], out: Path
) -> None:
    """Draws persons of a LabelMe file as the pack held them, and as they are in it now, beside each other.

    Points that are where they were proposed are blue, others orange.

    Args:
        before: the shapes of the file when it was packed.
        slots: the persons.
    """
    image = Image.fromarray(read_image(folder / scene.image))
    after = read_labelme(folder / scene.file_name).shapes
    canvas = Image.new("RGB", (2 * TILE[0] * len(slots) + 10 * (2 * len(slots) - 1), TILE[1] + 34), WHITE)
    for number, name in enumerate(slots):
        slot = next(one for one in scene.slots if one.name == name)
        known = {tuple(point) for ring in slot.given.rings for point in ring.round(2).tolist()}
        for place, (shapes, word) in enumerate(((before, "proposed"), (after, "handed in"))):
            x = (2 * number + place) * (TILE[0] + 10)
            canvas.paste(_tile(image, slot.corners(scene.size).ravel(), shapes, name, known), (x, 34))
            write_text(canvas, (x, 6), f"{name}, {word}", size=20)
    canvas.save(out, quality=88)


def _tile(
    image: Image.Image,
    box: np.ndarray,
    shapes: tuple[LabelMeShape, ...],
    name: str,
    known: set[tuple[float, ...]],
) -> Image.Image:
    """Returns a person as LabelMe shows it: the rectangle, and the polygons with their points."""
    tile, place = crop_tile(image, box, TILE, context=0.06)
    scale = (place[2:] - place[:2]) / (box[2:] - box[:2])
    draw = ImageDraw.Draw(tile)
    draw_frame(tile, place.tolist(), INK, width=2)
    for shape in shapes:
        if shape.label != name or is_prefilled(shape):
            continue
        points = (shape.points - box[:2]) * scale + place[:2]
        line = [(float(x), float(y)) for x, y in [*points.tolist(), points[0].tolist()]]
        draw.line(line, fill=WHITE, width=5, joint="curve")
        draw.line(line, fill=GREEN, width=2, joint="curve")
        for (x, y), vertex in zip(line, shape.points.round(2).tolist(), strict=False):
            colour = BLUE if tuple(vertex) in known else ORANGE
            draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill=colour, outline=WHITE)
    return tile
