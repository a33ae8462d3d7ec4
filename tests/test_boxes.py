"""Box arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from maskps.boxes import box_area, box_iou, clip_boxes, flip_boxes, xywh_to_xyxy


def test_corners_of_uint8_boxes_do_not_overflow() -> None:
    """Query 9 of the real protocol: 138 + 73 fits a byte, 175 + 241 does not."""
    assert xywh_to_xyxy(np.array([[138, 175, 73, 241]], np.uint8)).tolist() == [[138, 175, 211, 416]]


def test_corners_of_boxes_with_fractions() -> None:
    boxes = np.array([[1, 2, 30, 40], [5.5, 6.25, 7, 8]], np.float32)
    assert xywh_to_xyxy(boxes).tolist() == [[1, 2, 31, 42], [5.5, 6.25, 12.5, 14.25]]


def test_iou_by_hand() -> None:
    """10 x 10 and 10 x 10 shifted by 5: intersection 50, union 150; no "+1" anywhere."""
    first = np.array([[0, 0, 10, 10]])
    second = np.array([[5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 10, 10]])
    assert box_iou(first, second)[0].tolist() == pytest.approx([1 / 3, 0, 1])


def test_empty_sets_and_empty_boxes_overlap_nothing() -> None:
    nothing = np.zeros((0, 4))
    assert box_iou(nothing, np.ones((3, 4))).shape == (0, 3)
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]
    assert box_area(np.array([[5, 5, 1, 9]])).tolist() == [0]


def test_flip_is_about_the_width_and_twice_is_nothing() -> None:
    """Continuous frame: a box at the left border ends at the right border, not one pixel beside it."""
    boxes = np.array([[0, 3, 4, 9]], np.float32)
    assert flip_boxes(boxes, 100).tolist() == [[96, 3, 100, 9]]
    assert flip_boxes(flip_boxes(boxes, 100), 100).tolist() == boxes.tolist()


def test_clipping_cuts_at_the_borders() -> None:
    assert clip_boxes(np.array([[-4, 5, 120, 70]]), 100, 50).tolist() == [[0, 5, 100, 50]]
