"""COCO's run-length encoding of masks: pycocotools encodes and decodes, every number is checked here first.

The pixels are read column by column; `counts` are the lengths of the runs, outside, inside, outside, ...
The first may be 0. They are a list ("uncompressed") or a text ("compressed"): in the text each number is a
difference to the one two before it (from the fourth on), in groups of 5 bits, lowest first, one character of
code 48 + group each, 32 added in all but the last, whose bit 16 is the sign. (pycocotools, common/maskApi.c,
rleToString.) pycocotools does not check what it decodes: runs that are too short leave pixels unset, and a
text that is cut off makes it read beyond its end.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskps.errors import AnnotationError, shown_value

MAX_PIXELS = 10**8
"""Largest mask that is read or written: 10,000 x 10,000 pixels."""

_HINT = "write the mask again with pycocotools.mask.encode"
_MAX_GROUPS = 7  # of 5 bits: more than any image needs


def mask_to_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns {"size": [height, width], "counts": [...]} of an (H, W) bool mask, uncompressed.

    The list, not the text, because every reader takes it: torchvision's reference reader takes no text.
    """
    text = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode("ascii")
    return {"size": list(mask.shape), "counts": _lengths_of_text(text, "pycocotools").tolist()}


def rle_to_mask(rle: Any, *, where: str) -> NDArray[np.bool_]:
    """Returns the (H, W) bool mask of a run-length encoding, compressed or not.

    Args:
        rle: what a JSON file holds: an object with "size" and "counts".
        where: file and annotation, for the error message.

    Raises:
        AnnotationError: not a size; counts that are not numbers, negative, cut off, or that do not add up to
            the size.
    """
    if not isinstance(rle, dict) or "size" not in rle or "counts" not in rle:
        raise AnnotationError(
            where, expected="an RLE with 'size' and 'counts'", found=shown_value(rle), hint=_HINT
        )
    height, width = _size(rle["size"], where)
    counts = rle["counts"]
    lengths = _lengths_of_text(counts, where) if isinstance(counts, str) else _lengths(counts, where)
    total = int(lengths.sum())
    if (lengths < 0).any() or total != height * width:
        found = "a negative run" if (lengths < 0).any() else f"runs of {total} pixels"
        expected = f"runs that add up to {height} x {width} = {height * width} pixels"
        hint = "size is [height, width]; the counts may be cut off, or of another image"
        raise AnnotationError(where, expected=expected, found=found, hint=hint)
    checked = {"size": [height, width], "counts": lengths.tolist()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools' arrays, with numpy 2
        return coco_mask.decode(coco_mask.frPyObjects(checked, height, width)).astype(np.bool_)


def _size(size: Any, where: str) -> tuple[int, int]:
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(side) is int and side > 0 for side in size)
        or size[0] * size[1] > MAX_PIXELS
    ):
        expected = f"a size [height, width] of at most {MAX_PIXELS} pixels"
        raise AnnotationError(where, expected=expected, found=shown_value(size), hint=_HINT)
    return size[0], size[1]


def _lengths(counts: Any, where: str) -> NDArray[np.int64]:
    try:
        numbers = np.array(counts if isinstance(counts, list) else None, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.full(1, np.nan)
    if numbers.ndim != 1 or not (np.abs(numbers) <= MAX_PIXELS).all() or (numbers % 1 != 0).any():
        found = shown_value(counts)
        raise AnnotationError(where, expected="counts as whole numbers, or as text", found=found, hint=_HINT)
    return numbers.astype(np.int64)


def _lengths_of_text(text: str, where: str) -> NDArray[np.int64]:
    codes = np.array([ord(character) for character in text], dtype=np.int64) - 48
    is_last = codes & 32 == 0
    number = np.cumsum(is_last) - is_last  # which number each group belongs to
    group = np.arange(len(codes)) - np.searchsorted(number, number)
    found = ""
    if (is_wrong := (codes < 0) | (codes >= 64) | (group >= _MAX_GROUPS)).any():
        first = int(np.argmax(is_wrong))
        found = f"{text[first]!r} after {number[first]} numbers"
    elif not is_last.all() and not is_last[-1]:
        found = f"text that ends within number {number[-1] + 1}"
    if found:
        raise AnnotationError(where, expected="counts in COCO's encoding", found=found, hint=_HINT)
    # Each is at most 2**36 beyond the one two before it: no text that a file holds overflows 64 bits.
    lengths = np.zeros(int(is_last.sum()), dtype=np.int64)
    np.add.at(lengths, number, (codes & 31) << 5 * group)
    lengths -= np.where(codes & 16, 32 << 5 * group, 0)[is_last]
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    return lengths
