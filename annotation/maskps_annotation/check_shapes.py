"""The checks of one file of a pack: its rectangles, and the drawn persons against slots and boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import numpy as np
import shapely

from maskps.boxes import box_iou
from maskps.errors import shown_value
from maskps.masks.assignment import MIN_FIT, covered_beside
from maskps.masks.labelme_file import LabelMeShape
from maskps.masks.outlines import Outline, outline_from_shapely
from maskps_annotation.drawn_persons import DrawnPerson, FileFindings, corner, outline_of_person
from maskps_annotation.pack_record import PackedScene, Slot

FITS_OTHER = 0.25
"""A drawing belongs to another slot if its bounds fit that box by an IoU of half, and by this much better."""
OUTSIDE, FAR_OUTSIDE = 0.25, 0.7
"""Share of a person's area outside its box: a warning from the first on, an error from the second on."""
SMALLEST, SMALL, LARGE = 0.005, 0.08, 0.9
"""Area as a share of the box: an error below the first, a warning below the second or above the third."""
OVERLAP, FAR_OVERLAP = 0.1, 0.5
"""Share of the smaller of two persons that both have: a warning from the first, an error from the second."""
BEYOND = 0.5
"""Pixels by which a point may lie outside the image without a finding: LabelMe cuts at the image itself."""
_BOX_MOVED = 0.5  # pixels


def check_boxes(
    scene: PackedScene, rectangles: Iterable[tuple[int, LabelMeShape, str]], findings: FileFindings
) -> None:
    """Looks for pre-filled rectangles that were moved, renamed, deleted or copied; the record's box counts.

    Args:
        rectangles: index in the file, the shape, and the slot it was made for.
    """
    seen: set[str] = set()
    slots = {slot.name: slot for slot in scene.slots}
    for index, shape, name in rectangles:
        if name in seen:
            found = f"its rectangle is there twice; this one at {corner(shape.points)} is not used"
            findings.add("box-doubled", "info", name, found, hint="delete one", shape=index)
            continue
        seen.add(name)
        corners = np.stack([shape.points.min(axis=0), shape.points.max(axis=0)])
        moved = float(np.abs(corners - slots[name].corners(scene.size)).max())
        if moved > _BOX_MOVED:
            found = (
                f"its rectangle was moved by {moved:.1f} pixels, to {corner(corners)}; the record's is used"
            )
            hint = "nothing is lost; undo it if you want to see the box in its place"
            findings.add("box-moved", "warning", name, found, hint=hint, shape=index)
        if shape.label != name:
            found = f"its rectangle was renamed {shown_value(shape.label)}"
            findings.add("box-renamed", "warning", name, found, hint=f"name it {name} again", shape=index)
    for name in slots:
        if name not in seen:
            found = "its rectangle was deleted; the record's is used"
            findings.add("box-deleted", "info", name, found)


def check_drawn(
    scene: PackedScene, persons: Iterable[DrawnPerson], version: tuple[int, ...], findings: FileFindings
) -> dict[str, Outline]:
    """Returns the outline of every slot that has one, cut at the image, and adds what is wrong.

    A slot with an error may still have an outline: `findings.blocked` holds its name.

    Args:
        version: of the LabelMe that wrote the file.
    """
    slots = {slot.name: slot for slot in scene.slots}
    outlines: dict[str, Outline] = {}
    for person in persons:
        slot = slots.get(str(person.key))
        if slot is None:
            _add_unknown(scene, person, findings)
            continue
        outline = outline_of_person(person, version, findings, is_pack=True)
        if outline is not None:
            outline = _in_image(scene, person, outline, findings)
        if outline is not None:
            for check in PERSON_CHECKS if person.body.area else ():
                if slot.name not in findings.blocked:  # the same fault would be reported twice
                    check(scene, slot, person, findings)
            outlines[slot.name] = outline
    passing = {name: outline for name, outline in outlines.items() if name not in findings.blocked}
    _check_overlaps(passing, findings)  # a wrong drawing is no reason to hold back its neighbour
    return outlines


def _add_unknown(scene: PackedScene, person: DrawnPerson, findings: FileFindings) -> None:
    """Adds an error for each shape whose label is not a slot."""
    names = ", ".join(slot.name for slot in scene.slots) or "none"
    for index, area in (person.parts | person.accessories | person.holes).items():
        fits = _fits(scene, area)
        at = f"at {corner(area.bounds)}"
        if len(fits) and fits.max() >= MIN_FIT:
            best = scene.slots[int(fits.argmax())].name
            found = f"{at}: no slot has this name; it fits the box of {best}"
            hint = f"name it {best} if it is that person"
            expected = f"one of {names}"
            findings.add("label-unknown", "error", person, found, expected=expected, hint=hint, shape=index)
        else:
            found = f"{at}: a person who needs no mask; it fits no slot's box"
            hint = "delete it: only the persons with a rectangle are drawn"
            expected = f"only {names}"
            findings.add(
                "person-needs-none", "error", person, found, expected=expected, hint=hint, shape=index
            )


def _check_fit(scene: PackedScene, slot: Slot, person: DrawnPerson, findings: FileFindings) -> None:
    """Looks for a person who fits another slot's box much better than their own."""
    fits = _fits(scene, person.body)
    own = [other.name for other in scene.slots].index(slot.name)
    best = int(fits.argmax())
    outside = 1 - _covered(person, slot) / person.body.area
    least = MIN_FIT if outside >= FAR_OUTSIDE else 0.5
    if best != own and fits[best] >= max(least, fits[own] + FITS_OTHER):
        other = scene.slots[best]
        theirs, ours = (_covered(person, one) / _box_area(one) for one in (other, slot))
        at = corner(person.body.bounds)
        found = f"at {at}: covers {theirs:.0%} of {other.name}'s box and {ours:.0%} of its own"
        hint = f"name it {other.name} if it is that person"
        findings.add("fits-other-slot", "error", person, found, hint=hint)


def _check_several(scene: PackedScene, slot: Slot, person: DrawnPerson, findings: FileFindings) -> None:
    """Looks for a drawing that covers the box of another person beside its own."""
    others = [other for other in scene.slots if other.name != slot.name]
    outline = outline_from_shapely(person.body)
    is_covered = covered_beside(outline, slot.box, [other.box for other in others])
    if is_covered.any():
        names = ", ".join(other.name for other, covered in zip(others, is_covered, strict=True) if covered)
        found = f"at {corner(person.body.bounds)}: one drawing over the boxes of {slot.name} and {names}"
        hint = f"draw {names} under their own names"
        findings.add("drawing-of-several", "error", person, found, hint=hint)


def _check_outside(scene: PackedScene, slot: Slot, person: DrawnPerson, findings: FileFindings) -> None:
    """Looks for a person who lies partly or mostly outside the box."""
    outside = 1 - _covered(person, slot) / person.body.area
    at = corner(person.body.bounds)
    found = f"at {at}: {outside:.0%} of it is outside its box at {corner(slot.box)}"
    if outside >= FAR_OUTSIDE:
        hint = "draw the person in the rectangle; delete the drawing of anybody else"
        findings.add("far-outside-box", "error", person, found, hint=hint)
    elif outside >= OUTSIDE:
        hint = "right if an arm or a leg is there; mark bags and prams as 'accessory'"
        findings.add("sticks-out", "warning", person, found, hint=hint)


def _check_area(scene: PackedScene, slot: Slot, person: DrawnPerson, findings: FileFindings) -> None:
    """Looks for a person who is very small or very large for the box."""
    at = corner(person.body.bounds)
    share = person.body.area / _box_area(slot)
    if share < SMALLEST:
        hint = "delete it if it is a slip, and draw the person"
        findings.add("area-tiny", "error", person, f"at {at}: {share:.2%} of its box", hint=hint)
    elif share < SMALL:
        hint = "right if the person is nearly hidden"
        findings.add("area-small", "warning", person, f"at {at}: {share:.1%} of its box", hint=hint)
    elif share > LARGE:
        hint = "draw the person's border, not the box"
        findings.add("area-large", "warning", person, f"at {at}: {share:.0%} of its box", hint=hint)


PersonCheck = Callable[[PackedScene, Slot, DrawnPerson, FileFindings], None]
PERSON_CHECKS: list[PersonCheck] = [_check_fit, _check_several, _check_outside, _check_area]
"""Checks of one drawn person against the scene, in this order until one adds an error.

They judge `DrawnPerson.body`, which has an area and leaves accessories out."""


def _covered(person: DrawnPerson, slot: Slot) -> float:
    """Returns the area of a person's body inside a slot's box."""
    return float(shapely.intersection(person.body, shapely.box(*slot.box)).area)


def _box_area(slot: Slot) -> float:
    return float(shapely.box(*slot.box).area)


def _fits(scene: PackedScene, area: Any) -> np.ndarray:
    """(N,) IoU of the bounds of a shape with the box of each slot."""
    boxes = np.array([slot.box for slot in scene.slots]).reshape(-1, 4)
    return box_iou(np.array(area.bounds)[None], boxes)[0]


def _in_image(
    scene: PackedScene, person: DrawnPerson, outline: Outline, findings: FileFindings
) -> Outline | None:
    """Returns the outline cut at the image; None if nothing of it is there."""
    width, height = scene.size
    clipped = outline.clipped((0, 0, width, height))
    if clipped.is_empty:
        found = f"all of it, from {corner(outline.bounds)} on, lies outside the image"
        findings.add("all-outside-image", "error", person, found, hint="delete it and draw the person")
        return None
    points = np.concatenate(outline.rings)
    beyond = np.maximum(-points, points - (width, height)).max(axis=1)
    if beyond.max() > BEYOND:
        x, y = points[beyond.argmax()]
        found = (
            f"a point at ({x:.1f}, {y:.1f}), {beyond.max():.1f} pixels outside the image; it was cut there"
        )
        hint = "nothing, or move it to the border"
        findings.add("outside-image", "warning", person, found, hint=hint)
    return clipped


def _check_overlaps(outlines: dict[str, Outline], findings: FileFindings) -> None:
    for (one, first), (two, second) in combinations(outlines.items(), 2):
        low = np.maximum(first.bounds[:2], second.bounds[:2])
        if not (low < np.minimum(first.bounds[2:], second.bounds[2:])).all():
            continue
        shared = shapely.intersection(first.to_shapely(), second.to_shapely())
        share = shared.area / min(first.area, second.area)
        if share < OVERLAP:
            continue
        for slot, other in ((one, two), (two, one)):
            findings.add(
                "persons-overlap",
                "error" if share >= FAR_OVERLAP else "warning",
                slot,
                f"{share:.0%} of the smaller one is also {other}, at {corner(shared.bounds)}",
                hint="draw only what is visible: a pixel shows one person",
            )
