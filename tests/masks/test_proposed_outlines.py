"""Proposed outlines: where the probability is a half, with few vertices, and how sure a mask is."""

from __future__ import annotations

import numpy as np
import pytest

from maskps.masks import proposed_outlines
from maskps.masks.coverage import coverage, mask_targets
from maskps.masks.outlines import Outline, outline_from_polygons
from maskps.masks.proposed_outlines import MOST_CHANGED, propose_outline, sureness_of

BOX = np.array([100.3, 50.9, 181.1, 252.4])
SIZES = pytest.mark.parametrize("size", [14, 28])


def ring_of(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def person_with_a_hole() -> Outline:
    hole = ring_of(143, 158, 11, 43)
    return outline_from_polygons([ring_of(141, 151, 33, 92)], holes=[hole], where="person")


def probabilities_of(outline: Outline, size: int, box: np.ndarray = BOX) -> np.ndarray:
    return np.clip(coverage(outline.edges(), box[None], size)[0], 0.02, 0.98)


def cells(outline: Outline, size: int = 14) -> np.ndarray:
    return mask_targets(outline.edges(), BOX[None], size=size)[0]


def constant(value: float) -> np.ndarray:
    return np.full((14, 14), value)


@SIZES
def test_the_outline_of_a_mask_comes_back_with_its_hole(size: int) -> None:
    person = person_with_a_hole()
    found = propose_outline(probabilities_of(person, size), BOX)
    assert found is not None
    assert [len(holes) for _, holes in found.parts()] == [1]
    assert (cells(found) != cells(person)).sum() <= 10  # of 196; a hand moves 7 to 26


@SIZES
def test_few_vertices_change_few_cells(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = probabilities_of(person_with_a_hole(), size)
    found = propose_outline(values, BOX)
    monkeypatch.setattr(proposed_outlines, "MOST_CHANGED", -1)
    traced = propose_outline(values, BOX)
    assert found is not None
    assert traced is not None
    assert len(traced.edges()) > 100
    assert 8 <= len(found.edges()) <= 40
    assert 0 < (cells(found) != cells(traced)).sum() <= MOST_CHANGED


@SIZES
def test_the_border_is_where_the_interpolated_logit_is_zero(size: int) -> None:
    logits = np.full((size, size), 2.0)
    logits[:, size // 2 :] = -1.0  # between the centres of two cells the logit falls from 2 to -1
    found = propose_outline(1 / (1 + np.exp(-logits)), BOX)
    assert found is not None
    middle = size / 2 - 0.5 + 2 / 3
    width, height = BOX[2:] - BOX[:2]
    # Interpolated at points a quarter of a cell apart, and linearly between these: the border is exact.
    expected = [BOX[0], BOX[1], BOX[0] + middle * width / size, BOX[3]]
    assert found.bounds == pytest.approx(np.array(expected))
    assert found.area == pytest.approx((middle * width / size) * height)
    assert len(found.edges()) == 4


def test_a_probability_rounded_to_one_moves_the_border_hardly() -> None:
    """In float32, a sigmoid of 17 or more is 1."""
    values = constant(0.02)
    values[:, :7] = 1 - 1e-12
    near, rounded = propose_outline(values, BOX), propose_outline(np.round(values, 6), BOX)
    assert near is not None
    assert rounded is not None
    assert rounded.bounds == pytest.approx(near.bounds, abs=0.1)


def test_a_mask_that_fills_its_box_is_the_box() -> None:
    found = propose_outline(constant(1.0), BOX)
    assert found is not None
    assert found.bounds == pytest.approx(BOX)
    assert len(found.edges()) == 4


def test_crumbs_are_left_out_and_parts_stay() -> None:
    values = constant(0.01)
    values[2:5, 2:12] = 0.99
    values[7:13, 2:12] = 0.99  # legs, cut from the body by something in front
    two = propose_outline(values, BOX)
    values[0, 13] = 0.6  # a crumb
    values[10, 7] = 0.4  # a crumb of a hole
    again = propose_outline(values, BOX)
    assert two is not None
    assert again is not None
    assert [len(holes) for _, holes in two.parts()] == [0, 0]
    assert [len(holes) for _, holes in again.parts()] == [0, 0]


@pytest.mark.parametrize(
    ("values", "box"),
    [
        (constant(0.49), BOX),
        (constant(0.0), BOX),
        (constant(1.0), np.array([5.0, 5.0, 5.0, 9.0])),
        (constant(1.0), np.array([5.0, 5.0, np.nan, 9.0])),
    ],
)
def test_nothing_gives_no_outline(values: np.ndarray, box: np.ndarray) -> None:
    assert propose_outline(values, box) is None


def test_sureness_is_the_expected_iou() -> None:
    masks = np.zeros((4, 14, 14))
    masks[0, :7] = 1.0
    masks[1, :7] = 0.9
    masks[2, :7], masks[2, 7:] = 0.9, 0.1
    masks[3] = 0.4
    # The third: 0.9 of the mask is right, and the union is the mask and a tenth of the rest.
    assert sureness_of(masks) == pytest.approx([1.0, 0.9, 0.9 / 1.1, 0.0])
    assert sureness_of(np.zeros((0, 14, 14))).shape == (0,)
