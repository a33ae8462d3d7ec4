"""A simulated hand: it draws an outline, and it mends one that was proposed.

An outline is simplified, and every vertex is moved by noise of a standard deviation that is the hand's own.
A proposal that is as near to the truth as the hand's own drawing would be, counted in changed cells of the
14x14 target, is left alone. Otherwise the hand moves, adds and deletes vertices, the most useful first, until
it is. Where that takes as many vertices as a drawing, the hand draws anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.masks import Outline, mask_targets
from maskps.masks.outlines import outline_from_parts, outline_from_shapely, ring_area

SIMPLIFIED = 1.0  # pixels
LEAST_PART, LEAST_HOLE = 12.0, 30.0  # square pixels; what is smaller nobody draws
_LOOKED_AT = 6  # regions that differ most, per step

Ring = NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mended:
    """What a hand made of a proposal.

    Attributes:
        rings: as in `Outline`: parts run one way, holes the other.
        moved, added, deleted: vertices. A proposal that is drawn anew has all its vertices deleted.
        cells: of 196, that differ from the true target.
        own_cells: those of the hand's own drawing.
    """

    rings: tuple[Ring, ...]
    moved: int
    added: int
    deleted: int
    cells: int
    own_cells: int

    @property
    def is_untouched(self) -> bool:
        """Whether the hand left the proposal alone."""
        return not (self.moved or self.added or self.deleted)


def ring_by_hand(ring: Ring, sd: float, rng: np.random.Generator, size: tuple[int, int]) -> Ring:
    """The vertices of a ring as somebody clicks them; one who crosses a line of his own is more careful."""
    simple = shapely.Polygon(ring).simplify(SIMPLIFIED)
    exact = shapely.get_coordinates(simple.exterior)[:-1]
    for factor in (1.0, 1.0, 0.5, 0.5, 0.25, 0.1):
        points = np.clip(exact + rng.normal(0, factor * sd, exact.shape), 0, size)
        if shapely.Polygon(points).is_valid:
            return points
    return exact


def drawn_rings(geometry: Any, *, least_part: float, least_hole: float) -> list[list[Ring]]:
    """Returns what is drawn of a shapely geometry: for each part its outer ring, then its holes.

    Args:
        least_part, least_hole: area in square pixels; the largest part is always drawn.
    """
    parts = sorted(shapely.get_parts(geometry), key=lambda part: -part.area)
    parts = parts[:1] + [part for part in parts[1:] if part.area >= least_part]
    return [
        [
            shapely.get_coordinates(ring)[:-1]
            for ring in (
                part.exterior,
                *(hole for hole in part.interiors if shapely.Polygon(hole).area >= least_hole),
            )
        ]
        for part in parts
    ]


def _target(outline: Outline, box: Box) -> NDArray[np.bool_]:
    return mask_targets(outline.edges(), np.array([box], dtype=np.float64))[0]


def mended(
    proposed: Outline,
    true: Outline,
    box: Box,
    sd: float,
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    looks_at: Literal["cells", "border"] = "cells",
) -> Mended:
    """Returns a proposal as a hand leaves it.

    Args:
        proposed: at least one ring.
        true: what the hand sees in the image.
        box: xyxy, of the person.
        sd: of the hand's noise, in pixels.
        size: (width, height) of the image.
        looks_at: what is as near to the truth as in the hand's own drawing when the hand stops. "cells": the
            cells that differ. "border": the area that differs, and that of these cells.
    """
    own = own_drawing(true, sd, rng, size)
    goal = _Goal(true, box)
    own_cells = goal.cells(_outline(own))
    work, most = _Work([ring.copy() for ring in proposed.rings]), sum(map(len, own))
    before, own_distance = goal.distance(work.geometry), goal.distance(_geometry(own))
    while (before > own_distance) if looks_at == "border" else (goal.cells(_outline(work.rings)) > own_cells):
        steps = [(step, goal.distance(step.geometry)) for step in _steps(work, goal.geometry, sd, rng, size)]
        gains = [(before - after) / max(step.touched - work.touched, 1) for step, after in steps]
        best, after = steps[int(np.argmax(gains))]
        if after >= before or best.touched >= most:
            deleted = sum(map(len, proposed.rings))
            return Mended(tuple(own), 0, most, deleted, own_cells, own_cells)
        work, before = best, after
    cells = goal.cells(_outline(work.rings))
    return Mended(tuple(work.rings), work.moved, work.added, work.deleted, cells, own_cells)


def own_drawing(true: Outline, sd: float, rng: np.random.Generator, size: tuple[int, int]) -> list[Ring]:
    """Returns the rings that a hand draws without a proposal; `mended` draws the same, first of all."""
    parts = drawn_rings(true.to_shapely(), least_part=LEAST_PART, least_hole=LEAST_HOLE)
    return [
        _turned(ring_by_hand(ring, sd, rng, size), is_hole=index > 0)
        for part in parts
        for index, ring in enumerate(part)
    ]


def _is_drawn(area: float) -> bool:
    return area >= LEAST_PART or area <= -LEAST_HOLE


def _turned(ring: Ring, *, is_hole: bool) -> Ring:
    return ring[::-1] if (ring_area(ring) < 0) != is_hole else ring


def _geometry(rings: Sequence[Ring]) -> Any:
    """Returns the union of the parts without the holes; None if a ring crosses itself or nothing is left."""
    if not all(shapely.Polygon(ring).is_valid for ring in rings):
        return None
    holes = [shapely.Polygon(ring) for ring in rings if ring_area(ring) < 0]
    parts = [shapely.Polygon(ring) for ring in rings if ring_area(ring) > 0]
    try:
        return outline_from_parts(parts, holes=holes, where="hand").to_shapely()
    except AnnotationError:
        return None


def _outline(rings: Sequence[Ring]) -> Outline:
    return outline_from_shapely(_geometry(rings))


_AS_IT_WAS, _MOVED, _ADDED = 0, 1, 2


class _Work:
    """Rings at work, with what was done to each vertex."""

    def __init__(self, rings: list[Ring], marks: list[NDArray[np.int64]] | None = None, deleted: int = 0):
        self.rings = rings
        self.marks = marks if marks is not None else [np.zeros(len(ring), dtype=np.int64) for ring in rings]
        self.deleted = deleted
        geometry = _geometry(rings)  # of the same area as the rings: holes are in a part, and parts lie apart
        is_whole = geometry is not None and np.isclose(geometry.area, sum(map(ring_area, rings)), rtol=1e-9)
        self.geometry = geometry if is_whole else None

    @property
    def moved(self) -> int:
        return sum(int((marks == _MOVED).sum()) for marks in self.marks)

    @property
    def added(self) -> int:
        return sum(int((marks == _ADDED).sum()) for marks in self.marks)

    @property
    def touched(self) -> int:
        return self.moved + self.added + self.deleted

    def with_point(self, ring: int, at: int, point: Ring, *, new: bool) -> _Work:
        """Returns the work with a vertex moved, or with a new one before it."""
        points, marks = self.rings[ring], self.marks[ring]
        if new:
            points, marks = np.insert(points, at, point, axis=0), np.insert(marks, at, _ADDED)
        else:
            points, marks = points.copy(), marks.copy()
            points[at], marks[at] = point, max(int(marks[at]), _MOVED)
        return self._with(ring, points, marks, self.deleted)

    def without_point(self, ring: int, at: int) -> _Work:
        points, marks = np.delete(self.rings[ring], at, axis=0), np.delete(self.marks[ring], at)
        deleted = self.deleted + (self.marks[ring][at] != _ADDED)
        return self._with(ring, points, marks, int(deleted))

    def patched(self, region: Any, sd: float, rng: np.random.Generator, size: tuple[int, int]) -> _Work:
        """Returns the work with a region added or cut away, whichever it needs; new vertices have noise."""
        is_excess = shapely.intersection(region, self.geometry).area > region.area / 2
        change = shapely.difference if is_excess else shapely.union
        changed = change(self.geometry, region.simplify(SIMPLIFIED))
        rings = [ring for ring in outline_from_shapely(changed).rings if _is_drawn(ring_area(ring))]
        known = {
            tuple(point): int(mark)
            for ring, marks in zip(self.rings, self.marks, strict=True)
            for point, mark in zip(ring.tolist(), marks, strict=True)
        }
        kept = [np.array([tuple(point) in known for point in ring.tolist()]) for ring in rings]
        here = {tuple(point) for ring in rings for point in ring.tolist()}
        free = sum(mark != _ADDED for point, mark in known.items() if point not in here)
        all_marks = []
        for index, (ring, old) in enumerate(zip(rings, kept, strict=True)):
            marks = np.array([known.get(tuple(point), _ADDED) for point in ring.tolist()])
            moved = np.flatnonzero(~old)[:free]
            marks[moved] = _MOVED
            free -= len(moved)
            all_marks.append(marks)
            noise = rng.normal(0, sd, ring.shape) * ~old[:, None]
            rings[index] = np.where(old[:, None], ring, np.clip(ring + noise, 0, size))
        return _Work(rings, all_marks, self.deleted + free)

    def _with(self, ring: int, points: Ring, marks: NDArray[np.int64], deleted: int) -> _Work:
        rings, all_marks = list(self.rings), list(self.marks)
        rings[ring], all_marks[ring] = points, marks
        return _Work(rings, all_marks, deleted)


class _Goal:
    """The true outline, and how far a work is from it."""

    def __init__(self, true: Outline, box: Box) -> None:
        self.box, self.geometry = box, true.to_shapely()
        self._target = _target(true, box)
        self._cell = shapely.box(*box).area / self._target.size

    def cells(self, outline: Outline) -> int:
        """Returns the cells of 196 that differ."""
        return int((_target(outline, self.box) != self._target).sum())

    def distance(self, geometry: Any) -> float:
        """Returns the area that differs, and that of the cells that do, in square pixels."""
        if geometry is None:
            return float("inf")
        differs = float(shapely.symmetric_difference(geometry, self.geometry).area)
        return differs + self._cell * self.cells(outline_from_shapely(geometry))


def _steps(
    work: _Work, target: Any, sd: float, rng: np.random.Generator, size: tuple[int, int]
) -> Iterator[_Work]:
    """Yields what one more touch can make of the work, where it differs most from the target."""
    differing = shapely.get_parts(shapely.symmetric_difference(work.geometry, target))
    for region in sorted(differing, key=lambda one: -one.area)[:_LOOKED_AT]:
        noise = rng.normal(0, sd, 2)
        corners = shapely.get_coordinates(region)
        away = shapely.distance(work.geometry.boundary, shapely.points(corners))
        wanted = np.clip(corners[away.argmax()] + noise, 0, size)
        ring, at, edge = _nearest(work, wanted)
        yield work.with_point(ring, at, wanted, new=False)
        yield work.with_point(*edge, wanted, new=True)
        ring, at = _farthest(work, region, target)
        if ring >= 0:
            here = shapely.Point(work.rings[ring][at])
            near = shapely.get_coordinates(shapely.shortest_line(target.boundary, here))[0]
            yield work.with_point(ring, at, np.clip(near + noise, 0, size), new=False)
            if len(work.rings[ring]) > 3:
                yield work.without_point(ring, at)
        yield work.patched(region, sd, rng, size)


def _nearest(work: _Work, point: Ring) -> tuple[int, int, tuple[int, int]]:
    """Returns ring and index of the nearest vertex, and the same of a new vertex on the nearest edge."""
    vertices, edges = [], []
    for ring, points in enumerate(work.rings):
        lines = shapely.linestrings(np.stack([points, np.roll(points, -1, axis=0)], axis=1))
        to_edges = shapely.distance(lines, shapely.Point(point))
        to_points = np.linalg.norm(points - point, axis=1)
        vertices.append((float(to_points.min()), ring, int(to_points.argmin())))
        edges.append((float(to_edges.min()), ring, int(to_edges.argmin()) + 1))
    return (*min(vertices)[1:], min(edges)[1:])


def _farthest(work: _Work, region: Any, target: Any) -> tuple[int, int]:
    """Returns ring and index of the vertex in a region that is farthest from the target's border, or -1."""
    best = (0.0, -1, -1)
    for ring, points in enumerate(work.rings):
        places = shapely.points(points)
        away = shapely.distance(target.boundary, places) * (shapely.distance(region, places) < 1e-6)
        best = max(best, (float(away.max()), ring, int(away.argmax())))
    return best[1:]
