"""Coverage is exact: against hand values, against shapely cell by cell, and by identities."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskps.masks import (
    Outline,
    coverage,
    flip_edges,
    mask_targets,
    outline_from_polygons,
    outline_from_shapely,
    pad_edges,
)
from maskps.masks.coverage import SMALLEST_SIDE, coverage_in_chunks

SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
few = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])


def by_shapely(outline: Outline, box: NDArray, size: int = 14) -> NDArray[np.float64]:
    """The slow oracle: the intersection of the outline with each cell."""
    x, y = np.linspace(box[0], box[2], size + 1), np.linspace(box[1], box[3], size + 1)
    cells = shapely.box(x[None, :-1], y[:-1, None], x[None, 1:], y[1:, None])
    return shapely.area(shapely.intersection(cells, outline.to_shapely())) / shapely.area(cells)


def in_float32(values: NDArray) -> NDArray[np.float64]:
    """Rounds to what float32 can hold, so that both precisions see the same input."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    """Valid outlines: two stars united, a third cut out; several parts and holes occur."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    stars = []
    for radius in (80, 80, 40):
        angle = np.sort(rng.uniform(0, 2 * np.pi, draw(st.integers(3, 20))))
        reach = rng.uniform(0.1 * radius, radius, len(angle))
        center = rng.uniform(150, 250, 2)
        points = center + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        if draw(st.booleans()):
            points = np.round(points)  # vertices on cell lines, upright and level edges
        stars.append(shapely.make_valid(shapely.Polygon(in_float32(points)), method="structure"))
    shape = shapely.difference(shapely.union(stars[0], stars[1]), stars[2])
    shape = shapely.transform(shape, in_float32)
    outline = outline_from_shapely(shape)
    return outline


@st.composite
def boxes(draw: st.DrawFn) -> NDArray[np.float64]:
    """Boxes around, in, across and beside the outlines above, 1 to 500 pixels; one in two on whole pixels."""
    x, y = draw(st.floats(50, 300, width=32)), draw(st.floats(50, 300, width=32))
    width, height = [draw(st.one_of(st.floats(1, 20), st.floats(20, 500))) for _ in range(2)]
    box = np.array([x, y, x + width, y + height])
    return np.round(box + (0, 0, 1, 1)) if draw(st.booleans()) else in_float32(box)


def test_the_worked_example_gives_155_cells_not_156() -> None:
    """The pixel convention: by exact area 155 of 196 cells, by cell centre 156; they differ in (0, 1)."""
    person = outline_from_polygons([[(100, 50), (180, 50), (180, 290), (100, 290)]], where="example")
    person = person.scaled(4 / 3, 4 / 3)
    edges = person.edges()
    proposal = np.array([[120.0, 60.0, 250.0, 400.0]])
    target = mask_targets(edges, proposal)[0]
    x, y = 120 + (np.arange(14) + 0.5) * 130 / 14, 60 + (np.arange(14) + 0.5) * 340 / 14
    by_centre = shapely.contains_xy(person.to_shapely(), x[None], y[:, None])
    assert (target.sum(), by_centre.sum()) == (155, 156)
    assert np.argwhere(target != by_centre).tolist() == [[0, 1]]
    # By hand: the cell spans x 129.29..138.57 and y 60..84.29; the person begins at (133.33, 66.67).
    column, row = 1 - (400 / 3 - (120 + 130 / 14)) / (130 / 14), 1 - (200 / 3 - 60) / (340 / 14)
    assert coverage(edges, proposal)[0, 0, 1] == pytest.approx(column * row, abs=1e-12)
    assert column * row == pytest.approx(0.409, abs=5e-4)


def test_a_triangle_on_a_two_by_two_grid() -> None:
    """Corners (0,0), (2,0), (0,2): the diagonal halves two cells, covers one, misses one."""
    edges = outline_from_polygons([[(0, 0), (2, 0), (0, 2)]], where="triangle").edges()
    result = coverage(edges, np.array([[0.0, 0.0, 2.0, 2.0]]), size=2)
    np.testing.assert_allclose(result[0], [[1.0, 0.5], [0.5, 0.0]], atol=1e-15)


@few
@given(outlines(), boxes())
def test_float64_agrees_with_shapely(outline: Outline, box: NDArray) -> None:
    np.testing.assert_allclose(coverage(outline.edges(), box[None])[0], by_shapely(outline, box), atol=1e-9)


@few
@given(outlines(), boxes())
def test_float32_agrees_with_shapely(outline: Outline, box: NDArray) -> None:
    outline = Outline(tuple(in_float32(ring) for ring in outline.rings))
    result = coverage(outline.edges().astype(np.float32), box[None].astype(np.float32))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0], by_shapely(outline, box), atol=1e-5)


@few
@given(st.lists(st.tuples(outlines(), boxes()), min_size=2, max_size=5))
def test_a_batch_of_outlines_with_unequal_numbers_of_edges(pairs: list[tuple[Outline, NDArray]]) -> None:
    edges = pad_edges([outline.edges() for outline, _ in pairs])
    result = coverage(edges, np.stack([box for _, box in pairs]), size=5)
    for (outline, box), fractions in zip(pairs, result, strict=True):
        np.testing.assert_allclose(fractions, by_shapely(outline, box, size=5), atol=1e-9)


@few
@given(outlines(), boxes())
def test_torch_gives_what_numpy_gives(outline: Outline, box: NDArray) -> None:
    edges = outline.edges()
    result = coverage(torch.from_numpy(edges), torch.from_numpy(box[None]))
    np.testing.assert_allclose(result.numpy(), coverage(edges, box[None]), atol=1e-12)


@few
@given(outlines(), boxes())
def test_the_cells_sum_to_the_clipped_area(outline: Outline, box: NDArray) -> None:
    cell = (box[2] - box[0]) * (box[3] - box[1]) / 196
    clipped = outline.to_shapely().intersection(shapely.box(*box)).area
    assert coverage(outline.edges(), box[None]).sum() * cell == pytest.approx(clipped, abs=1e-6)


@few
@given(outlines(), boxes())
def test_flipping_edges_and_box_flips_the_cells(outline: Outline, box: NDArray) -> None:
    flipped_box = np.array([[640 - box[2], box[1], 640 - box[0], box[3]]])
    flipped = coverage(flip_edges(outline.edges(), 640), flipped_box)
    np.testing.assert_allclose(flipped[0, :, ::-1], coverage(outline.edges(), box[None])[0], atol=1e-9)


@few
@given(outlines(), boxes())
def test_swapping_x_and_y_transposes_the_cells(outline: Outline, box: NDArray) -> None:
    swapped = Outline(tuple(ring[::-1, ::-1] for ring in outline.rings))
    result = coverage(swapped.edges(), box[None, [1, 0, 3, 2]])
    np.testing.assert_allclose(result[0].T, coverage(outline.edges(), box[None])[0], atol=1e-9)


@few
@given(outlines(), boxes(), st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_moving_everything_changes_nothing(outline: Outline, box: NDArray, dx: int, dy: int) -> None:
    shift = np.array([dx, dy, dx, dy])
    result = coverage(outline.edges() + shift, (box + shift)[None])
    np.testing.assert_allclose(result, coverage(outline.edges(), box[None]), atol=1e-9)


@few
@given(outlines(), boxes())
def test_a_grid_twice_as_fine_averages_to_the_coarse_one(outline: Outline, box: NDArray) -> None:
    fine = coverage(outline.edges(), box[None], size=28)[0].reshape(14, 2, 14, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(fine, coverage(outline.edges(), box[None])[0], atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_float32_stays_exact_for_a_box_much_smaller_than_the_outline(seed: int) -> None:
    """Edges of thousands of pixels, seen through a box of 5 that one of them crosses."""
    rng = np.random.default_rng(seed)
    outline = outline_from_polygons([in_float32(rng.uniform(0, 9000, (3, 2)))], where="large")
    middle = outline.edges()[0].reshape(2, 2).mean(axis=0)
    box = in_float32(np.concatenate([middle - rng.uniform(1, 4, 2), middle + rng.uniform(1, 4, 2)]))
    result = coverage(outline.edges().astype(np.float32), box[None].astype(np.float32))[0]
    np.testing.assert_allclose(result, by_shapely(outline, box), atol=1e-5)
    assert 0 < result.mean() < 1


@few
@given(outlines(), boxes(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_edges_does_not_change_a_bit(outline: Outline, box: NDArray, seed: int) -> None:
    """For tensors, because accelerators add in any order: the same run gives the same targets."""
    edges = outline.edges()
    mixed = np.random.default_rng(seed).permutation(edges)
    first, again = [coverage(torch.from_numpy(one), torch.from_numpy(box[None])) for one in (edges, mixed)]
    assert torch.equal(first, again)


def test_float32_stays_exact_far_from_the_origin_and_for_long_edges() -> None:
    """A square of 8192 pixels seen through a box of 16 at its slanted side, 4096 pixels from the origin."""
    edges = outline_from_polygons([[(0, 0), (8192, 0), (8192, 8192), (4096, 8192)]], where="slant").edges()
    box = np.array([[2040.0, 4088.0, 2056.0, 4104.0]])
    result = coverage(edges.astype(np.float32), box.astype(np.float32))
    np.testing.assert_allclose(result, coverage(edges, box), atol=1e-5)
    tensors = coverage(torch.from_numpy(edges).float(), torch.from_numpy(box).float())
    np.testing.assert_allclose(tensors.numpy(), coverage(edges, box), atol=1e-7)


@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 1e-44, 1e-20, 1e-13, 1e-11, 1e-7])
def test_an_edge_that_rises_by_next_to_nothing_does_no_harm(tiny: float) -> None:
    box = np.array([[-5.0, 0.0, 15.0, 20.0]])
    for points in ([(0, 0), (10, tiny), (10, 10), (0, 10)], [(0, 0), (10, 0), (10 + tiny, 10), (0, 10)]):
        edges = outline_from_polygons([points], where="almost upright").edges()
        result = coverage(edges, box)
        np.testing.assert_allclose(result, coverage(np.round(edges), box), atol=2 * tiny + 1e-11)
        single = coverage(edges.astype(np.float32), box.astype(np.float32))
        np.testing.assert_allclose(single, result, atol=1e-5)


def test_holes_and_parts_are_counted_once() -> None:
    outline = outline_from_polygons(
        [SQUARE, [(20, 0), (30, 0), (30, 10), (20, 10)]],
        holes=[[(2, 2), (2, 8), (8, 8), (8, 2)]],
        where="parts",
    )
    result = coverage(outline.edges(), np.array([[0.0, 0.0, 30.0, 10.0]]), size=1)
    assert result.item() == pytest.approx((100 - 36 + 100) / 300)


def test_a_box_inside_is_all_covered_and_one_beside_not_at_all() -> None:
    edges = outline_from_polygons([SQUARE], where="square").edges()
    around = np.array(
        [[2.0, 3.0, 4.0, 5.0], [11, 0, 20, 10], [-20, 0, -11, 10], [0, 11, 5, 20], [0, -9, 5, -1]]
    )
    result = coverage(edges, around)
    assert (result[0] == 1).all()
    assert not result[1:].any()


def test_zero_length_edges_count_nothing() -> None:
    edges = outline_from_polygons([SQUARE], where="square").edges()
    box = np.array([[-3.0, -4.0, 12.0, 7.0]])
    padded = pad_edges([edges, np.concatenate([edges] * 3)])
    assert padded.shape == (2, 12, 4)
    np.testing.assert_array_equal(coverage(padded[:1], box), coverage(edges, box))
    inside_the_box = np.concatenate([edges, np.full((5, 4), 2.5)])
    np.testing.assert_allclose(coverage(inside_the_box, box), coverage(edges, box), atol=1e-15)


@pytest.mark.parametrize(
    "box",
    [
        *([5, 5, 5, 9], [5, 5, 9, 5], [9, 5, 5, 9], [5, 9, 9, 5], [0, 0, 0, 0], [0, 0, 5e-324, 1e-310]),
        *([np.nan, 0, 5, 5], [0, np.nan, 5, 5], [0, 0, np.inf, 5], [-np.inf, 0, np.inf, 5], [np.inf] * 4),
    ],
)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_degenerate_box_is_covered_nowhere(box: list[float], library: str) -> None:
    edges = outline_from_polygons([SQUARE], where="square").edges()
    both = np.array([box, [0, 0, 10, 10]], dtype=np.float64)
    if library == "numpy":
        result = coverage(edges, both)
    else:
        result = coverage(torch.from_numpy(edges), torch.from_numpy(both)).numpy()
    assert (result[0] == 0).all()
    assert (result[1] == 1).all()


def test_a_box_counts_from_the_smallest_side_on() -> None:
    edges = outline_from_polygons([SQUARE], where="square").edges()
    narrow, wide = SMALLEST_SIDE * 0.99, SMALLEST_SIDE * 1.01
    around = np.array([[0, 0, narrow, 10], [0, 0, 10, narrow], [0, 0, wide, 10], [0, 0, 10, wide]])
    assert coverage(edges, around).min(axis=(1, 2)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("shape", [(0, 0, 4), (0, 7, 4)])
def test_no_box_gives_no_grid(shape: tuple[int, ...]) -> None:
    assert coverage(np.zeros(shape), np.zeros((0, 4))).shape == (0, 14, 14)
    assert coverage(torch.zeros(shape), torch.zeros((0, 4))).shape == (0, 14, 14)


def test_an_empty_outline_covers_nothing() -> None:
    assert not coverage(Outline(()).edges(), np.array([[0.0, 0.0, 5.0, 5.0]])).any()
    assert pad_edges([]).shape == (0, 0, 4)


def test_tensors_keep_their_type_and_carry_no_gradient() -> None:
    edges = torch.from_numpy(outline_from_polygons([SQUARE], where="square").edges()).float().requires_grad_()
    result = coverage(edges, torch.tensor([[0.0, 0.0, 20.0, 10.0]], dtype=torch.float64))
    assert result.dtype == torch.float32
    assert not result.requires_grad
    assert coverage(edges.double(), torch.zeros(1, 4)).dtype == torch.float64
    assert coverage(edges.detach().numpy(), np.zeros((1, 4), np.float32)).dtype == np.float32
    assert coverage(edges.detach().numpy(), np.zeros((1, 4))).dtype == np.float64


def test_padding_tensors_gives_a_tensor() -> None:
    padded = pad_edges([torch.ones(2, 4), torch.ones(3, 4)])
    assert padded.shape == (2, 3, 4)
    assert padded[0].sum() == 8


def test_a_cell_counts_from_half_of_it_on() -> None:
    """One cell, covered to 0.5 - 1e-3, 0.5 and 0.5 + 1e-3."""
    edges = outline_from_polygons([SQUARE], where="square").edges()
    around = np.array([[0.0, 0.0, 10 / share, 10] for share in (0.499, 0.5, 0.501)])
    assert mask_targets(edges, around, size=1).ravel().tolist() == [False, True, True]
    soft = mask_targets(edges, around, size=1, soft=True)
    np.testing.assert_allclose(soft.ravel(), [0.499, 0.5, 0.501])


def test_chunks_give_the_order_asked_for() -> None:
    rng = np.random.default_rng(3)
    many = [outline_from_polygons([rng.uniform(0, 50, (3, 2))], where="t") for _ in range(7)]
    many[2] = outline_from_polygons([SQUARE], where="square")
    around = np.tile(np.array([0, 0, 50, 50], dtype=np.float32), (7, 1))
    result = coverage_in_chunks([one.edges() for one in many], around, chunk=3)
    for one, box, row in zip(many, around, result, strict=True):
        np.testing.assert_allclose(row, coverage(one.edges(), box[None].astype(np.float64))[0], atol=1e-12)
