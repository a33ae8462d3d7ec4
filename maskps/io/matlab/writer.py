"""Writes MATLAB 5 files of nested structs as a stream of bytes.

`scipy.io.savemat` wants every cell of a struct array as a Python object, and writes one at a time: the
11.6 million gallery entries of TestG4000 would take hours and tens of gigabytes. Here every piece is a
`bytes` object, so a repeated piece (a distractor) is built once and joined as often as it occurs.
The format is described in `format`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from maskps.errors import AnnotationError
from maskps.io.files import written_atomically
from maskps.io.matlab.format import (
    CELL_CLASS,
    CHAR_CLASS,
    COMPRESSED,
    DOUBLE,
    DOUBLE_CLASS,
    HEADER_SIZE,
    HEADER_START,
    INT8,
    INT16,
    INT32,
    LITTLE_ENDIAN_END,
    MATRIX,
    STRUCT_CLASS,
    UINT8,
    UINT16,
    UINT32,
    UTF8,
)

_INTEGER_TYPES = (
    (UINT8, "B", 0, 2**8 - 1),
    (UINT16, "H", 0, 2**16 - 1),
    (INT16, "h", -(2**15), 2**15 - 1),
    (INT32, "i", -(2**31), 2**31 - 1),
)
_LARGEST_ELEMENT = 2**32 - 1
_HEADER = (HEADER_START + b", Created by: maskps").ljust(116) + bytes(8) + LITTLE_ENDIAN_END


def char_matrix(text: str) -> bytes:
    """Returns a nested (1, len(text)) char matrix; an empty text is (0, 0), as MATLAB's ''."""
    return _matrix(CHAR_CLASS, (1, len(text)) if text else (0, 0), _element(UTF8, text.encode("utf-8")))


def number_matrix(values: Sequence[float]) -> bytes:
    """Returns a nested (1, n) matrix of class double, stored in the smallest type, as MATLAB does.

    Readers see the type stored: uint8 or uint16 for boxes. No numbers are a tag without a payload, as in the
    released files; scipy reads it as (1, 0) float64.
    """
    if not len(values):
        return struct.pack("<II", MATRIX, 0)
    if all(float(value).is_integer() for value in values):
        low, high = min(values), max(values)
        for kind, letter, least, most in _INTEGER_TYPES:
            if least <= low and high <= most:
                data = struct.pack(f"<{len(values)}{letter}", *map(int, values))
                return _matrix(DOUBLE_CLASS, (1, len(values)), _element(kind, data))
    return _matrix(DOUBLE_CLASS, (1, len(values)), _element(DOUBLE, struct.pack(f"<{len(values)}d", *values)))


def struct_matrix(fields: Sequence[str], elements: Sequence[bytes], *, name: str = "") -> bytes:
    """Returns a (1, n) struct matrix.

    Args:
        fields: names of the fields.
        elements: n pieces, each the matrices of one element's fields, joined.
        name: of the variable; nested matrices have none.
    """
    content = b"".join(elements)
    return struct_head(fields, len(elements), len(content), name=name) + content


def struct_head(fields: Sequence[str], count: int, content_size: int, *, name: str = "") -> bytes:
    """Returns the beginning of a (1, count) struct matrix; `content_size` bytes of elements follow."""
    width = max(map(len, fields)) + 1
    names = b"".join(field.encode("ascii").ljust(width, b"\0") for field in fields)
    extra = _element(INT32, struct.pack("<i", width)) + _element(INT8, names)
    return _head(STRUCT_CLASS, (1, count), len(extra) + content_size, name) + extra


def cell_matrix(cells: Sequence[bytes], *, name: str = "") -> bytes:
    """Returns an (n, 1) cell matrix of these matrices."""
    content = b"".join(cells)
    return _head(CELL_CLASS, (len(cells), 1), len(content), name) + content


def write_mat(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a file of one variable, atomically; the same chunks give the same bytes.

    Args:
        chunks: the variable's matrix, cut anywhere; only one chunk at a time is held in memory.
    """
    with written_atomically(path) as temporary, open(temporary, "wb") as file:
        file.write(_HEADER + bytes(8))
        compressor = zlib.compressobj(level=6)
        for chunk in chunks:
            file.write(compressor.compress(chunk))
        file.write(compressor.flush())
        size = file.tell() - HEADER_SIZE - 8
        file.seek(HEADER_SIZE)
        file.write(struct.pack("<II", COMPRESSED, size))


def _element(kind: int, payload: bytes) -> bytes:
    if 0 < len(payload) <= 4:
        return struct.pack("<HH", kind, len(payload)) + payload.ljust(4, b"\0")
    return struct.pack("<II", kind, len(payload)) + payload + bytes(-len(payload) % 8)


def _matrix(matrix_class: int, shape: tuple[int, int], content: bytes) -> bytes:
    return _head(matrix_class, shape, len(content)) + content


@lru_cache(maxsize=1024)
def _head(matrix_class: int, shape: tuple[int, int], content_size: int, name: str = "") -> bytes:
    head = (
        _element(UINT32, struct.pack("<II", matrix_class, 0))
        + _element(INT32, struct.pack("<ii", *shape))
        + _element(INT8, name.encode("ascii"))
    )
    if len(head) + content_size > _LARGEST_ELEMENT:
        raise AnnotationError(
            f"MATLAB variable '{name}'",
            expected="at most 4 GB, the limit of the MATLAB 5 format",
            found=f"{(len(head) + content_size) / 1e9:.1f} GB",
            hint="write fewer gallery entries",
        )
    return struct.pack("<II", MATRIX, len(head) + content_size) + head
