"""Reads and writes small files that hold plain matrices of numbers.

PRW has one such file per image: 11,816 files of some hundred bytes. `scipy.io.loadmat` reserves as much
memory as a damaged file declares. This code is faster, and parses only the requested matrices.
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
from maskps.io.files import explained_reading, open_file
from maskps.io.matlab.format import (
    COMPRESSED,
    DOUBLE,
    DOUBLE_CLASS,
    HEADER_START,
    INT8,
    INT32,
    LITTLE_ENDIAN_END,
    MATRIX,
    NUMBER_CLASSES,
    NUMBER_TYPES,
    UINT32,
)
from maskps.io.matlab.reader import MISSING, check_header, damaged, element, variables
from maskps.io.sniffing import COPY_AGAIN, SNIFFED

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
    wanted = f"a MATLAB file with the variable {' or '.join(map(repr, names))}"
    found: dict[str, NDArray[np.float64] | None] = {}
    with explained_reading(path, what=wanted, hint=MISSING), open_file(path) as file:
        check_header(path, file.read(SNIFFED), wanted)
        for _, variable in variables(file, path, _LARGEST_VARIABLE + 1):
            if len(variable) > _LARGEST_VARIABLE:
                hint = "compare it with the released one"
                raise InputFileError(path, expected="at most 64 MB", found="a larger variable", hint=hint)
            try:
                name, values = _matrix(variable, names)
            except (struct.error, ValueError, IndexError) as error:
                raise damaged(path, str(error) or "a matrix without its head") from error
            found.setdefault(name, values)
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


def _matrix(variable: bytes, names: Sequence[str]) -> tuple[str, NDArray[np.float64] | None]:
    """Returns a variable's name and numbers; None for the numbers if the variable is of another kind.

    Raises:
        ValueError, struct.error, IndexError: it is damaged.
    """
    if struct.unpack_from("<II", variable) != (MATRIX, len(variable) - 8):
        raise ValueError("a variable that is not a matrix of its stated size")
    _, flags, place = element(variable, 8)
    _, shape_bytes, place = element(variable, place)
    _, name_bytes, place = element(variable, place)
    name = name_bytes.decode("latin-1")
    shape = struct.unpack(f"<{len(shape_bytes) // 4}I", shape_bytes)
    if name not in names or len(shape) != 2 or flags[0] not in NUMBER_CLASSES or flags[1] & _COMPLEX_FLAG:
        return name, None
    kind, payload, _ = element(variable, place)
    dtype = np.dtype(NUMBER_TYPES.get(kind, "V"))
    if kind not in NUMBER_TYPES or dtype.itemsize * math.prod(shape) != len(payload):
        raise ValueError(f"{len(payload)} bytes of type {kind} for {shape[0]} x {shape[1]} numbers")
    return name, np.frombuffer(payload, dtype).reshape(shape, order="F").astype(np.float64)
