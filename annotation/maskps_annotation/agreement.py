"""Agreement: how much two annotators of one person differ, and how that changes the 14x14 target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import shapely

from maskps.errors import AnnotationError
from maskps.masks.coverage import THRESHOLD, coverage
from maskps.masks.outlines import Outline
from maskps_annotation.checks import CheckedFile, checked_file
from maskps_annotation.pack_record import PACKS_NAME, PackSet

NOISE = {1.0: (0.925, 7.8), 2.0: (0.859, 15.2), 4.0: (0.748, 28.7)}
"""Standard deviation of noise on every vertex, in pixels -> mean IoU and mean changed cells.

Measured on 200 synthetic persons of 40 vertices, with box heights of 70 to 383 pixels."""

_NOTHING = CheckedFile({}, (), {})
_STEP = 1.0  # pixels between the points of a border where distances are measured


@dataclass(frozen=True)
class PersonAgreement:
    """Two outlines of one person.

    Attributes:
        scene, slot: the person.
        annotators: who drew the two.
        iou: intersection over union of the two.
        distance: mean distance of each border to the other, in pixels; the mean of both directions.
        changed_cells: cells of 196 that differ in the binary 14x14 target of the person's box.
    """

    scene: str
    slot: str
    annotators: tuple[str, str]
    iou: float
    distance: float
    changed_cells: int


@dataclass(frozen=True)
class AgreementReport:
    """The agreement on all doubly annotated persons.

    Attributes:
        persons: those whom both annotators drew without an error, by scene and slot.
        alone: annotator -> number of persons that only the other annotator drew without an error.
        accepted: number of persons whom both left as proposed: the same outline, but not by two hands, so
            they are not among `persons`.
    """

    persons: tuple[PersonAgreement, ...]
    alone: Mapping[str, int]
    accepted: int = 0

    def of(self, annotator: str) -> list[PersonAgreement]:
        """Returns the comparisons in which an annotator takes part."""
        return [person for person in self.persons if annotator in person.annotators]

    def rows(self) -> list[tuple[str, int, float, float, float, int]]:
        """Returns annotator, persons, mean IoU, distance and cells, and `alone`; the last row is for all.

        The means are NaN where there is no person.
        """
        names = sorted({name for person in self.persons for name in person.annotators} | set(self.alone))
        rows = [(name, *_means(self.of(name)), self.alone.get(name, 0)) for name in names]
        return [*rows, ("together", *_means(self.persons), sum(self.alone.values()))]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything by name, for JSON; means of nothing are null."""
        keys = ("annotator", "persons", "iou", "distance", "changed_cells", "alone")
        return {
            "annotators": [
                {key: None if value != value else value for key, value in zip(keys, row, strict=True)}
                for row in self.rows()
            ],
            "persons": [asdict(person) for person in self.persons],
            "accepted": self.accepted,
            "noise": [
                {"pixels": pixels, "iou": iou, "changed_cells": cells}
                for pixels, (iou, cells) in NOISE.items()
            ],
        }


def noise_of_cells(cells: float) -> float:
    """Returns the noise on every vertex, in pixels, that changes this many cells on average (`NOISE`).

    Linear from zero and between the measured values; above the last one, proportional to it.
    """
    known = np.array([(0.0, 0.0), *((pixels, changed) for pixels, (_, changed) in NOISE.items())])
    if cells <= known[-1, 1]:
        return float(np.interp(cells, known[:, 1], known[:, 0]))
    return float(known[-1, 0] * cells / known[-1, 1])


def agreement(packs: PackSet) -> AgreementReport:
    """Compares the outlines that pass the checks, for every person whom two annotators have.

    Raises:
        AnnotationError: no image of the packs is with two annotators.
    """
    if not packs.doubled:
        raise AnnotationError(
            PACKS_NAME,
            expected="images that two annotators have",
            found="none",
            hint="make packs with --double 5%: agreement compares two drawings of one person",
        )
    drawn: dict[str, dict[str, CheckedFile]] = defaultdict(dict)
    scenes = {}
    for pack, scene in packs.files:
        if scene.scene in packs.doubled:
            path = pack.folder / scene.file_name
            scenes[scene.scene] = scene
            drawn[scene.scene][pack.annotator] = checked_file(scene, path) if path.is_file() else _NOTHING
    persons = []
    alone: dict[str, int] = defaultdict(int)
    accepted = 0
    for name in sorted(drawn):
        for one, two in combinations(drawn[name], 2):
            both = drawn[name][one], drawn[name][two]
            for slot in scenes[name].slots:
                is_there = [slot.name in file.outlines for file in both]
                if all(is_there) and all(_is_accepted(file, slot.name) for file in both):
                    accepted += 1
                elif all(is_there):
                    pair = both[0].outlines[slot.name], both[1].outlines[slot.name]
                    compared = compare_outlines(*pair, slot.box)
                    persons.append(PersonAgreement(name, slot.name, (one, two), *compared))
                elif any(is_there):
                    alone[two if is_there[0] else one] += 1
    return AgreementReport(tuple(persons), dict(alone), accepted)


def _is_accepted(file: CheckedFile, slot: str) -> bool:
    return slot in file.touches and file.touches[slot].is_accepted


def compare_outlines(
    first: Outline, second: Outline, box: tuple[float, float, float, float]
) -> tuple[float, float, int]:
    """Returns the IoU of two outlines, the mean distance of their borders in pixels, and the changed cells.

    Args:
        box: xyxy, of the person: the 14x14 targets cover it.
    """
    one, two = first.to_shapely(), second.to_shapely()
    shared = shapely.intersection(one, two).area
    distance = (_mean_distance(one.boundary, two.boundary) + _mean_distance(two.boundary, one.boundary)) / 2
    targets = [
        coverage(outline.edges(), np.array([box], dtype=np.float64))[0] >= THRESHOLD
        for outline in (first, second)
    ]
    return shared / (one.area + two.area - shared), distance, int((targets[0] != targets[1]).sum())


def _mean_distance(border: Any, other: Any) -> float:
    """Mean distance of evenly spaced points of a border to another border."""
    shapely.prepare(other)
    points = [
        shapely.line_interpolate_point(line, np.arange(0, line.length, _STEP))
        for line in shapely.get_parts(border)
    ]
    return float(shapely.distance(np.concatenate(points), other).mean())


def _means(persons: Sequence[PersonAgreement]) -> tuple[int, float, float, float]:
    if not persons:
        return 0, float("nan"), float("nan"), float("nan")
    values = np.array([(person.iou, person.distance, person.changed_cells) for person in persons])
    iou, distance, cells = values.mean(axis=0).tolist()
    return len(persons), iou, distance, cells
