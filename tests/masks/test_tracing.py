"""Outlines traced around bitmaps: valid, and rasterised they give the same bitmap back, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.masks.outlines import Outline, outline_from_polygons, ring_area
from maskps.masks.rasterising import outline_to_mask
from maskps.masks.tracing import FREE_RUNS, MOST_NUMBERS, RUNS_PER_ROW, mask_to_outline, outlines_of_numbers

Mask = NDArray[np.bool_]

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))
"""Random bitmaps: full of holes, diagonal touches, pixels at the border."""

coordinates = st.integers(-3, 15).map(float) | st.floats(-3, 15).map(lambda value: round(value, 9))


def drawn(*rows: str) -> Mask:
    return np.array([[character == "#" for character in row] for row in rows])


def same_back(mask: Mask) -> bool:
    height, width = mask.shape
    return np.array_equal(outline_to_mask(mask_to_outline(mask), width, height), mask)


@settings(deadline=None)
@given(masks)
def test_the_outline_of_a_bitmap_gives_the_same_bitmap_back(mask: Mask) -> None:
    assert same_back(mask)


@settings(deadline=None)
@given(masks)
def test_the_rings_are_valid_disjoint_and_oriented(mask: Mask) -> None:
    outline = mask_to_outline(mask)
    shape = outline.to_shapely()
    assert shape.is_valid, shapely.is_valid_reason(shape)
    assert outline.area == mask.sum() == shape.area
    starts_part = [ring_area(ring) > 0 for ring in outline.rings]
    assert len(outline.rings) == 0 or starts_part[0]


@settings(deadline=None)
@given(masks)
def test_repeated_points_and_points_on_a_line_are_left_out(mask: Mask) -> None:
    for ring in mask_to_outline(mask).rings:
        step = np.roll(ring, -1, axis=0) - ring
        assert ((step == 0).sum(axis=1) == 1).all()
        assert ((step[:, 0] == 0) != np.roll(step[:, 0] == 0, 1)).all()


def test_a_pixel_is_the_square_between_whole_numbers() -> None:
    """Pixel (row 2, column 1) covers [1, 2) x [2, 3)."""
    mask = np.zeros((4, 4), dtype=np.bool_)
    mask[2, 1] = True
    (ring,) = mask_to_outline(mask).rings
    assert sorted(map(tuple, ring.tolist())) == [(1, 2), (1, 3), (2, 2), (2, 3)]


@pytest.mark.parametrize(
    ("mask", "outer", "holes"),
    [
        (drawn("###", "#.#", "###"), 1, 1),
        (drawn("##.", "##.", "..#"), 2, 0),
        (drawn(".##", "#.#", "###"), 1, 1),  # a hole that touches the border at a corner
        (drawn("#####", "#.###", "##.##", "#####"), 1, 2),  # two holes that touch at a corner
        (drawn("#####", "#...#", "#.#.#", "#...#", "#####"), 2, 1),  # an island
        (drawn("##.", "#.#", ".##"), 2, 0),  # two parts that touch at two corners
        (drawn("...", "..."), 0, 0),
        (drawn("###"), 1, 0),
    ],
)
def test_parts_and_holes_are_counted(mask: Mask, outer: int, holes: int) -> None:
    signs = [ring_area(ring) > 0 for ring in mask_to_outline(mask).rings]
    assert (sum(signs), len(signs) - sum(signs)) == (outer, holes)
    assert same_back(mask)


def test_a_mask_that_was_cut_out_is_put_back_in_its_place() -> None:
    mask = np.zeros((9, 9), dtype=np.bool_)
    mask[4:7, 5:8] = drawn("##.", "#.#", "###")
    cut_out = mask_to_outline(mask[3:, 4:], origin=(4, 3))
    np.testing.assert_array_equal(outline_to_mask(cut_out, 9, 9), mask)


def test_holes_follow_the_ring_they_are_in() -> None:
    mask = drawn("###.###", "#.#.#.#", "###.###")
    parts = list(mask_to_outline(mask).parts())
    assert [len(holes) for _, holes in parts] == [1, 1]
    for outer, (hole,) in parts:
        assert shapely.Polygon(outer).covers(shapely.Polygon(hole))


@settings(deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8), st.data())
def test_a_pixel_belongs_to_the_mask_if_its_centre_lies_inside(
    points: list[tuple[float, float]], data: st.DataObject
) -> None:
    polygon = shapely.Polygon(points).convex_hull
    if polygon.geom_type != "Polygon" or polygon.area < 1e-3:
        return
    outline = outline_from_polygons([shapely.get_coordinates(polygon)], where="test")
    mask = outline_to_mask(outline, 11, 9)
    x, y = np.meshgrid(np.arange(11) + 0.5, np.arange(9) + 0.5)
    centres = shapely.points(x, y)
    clear = shapely.distance(centres, outline.to_shapely().boundary) > 1e-9
    np.testing.assert_array_equal(mask[clear], shapely.contains(outline.to_shapely(), centres)[clear])


def test_a_nearly_level_edge_overflows_nothing() -> None:
    outline = Outline((np.array([(1.0, 1e-313), (3.0, 0.0), (3.0, 2.0), (1.0, 2.0)]),))
    assert outline_to_mask(outline, 4, 3).sum() == 4


def test_centres_on_the_border_belong_to_one_neighbour_only() -> None:
    """Two squares share the line x = 2.5, two the line y = 2.5: all through pixel centres."""
    corners = np.array([(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5)])
    squares = [Outline((corners + (dx, dy),)) for dx in (0, 2) for dy in (0, 2)]
    covered = np.sum([outline_to_mask(square, 6, 6) for square in squares], axis=0)
    np.testing.assert_array_equal(covered, np.pad(np.ones((4, 4)), ((0, 2), (0, 2))))


def test_what_lies_outside_the_image_is_cut_off() -> None:
    square = np.array([(-5.0, -5.0), (50.0, -5.0), (50.0, 2.0), (-5.0, 2.0)])
    mask = outline_to_mask(Outline((square,)), 4, 3)
    np.testing.assert_array_equal(mask, drawn("####", "####", "...."))
    for away in (square - 100, square + 100):
        assert not outline_to_mask(Outline((away,)), 4, 3).any()


def test_an_empty_outline_gives_an_empty_mask() -> None:
    assert not outline_to_mask(Outline(()), 4, 3).any()


@settings(deadline=None)
@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3)))
def test_each_number_has_the_outline_of_its_own_pixels(numbers: NDArray[np.int32]) -> None:
    outlines = dict(outlines_of_numbers(numbers))
    assert list(outlines) == [number for number in np.unique(numbers).tolist() if number]
    height, width = numbers.shape
    for number, outline in outlines.items():
        np.testing.assert_array_equal(outline_to_mask(outline, width, height), numbers == number)


def test_a_mask_of_no_rows_or_columns_is_empty() -> None:
    for shape in ((0, 0), (0, 5), (5, 0)):
        assert mask_to_outline(np.zeros(shape, dtype=np.bool_)).is_empty


@pytest.mark.parametrize("size", [800, 3000])
def test_noise_is_refused_before_it_is_traced(size: int) -> None:
    """800 x 800 took 81 seconds."""
    noise = np.random.default_rng(0).random((size, size)) < 0.5
    with pytest.raises(AnnotationError, match=r"noise.png(.|\n)*runs of pixels in"):
        mask_to_outline(noise, where="noise.png")


def combs(height: int, runs: int) -> Mask:
    mask = np.zeros((height, 2 * runs), dtype=np.bool_)
    mask[:, ::2] = True
    return mask


def test_the_limit_counts_the_rows_of_the_person_not_of_the_image() -> None:
    height = FREE_RUNS // RUNS_PER_ROW  # the limit is 2 RUNS_PER_ROW runs in each row
    at_the_limit = combs(height, 2 * RUNS_PER_ROW)
    assert len(mask_to_outline(np.pad(at_the_limit, 50)).rings) == 2 * RUNS_PER_ROW
    one_more = np.pad(at_the_limit, ((50, 50), (50, 50)))
    one_more[50, 50 + at_the_limit.shape[1] + 1] = True
    with pytest.raises(AnnotationError, match="4,001 runs of pixels in 200 rows"):
        mask_to_outline(one_more)


def test_a_person_2000_pixels_tall_behind_a_fence_is_traced() -> None:
    rng = np.random.default_rng(0)
    mask = combs(2000, RUNS_PER_ROW).repeat(40, axis=1)
    mask &= rng.random((2000, 1)) < 0.9
    assert same_back(mask)


def test_more_numbers_than_persons_are_a_picture() -> None:
    numbers = np.arange(MOST_NUMBERS + 2).reshape(-1, 2)
    assert len(list(outlines_of_numbers(numbers[:-1]))) == MOST_NUMBERS - 1
    with pytest.raises(AnnotationError, match="1,001 numbers"):
        list(outlines_of_numbers(numbers))


def test_noise_of_several_numbers_is_refused_as_a_whole() -> None:
    """Each number alone is below the limit."""
    numbers = np.random.default_rng(0).integers(0, 30, (300, 300))
    with pytest.raises(AnnotationError, match="runs of pixels in 300 rows"):
        list(outlines_of_numbers(numbers))
