"""Outlines: valid, disjoint, oriented rings, whatever was drawn."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskps.errors import AnnotationError
from maskps.masks import (
    Outline,
    coverage,
    flip_edges,
    outline_from_polygons,
    outline_from_shapely,
    scale_edges,
)
from maskps.masks.outlines import FARTHEST, MOST_PARTS, REPAIR_LIMIT, ring_area

SQUARE = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
HOLE = np.array([(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0)])
few = settings(deadline=None, max_examples=60)


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    """A star of up to 40 corners, in half of the cases with a hole, and a part beside it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    angle = np.linspace(0, 2 * np.pi, draw(st.integers(5, 40)), endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    star = circle * rng.uniform(0.5, 1, (len(angle), 1)) * (40, 100) + 150
    holes = [star[:3] * 0.1 + 135] if draw(st.booleans()) else []
    return outline_from_polygons([star, SQUARE + rng.uniform(200, 250, 2)], holes=holes, where="star")


def test_the_square_walked_right_then_down_is_positive() -> None:
    """y points down, so this walk is clockwise on the screen; the sign is what the coverage relies on."""
    assert ring_area(SQUARE) == 100.0
    assert ring_area(SQUARE[::-1]) == -100.0


@pytest.mark.parametrize("drawn", [SQUARE, SQUARE[::-1], np.concatenate([SQUARE, SQUARE[:1]])])
def test_direction_and_closing_of_what_is_drawn_do_not_matter(drawn: np.ndarray) -> None:
    outline = outline_from_polygons([drawn], where="square")
    assert [len(ring) for ring in outline.rings] == [4]
    assert outline.area == 100.0


def test_outer_rings_are_positive_and_followed_by_their_negative_holes() -> None:
    outline = outline_from_polygons([SQUARE, SQUARE + 20], holes=[HOLE, HOLE + 20], where="two")
    assert [np.sign(ring_area(ring)) for ring in outline.rings] == [1, -1, 1, -1]
    for outer, holes in outline.parts():
        assert all(shapely.Polygon(outer).contains(shapely.Polygon(hole)) for hole in holes)
    assert outline.area == 2 * (100 - 4)


def test_overlapping_parts_are_united() -> None:
    outline = outline_from_polygons([SQUARE, SQUARE + (5, 0)], where="two")
    assert len(outline.rings) == 1
    assert outline.area == 150.0


def test_bounds_are_those_of_all_parts() -> None:
    assert outline_from_polygons([SQUARE, SQUARE + 20], where="two").bounds.tolist() == [0, 0, 30, 30]


def test_edges_walk_every_ring_to_its_start() -> None:
    edges = outline_from_polygons([SQUARE], holes=[HOLE], where="square").edges()
    assert edges.shape == (8, 4)
    np.testing.assert_array_equal(edges[:4, 2:], np.roll(edges[:4, :2], -1, axis=0))
    np.testing.assert_array_equal(edges[4:, 2:], np.roll(edges[4:, :2], -1, axis=0))


def test_flipping_twice_is_nothing() -> None:
    edges = outline_from_polygons([SQUARE], holes=[HOLE], where="square").edges()
    np.testing.assert_array_equal(flip_edges(flip_edges(edges, 64), 64), edges)


@few
@given(outlines(), st.integers(1, 4000))
def test_flipping_twice_moves_nothing_by_more_than_rounding(outline: Outline, width: int) -> None:
    again = flip_edges(flip_edges(outline.edges(), width), width)
    np.testing.assert_allclose(again, outline.edges(), atol=1e-12, rtol=0)


def test_a_flip_is_about_the_width_and_keeps_the_orientation() -> None:
    """Pixel 0 covers [0, 1): its mirror image in 64 columns is pixel 63, which covers [63, 64)."""
    edges = flip_edges(outline_from_polygons([SQUARE / 10], where="pixel").edges(), 64)
    corners = edges.reshape(-1, 2)
    assert [corners.min(axis=0).tolist(), corners.max(axis=0).tolist()] == [[63, 0], [64, 1]]
    assert (edges[:, 0] * edges[:, 3] - edges[:, 2] * edges[:, 1]).sum() / 2 == 1.0


def test_scaling_scales_the_area() -> None:
    outline = outline_from_polygons([SQUARE], holes=[HOLE], where="square")
    assert outline.scaled(2.0, 0.5).area == pytest.approx(96.0)
    assert outline.scaled(2.0, 0.5).bounds.tolist() == [0, 0, 20, 5]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_edges_flip_and_scale_with_both_libraries(library: str) -> None:
    outline = outline_from_polygons([SQUARE], holes=[HOLE], where="square")
    edges = outline.edges() if library == "numpy" else torch.from_numpy(outline.edges())
    flipped, scaled = np.asarray(flip_edges(edges, 64)), np.asarray(scale_edges(edges, 3.0, 0.5))
    np.testing.assert_array_equal(flipped, [(64 - x1, y1, 64 - x0, y0) for x0, y0, x1, y1 in outline.edges()])
    np.testing.assert_array_equal(scaled, outline.scaled(3.0, 0.5).edges())
    np.testing.assert_array_equal(np.asarray(edges), outline.edges(), err_msg="the argument must not change")


@few
@given(outlines(), st.tuples(*[st.floats(50, 300)] * 4))
def test_what_a_box_clips_has_the_coverage_of_the_whole_there(outline: Outline, corners: tuple) -> None:
    box = np.array([min(corners[::2]), min(corners[1::2]), max(corners[::2]) + 1, max(corners[1::2]) + 1])
    clipped = outline.clipped(box)
    share = coverage(outline.edges(), box[None])
    np.testing.assert_allclose(coverage(clipped.edges(), box[None]), share, atol=1e-9)
    assert clipped.area == pytest.approx(share.mean() * np.prod(box[2:] - box[:2]), abs=1e-6)
    if not clipped.is_empty:
        assert (clipped.bounds[:2] >= box[:2]).all() and (clipped.bounds[2:] <= box[2:]).all()


def test_clipping_keeps_holes_and_makes_parts() -> None:
    """A square of 10 with a hole of 2, cut through the hole, and a ring cut into a left and a right half."""
    outline = outline_from_polygons([SQUARE], holes=[HOLE], where="square")
    assert outline.clipped([-5, 0, 5, 20]).area == 50 - 2
    assert [ring_area(ring) for ring in outline.clipped([0, 4.5, 10, 5.5]).rings] == [4.0, 4.0]
    assert [ring_area(ring) for ring in outline.clipped([3, 3, 7, 7]).rings] == [16.0, -4.0]


def test_each_side_of_a_box_clips() -> None:
    """A rectangle of 20 x 10, clipped to one half of it at a time."""
    outline = outline_from_polygons([[(0, 0), (20, 0), (20, 10), (0, 10)]], where="rectangle")
    for box in ([0, 0, 10, 20], [10, 0, 20, 20], [0, 0, 20, 5], [0, 5, 20, 10]):
        assert outline.clipped(box).area == 100.0


def test_a_box_around_it_clips_nothing_and_keeps_the_vertices() -> None:
    outline = outline_from_polygons([SQUARE], where="square")
    for box in ([0, 0, 10, 10], [-np.inf, -np.inf, np.inf, np.inf]):
        np.testing.assert_array_equal(outline.clipped(box).rings[0], outline.rings[0])


@pytest.mark.parametrize(
    "box", [[20, 0, 30, 10], [10, 0, 20, 10], [5, 5, 5, 9], [9, 5, 5, 9], [0, 0, np.nan, 9]]
)
def test_a_box_beside_it_or_without_a_width_or_height_clips_all(box: list[float]) -> None:
    assert outline_from_polygons([SQUARE], where="square").clipped(box).is_empty
    assert Outline(()).clipped(box).is_empty


def test_shapely_and_back_keeps_every_vertex() -> None:
    outline = outline_from_polygons([SQUARE, SQUARE + 20], holes=[HOLE], where="two")
    again = outline_from_shapely(outline.to_shapely())
    for ring, other in zip(outline.rings, again.rings, strict=True):
        np.testing.assert_array_equal(ring, other)


def test_the_empty_outline_has_no_area_no_edges_and_an_empty_box() -> None:
    empty = outline_from_shapely(shapely.Polygon())
    assert empty.is_empty
    assert empty.area == 0.0
    assert empty.edges().shape == (0, 4)
    assert empty.bounds.tolist() == [0, 0, 0, 0]
    assert empty.to_shapely().is_empty


def test_lines_and_points_of_a_collection_are_dropped() -> None:
    square = shapely.Polygon(SQUARE)
    line = shapely.LineString([(50, 50), (60, 60)])
    two = shapely.MultiPolygon([shapely.Polygon(SQUARE + 20), shapely.Polygon(SQUARE + 40)])
    assert outline_from_shapely(shapely.GeometryCollection([line, square, two])).area == 300.0


def test_members_of_a_collection_that_overlap_are_counted_once() -> None:
    square = shapely.Polygon(SQUARE)
    inner = shapely.GeometryCollection([square, shapely.Polygon(SQUARE + 5)])
    assert outline_from_shapely(shapely.GeometryCollection([square, inner])).area == 175.0


def test_a_bow_tie_is_an_error_that_names_the_crossing() -> None:
    bow_tie = [(0, 0), (20, 0), (0, 10), (20, 10)]
    with pytest.raises(AnnotationError, match=r"\(10\.0, 5\.0\)") as caught:
        outline_from_polygons([bow_tie], where="s1.json shape 3")
    assert caught.value.where == "s1.json shape 3"
    assert caught.value.hint


def test_a_pentagram_is_an_error_because_nobody_knows_whether_its_centre_is_meant() -> None:
    angles = np.arange(5) * 4 * np.pi / 5
    with pytest.raises(AnnotationError, match="crossing"):
        outline_from_polygons([np.stack([np.cos(angles), np.sin(angles)], axis=1)], where="star")


def test_points_on_a_line_but_for_the_rounding_are_an_error() -> None:
    """The shoelace formula gives 2e-15, the repaired polygon nothing."""
    almost = [(62.99999999999999, 70.1), (60.99999999999999, 65.1), (65.39999999999999, 76.1)]
    with pytest.raises(AnnotationError, match="crossing"):
        outline_from_polygons([[*almost, (62.39999999999999, 68.6)]], where="line")


@pytest.mark.parametrize(("share", "is_repaired"), [(0.1, True), (0.99, True), (1.01, False), (5, False)])
def test_a_loop_at_a_corner_is_repaired_up_to_the_limit(share: float, is_repaired: bool) -> None:
    """Two overshooting sides of a square of 10 cross at (0, 10); the loop has the area a = side^2 / 2.

    Drawn are 100 - a, repaired 100 + a: the change is 2 a / (100 + a), for a = 50 l / (1 - l / 2) it is l.
    """
    a = 50 * share * REPAIR_LIMIT / (1 - share * REPAIR_LIMIT / 2)
    side = np.sqrt(2 * a)
    loop = [(0, 0), (10, 0), (10, 10), (-side, 10), (0, 10 + side)]
    if is_repaired:
        outline = outline_from_polygons([loop], where="loop")
        assert outline.area == pytest.approx(100 + a)
        assert outline.to_shapely().is_valid
    else:
        with pytest.raises(AnnotationError, match=rf"\(0\.0, 10\.0\).*{share * REPAIR_LIMIT:.1%}"):
            outline_from_polygons([loop], where="loop")


def joined(*rings: np.ndarray) -> np.ndarray:
    """The rings as one: each is entered from the one before it by a bridge, and left over the same bridge."""
    first, *others = rings
    if not others:
        return first
    inner = joined(*others)
    return np.concatenate([first[:2], inner, inner[:1], first[1:]])


@pytest.mark.parametrize("second", [SQUARE, SQUARE[::-1]])
@pytest.mark.parametrize("third", [SQUARE, SQUARE[::-1]])
def test_parts_joined_by_bridges_come_apart_whichever_way_they_run(
    second: np.ndarray, third: np.ndarray
) -> None:
    ring = joined(SQUARE, second + 30, third + (60, 0))
    for start in range(len(ring)):
        outline = outline_from_polygons([np.roll(ring, start, axis=0)], where="person")
        assert [ring_area(part) for part in outline.rings] == [100.0, 100.0, 100.0]


def test_a_bridge_may_have_corners_or_no_length() -> None:
    there, back = [(10.0, 0.0), (12.0, 5.0), (15.0, 3.0)], [(15.0, 3.0), (12.0, 5.0), (10.0, 0.0)]
    with_corners = np.concatenate([SQUARE[:1], there, SQUARE[::-1] + 30, SQUARE[-1:] + 30, back, SQUARE[2:]])
    assert outline_from_polygons([with_corners], where="person").area == 200.0
    at_one_point = np.concatenate([SQUARE[:3], np.roll(SQUARE[::-1], 1, axis=0) + 10, SQUARE[2:]])
    assert outline_from_polygons([at_one_point], where="person").area == 200.0


def test_a_bridge_to_a_ring_inside_that_runs_the_other_way_leads_to_a_hole() -> None:
    finger = HOLE * 0.1 + 4.5
    assert outline_from_polygons([joined(SQUARE, HOLE[::-1])], where="person").area == 100 - 4
    assert outline_from_polygons([joined(SQUARE, HOLE[::-1], finger)], where="person").area == pytest.approx(
        100 - 4 + 0.04
    )
    assert outline_from_polygons([joined(SQUARE, HOLE)], where="person").area == 100
    apart = joined(SQUARE, SQUARE[::-1] + 30, HOLE + 30)  # the hole is in the second part
    assert outline_from_polygons([apart], where="person").area == 200 - 4


def test_parts_that_overlap_and_run_opposite_ways_are_united() -> None:
    ring = joined(SQUARE, SQUARE[::-1] + (5, 5))
    assert outline_from_polygons([ring], where="person").area == 175.0


def test_a_part_behind_a_bridge_must_not_cross_itself_either() -> None:
    bow_tie = np.array([(30.0, 0.0), (50.0, 0.0), (30.0, 10.0), (50.0, 10.0)])
    with pytest.raises(AnnotationError, match=r"\(40\.0, 5\.0\)"):
        outline_from_polygons([joined(SQUARE, bow_tie)], where="person")


def test_a_polygon_of_too_many_parts_is_refused_at_once() -> None:
    rows = np.arange(MOST_PARTS + 2)[:, None, None] * (0.0, 20.0)
    squares = SQUARE + rows
    ring = np.concatenate(
        [np.concatenate([squares, squares[:, :1]], axis=1).reshape(-1, 2), squares[::-1, 0]]
    )
    with pytest.raises(AnnotationError, match=f"at most {MOST_PARTS} parts"):
        outline_from_polygons([ring], where="person")


def test_a_tangle_of_thousands_of_edges_is_refused_at_once() -> None:
    points = np.random.default_rng(0).random((5000, 2)) * 100
    with pytest.raises(AnnotationError, match="crosses itself everywhere"):
        outline_from_polygons([points], where="noise")


def test_a_dense_contour_with_one_crossing_is_not_a_tangle() -> None:
    angle = np.linspace(0, 2 * np.pi, 50_000, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 500
    circle[[100, 101]] = circle[[101, 100]]
    assert outline_from_polygons([circle], where="circle").area == pytest.approx(np.pi * 500**2, rel=1e-6)


def test_a_spike_is_cut_off() -> None:
    outline = outline_from_polygons([[(0, 0), (10, 0), (10, 10), (15, 15), (10, 10), (0, 10)]], where="spike")
    assert outline.area == 100.0
    assert outline.bounds.tolist() == [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ([(0, 0), (1, 1)], "3 points"),
        ([(0, 0), (1, 1), (2, 2)], "points on one line"),
        ([(5, 5)] * 4, "points on one line"),
        ([(0, 0), (1, 0), (np.nan, 1)], "finite"),
        ([(0, 0), (1, 0), (np.inf, 1)], "finite"),
        ([(0, 0), (1, 0), (1, -1.01 * FARTHEST)], r"beyond 1e\+06 pixels"),
        ([1, 2, 3, 4, 5, 6], "x, y"),
    ],
)
def test_what_is_no_polygon_is_an_error(points: list, what: str) -> None:
    with pytest.raises(AnnotationError, match=what) as caught:
        outline_from_polygons([points], where="shape 0")
    assert caught.value.hint


def test_holes_that_leave_nothing_are_an_error() -> None:
    with pytest.raises(AnnotationError, match="the holes cover the whole polygon"):
        outline_from_polygons([SQUARE], holes=[SQUARE - (5, 0), SQUARE + (5, 0)], where="shape 0")


def test_an_island_in_a_hole_stays() -> None:
    """Seen through the handle of a bag: the bag, the hole in its handle, a finger in the hole."""
    finger = np.array([(4.5, 4.5), (5.5, 4.5), (5.5, 5.5), (4.5, 5.5)])
    for polygons in ([SQUARE, finger], [finger, SQUARE]):
        outline = outline_from_polygons(polygons, holes=[HOLE], where="bag")
        assert outline.area == 100 - 4 + 1
        assert [np.sign(ring_area(ring)) for ring in outline.rings].count(1) == 2


def test_no_polygon_is_an_error() -> None:
    with pytest.raises(AnnotationError, match="no polygon"):
        outline_from_polygons([], where="shape 0")


def test_parts_of_nothing_are_nothing() -> None:
    assert list(Outline(()).parts()) == []


def test_a_hole_as_thin_as_the_rounding_is_dropped() -> None:
    """It has no orientation, and was read as a part inside a part."""
    thin = [(151.0, 189.0), (98.9, 230.0), (109.32, 221.8)]
    around = shapely.Polygon([(0, 0), (400, 0), (400, 400), (0, 400)], [thin])
    assert around.is_valid
    assert len(around.interiors) == 1
    outline = outline_from_shapely(around)
    assert [ring_area(ring) for ring in outline.rings] == [160000.0]
