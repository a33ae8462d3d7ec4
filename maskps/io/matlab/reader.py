"""Opens MATLAB 5 files and streams one variable in pieces of whole elements.

A variable of the released files is a struct or cell array of small elements. TestG4000 unpacks to 1 GB, so
`MatVariable.chunks` yields some megabytes at a time.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.io.files import explained_reading, open_file
from maskps.io.matlab.format import (
    CELL_CLASS,
    COMPRESSED,
    HEADER_SIZE,
    HEADER_START,
    LITTLE_ENDIAN_END,
    MATRIX,
    STRUCT_CLASS,
)
from maskps.io.matlab.matrices import Matrices, split_fields
from maskps.io.sniffing import COPY_AGAIN, SNIFFED, other_file

_CHUNK = 4 * 2**20
_READ = 2**18
_HEAD = 2**16
MISSING = "check the data set's folder, or copy its annotation files again"


@dataclass(frozen=True)
class Chunk:
    """Some consecutive elements of a variable.

    Attributes:
        first: index of the first element.
        matrices: all matrices of these elements, nested ones included.
        rows: (n, F) int64, the rows of `matrices` of each element's F fields; F is 1 for a cell array.
    """

    first: int
    matrices: Matrices
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class MatVariable:
    """A struct or cell array in a file.

    Attributes:
        path: of the file.
        name: of the variable.
        fields: names of a struct's fields; none for a cell array.
        count: number of elements.
    """

    path: Path
    name: str
    fields: tuple[str, ...]
    count: int
    _is_array: bool = field(repr=False)
    _offset: int = field(repr=False)
    _skip: int = field(repr=False)

    def chunks(self) -> Iterator[Chunk]:
        """Yields the elements in order, some megabytes at a time.

        Raises:
            InputFileError: the file is cut off or damaged.
        """
        per_element = max(1, len(self.fields))
        done, start, buffer = 0, self._skip, bytearray()
        with open_file(self.path) as file:
            for piece in _unpacked(file, self._offset, self.path, _CHUNK):
                buffer += piece
                if len(buffer) - start < _CHUNK:
                    continue
                starts, start = self._whole_elements(buffer, start, per_element, done)
                if len(starts):
                    yield self._chunk(buffer, starts, start, per_element, done)
                    done += len(starts) // per_element
                    del buffer[:start]
                    start = 0
        starts, start = self._whole_elements(buffer, start, per_element, done)
        if len(starts):
            yield self._chunk(buffer, starts, start, per_element, done)
            done += len(starts) // per_element
        if done < self.count:
            raise cut_off(self.path, f"it ends after element {done} of {self.count} of '{self.name}'")

    def column(self, field: str) -> int:
        """Returns the index of a field.

        Raises:
            InputFileError: the struct has no such field.
        """
        if field not in self.fields:
            raise InputFileError(
                self.path,
                expected=f"a struct array '{self.name}' with the field '{field}'",
                found=f"the fields {', '.join(self.fields)}" if self.fields else "a cell array",
                hint="compare the file's name with its content",
            )
        return self.fields.index(field)

    def _whole_elements(
        self, buffer: bytearray, start: int, per_element: int, done: int
    ) -> tuple[list[int], int]:
        """Returns the starts of the matrices of whole elements in the buffer, and the end of the last."""
        starts: list[int] = []
        place, wanted = start, (self.count - done) * per_element
        while len(starts) < wanted and place + 8 <= len(buffer):
            kind, size = struct.unpack_from("<II", buffer, place)
            if kind != MATRIX or size % 8:
                raise damaged(self.path, f"element {done + len(starts) // per_element} of '{self.name}'")
            if place + 8 + size > len(buffer):
                break
            starts.append(place)
            place += 8 + size
        surplus = len(starts) % per_element
        if surplus:
            place = starts[-surplus]
            del starts[-surplus:]
        return starts, place

    def _chunk(self, buffer: bytearray, starts: list[int], end: int, per_element: int, done: int) -> Chunk:
        matrices = Matrices(bytes(buffer[starts[0] : end]), self.path)
        words = (np.array(starts, dtype=np.int64) - starts[0]) // 8
        rows = np.searchsorted(matrices.start, words)
        return Chunk(done, matrices, rows.reshape(-1, per_element))


def open_mat(path: Path, key: str | None = None) -> MatVariable:
    """Returns the variable `key` of a MATLAB 5 file, a struct or cell array; only its head is read.

    Args:
        path: the file.
        key: name of the variable; the first one of the file if None.

    Raises:
        InputFileError: no file, not a MATLAB 5 file, cut off, damaged, no such variable, or a variable that
            is neither a struct nor a cell array.
    """
    wanted = f"a MATLAB file with the variable '{key}'" if key else "a MATLAB file"
    names: list[str] = []
    with explained_reading(path, what=wanted, hint=MISSING), open_file(path) as file:
        check_header(path, file.read(SNIFFED), wanted)
        for offset, head in variables(file, path, _HEAD):
            variable = _read_head(path, offset, head)
            if key is None or variable.name == key:
                if not variable._is_array:
                    raise InputFileError(
                        path,
                        expected=f"a struct or cell array '{variable.name}'",
                        found="numbers or text",
                        hint="compare the file with the released one",
                    )
                return variable
            names.append(variable.name)
    raise InputFileError(
        path,
        expected=wanted,
        found=f"the variables {', '.join(names)[:200]}" if names else "no variable",
        hint="the file may have been renamed; compare it with the released one",
    )


def variables(file: BinaryIO, path: Path, limit: int) -> Iterator[tuple[int, bytes]]:
    """Yields the place of each variable in a file, and its content, unpacked and with its tag.

    Args:
        limit: of longer variables, only the beginning is read: at least this many bytes.
    """
    end = os.fstat(file.fileno()).st_size
    offset = HEADER_SIZE
    while offset < end:
        head = b""
        for piece in _unpacked(file, offset, path, limit):
            head += piece
            if len(head) >= limit:
                break
        yield offset, head
        file.seek(offset)
        offset += 8 + struct.unpack("<II", file.read(8))[1]


def check_header(path: Path, header: bytes, wanted: str) -> None:
    """Raises InputFileError unless a file that begins with these `SNIFFED` bytes is a MATLAB 5 file."""
    if other := other_file(header):
        raise InputFileError(path, expected=wanted, found=other.found, hint=other.hint)
    header = header[:HEADER_SIZE]
    if not header.startswith(HEADER_START):
        is_json = header.lstrip()[:1] in (b"{", b"[")
        found = "a JSON file" if is_json else f"something else, beginning with {header[:16]!r}"
        raise InputFileError(path, expected=wanted, found=found, hint=COPY_AGAIN)
    if len(header) < HEADER_SIZE:
        raise cut_off(path, f"it ends after {len(header)} bytes")
    if not header.endswith(LITTLE_ENDIAN_END):
        found, hint = "another version or byte order", "save it again in MATLAB with the option '-v7'"
        raise InputFileError(path, expected=f"{wanted}, little-endian", found=found, hint=hint)


def _unpacked(file: BinaryIO, offset: int, path: Path, limit: int) -> Iterator[bytes]:
    """Yields the element at `offset`, unpacked, in pieces of at most `limit` bytes."""
    file.seek(offset)
    tag = file.read(8)
    if len(tag) < 8:
        raise cut_off(path, "it ends inside a tag")
    kind, left = struct.unpack("<II", tag)
    if kind == MATRIX:
        file.seek(offset)
        left += 8
        while left:
            piece = file.read(min(left, limit))
            if not piece:
                raise cut_off(path, f"{left} bytes are missing")
            left -= len(piece)
            yield piece
        return
    if kind != COMPRESSED:
        raise damaged(path, f"byte {offset} begins an element of type {kind}")
    unpack = zlib.decompressobj()
    packed = b""
    while not unpack.eof:
        if not packed:
            packed = file.read(min(left, _READ))
            left -= len(packed)
            if not packed:
                raise cut_off(path, f"{left} packed bytes are missing")
        try:
            piece = unpack.decompress(packed, limit)
        except zlib.error as error:
            raise damaged(path, f"zlib: {error}") from error
        packed = unpack.unconsumed_tail
        if piece:
            yield piece


def _read_head(path: Path, offset: int, head: bytes) -> MatVariable:
    """Returns the variable with these first bytes."""
    try:
        kind, place = struct.unpack_from("<I4x", head)[0], 8
        if kind != MATRIX:
            raise damaged(path, f"no matrix begins at byte {offset}")
        _, flags, place = element(head, place)
        _, shape, place = element(head, place)
        _, name, place = element(head, place)
        fields: tuple[str, ...] = ()
        if flags[0] == STRUCT_CLASS:
            _, width, place = element(head, place)
            _, names, place = element(head, place)
            fields = split_fields(names, struct.unpack("<i", width)[0])
        count = math.prod(np.frombuffer(shape, "<u4").tolist())
        is_array = flags[0] in (STRUCT_CLASS, CELL_CLASS) or count == 0
        return MatVariable(path, name.decode("latin-1"), fields, count, is_array, offset, place)
    except (struct.error, IndexError, ValueError) as error:
        raise damaged(path, f"the head of the variable at byte {offset}") from error


def element(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Returns type and payload of the element at this place, and the place of the next one."""
    kind, size = struct.unpack_from("<II", data, place)
    if kind >> 16:  # the payload sits inside the tag
        return kind & 0xFFFF, data[place + 4 : place + 4 + min(kind >> 16, 4)], place + 8
    end = place + 8 + size
    if end > len(data):
        raise ValueError(f"an element of {size} bytes and type {kind}")
    return kind, data[place + 8 : end], end + -size % 8


def cut_off(path: Path, found: str) -> InputFileError:
    """Returns the error that a file ends too early."""
    return InputFileError(
        path, expected="a whole MATLAB file", found=f"it is cut off: {found}", hint=COPY_AGAIN
    )


def damaged(path: Path, found: str) -> InputFileError:
    """Returns the error that the content of a file is damaged."""
    return InputFileError(path, expected="a MATLAB file", found=f"it is damaged: {found}", hint=COPY_AGAIN)
