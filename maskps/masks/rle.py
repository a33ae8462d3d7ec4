"""COCO's run-length encoding of masks: written, and read with every number checked.

The pixels are walked column by column; `counts` are the lengths of the runs, outside, inside, outside, ...
The first may be 0. They stand as a list ("uncompressed") or as text ("compressed"): in the text each number
is a difference to the one two before it (from the fourth on), in groups of 5 bits, lowest first, one
character of code 48 + group each, 32 added in all but the last, whose bit 16 is the sign. (pycocotools,
common/maskApi.c, rleToString.) pycocotools itself does not check what it decodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError

MAX_PIXELS = 10**8
"""Largest mask that is read or written: 10,000 x 10,000 pixels."""

_HINT = "write the mask again with pycocotools.mask.encode"
_MAX_GROUPS = 7  # of 5 bits: more than any image needs


def mask_to_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns {"size": [height, width], "counts": [...]} of an (H, W) bool mask, uncompressed.

    The list, not the text, because every reader takes it: torchvision's reference reader takes no text.
    """
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels)) + 1
    ends = np.concatenate([[0] if pixels.size and pixels[0] else [], changes, [pixels.size]])
    return {"size": list(mask.shape), "counts": np.diff(ends, prepend=0).astype(np.int64).tolist()}


def rle_to_mask(rle: Any, *, where: str) -> NDArray[np.bool_]:
    """Returns the (H, W) bool mask of a run-length encoding, compressed or not.

    Args:
        rle: what a JSON file holds: an object with "size" and "counts".
        where: file and annotation, for the error message.

    Raises:
        AnnotationError: a size that is none, counts that are no numbers, negative, cut off, or that do not
            add up to the size.
    """
    if not isinstance(rle, dict) or "size" not in rle or "counts" not in rle:
        raise AnnotationError(
            where, expected="an RLE with 'size' and 'counts'", found=repr(rle)[:60], hint=_HINT
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
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _size(size: Any, where: str) -> tuple[int, int]:
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(side) is int and side > 0 for side in size)
        or size[0] * size[1] > MAX_PIXELS
    ):
        expected = f"a size [height, width] of at most {MAX_PIXELS} pixels"
        raise AnnotationError(where, expected=expected, found=repr(size)[:60], hint=_HINT)
    return size[0], size[1]


def _lengths(counts: Any, where: str) -> NDArray[np.int64]:
    try:
        numbers = np.array(counts if isinstance(counts, list) else None, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.full(1, np.nan)
    if numbers.ndim != 1 or not (np.abs(numbers) <= MAX_PIXELS).all() or (numbers % 1 != 0).any():
        found = repr(counts)[:60]
        raise AnnotationError(where, expected="counts as whole numbers, or as text", found=found, hint=_HINT)
    return numbers.astype(np.int64)


def _lengths_of_text(text: str, where: str) -> NDArray[np.int64]:
    lengths: list[int] = []
    number = groups = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or groups == _MAX_GROUPS:
            found = f"{character!r} after {len(lengths)} numbers"
            raise AnnotationError(where, expected="counts in COCO's encoding", found=found, hint=_HINT)
        number |= (code & 31) << 5 * groups
        groups += 1
        if code & 32:
            continue
        if code & 16:
            number -= 1 << 5 * groups
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number = groups = 0
    if groups:
        found = f"text that ends within number {len(lengths) + 1}"
        raise AnnotationError(where, expected="counts in COCO's encoding", found=found, hint=_HINT)
    # Each is at most 2**36 beyond the one two before it: no text that a file holds overflows 64 bits.
    return np.array(lengths, dtype=np.int64)
