"""Run-length encodings: the same as pycocotools', and never decoded unchecked."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskps.errors import AnnotationError
from maskps.masks.rle import mask_to_rle, rle_to_mask

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


def compressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


@settings(deadline=None)
@given(masks)
def test_reading_back_gives_the_same_mask(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(rle_to_mask(mask_to_rle(mask), where="test"), mask)


@settings(deadline=None)
@given(masks)
def test_pycocotools_reads_what_we_write(mask: NDArray[np.bool_]) -> None:
    rle = mask_to_rle(mask)
    again = coco_mask.decode(coco_mask.frPyObjects(rle, *rle["size"]))
    np.testing.assert_array_equal(again.astype(np.bool_), mask)
    assert coco_mask.frPyObjects(rle, *rle["size"])["counts"].decode("ascii") == compressed(mask)["counts"]


@settings(deadline=None)
@given(masks)
@example(np.ones((700, 700), dtype=np.bool_))  # a run of four groups
def test_we_read_what_pycocotools_writes(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(rle_to_mask(compressed(mask), where="test"), mask)


def test_the_runs_go_down_the_columns() -> None:
    mask = np.array([[False, True, True], [False, False, True]])
    assert mask_to_rle(mask) == {"size": [2, 3], "counts": [2, 1, 1, 2]}
    assert mask_to_rle(~mask) == {"size": [2, 3], "counts": [0, 2, 1, 1, 2]}


def test_a_number_may_have_seven_groups() -> None:
    """6 is "6" or, with six empty groups after it, "VPPPPP0": V is 6 with 32 added, P is 0 with 32 added."""
    for text in ("6", "VPPPPP0"):
        assert not rle_to_mask({"size": [2, 3], "counts": text}, where="test").any()


def test_whole_numbers_written_with_a_point_are_read() -> None:
    mask = rle_to_mask({"size": [1, 4], "counts": [1.0, 2.0, 1.0]}, where="test")
    assert mask.tolist() == [[False, True, True, False]]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        (None, "'size' and 'counts'"),
        ({"size": [2, 3]}, "'size' and 'counts'"),
        ({"size": [2], "counts": [6]}, "height, width"),
        ({"size": [2, -3], "counts": [6]}, "height, width"),
        ({"size": [2.0, 3], "counts": [6]}, "height, width"),
        ({"size": [True, 6], "counts": [6]}, "height, width"),
        ({"size": "23", "counts": [6]}, "height, width"),
        ({"size": [10**4, 10**4 + 1], "counts": [10**8]}, "at most"),
        ({"size": [10**4, 10**4], "counts": [5]}, "runs of 5 pixels"),
        ({"size": [2, 3], "counts": [5]}, "runs of 5 pixels"),
        ({"size": [2, 3], "counts": [6, 1]}, "runs of 7 pixels"),
        ({"size": [2, 3], "counts": []}, "runs of 0 pixels"),
        ({"size": [2, 3], "counts": [7, -1]}, "negative"),
        ({"size": [2, 3], "counts": [5.5, 0.5]}, "whole numbers"),
        ({"size": [2, 3], "counts": [[6]]}, "whole numbers"),
        ({"size": [2, 3], "counts": [6, None]}, "whole numbers"),
        ({"size": [2, 3], "counts": ["six"]}, "whole numbers"),
        ({"size": [2, 3], "counts": [10**400]}, "whole numbers"),
        ({"size": [2, 3], "counts": [float("nan")]}, "whole numbers"),
        ({"size": [2, 3], "counts": [float("inf")]}, "whole numbers"),
        ({"size": [2, 3], "counts": 6}, "whole numbers"),
        ({"size": [2, 3], "counts": {"a": 6}}, "whole numbers"),
        ({"size": [2, 3], "counts": "5"}, "runs of 5 pixels"),
        ({"size": [2, 3], "counts": ""}, "runs of 0 pixels"),
        ({"size": [2, 3], "counts": "P"}, "ends within number 1"),
        ({"size": [2, 3], "counts": "PPPPPPPPPPPP0"}, "encoding"),
        ({"size": [2, 3], "counts": "VPPPPPP0"}, "encoding"),  # 8 groups
        ({"size": [2, 3], "counts": "6 "}, "encoding"),
        ({"size": [2, 3], "counts": "6p"}, "encoding"),
        ({"size": [2, 3], "counts": "/6"}, "'/' after 0 numbers"),
        ({"size": [2, 3], "counts": "ü"}, "encoding"),
        ({"size": [2, 3], "counts": "7O"}, "negative"),
    ],
)
def test_a_damaged_encoding_is_one_clear_error(rle: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        rle_to_mask(rle, where="masks.json annotation 3")
    assert caught.value.where == "masks.json annotation 3"
    assert caught.value.hint


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=115), max_size=40))
def test_any_text_gives_a_mask_or_an_error(text: str) -> None:
    with contextlib.suppress(AnnotationError):
        assert rle_to_mask({"size": [4, 5], "counts": text}, where="test").shape == (4, 5)


@settings(deadline=None)
@given(masks, st.data())
def test_a_text_that_is_cut_off_is_never_a_mask(mask: NDArray[np.bool_], data: st.DataObject) -> None:
    rle = compressed(mask)
    length = data.draw(st.integers(0, len(rle["counts"]) - 1))
    with pytest.raises(AnnotationError):
        rle_to_mask(rle | {"counts": rle["counts"][:length]}, where="test")
