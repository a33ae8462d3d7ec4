"""LabelMe's example masks beside our outlines of the same polygons: IoU of each person, and why it differs.

    python tests/benchmarks/labelme_examples.py [FOLDER]

FOLDER holds LabelMe's `examples/instance_segmentation` with the object masks that LabelMe itself made
(../shared/data/labelme/instance_segmentation by default). Nothing is written.

Every pixel in which the two masks differ is put to one of these causes:

    border    LabelMe's rule has the pixel, the polygon does not cover its centre: Pillow rounds the corners
              to pixels, fills, and draws the line as well
    missed    the polygon covers the centre, LabelMe's rule does not have the pixel
    hidden    LabelMe's rule has the pixel, but a shape further down the file was painted over it
    open      none of these
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskps.masks import LabelMeFile, Outline, outline_from_polygons, read_labelme
from maskps.masks.imports.png import read_numbers
from maskps.masks.rasterising import outline_to_mask
from maskps.masks.tracing import mask_to_outline

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "labelme" / "instance_segmentation"
MASKS = "expected_SegmentationObject"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Person:
    """One person of a LabelMe file: its number in the mask, the exact outline, and where its shapes stand."""

    number: int
    outline: Outline
    shapes: list[int]


def persons_in(file: LabelMeFile, where: str) -> list[Person]:
    """Returns the persons of a file. LabelMe numbers instances, label and group, as they come."""
    instances: dict[tuple[str, object], list[int]] = {}
    for index, shape in enumerate(file.shapes):
        group = shape.group_id if shape.group_id is not None else f"shape {index}"
        instances.setdefault((shape.label, group), []).append(index)
    return [
        Person(number, outline_from_polygons([file.shapes[i].points for i in shapes], where=where), shapes)
        for number, ((label, _), shapes) in enumerate(instances.items(), start=1)
        if label == "person"
    ]


def pillow_mask(file: LabelMeFile, shapes: Iterable[int], width: int, height: int) -> Mask:
    """The rule of LabelMe's masks: Pillow's polygon, line included, drawn over each other."""
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for index in shapes:
        draw.polygon([(x, y) for x, y in file.shapes[index].points.tolist()], outline=1, fill=1)
    return np.array(image)


def iou(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / (first | second).sum())


def exact_iou(mask: Mask, outline: Outline) -> float:
    """IoU of the pixels' squares and the outline itself."""
    squares, shape = mask_to_outline(mask).to_shapely(), outline.to_shapely()
    common = shapely.intersection(squares, shape).area
    return float(common / (squares.area + shape.area - common))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    files = sorted(folder.glob("*.json"))
    if not files or not (folder / MASKS).is_dir():
        sys.exit(f"no LabelMe examples with {MASKS} in {folder}")
    print(
        "                exact       pixels of      IoU with    why: pixels                  IoU with exact"
    )
    print(
        "image, person    area     ours  LabelMe   LabelMe   border  missed  hidden  open      ours  Pillow"
    )
    rows = []
    for path in files:
        file = read_labelme(path)
        numbers = read_numbers(folder / MASKS / f"{path.stem}.png")
        height, width = numbers.shape
        for person in persons_in(file, path.name):
            theirs = numbers == person.number
            ours = outline_to_mask(person.outline, width, height)
            rule = pillow_mask(file, person.shapes, width, height)
            later = pillow_mask(file, range(person.shapes[-1] + 1, len(file.shapes)), width, height)
            rows.append(
                [
                    person.outline.area,
                    ours.sum(),
                    theirs.sum(),
                    iou(ours, theirs),
                    (rule & ~ours).sum(),
                    (ours & ~rule).sum(),
                    (rule & later & ~theirs).sum(),
                    (theirs & ~rule).sum() + (rule & ~later & ~theirs).sum(),
                    exact_iou(ours, person.outline),
                    exact_iou(rule, person.outline),
                ]
            )
            print_row(f"{path.stem[-6:]} {person.number:4d}", rows[-1])
    table = np.array(rows)
    print_row("mean", table.mean(axis=0).tolist())
    exact, ours_area = table[:, 0].sum(), table[:, 1].sum()
    rule_area = ours_area + table[:, 4].sum() - table[:, 5].sum()
    print(
        f"\narea beside the exact one: ours {ours_area / exact - 1:+.2%}, Pillow {rule_area / exact - 1:+.2%}"
    )
    print("Pillow: LabelMe's rule, drawn here again, before other shapes hide a part of it")


def print_row(name: str, row: list[float]) -> None:
    exact, ours, theirs, same, border, missed, hidden, unknown, ours_fit, rule_fit = row
    print(
        f"{name:13}{exact:8.0f} {ours:8.0f} {theirs:8.0f}{same:10.4f}"
        f"{border:9.0f}{missed:8.0f}{hidden:8.0f}{unknown:6.0f}{ours_fit:10.4f}{rule_fit:8.4f}"
    )


if __name__ == "__main__":
    main()
