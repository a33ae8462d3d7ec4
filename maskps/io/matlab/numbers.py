"""Reads and writes small files that hold plain matrices of numbers.

PRW has one such file per image: 11,816 files of some hundred bytes. `scipy.io.loadmat` takes three times as
long, and reserves as much memory as a damaged file declares. This code reads a file at once and parses only
the requested matrices.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.io.matlab.format import (
    COMPRESSED,
    DOUBLE,
    DOUBLE_CLASS,
    HEADER_SIZE,
    HEADER_START,
    INT8,
    INT32,
    LITTLE_ENDIAN_END,
    MATRIX,
    NUMBER_CLASSES,
    NUMBER_TYPES,
    UINT32,
)
from maskps.io.matlab.reader import cut_off, damaged, open_mat
from maskps.io.sniffing import COPY_AGAIN

_LARGEST_VARIABLE = 2**26
_COMPLEX_FLAG = 0x08
_HEADER = (HEADER_START + b", Created by: maskps").ljust(116) + bytes(8) + LITTLE_ENDIAN_END


def read_numbers(path: Path, names: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
    """Returns the name and content of the first variable that the file has: (rows, columns) float64.

    Args:
        path: a MATLAB 5 file, compressed or not.
        names: variables, in order of preference.

    Raises:
        InputFileError: no file, not a MATLAB 5 file, cut off, damaged, without these variables, or with one
            that is not a two-dimensional matrix of real numbers, or has more than 64 MB.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        data = b""
    if not data.startswith(HEADER_START) or data[HEADER_SIZE - 4 : HEADER_SIZE] != LITTLE_ENDIAN_END:
        open_mat(path, names[0])  # raises an error that explains the file
        raise damaged(path, "its header changed while it was read")
    found: dict[str, NDArray[np.float64] | None] = {}
    place = HEADER_SIZE
    while place < len(data):
        body, place = _variable(path, data, place)
        try:
            name, values = _matrix(body, names)
        except (struct.error, ValueError, IndexError) as error:
            raise damaged(path, str(error) or "a matrix without its head") from error
        found.setdefault(name, values)
    wanted = f"a MATLAB file with the variable {' or '.join(map(repr, names))}"
    for name in names:
        if name in found:
            values = found[name]
            if values is None:
                raise InputFileError(
                    path,
                    expected=f"{wanted}, a matrix of numbers",
                    found=f"'{name}' holds something else",
                    hint=COPY_AGAIN,
                )
            return name, values
    raise InputFileError(
        path,
        expected=wanted,
        found=f"the variables {', '.join(found)}" if found else "no variable",
        hint="the file may have been renamed; compare it with the released one",
    )


def numbers_file(values: NDArray[np.float64], name: str) -> bytes:
    """Returns the content of a file that holds a (rows, columns) matrix as its one variable.

    Even whole numbers are stored as doubles: most code replaces an id by 5555, which would overflow in a
    smaller type. The same matrix gives the same bytes.
    """
    rows, columns = values.shape
    content = (
        struct.pack("<4I", UINT32, 8, DOUBLE_CLASS, 0)
        + struct.pack("<2I2i", INT32, 8, rows, columns)
        + _padded(INT8, name.encode("ascii"))
        + _padded(DOUBLE, values.astype("<f8").tobytes(order="F"))
    )
    packed = zlib.compress(struct.pack("<II", MATRIX, len(content)) + content)
    return _HEADER + struct.pack("<II", COMPRESSED, len(packed)) + packed


def _padded(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload + bytes(-len(payload) % 8)


def _variable(path: Path, data: bytes, place: int) -> tuple[bytes, int]:
    """Returns the content of the variable at this place, unpacked, without its tag; and the next place."""
    if place + 8 > len(data):
        raise cut_off(path, "it ends inside a tag")
    kind, size = struct.unpack_from("<II", data, place)
    end = place + 8 + size
    if kind not in (MATRIX, COMPRESSED):
        raise damaged(path, f"byte {place} begins an element of type {kind}")
    if end > len(data):
        raise cut_off(path, f"{end - len(data)} bytes are missing")
    if kind == MATRIX:
        return data[place + 8 : end], end
    unpack = zlib.decompressobj()
    try:
        body = unpack.decompress(data[place + 8 : end], _LARGEST_VARIABLE)
    except zlib.error as error:
        raise damaged(path, f"zlib: {error}") from error
    if unpack.unconsumed_tail:
        raise InputFileError(
            path, expected="at most 64 MB", found="a larger variable", hint="compare it with the released one"
        )
    if not unpack.eof:
        raise cut_off(path, "its packed data end too early")
    if len(body) < 8 or struct.unpack_from("<II", body) != (MATRIX, len(body) - 8):
        raise damaged(path, f"no matrix begins at byte {place}")
    return body[8:], end


def _matrix(body: bytes, names: Sequence[str]) -> tuple[str, NDArray[np.float64] | None]:
    """Returns a variable's name and numbers; None for the numbers if the variable is of another kind.

    Raises:
        ValueError, struct.error, IndexError: it is damaged.
    """
    _, flags, place = _element(body, 0)
    _, shape_bytes, place = _element(body, place)
    _, name_bytes, place = _element(body, place)
    name = name_bytes.decode("latin-1")
    shape = struct.unpack(f"<{len(shape_bytes) // 4}I", shape_bytes)
    if name not in names or len(shape) != 2 or flags[0] not in NUMBER_CLASSES or flags[1] & _COMPLEX_FLAG:
        return name, None
    kind, payload, _ = _element(body, place)
    dtype = np.dtype(NUMBER_TYPES.get(kind, "V"))
    if kind not in NUMBER_TYPES or dtype.itemsize * math.prod(shape) != len(payload):
        raise ValueError(f"{len(payload)} bytes of type {kind} for {shape[0]} x {shape[1]} numbers")
    return name, np.frombuffer(payload, dtype).reshape(shape, order="F").astype(np.float64)


def _element(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Returns type and payload of the element at this place, and the place of the next one."""
    kind, size = struct.unpack_from("<II", data, place)
    if kind >> 16:  # the payload sits inside the tag
        return kind & 0xFFFF, data[place + 4 : place + 4 + min(kind >> 16, 4)], place + 8
    end = place + 8 + size
    if end > len(data):
        raise ValueError(f"an element of {size} bytes and type {kind}")
    return kind, data[place + 8 : end], end + -size % 8
