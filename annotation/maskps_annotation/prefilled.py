"""The LabelMe file that an annotator starts from, and whether it is still as it was handed out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maskps.masks.labelme_file import HOLE_FLAG, LabelMeFile, LabelMeShape
from maskps.masks.outlines import ring_area
from maskps_annotation.labelme_config import IMAGE_FLAGS
from maskps_annotation.pack_record import PackedScene, Slot

SLOT_KEY = "maskps_slot"
"""Private key of a pre-filled rectangle: {"name", "person", "identity", "box"} of its slot."""

FILE_KEY = "maskps"
"""Private key of a LabelMe file of a pack: {"scene", "sha256", "fingerprint"}."""


def prefilled(scene: PackedScene, fingerprint: str) -> LabelMeFile:
    """Returns the LabelMe file that an annotator starts from: a rectangle per person, nothing drawn.

    Of a person to correct, the reasons are the rectangle's description, and the rejected outline is there.
    """
    rectangles = [_rectangle(slot, scene.size) for slot in scene.slots]
    return LabelMeFile(
        image_path=scene.image,
        width=scene.size[0],
        height=scene.size[1],
        shapes=(*rectangles, *(shape for slot in scene.slots for shape in rejected_shapes(slot))),
        flags=dict.fromkeys(IMAGE_FLAGS, False),
        extra={FILE_KEY: {"scene": scene.scene, "sha256": scene.sha256, "fingerprint": fingerprint}},
    )


def rejected_shapes(slot: Slot) -> Iterator[LabelMeShape]:
    """Yields the rejected outline of a slot as polygons to mend: one per part and one per hole."""
    rings = slot.correction.outline.rings if slot.correction is not None else ()
    group = 1 if sum(ring_area(ring) > 0 for ring in rings) > 1 else None
    for ring in rings:
        flags = {HOLE_FLAG: True} if ring_area(ring) < 0 else {}
        yield LabelMeShape(slot.name, ring, "polygon", group, flags)


def reason_text(slot: Slot) -> str:
    """Returns the reasons why a person is to be drawn again, one per line; "" if it is not."""
    return "" if slot.correction is None else "\n".join(slot.correction.reasons)


def is_prefilled(shape: LabelMeShape) -> bool:
    """Tells whether a shape is a rectangle that the pack came with, wherever it was moved to."""
    return shape.shape_type == "rectangle" and SLOT_KEY in shape.extra


def is_untouched(file: LabelMeFile, scene: PackedScene) -> bool:
    """Tells whether nobody has drawn, moved, deleted or ticked anything in a file of a pack."""
    expected = prefilled(scene, "").shapes
    return (
        not any(file.flags.values())
        and len(file.shapes) == len(expected)
        and all(_is_same(shape, other) for shape, other in zip(file.shapes, expected, strict=True))
    )


def _rectangle(slot: Slot, size: tuple[int, int]) -> LabelMeShape:
    place = {"name": slot.name, "person": slot.person, "identity": slot.identity, "box": list(slot.box)}
    reasons = {"description": reason_text(slot)} if slot.correction is not None else {}
    return LabelMeShape(
        slot.name,
        slot.corners(size),
        "rectangle",
        extra={
            **reasons,
            "locked": True,  # LabelMe after 7.1 does not let it be moved then
            SLOT_KEY: place,
        },
    )


def _is_same(shape: LabelMeShape, other: LabelMeShape) -> bool:
    return (
        shape.label == other.label
        and shape.shape_type == other.shape_type
        and is_prefilled(shape) == is_prefilled(other)
        and shape.group_id == other.group_id
        and _ticked(shape) == _ticked(other)
        and shape.extra.get("description", "") == other.extra.get("description", "")
        and shape.points.shape == other.points.shape
        and bool(np.allclose(shape.points, other.points, rtol=0, atol=0.01))
    )


def _ticked(shape: LabelMeShape) -> set[str]:
    return {flag for flag, is_ticked in shape.flags.items() if is_ticked}
