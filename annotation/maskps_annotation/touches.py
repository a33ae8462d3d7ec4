"""What an annotator did to the outline that a pack held already: rejected by a review, or proposed.

A person counts as drawn once the outline encloses something else. A proposal also counts if its annotator
says that it is right: by `CHECKED_FLAG` for all of an image, or by removing `PROPOSED_FLAG` from its shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

import shapely

from maskps.errors import AnnotationError
from maskps.masks.labelme_file import HOLE_FLAG
from maskps.masks.outlines import ring_area
from maskps_annotation.drawn_persons import DrawnPerson
from maskps_annotation.pack_files import PROPOSED_FLAG
from maskps_annotation.pack_record import Slot
from maskps_annotation.shape_geometry import polygon_of_shape

SAME = 0.01
"""Pixels by which the border of an unchanged outline may lie elsewhere, on average."""

_Vertex = tuple[float, float, bool]  # x and y to a hundredth of a pixel, and whether it bounds a hole


@dataclass(frozen=True)
class Touches:
    """What became of a proposed outline that an annotator handed in.

    Attributes:
        by: what proposed it.
        moved, added, deleted: vertices that the annotator changed; all 0 if the proposal was accepted.
    """

    by: str
    moved: int = 0
    added: int = 0
    deleted: int = 0

    @property
    def vertices(self) -> int:
        """How many vertices the annotator changed."""
        return self.moved + self.added + self.deleted

    @property
    def is_accepted(self) -> bool:
        """Whether the outline is the proposed one."""
        return self.vertices == 0


def is_unchanged(slot: Slot, person: DrawnPerson) -> bool:
    """Whether a person still encloses what the pack held; points added on a line change nothing."""
    given = slot.given
    if given.is_empty:
        return False
    try:
        now, before = person.outline().to_shapely(), given.to_shapely()
    except (AnnotationError, shapely.errors.GEOSException):  # nothing is left, or the record was edited
        return False
    return bool(shapely.symmetric_difference(now, before).area <= SAME * before.length)


def is_flagged(person: DrawnPerson) -> bool:
    """Whether all shapes of a person still carry the flag of a proposal."""
    return all(shape.flags.get(PROPOSED_FLAG) for shape in person.shapes.values())


def touches(slot: Slot, person: DrawnPerson) -> Touches | None:
    """Returns what an annotator changed in a proposal; None without one, or if the person was drawn anew.

    A person was drawn anew if no vertex is where it was proposed, and no shape carries the flag.
    """
    if slot.proposal is None:
        return None
    by = slot.proposal.by
    if is_unchanged(slot, person):
        return Touches(by)
    before, now = list(_proposed_vertices(slot)), list(_vertices(person))
    is_new = not any(shape.flags.get(PROPOSED_FLAG) for shape in person.shapes.values())
    if is_new and not set(before) & set(now):
        return None
    moved = added = deleted = 0
    steps = SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
    for kind, first, last, start, end in steps:
        if kind != "equal":
            both = min(last - first, end - start)
            moved, added, deleted = moved + both, added + end - start - both, deleted + last - first - both
    return Touches(by, moved, added, deleted)


def _proposed_vertices(slot: Slot) -> Iterator[_Vertex]:
    for ring in slot.given.rings:
        is_hole = ring_area(ring) < 0
        yield from ((round(x, 2), round(y, 2), is_hole) for x, y in ring.tolist())


def _vertices(person: DrawnPerson) -> Iterator[_Vertex]:
    for _, shape in sorted(person.shapes.items()):
        points = polygon_of_shape(shape)
        is_hole = bool(shape.flags.get(HOLE_FLAG))
        if points is not None:
            yield from ((round(x, 2), round(y, 2), is_hole) for x, y in points.tolist())
