"""Outlines: valid, disjoint, oriented rings, whatever was drawn."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch

from maskps.errors import AnnotationError
from maskps.masks import Outline, flip_edges, outline_from_polygons, outline_from_shapely, scale_edges
from maskps.masks.outlines import ring_area

SQUARE = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
HOLE = np.array([(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0)])


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
    outline = outline_from_polygons([SQUARE], holes=[HOLE], where="square")
    for ring, again in zip(outline.rings, outline.flipped(64).flipped(64).rings, strict=True):
        np.testing.assert_array_equal(ring, again)


def test_a_flip_is_about_the_width_and_keeps_the_orientation() -> None:
    """Pixel 0 covers [0, 1): its mirror image in 64 columns is pixel 63, which covers [63, 64)."""
    pixel = outline_from_polygons([SQUARE / 10], where="pixel").flipped(64)
    assert pixel.bounds.tolist() == [63, 0, 64, 1]
    assert pixel.area == 1.0


def test_scaling_scales_the_area() -> None:
    outline = outline_from_polygons([SQUARE], holes=[HOLE], where="square")
    assert outline.scaled(2.0, 0.5).area == pytest.approx(96.0)
    assert outline.scaled(2.0, 0.5).bounds.tolist() == [0, 0, 20, 5]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_edges_flip_and_scale_as_the_outline_does(library: str) -> None:
    outline = outline_from_polygons([SQUARE], holes=[HOLE], where="square")
    edges = outline.edges() if library == "numpy" else torch.from_numpy(outline.edges())
    flipped, scaled = np.asarray(flip_edges(edges, 64)), np.asarray(scale_edges(edges, 3.0, 0.5))
    assert {tuple(edge) for edge in flipped} == {tuple(edge) for edge in outline.flipped(64).edges()}
    np.testing.assert_array_equal(scaled, outline.scaled(3.0, 0.5).edges())
    np.testing.assert_array_equal(np.asarray(edges), outline.edges(), err_msg="the argument must not change")


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
    assert empty.flipped(9).is_empty


def test_lines_and_points_of_a_collection_are_dropped() -> None:
    square = shapely.Polygon(SQUARE)
    line = shapely.LineString([(50, 50), (60, 60)])
    two = shapely.MultiPolygon([shapely.Polygon(SQUARE + 20), shapely.Polygon(SQUARE + 40)])
    assert outline_from_shapely(shapely.GeometryCollection([line, square, two])).area == 300.0


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


def test_a_tiny_loop_at_a_corner_is_repaired() -> None:
    """The loop has a side of 0.2 on a square of 10: 0.04 % of the area."""
    loop = [(0, 0), (10, 0), (10, 10), (0.2, 10), (0.2, 9.8), (0, 10)]
    outline = outline_from_polygons([loop], where="loop")
    assert outline.area == pytest.approx(100, abs=0.1)
    assert outline.to_shapely().is_valid


def test_a_spike_is_cut_off() -> None:
    outline = outline_from_polygons([[(0, 0), (10, 0), (10, 10), (15, 15), (10, 10), (0, 10)]], where="spike")
    assert outline.area == 100.0
    assert outline.bounds.tolist() == [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ([(0, 0), (1, 1)], "3 points"),
        ([(0, 0), (1, 1), (2, 2)], "area"),
        ([(5, 5)] * 4, "area"),
        ([(0, 0), (1, 0), (np.nan, 1)], "finite"),
        ([(0, 0), (1, 0), (np.inf, 1)], "finite"),
        ([1, 2, 3, 4, 5, 6], "x, y"),
    ],
)
def test_what_is_no_polygon_is_an_error(points: list, what: str) -> None:
    with pytest.raises(AnnotationError, match=what):
        outline_from_polygons([points], where="shape 0")


def test_holes_that_leave_nothing_are_an_error() -> None:
    with pytest.raises(AnnotationError, match="nothing"):
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
