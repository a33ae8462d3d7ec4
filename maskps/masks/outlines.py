"""Outlines: the vector shape of the visible part of one person, with holes, in several parts if it is cut.

The pixel convention is decided here. The frame is continuous, x to the right, y down, (0, 0) at the outer
corner of the first pixel: pixel (row i, column j) covers [j, j+1) x [i, i+1), and the mirror image of x is
width - x. LabelMe's canvas, COCO polygons and the boxes of the data sets use the same frame, so nothing is
shifted by half a pixel.

A ring encloses the shoelace area sum(x_i y_{i+1} - x_{i+1} y_i) / 2: positive for outer rings, negative for
holes. Everything that uses an orientation (`maskps.masks.coverage`) relies on this one definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from maskps.errors import AnnotationError

REPAIR_LIMIT = 0.005
"""A polygon whose repair changes its area by more than this share is an error, not a silent repair."""

_STRUCTURE: Any = {"method": "structure", "keep_collapsed": False}
"""How shapely makes a geometry valid: its rings keep their meaning, and what has no area is dropped."""

MOST_PARTS = 200
"""A polygon that is joined from more parts than this is an error."""

FARTHEST = 1e6
"""Coordinates beyond this many pixels are errors: no image is so large, and areas would overflow."""


@dataclass(frozen=True, eq=False)
class Outline:
    """One person's visible shape.

    Attributes:
        rings: each (K, 2) float64, x, y, pixels of the original scene, not closed (first != last). An outer
            ring, of positive shoelace area, is followed by its holes, of negative area; parts are disjoint.
            `outline_from_polygons` and `outline_from_shapely` make rings that keep these rules.
    """

    rings: tuple[NDArray[np.float64], ...]

    @property
    def is_empty(self) -> bool:
        return not self.rings

    @property
    def area(self) -> float:
        """Area in square pixels, without the holes."""
        return float(sum(ring_area(ring) for ring in self.rings))

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(4,) float64 xyxy of the smallest box around it; zeros if empty."""
        if self.is_empty:
            return np.zeros(4)
        points = np.concatenate(self.rings)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])

    def edges(self) -> NDArray[np.float64]:
        """Returns (E, 4) float64 rows x0, y0, x1, y1, one per edge of every ring, in ring order."""
        if self.is_empty:
            return np.zeros((0, 4))
        return np.concatenate([np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in self.rings])

    def scaled(self, sx: float, sy: float) -> Outline:
        """Returns the outline in an image resized by these factors, both above 0."""
        return Outline(tuple(ring * (sx, sy) for ring in self.rings))

    def clipped(self, box: ArrayLike) -> Outline:
        """Returns the part inside a box, (4,) xyxy; empty for a box without a positive width and height."""
        corners, around = np.asarray(box, dtype=np.float64), self.bounds
        low, high = np.maximum(corners[:2], around[:2]), np.minimum(corners[2:], around[2:])
        if not (low < high).all():
            return Outline(())
        if (low == around[:2]).all() and (high == around[2:]).all():
            return self
        return outline_from_shapely(shapely.intersection(self.to_shapely(), shapely.box(*low, *high)))

    def parts(self) -> Iterator[tuple[NDArray[np.float64], list[NDArray[np.float64]]]]:
        """Yields each outer ring with its holes."""
        outer: NDArray[np.float64] | None = None
        holes: list[NDArray[np.float64]] = []
        for ring in self.rings:
            if ring_area(ring) < 0:
                holes.append(ring)
                continue
            if outer is not None:
                yield outer, holes
            outer, holes = ring, []
        if outer is not None:
            yield outer, holes

    def to_shapely(self) -> shapely.MultiPolygon:
        """Returns the same shape for shapely's set operations."""
        return shapely.MultiPolygon([shapely.Polygon(outer, holes) for outer, holes in self.parts()])


def ring_area(ring: NDArray[np.float64]) -> float:
    """Returns the signed shoelace area of a (K, 2) ring, which need not be closed."""
    x, y = (ring - ring[0]).T  # relative to its first point: exact for small rings far from the origin
    return float(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) / 2


def outline_from_polygons(
    polygons: Sequence[ArrayLike], *, holes: Sequence[ArrayLike] = (), where: str
) -> Outline:
    """Returns the union of the polygons without the holes, as valid, disjoint, oriented rings.

    A polygon that comes back to one of its points is cut there, so that parts joined by a bridge (an edge
    walked there and back) come apart. A ring of it that lies in another one and runs the other way is a
    hole. A polygon that crosses itself is repaired if that changes its area by at most `REPAIR_LIMIT`;
    otherwise its meaning is unclear. A single valid polygon keeps its vertices.

    Args:
        polygons: each (K, 2), x, y, pixels, in either direction, closed or not.
        holes: likewise; cut out of every polygon except those that lie wholly inside the hole (islands).
        where: file and shape, for the error message.

    Raises:
        AnnotationError: fewer than 3 points, a coordinate that is not finite, no area, or a polygon that
            crosses itself; the message names the crossing point.
    """
    return outline_from_parts(
        [polygon_from_points(polygon, where) for polygon in polygons],
        holes=[polygon_from_points(hole, where) for hole in holes],
        where=where,
    )


def outline_from_parts(parts: Sequence[Any], *, holes: Sequence[Any] = (), where: str) -> Outline:
    """Returns the union of valid shapely polygons, single or multiple, without the holes.

    Args:
        holes: likewise; as in `outline_from_polygons`.
        where: file and shape, for the error message.

    Raises:
        AnnotationError: nothing is left.
    """
    parts = [_cut(part, holes) for part in parts]
    outline = outline_from_shapely(parts[0] if len(parts) == 1 else shapely.union_all(parts))
    if outline.is_empty:
        raise AnnotationError(
            where,
            expected="a polygon with an area",
            found="the holes cover the whole polygon" if parts else "no polygon",
            hint="check which shapes are marked as holes" if parts else "draw the person",
        )
    return outline


def polygon_from_points(polygon: ArrayLike, where: str) -> Any:
    """Returns one ring of points as a valid shapely polygon, or as several if a repair split it.

    Args:
        polygon: (K, 2), x, y, pixels, in either direction, closed or not.

    Raises:
        AnnotationError: as `outline_from_polygons`.
    """
    points = np.asarray(polygon, dtype=np.float64)
    again = "draw it again, or remove the shape"
    if points.ndim != 2 or points.shape[1] != 2:
        found = f"an array of shape {points.shape}"
        raise AnnotationError(where, expected="a polygon of x, y points", found=found, hint=again)
    is_far = ~(abs(points) <= FARTHEST).all(axis=1)
    if is_far.any():
        x, y = points[is_far][0]
        expected = f"finite coordinates, none beyond {FARTHEST:.0e} pixels"
        raise AnnotationError(where, expected=expected, found=f"a point at ({x:g}, {y:g})", hint=again)
    if len(points) < 3:
        expected = "a polygon of 3 points or more"
        raise AnnotationError(where, expected=expected, found=f"{len(points)}", hint=again)
    shape = shapely.Polygon(points)
    if shape.is_valid and shape.area > 0:
        return shape
    rings = _simple_rings(points)
    if len(rings) > MOST_PARTS:
        expected, found = f"a polygon of at most {MOST_PARTS:,} parts", f"{len(rings):,}"
        raise AnnotationError(where, expected=expected, found=found, hint=again)
    if any(map(_is_tangle, rings)):
        expected, found = "a polygon that does not cross itself", "one that crosses itself everywhere"
        raise AnnotationError(where, expected=expected, found=found, hint=again)
    drawn = np.array([ring_area(ring) for ring in rings])
    shapes = [shapely.make_valid(shapely.Polygon(ring), **_STRUCTURE) for ring in rings]
    areas = shapely.area(shapes)
    if not areas.any() and not drawn.any():
        raise AnnotationError(
            where, expected="a polygon with an area", found="points on one line", hint=again
        )
    change = np.abs(areas - np.abs(drawn)).sum() / areas.sum() if areas.any() else np.inf
    if change > REPAIR_LIMIT:
        crossing = _crossing_point(next(ring for ring in map(shapely.Polygon, rings) if not ring.is_valid))
        raise AnnotationError(
            where,
            expected="a polygon that does not cross itself",
            found=f"a crossing at {crossing}; untangling it changes the area by {change:.1%}",
            hint="move the points there, or draw the parts as polygons of their own",
        )
    is_hole = _are_holes(drawn, shapes)
    holes = [shape for shape, hole in zip(shapes, is_hole, strict=True) if hole]
    parts = [_cut(shape, holes) for shape, hole in zip(shapes, is_hole, strict=True) if not hole]
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _simple_rings(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Returns the rings of a (K, 2) ring that comes back to points: it is cut wherever it does.

    An edge that is walked there and back, such as the bridge between the two parts of a person, bounds
    nothing. It becomes a ring without an area.
    """
    rings: list[NDArray[np.float64]] = []
    path: list[tuple[float, float]] = []
    place: dict[tuple[float, float], int] = {}
    for point in [*map(tuple, points.tolist()), tuple(points[0].tolist())]:
        start = place.setdefault(point, len(path))
        for left in path[start + 1 :]:
            del place[left]
        if len(path) - start > 2:
            rings.append(np.array(path[start:]))
        path[start:] = [point]
    return rings


def _is_tangle(ring: NDArray[np.float64]) -> bool:
    """Whether so many of a ring's edges lie across each other that a repair would take minutes."""
    edges = shapely.linestrings(np.stack([ring, np.roll(ring, -1, axis=0)], axis=1))
    sample = edges[:: -(-len(edges) // 100)]
    overlaps = len(shapely.STRtree(edges).query(sample)[0]) * len(edges) / len(sample)
    return overlaps > 10 * len(edges) + 100_000


def _are_holes(areas: NDArray[np.float64], shapes: Sequence[Any]) -> NDArray[np.bool_]:
    """Returns which rings of one polygon are holes: a ring changes from part to hole where it runs against
    the smallest ring around it, and back where that is a hole.

    Args:
        areas: (K,) signed areas of the rings.
        shapes: K shapely polygons.
    """
    size = np.abs(areas)
    around = np.full(len(shapes), -1)
    for inner, outer in shapely.STRtree(shapes).query(shapes, predicate="covered_by").T.tolist():
        if size[inner] < size[outer] and (around[inner] < 0 or size[outer] < size[around[inner]]):
            around[inner] = outer
    is_hole = np.zeros(len(shapes), dtype=np.bool_)
    for ring in np.argsort(-size, kind="stable").tolist():
        if around[ring] >= 0:
            is_hole[ring] = is_hole[around[ring]] != (areas[ring] * areas[around[ring]] < 0)
    return is_hole


def outline_from_shapely(geometry: Any) -> Outline:
    """Returns the polygons of a shapely geometry as an outline; lines and points in it are dropped.

    An invalid geometry is made valid by shapely's structure method; the members of a collection are united.
    """
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry, **_STRUCTURE)
    if geometry.geom_type == "GeometryCollection":
        geometry = shapely.union_all([outline_from_shapely(part).to_shapely() for part in geometry.geoms])
    rings: list[NDArray[np.float64]] = []
    for polygon in shapely.get_parts(geometry):
        if polygon.geom_type == "Polygon" and polygon.area > 0:
            outer = _oriented(polygon.exterior, +1)
            holes = [_oriented(hole, -1) for hole in polygon.interiors]
            if ring_area(outer) > 0:
                # A hole as thin as the rounding error has no orientation: `parts` would see an outer ring.
                rings += [outer, *(hole for hole in holes if ring_area(hole) < 0)]
    return Outline(tuple(rings))


def flip_edges(edges: Any, width: float) -> Any:
    """Returns (..., 4) edges mirrored left-right: x becomes width - x.

    The end points are swapped, to keep the orientation of the rings. Flipping twice restores the edges, up to
    the rounding of width - x. numpy or torch.
    """
    flipped = edges[..., [2, 3, 0, 1]]
    flipped[..., 0::2] = width - flipped[..., 0::2]
    return flipped


def scale_edges(edges: Any, sx: float, sy: float) -> Any:
    """Returns (..., 4) edges in an image resized by these factors. numpy or torch."""
    scaled = edges[..., [0, 1, 2, 3]]
    scaled[..., 0::2] *= sx
    scaled[..., 1::2] *= sy
    return scaled


def _oriented(ring: Any, sign: int) -> NDArray[np.float64]:
    points = shapely.get_coordinates(ring)[:-1]
    return points if ring_area(points) * sign > 0 else points[::-1]


def _cut(part: Any, holes: Sequence[Any]) -> Any:
    cuts = [hole for hole in holes if not hole.covers(part)]
    return shapely.difference(part, shapely.union_all(cuts)) if cuts else part


def _crossing_point(shape: Any) -> str:
    numbers = re.findall(r"-?\d+\.?\d*(?:[eE][-+]?\d+)?", shapely.is_valid_reason(shape))
    return "({:.1f}, {:.1f})".format(*map(float, numbers[-2:])) if len(numbers) >= 2 else "an unknown point"
