"""Agreement of two annotators: values worked out by hand, and who is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskps.errors import AnnotationError
from maskps.masks import LabelMeShape, outline_from_polygons, write_labelme
from maskps_annotation.agreement import NOISE, agreement, compare_outlines, noise_of_cells
from maskps_annotation.pack_files import prefilled
from maskps_annotation.pack_record import Pack, PackedScene, PackSet, Slot

BOX = (0.0, 0.0, 28.0, 56.0)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def test_the_same_outline_agrees_wholly() -> None:
    outline = outline_from_polygons([rectangle(2, 2, 20, 50)], where="test")
    assert compare_outlines(outline, outline, BOX) == (1, 0, 0)


def test_a_shift_by_one_column_of_cells() -> None:
    """Width 20 of 28, shifted by 2, one cell: 18 of 22 columns shared, 14 cells lost and 14 won."""
    one = outline_from_polygons([rectangle(2, 0, 22, 56)], where="test")
    two = outline_from_polygons([rectangle(4, 0, 24, 56)], where="test")
    iou, distance, cells = compare_outlines(one, two, BOX)
    assert iou == pytest.approx(18 / 22)
    assert cells == 28
    assert 1.4 < distance < 2  # 2 along the upright sides, less on the others
    assert compare_outlines(two, one, BOX) == pytest.approx((iou, distance, cells), abs=0.02)


@pytest.mark.parametrize(
    ("cells", "pixels"), [(0, 0), (3.9, 0.5), (7.8, 1), (11.5, 1.5), (28.7, 4), (57.4, 8)]
)
def test_cells_are_given_as_noise(cells: float, pixels: float) -> None:
    assert noise_of_cells(cells) == pytest.approx(pixels)


def test_the_noise_table_is_that_of_the_reference() -> None:
    assert NOISE == {1.0: (0.925, 7.8), 2.0: (0.859, 15.2), 4.0: (0.748, 28.7)}


@pytest.fixture
def packs(tmp_path: Path) -> PackSet:
    """Scene a.jpg is ann's and bob's, b.jpg is ann's; two persons in each."""
    slots = (Slot("p1", 0, "x", BOX), Slot("p2", 1, "y", (50.0, 0.0, 78.0, 56.0)))
    scenes = [PackedScene(f"{stem}.jpg", f"{stem}.jpg", "0" * 64, (100, 100), slots) for stem in "ab"]
    made = (("ann", scenes), ("bob", scenes[:1]))
    packs = tuple(Pack(name, tmp_path / name, tuple(of)) for name, of in made)
    for pack in packs:
        pack.folder.mkdir()
    return PackSet("f1", 0, packs, frozenset({"a.jpg"}))


def draw(pack: Pack, scene: PackedScene, **polygons: np.ndarray) -> None:
    file = prefilled(scene, "f1")
    shapes = tuple(LabelMeShape(slot, points) for slot, points in polygons.items())
    write_labelme(pack.folder / scene.file_name, replace(file, shapes=(*file.shapes, *shapes)))


def test_persons_of_doubled_scenes_are_compared_per_annotator(packs: PackSet) -> None:
    ann, bob = packs.packs
    draw(ann, ann.scenes[0], p1=rectangle(2, 1, 22, 55), p2=rectangle(52, 1, 72, 55))
    draw(ann, ann.scenes[1], p1=rectangle(2, 1, 22, 55))
    draw(bob, bob.scenes[0], p1=rectangle(4, 1, 24, 55))
    report = agreement(packs)
    assert [(one.scene, one.slot, one.annotators) for one in report.persons] == [
        ("a.jpg", "p1", ("ann", "bob"))
    ]
    assert dict(report.alone) == {"bob": 1}
    rows = report.rows()
    assert [(row[0], row[1], row[5]) for row in rows] == [("ann", 1, 0), ("bob", 1, 1), ("together", 1, 1)]
    assert rows[0][2] == pytest.approx(18 / 22)
    assert report.to_dict()["persons"][0]["changed_cells"] == 28


def test_nothing_drawn_is_no_number(packs: PackSet) -> None:
    report = agreement(packs)
    ((name, persons, iou, *_),) = report.rows()
    assert (name, persons) == ("together", 0)
    assert math.isnan(iou)
    assert report.to_dict()["annotators"][0]["iou"] is None


def test_packs_without_a_doubled_image_have_no_agreement(packs: PackSet) -> None:
    with pytest.raises(AnnotationError, match="--double"):
        agreement(replace(packs, doubled=frozenset()))
