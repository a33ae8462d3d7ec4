"""From the shapes of a LabelMe file to persons: the same rules for `annotate check` and `build-subset`.

The caller decides whose each shape is. Here the parts of a person are united, holes are cut out, and whatever
is odd about the shapes becomes a finding. What depends on slots and boxes stands in `check_shapes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from maskps.errors import AnnotationError, shown_value
from maskps.findings import Finding, Level
from maskps.masks.labelme_file import HOLE_FLAG, LabelMeShape
from maskps.masks.outlines import Outline, outline_from_parts
from maskps_annotation.pack_files import ACCESSORY_FLAG, UNSURE_FLAG
from maskps_annotation.reading import ReadFile
from maskps_annotation.shape_geometry import geometry_of_shape, polygon_of_shape

HOLE_OUTSIDE, FAR_HOLE_OUTSIDE = 0.25, 0.5
"""Share of a hole outside its person: a warning from the first on, an error from the second on."""
INNER = 0.9
"""A part that lies within another part by this share or more is probably a hole that nobody marked."""
LAST_SHIFTED = (6, 3, 1)
"""LabelMe up to this version shifts what its AI tools draw by half a pixel."""


@dataclass
class DrawnPerson:
    """The shapes of one person in one file.

    Attributes:
        key: identifies the person for the caller.
        name: names the person in findings.
        shapes: index in the file -> shape, for shapes with an area.
        parts, accessories, holes: index in the file -> area, a valid shapely polygon, single or multiple.
    """

    key: Hashable
    name: str
    shapes: dict[int, LabelMeShape] = field(default_factory=dict)
    parts: dict[int, Any] = field(default_factory=dict)
    accessories: dict[int, Any] = field(default_factory=dict)
    holes: dict[int, Any] = field(default_factory=dict)

    @cached_property
    def body(self) -> Any:
        """The union of the parts without the holes, as a shapely geometry; accessories do not count."""
        body = shapely.union_all(list(self.parts.values()))
        return shapely.difference(body, shapely.union_all(list(self.holes.values()))) if self.holes else body

    def outline(self) -> Outline:
        """Returns the union of parts and accessories without the holes.

        Raises:
            AnnotationError: nothing is left.
        """
        solid = self.parts | self.accessories
        areas = [solid[index] for index in sorted(solid)]
        return outline_from_parts(areas, holes=list(self.holes.values()), where=self.name)


class FileFindings:
    """The findings about one file, and who has an error.

    Args:
        where: names the file.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: list[Finding] = []
        self.blocked: set[Hashable] = set()

    def add(
        self,
        code: str,
        level: Level,
        who: str | DrawnPerson,
        found: str,
        *,
        expected: str = "",
        hint: str = "",
        shape: int | None = None,
    ) -> None:
        """Adds a finding; an error blocks the person.

        Args:
            who: a person, the name of a slot, or "" for the whole file.
            shape: index in the file.
        """
        name, key = (who.name, who.key) if isinstance(who, DrawnPerson) else (who, who)
        where = " ".join(filter(None, (self.where, name)))
        if shape is not None:
            where += f" (shape {shape})"
        self.found.append(Finding(code, level, where, found, expected, hint))
        if level == "error":
            self.blocked.add(key)


def add_notes(file: ReadFile, findings: FileFindings, *, slots: Collection[str] = ()) -> None:
    """Adds what the reader corrected, and the shapes that make no sense."""
    for note in file.notes:
        findings.add("read-as", "info", "", note)
    for label, bad in file.bad_shapes:
        code = "too-few-points" if "points" in bad.expected and bad.found.isdigit() else "shape-invalid"
        name = label if label in slots else shown_value(label)
        found = f"{bad.where.removeprefix(findings.where).strip()}: {bad.found}"
        hint = bad.hint or "draw it again, or delete it"
        findings.add(code, "error", name, found, expected=bad.expected, hint=hint)


def group_shapes(
    shapes: Iterable[tuple[int, LabelMeShape]],
    person_of: Callable[[int, LabelMeShape], tuple[Hashable, str] | None],
    findings: FileFindings,
) -> list[DrawnPerson]:
    """Returns the shapes by person, in the order of their first shapes.

    Args:
        shapes: index in the file, and shape.
        person_of: returns key and name of a shape's person; None skips the shape.
    """
    persons: dict[Hashable, DrawnPerson] = {}
    for index, shape in shapes:
        who = person_of(index, shape)
        if who is None:
            continue
        person = persons.setdefault(who[0], DrawnPerson(*who))
        try:
            area = geometry_of_shape(shape, findings.where)
        except AnnotationError as error:
            code = _code_of_shape(shape)
            more = {"expected": error.expected, "hint": error.hint}
            findings.add(code, "error", person, error.found, shape=index, **more)
            continue
        if area is None:
            found = f"a {shape.shape_type} at {corner(shape.points)} has no area and is not used"
            hint = "draw a polygon, or delete it"
            findings.add("shape-without-area", "warning", person, found, hint=hint, shape=index)
            continue
        person.shapes[index] = shape
        if shape.flags.get(HOLE_FLAG):
            person.holes[index] = area
        elif shape.flags.get(ACCESSORY_FLAG):
            person.accessories[index] = area
        else:
            person.parts[index] = area
    return [person for person in persons.values() if person.shapes]


def outline_of_person(
    person: DrawnPerson, version: tuple[int, ...], findings: FileFindings, *, is_pack: bool
) -> Outline | None:
    """Returns the outline of a person, or None, and adds what is odd about the shapes.

    A person with an error may still have an outline: `findings.blocked` holds the key.

    Args:
        version: of the LabelMe that wrote the file.
        is_pack: two drawings of one person that are not in one group are an error. Elsewhere a person may be
            drawn in parts without a group; it is a warning.
    """
    for index, shape in person.shapes.items():
        _check_shape(person, index, shape, version, findings)
    if not person.parts:
        if person.key not in findings.blocked:
            kinds = [kind for kind, of in (("hole", person.holes), ("accessory", person.accessories)) if of]
            found = f"a shape marked as {' and as '.join(kinds)}, but no person it belongs to"
            hint = f"draw {person.name} under the same label, or remove the flag"
            findings.add("part-alone", "error", person, found, hint=hint, shape=min(person.shapes))
        return None
    groups: dict[object, list[int]] = defaultdict(list)
    for index in person.parts:
        group = person.shapes[index].group_id
        groups[("shape", index) if group is None else group].append(index)
    if len(groups) > 1:
        places = ", ".join(corner(person.parts[indices[0]].bounds) for indices in list(groups.values())[:4])
        found = f"drawn {len(groups)} times, at {places}"
        hint = "parts of one person: use the same group_id; a hole: mark it; else rename or delete one"
        findings.add("slot-twice", "error" if is_pack else "warning", person, found, hint=hint)
    for indices in groups.values():
        _check_inner_parts(person, indices, findings)
    _check_holes(person, findings)
    try:
        return person.outline()
    except AnnotationError as error:
        findings.add("nothing-left", "error", person, error.found, hint=error.hint)
        return None


def corner(bounds: Any) -> str:
    """Returns the upper left corner of bounds, or of (K, 2) points, as text."""
    points = np.asarray(bounds, dtype=np.float64).reshape(-1, 2)
    return "({:.1f}, {:.1f})".format(*points.min(axis=0))


def is_shifted_ai_polygon(points: NDArray[np.float64], version: tuple[int, ...]) -> bool:
    """Whether LabelMe's AI tools, in a version that shifts them by half a pixel, drew a polygon.

    They trace a bitmap: every corner lies halfway between two pixel centres, one coordinate whole and the
    other one with a half. A hand does not do that eight times.
    """
    if version > LAST_SHIFTED or len(points) < 8:
        return False
    halves = points * 2
    return bool((halves == np.round(halves)).all() and (halves.sum(axis=1) % 2 == 1).all())


def _code_of_shape(shape: LabelMeShape) -> str:
    """Returns the code for a shape whose area cannot be computed."""
    if shape.shape_type == "mask":
        return "mask-unreadable"
    points = polygon_of_shape(shape)
    if points is None or len(np.unique(points, axis=0)) < 3:
        return "too-few-points"
    on_line = shapely.MultiPoint(points).convex_hull.area == 0
    return "no-area" if on_line else "self-crossing"


def _check_shape(
    person: DrawnPerson, index: int, shape: LabelMeShape, version: tuple[int, ...], findings: FileFindings
) -> None:
    if shape.flags.get(UNSURE_FLAG):
        found = f"marked as unsure, at {corner(shape.points)}"
        findings.add("unsure", "info", person, found, hint="look at it in the review", shape=index)
    if shape.shape_type == "rectangle":
        found = f"a rectangle at {corner(shape.points)} as the outline"
        findings.add("rectangle-drawn", "warning", person, found, hint="draw a polygon", shape=index)
    points = polygon_of_shape(shape)
    if points is not None and is_shifted_ai_polygon(points, version):
        found = (
            "drawn by an AI tool of LabelMe in a version that shifts it half a pixel to the right and down"
        )
        hint = "use LabelMe 7 for AI polygons; maskps does not move the polygon"
        findings.add("ai-polygon-shifted", "warning", person, found, hint=hint, shape=index)


def _check_inner_parts(person: DrawnPerson, indices: Iterable[int], findings: FileFindings) -> None:
    """Looks for parts of a group that lie in another part of it: holes that nobody marked."""
    for index, other in permutations(indices, 2):
        part, around = person.parts[index], person.parts[other]
        if part.area < around.area and shapely.intersection(part, around).area >= INNER * part.area:
            found = f"the part at {corner(part.bounds)} lies within another part and adds nothing"
            hint = "mark it 'hole' if it is one, else delete it"
            findings.add("part-within-part", "warning", person, found, hint=hint, shape=index)
            return


def _check_holes(person: DrawnPerson, findings: FileFindings) -> None:
    """Looks for holes that are not in their person; accessories count as part of the person."""
    whole = shapely.union_all([*person.parts.values(), *person.accessories.values()])
    for index, hole in person.holes.items():
        outside = 1 - shapely.intersection(whole, hole).area / hole.area
        if outside >= HOLE_OUTSIDE:
            findings.add(
                "hole-outside-person",
                "error" if outside >= FAR_HOLE_OUTSIDE else "warning",
                person,
                f"{outside:.0%} of the hole at {corner(hole.bounds)} is outside the person",
                hint="move it into the person, or remove the flag 'hole'",
                shape=index,
            )
