"""What a pack gives to LabelMe: its configuration, and the file that an annotator starts from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from maskps.masks.labelme_file import HOLE_FLAG, LabelMeFile, LabelMeShape
from maskps.masks.outlines import ring_area
from maskps_annotation.pack_record import PackedScene, Slot, slot_content

CONFIG_NAME = "labelmerc.yaml"
DONE_FLAG = "done"
"""Flag of an image whose persons are all drawn. LabelMe saves the file as soon as it is ticked."""
PROBLEM_FLAG = "problem"
"""Flag of an image that the annotator cannot finish."""
CHECKED_FLAG = "proposals-checked"
"""Flag of an image that is done: somebody looked at every proposal, and those left unchanged are right."""
PROPOSED_FLAG = "proposed"
"""Flag of a shape that was proposed; without the flag, somebody has accepted it."""
ACCESSORY_FLAG = "accessory"
"""Flag of a shape that belongs to its person but may stand out of the box: a bag, a pram."""
UNSURE_FLAG = "unsure"
"""Flag of a shape that a reviewer should look at."""
IMAGE_FLAGS = (DONE_FLAG, PROBLEM_FLAG)
SHAPE_FLAGS = (HOLE_FLAG, ACCESSORY_FLAG, UNSURE_FLAG)

SLOT_KEY = "maskps_slot"
"""Private key of a pre-filled rectangle: `slot_content` of its slot."""

FILE_KEY = "maskps"
"""Private key of a LabelMe file of a pack: {"scene", "sha256", "fingerprint"}."""


def labelme_config(slots: int, *, proposals: bool = False) -> str:
    """Returns LabelMe's configuration for scenes of up to `slots` persons, as YAML.

    It holds only keys that LabelMe 6 and 7 both know, and is given with --config, so that the annotator's own
    ~/.labelmerc changes nothing. Shapes are never copied from the previous image (`keep_prev`), files are
    saved after every stroke and hold no pixels, and only the labels p1, p2, ... are accepted.
    """
    values: dict[str, object] = {
        "auto_save": True,
        "with_image_data": False,
        "keep_prev": False,
        "labels": [f"p{number}" for number in range(1, slots + 1)],
        "sort_labels": False,  # p10 would stand before p2
        "validate_label": "exact",
        "flags": list(_image_flags(proposals)),
        "label_flags": {"p[0-9]+$": [*SHAPE_FLAGS, *([PROPOSED_FLAG] if proposals else [])]},
    }
    # JSON is YAML: no quoting of our own.
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items())


def prefilled(scene: PackedScene, fingerprint: str) -> LabelMeFile:
    """Returns the LabelMe file that an annotator starts from: a rectangle per person, nothing drawn.

    A proposed outline is drawn, with a flag. For a person to correct, the rectangle's description holds the
    reasons, and the rejected outline is drawn.
    """
    proposals = any(slot.proposal is not None for slot in scene.slots)
    rectangles = [_rectangle(slot, scene.size) for slot in scene.slots]
    return LabelMeFile(
        image_path=scene.image,
        width=scene.size[0],
        height=scene.size[1],
        shapes=(*rectangles, *(shape for slot in scene.slots for shape in _given_shapes(slot))),
        flags=dict.fromkeys(_image_flags(proposals), False),
        extra={FILE_KEY: {"scene": scene.scene, "sha256": scene.sha256, "fingerprint": fingerprint}},
    )


def reason_text(slot: Slot) -> str:
    """Returns the reasons why a person must be drawn again, one per line; "" for the first time."""
    return "" if slot.correction is None else "\n".join(slot.correction.reasons)


def is_prefilled(shape: LabelMeShape) -> bool:
    """Whether a shape is a rectangle that the pack came with, wherever it was moved to."""
    return shape.shape_type == "rectangle" and SLOT_KEY in shape.extra


def is_untouched(file: LabelMeFile, scene: PackedScene) -> bool:
    """Whether nobody has drawn, moved, deleted or ticked anything in a file of a pack."""
    expected = prefilled(scene, "").shapes
    return (
        not any(file.flags.values())
        and len(file.shapes) == len(expected)
        and all(_is_same(shape, other) for shape, other in zip(file.shapes, expected, strict=True))
    )


def says_done(flags: Mapping[str, bool]) -> bool:
    """Whether an annotator ticked an image as done, with or without a word about the proposals."""
    return bool(flags.get(DONE_FLAG) or flags.get(CHECKED_FLAG))


def _image_flags(proposals: bool) -> tuple[str, ...]:
    return (*IMAGE_FLAGS, CHECKED_FLAG) if proposals else IMAGE_FLAGS


def _given_shapes(slot: Slot) -> Iterator[LabelMeShape]:
    """Yields the rejected or proposed outline of a slot as polygons to mend: one per part and per hole."""
    rings = slot.given.rings
    group = 1 if sum(ring_area(ring) > 0 for ring in rings) > 1 else None
    for ring in rings:
        flags = {HOLE_FLAG: True} if ring_area(ring) < 0 else {}
        if slot.proposal is not None:
            flags[PROPOSED_FLAG] = True
        yield LabelMeShape(slot.name, ring, "polygon", group, flags)


def _rectangle(slot: Slot, size: tuple[int, int]) -> LabelMeShape:
    reasons = {"description": reason_text(slot)} if slot.correction is not None else {}
    locked = {"locked": True}  # LabelMe after 7.1 does not let it be moved then
    extra = {**reasons, **locked, SLOT_KEY: slot_content(slot)}
    return LabelMeShape(slot.name, slot.corners(size), "rectangle", extra=extra)


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
