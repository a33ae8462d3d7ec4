"""The checks of what is drawn in one scene: each shape, each person, and persons beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any

import numpy as np
import shapely

from maskps.boxes import box_iou
from maskps.errors import AnnotationError
from maskps.findings import Finding, Level
from maskps.masks.assignment import MIN_FIT
from maskps.masks.labelme_file import HOLE_FLAG, LabelMeShape, told
from maskps.masks.outlines import Outline, outline_from_parts
from maskps_annotation.check_reading import is_shifted_ai_polygon
from maskps_annotation.check_rejected import slot_label
from maskps_annotation.pack_record import PackedScene, Slot
from maskps_annotation.shape_geometry import geometry_of_shape, polygon_of_shape

ACCESSORY_FLAG = "accessory"
UNSURE_FLAG = "unsure"

FITS_OTHER = 0.25
"""A drawing belongs to another slot if its bounds fit that box by half, as an IoU, and by so much better."""
OUTSIDE, FAR_OUTSIDE = 0.25, 0.7
"""Share of a person's area outside its box: from here on worth a look, and from there on wrong."""
SMALLEST, SMALL, LARGE = 0.005, 0.08, 0.9
"""Area as a share of that of the box: below the first wrong, below the second and above the third odd."""
OVERLAP, FAR_OVERLAP = 0.1, 0.5
"""Share of the smaller of two persons that both have: from here on worth a look, and from there on wrong."""
HOLE_OUTSIDE, FAR_HOLE_OUTSIDE = 0.25, 0.5
"""Share of a hole outside its person, likewise."""
INNER = 0.9
"""Share of a part that another one has as well, from which on it is taken for a hole."""
BEYOND = 0.5
"""Pixels by which a point may lie outside the image without a word: LabelMe cuts at the image itself."""
_BOX_MOVED = 0.5  # pixels


class Problems:
    """Findings of one file, and which slots have an error.

    Args:
        where: annotator and file.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.findings: list[Finding] = []
        self.blocked: set[str] = set()

    def add(
        self,
        code: str,
        level: Level,
        slot: str,
        found: str,
        *,
        expected: str = "",
        hint: str = "",
        shape: int | None = None,
    ) -> None:
        """Notes a finding about a slot, or about the whole file if `slot` is ""; an error blocks the slot."""
        where = " ".join(filter(None, (self.where, slot)))
        if shape is not None:
            where += f" (shape {shape})"
        self.findings.append(Finding(code, level, where, found, expected, hint))
        if level == "error":
            self.blocked.add(slot)


@dataclass
class _Person:
    """The shapes of one slot, as shapely geometries by index in the file."""

    slot: Slot
    parts: dict[int, Any] = field(default_factory=dict)
    accessories: dict[int, Any] = field(default_factory=dict)
    holes: dict[int, Any] = field(default_factory=dict)
    shapes: dict[int, LabelMeShape] = field(default_factory=dict)


def check_boxes(
    scene: PackedScene, rectangles: Iterable[tuple[int, LabelMeShape, str]], problems: Problems
) -> None:
    """Looks for pre-filled rectangles that were moved, renamed, deleted or copied; the record's box stays.

    Args:
        rectangles: index in the file, the shape, and the slot it was made for.
    """
    seen: dict[str, int] = {}
    for index, shape, name in rectangles:
        slot = next(slot for slot in scene.slots if slot.name == name)
        if name in seen:
            found = f"its rectangle is there twice; this one at {_corner(shape.points)} is not used"
            problems.add("box-doubled", "info", name, found, hint="delete one", shape=index)
            continue
        seen[name] = index
        corners = np.stack([shape.points.min(axis=0), shape.points.max(axis=0)])
        moved = float(np.abs(corners - slot.corners(scene.size)).max())
        if moved > _BOX_MOVED:
            found = (
                f"its rectangle was moved by {moved:.1f} pixels, to {_corner(corners)}; the record's is used"
            )
            hint = "nothing is lost; undo it if you want to see the box in its place"
            problems.add("box-moved", "warning", name, found, hint=hint, shape=index)
        if shape.label != name:
            found = f"its rectangle was renamed {told(shape.label)}"
            problems.add("box-renamed", "warning", name, found, hint=f"name it {name} again", shape=index)
    for slot in scene.slots:
        if slot.name not in seen:
            found = "its rectangle was deleted; the record's is used"
            problems.add("box-deleted", "info", slot.name, found)


def check_drawn(
    scene: PackedScene,
    shapes: Sequence[tuple[int, LabelMeShape]],
    version: tuple[int, ...],
    problems: Problems,
) -> dict[str, Outline]:
    """Returns the outline of every slot that has one, cut at the image, and notes what is wrong.

    A slot with an error may still have an outline: `problems.blocked` tells which do.

    Args:
        shapes: index in the file and shape of what annotators drew; not the pre-filled rectangles.
        version: of the LabelMe that wrote the file.
    """
    persons = _by_slot(scene, shapes, version, problems)
    outlines: dict[str, Outline] = {}
    for name, person in persons.items():
        body = _check_parts(person, problems)
        if body is None:
            continue
        outline = _outline(person, f"{problems.where} {name}", problems)
        if outline is not None:
            outline = _in_image(scene, name, outline, problems)
        if outline is not None:
            if name not in problems.blocked:  # what is missing or too much would be told twice
                _check_place(scene, person.slot, body, problems)
            outlines[name] = outline
    passing = {name: outline for name, outline in outlines.items() if name not in problems.blocked}
    _check_overlaps(passing, problems)  # a wrong drawing is no reason to hold back its neighbour
    return outlines


def _by_slot(
    scene: PackedScene,
    shapes: Sequence[tuple[int, LabelMeShape]],
    version: tuple[int, ...],
    problems: Problems,
) -> dict[str, _Person]:
    slots = {slot.name: slot for slot in scene.slots}
    persons: dict[str, _Person] = {}
    for index, shape in shapes:
        name = slot_label(shape) if slot_label(shape) in slots else None
        where = f"{problems.where} {shape.label} (shape {index})"
        try:
            geometry = geometry_of_shape(shape, where)
        except AnnotationError as error:
            code = _code_of_shape(shape)
            more = {"expected": error.expected, "hint": error.hint}
            problems.add(code, "error", name or told(shape.label), error.found, shape=index, **more)
            continue
        if geometry is None:
            found = f"a {shape.shape_type} at {_corner(shape.points)} has no area and is not used"
            hint = "draw a polygon, or delete it"
            problems.add("shape-without-area", "warning", name or told(shape.label), found, hint=hint)
            continue
        if name is None:
            _tell_unknown(scene, shape.label, geometry, index, problems)
            continue
        person = persons.setdefault(name, _Person(slots[name]))
        person.shapes[index] = shape
        kind = person.parts
        if shape.flags.get(HOLE_FLAG):
            kind = person.holes
        elif shape.flags.get(ACCESSORY_FLAG):
            kind = person.accessories
        kind[index] = geometry
        _remark(shape, name, index, version, problems)
    return persons


def _remark(shape: LabelMeShape, name: str, index: int, version: tuple[int, ...], problems: Problems) -> None:
    if shape.flags.get(UNSURE_FLAG):
        found = f"marked as unsure, at {_corner(shape.points)}"
        problems.add("unsure", "info", name, found, hint="look at it in the review", shape=index)
    if shape.shape_type == "rectangle":
        found = f"a rectangle at {_corner(shape.points)} as the outline"
        problems.add("rectangle-drawn", "warning", name, found, hint="draw a polygon", shape=index)
    points = polygon_of_shape(shape)
    if points is not None and is_shifted_ai_polygon(points, version):
        found = "drawn by LabelMe's AI tool in a version that shifts it half a pixel to the right and down"
        hint = "use LabelMe 7 for AI polygons; nothing was moved here"
        problems.add("ai-polygon-shifted", "warning", name, found, hint=hint, shape=index)


def _code_of_shape(shape: LabelMeShape) -> str:
    if shape.shape_type == "mask":
        return "mask-unreadable"
    points = polygon_of_shape(shape)
    if points is None or len(np.unique(points, axis=0)) < 3:
        return "too-few-points"
    on_line = shapely.MultiPoint(points).convex_hull.area == 0
    return "no-area" if on_line else "self-crossing"


def _tell_unknown(scene: PackedScene, label: str, geometry: Any, index: int, problems: Problems) -> None:
    names = ", ".join(slot.name for slot in scene.slots) or "none"
    fits = _fits(scene, geometry)
    at = f"at {_corner(np.array(geometry.bounds))}"
    if len(fits) and fits.max() >= MIN_FIT:
        best = scene.slots[int(fits.argmax())].name
        found = f"{at}: no slot has this name; it fits the box of {best}"
        hint = f"name it {best} if it is that person"
        problems.add(
            "label-unknown", "error", told(label), found, expected=f"one of {names}", hint=hint, shape=index
        )
    else:
        found = f"{at}: a mask of a person who needs none; it fits no slot's box"
        hint = "delete it: only the persons with a rectangle are drawn"
        problems.add(
            "person-needs-none",
            "error",
            told(label),
            found,
            expected=f"only {names}",
            hint=hint,
            shape=index,
        )


def _check_parts(person: _Person, problems: Problems) -> Any | None:
    """Checks how the shapes of a person belong together; returns its body, None if there is none."""
    name = person.slot.name
    if not person.parts:
        kinds = [kind for kind, of in (("hole", person.holes), ("accessory", person.accessories)) if of]
        if kinds and name not in problems.blocked:
            index = min([*person.holes, *person.accessories])
            found = f"a shape marked as {' and as '.join(kinds)}, but no person it belongs to"
            hint = f"draw {name}, or take the mark off"
            problems.add("part-alone", "error", name, found, hint=hint, shape=index)
        return None
    groups: dict[object, list[int]] = defaultdict(list)
    for index in person.parts:
        group = person.shapes[index].group_id
        groups[("shape", index) if group is None else group].append(index)
    if len(groups) > 1:
        places = ", ".join(_corner(np.array(person.parts[of[0]].bounds)) for of in list(groups.values())[:4])
        problems.add(
            "slot-twice",
            "error",
            name,
            f"drawn {len(groups)} times, at {places}",
            hint="parts of one person: the same group_id; a hole: mark it; else rename or delete one",
        )
    _check_inner_parts(person, list(groups.values()), problems)
    body = shapely.union_all(list(person.parts.values()))
    whole = shapely.union_all([body, *person.accessories.values()])
    for index, hole in person.holes.items():
        outside = 1 - shapely.intersection(whole, hole).area / hole.area
        if outside >= HOLE_OUTSIDE:
            problems.add(
                "hole-outside-person",
                "error" if outside >= FAR_HOLE_OUTSIDE else "warning",
                name,
                f"{outside:.0%} of the hole at {_corner(np.array(hole.bounds))} is outside the person",
                hint="move it into the person, or take the flag 'hole' off",
                shape=index,
            )
    return shapely.difference(body, shapely.union_all(list(person.holes.values()))) if person.holes else body


def _check_inner_parts(person: _Person, groups: Iterable[list[int]], problems: Problems) -> None:
    """Looks for parts of a group that lie in another part of it: holes that nobody marked."""
    for indices in groups:
        for index, other in permutations(indices, 2):
            part, around = person.parts[index], person.parts[other]
            if part.area < around.area and shapely.intersection(part, around).area >= INNER * part.area:
                found = (
                    f"the part at {_corner(np.array(part.bounds))} lies within another part and adds nothing"
                )
                hint = "mark it 'hole' if it is one, else delete it"
                problems.add("part-within-part", "warning", person.slot.name, found, hint=hint, shape=index)
                break


def _check_place(scene: PackedScene, slot: Slot, body: Any, problems: Problems) -> None:
    """Compares a person's body, without accessories, with the boxes of the scene."""
    if body.area == 0:
        return  # told as an outline without an area
    at = f"at {_corner(np.array(body.bounds))}"
    fits = _fits(scene, body)
    own = [other.name for other in scene.slots].index(slot.name)
    best = int(fits.argmax())
    inside = shapely.intersection(body, shapely.box(*slot.box)).area
    box_area = (slot.box[2] - slot.box[0]) * (slot.box[3] - slot.box[1])
    outside, share = 1 - inside / body.area, body.area / box_area
    least = MIN_FIT if outside >= FAR_OUTSIDE else 0.5
    if best != own and fits[best] >= max(least, fits[own] + FITS_OTHER):
        other = scene.slots[best]
        covered = shapely.intersection(body, shapely.box(*other.box)).area
        covered /= (other.box[2] - other.box[0]) * (other.box[3] - other.box[1])
        found = f"{at}: covers {covered:.0%} of {other.name}'s box and {inside / box_area:.0%} of its own"
        hint = f"name it {other.name} if it is that person"
        problems.add("fits-other-slot", "error", slot.name, found, hint=hint)
        return
    if outside >= FAR_OUTSIDE:
        found = f"{at}: {outside:.0%} of it is outside its box at {_corner(np.array(slot.box))}"
        hint = "draw the person in the rectangle; delete the drawing of anybody else"
        problems.add("far-outside-box", "error", slot.name, found, hint=hint)
        return
    if outside >= OUTSIDE:
        found = f"{at}: {outside:.0%} of it is outside its box at {_corner(np.array(slot.box))}"
        hint = "right if an arm or a leg is there; mark bags and prams as 'accessory'"
        problems.add("sticks-out", "warning", slot.name, found, hint=hint)
    if share < SMALLEST:
        hint = "delete what is not meant, draw the person"
        problems.add("area-tiny", "error", slot.name, f"{at}: {share:.2%} of its box", hint=hint)
    elif share < SMALL:
        hint = "right if the person is nearly hidden"
        problems.add("area-small", "warning", slot.name, f"{at}: {share:.1%} of its box", hint=hint)
    elif share > LARGE:
        hint = "draw the person's border, not the box"
        problems.add("area-large", "warning", slot.name, f"{at}: {share:.0%} of its box", hint=hint)


def _fits(scene: PackedScene, geometry: Any) -> np.ndarray:
    """(N,) IoU of the bounds of a shape with the box of each slot."""
    boxes = np.array([slot.box for slot in scene.slots]).reshape(-1, 4)
    return box_iou(np.array(geometry.bounds)[None], boxes)[0]


def _outline(person: _Person, where: str, problems: Problems) -> Outline | None:
    """Returns parts and accessories of a person, united, without the holes."""
    solid = person.parts | person.accessories
    try:
        return outline_from_parts(
            [solid[index] for index in sorted(solid)], holes=list(person.holes.values()), where=where
        )
    except AnnotationError as error:
        problems.add("nothing-left", "error", person.slot.name, error.found, hint=error.hint)
        return None


def _in_image(scene: PackedScene, name: str, outline: Outline, problems: Problems) -> Outline | None:
    width, height = scene.size
    clipped = outline.clipped((0, 0, width, height))
    if clipped.is_empty:
        found = f"all of it, from {_corner(outline.bounds)} on, lies outside the image"
        problems.add("all-outside-image", "error", name, found, hint="delete it and draw the person")
        return None
    points = np.concatenate(outline.rings)
    beyond = np.maximum(-points, points - (width, height)).max(axis=1)
    if beyond.max() > BEYOND:
        x, y = points[beyond.argmax()]
        found = (
            f"a point at ({x:.1f}, {y:.1f}), {beyond.max():.1f} pixels outside the image; it was cut there"
        )
        problems.add("outside-image", "warning", name, found, hint="nothing, or move it to the border")
    return clipped


def _check_overlaps(outlines: dict[str, Outline], problems: Problems) -> None:
    for (one, first), (two, second) in combinations(outlines.items(), 2):
        low = np.maximum(first.bounds[:2], second.bounds[:2])
        if not (low < np.minimum(first.bounds[2:], second.bounds[2:])).all():
            continue
        shared = shapely.intersection(first.to_shapely(), second.to_shapely())
        share = shared.area / min(first.area, second.area)
        if share < OVERLAP:
            continue
        for slot, other in ((one, two), (two, one)):
            problems.add(
                "persons-overlap",
                "error" if share >= FAR_OVERLAP else "warning",
                slot,
                f"{share:.0%} of the smaller one is also {other}, at {_corner(np.array(shared.bounds))}",
                hint="draw only what is visible: a pixel shows one person",
            )


def _corner(bounds: Any) -> str:
    """The upper left corner of bounds, or of (K, 2) points, for people."""
    points = np.asarray(bounds, dtype=np.float64).reshape(-1, 2)
    return "({:.1f}, {:.1f})".format(*points.min(axis=0))
