"""Which outlines of a pack of corrections came back as they were rejected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import shapely

from maskps.errors import AnnotationError
from maskps.masks.labelme_file import HOLE_FLAG, LabelMeShape
from maskps.masks.outlines import outline_from_parts
from maskps_annotation.pack_record import PackedScene
from maskps_annotation.prefilled import rejected_shapes
from maskps_annotation.shape_geometry import geometry_of_shape

SAME = 0.01
"""Pixels by which the border of an outline that nobody changed may lie elsewhere, on average."""


def slot_label(shape: LabelMeShape) -> str:
    """Returns the name of the slot that an annotator means: capitals and spaces around it do not count."""
    return shape.label.strip().casefold()


def unchanged_slots(scene: PackedScene, shapes: Sequence[LabelMeShape]) -> set[str]:
    """Returns the slots whose shapes still enclose what was rejected: also with points added on a line.

    Args:
        shapes: what is drawn in the file; not the pre-filled rectangles.
    """
    by_slot: dict[str, list[LabelMeShape]] = defaultdict(list)
    for shape in shapes:
        by_slot[slot_label(shape)].append(shape)
    return {
        slot.name
        for slot in scene.slots
        if slot.correction is not None
        and slot.correction.rejected
        and _is_same(by_slot[slot.name], list(rejected_shapes(slot)))
    }


def _is_same(shapes: Sequence[LabelMeShape], rejected: Sequence[LabelMeShape]) -> bool:
    try:
        now, before = _area(shapes), _area(rejected)
    except AnnotationError:  # nothing is left, or a shape without an area: told as such
        return False
    return bool(shapely.symmetric_difference(now, before).area <= SAME * before.length)


def _area(shapes: Sequence[LabelMeShape]) -> Any:
    solid: list[Any] = []
    holes: list[Any] = []
    for shape in shapes:
        geometry = geometry_of_shape(shape, shape.label)
        if geometry is not None:
            (holes if shape.flags.get(HOLE_FLAG) else solid).append(geometry)
    return outline_from_parts(solid, holes=holes, where="").to_shapely()
