"""Nested MATLAB matrices as columns: start and end of each, its class, its numbers or its text.

Python takes a microsecond to find one matrix after another, and TestG4000 holds 35 million. This code finds
all words that look like the tag of a matrix at once. Then it *proves* that they are the matrices: each must
be exactly where its predecessor leads. Only if a box happens to look like a tag, it follows the chain step
by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.columns import ragged_ranges
from maskps.errors import AnnotationError, InputFileError
from maskps.io.matlab.format import (
    CELL_CLASS,
    CHAR_CLASS,
    DOUBLE_CLASS,
    INT8,
    INT32,
    MATRIX,
    NUMBER_CLASSES,
    NUMBER_TYPES,
    STRUCT_CLASS,
    TEXT_TYPES,
    UINT32,
)

Where = Callable[[int], str]
"""Returns the place of entry i of the given rows, for error messages."""

_FLAGS_TAG = UINT32 | 8 << 32
_SHAPE_TAG = INT32 | 8 << 32
_ODD = np.uint64(0x9E3779B97F4A7C15)
_COMPARE = "compare the file with the released one, or copy it again"


class Matrices:
    """All matrices in a piece of a variable, in the order of the file: a parent comes before its children.

    Attributes:
        start: (n,) int64, the first word of each.
        stop: (n,) int64, the row after the last of its children; row + 1 for char and number matrices.
        kind: (n,) uint8, class.
        size: (n,) int64, number of elements.

    Args:
        data: whole matrices, one after another.
        path: of the file, for error messages.

    Raises:
        InputFileError: not a sequence of two-dimensional matrices without names.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        self._path = path
        self._words = np.frombuffer(data, dtype="<u8")
        halves = self._words.view("<u4").reshape(-1, 2)
        self._low, self._high = halves[:, 0], halves[:, 1]
        start = np.flatnonzero(self._low == MATRIX)
        following = self._following(start)
        total = len(self._words)
        if total and not np.array_equal(np.append(start, total), np.insert(following, 0, 0)):
            start = self._followed(start, following)
        self.start = start
        end = start + 1 + self._high[start].astype(np.int64) // 8
        is_void = end == start + 1  # MATLAB may write an empty matrix as a tag without a payload
        self.kind = np.where(is_void, DOUBLE_CLASS, self._at(2) & 0xFF).astype(np.uint8)
        self._check(end, is_void)
        # A product of floats cannot wrap around; true sizes are exact, since no piece holds 2^53 elements.
        size = self._at(4).astype(float) * self._at(4, self._high)
        self._refuse(~is_void & (size > len(data)), "a matrix with more elements than bytes")
        self.size = np.where(is_void, 0, size).astype(np.int64)
        is_parent = (self.kind == STRUCT_CLASS) | (self.kind == CELL_CLASS)
        self.stop = np.arange(1, len(start) + 1)
        self.stop[is_parent] = np.searchsorted(start, end[is_parent])
        self._end = end
        place_after = np.append(start, total)[self.stop]
        self._refuse(place_after != end, "a nested matrix that does not end where its parent does")

    def __len__(self) -> int:
        return len(self.start)

    def single(self, rows: NDArray[np.int64], fields: Sequence[str], where: Where) -> list[NDArray[np.int64]]:
        """Returns the rows of the fields' matrices in structs of one element; the fields may be nested.

        Args:
            rows: (m,) structs.
            fields: names of the fields wanted.
            where: names the place of struct i.

        Returns:
            For each field wanted (m,) int64.

        Raises:
            AnnotationError: something else than a struct of one element with these fields.
        """
        self._refuse_entry(
            (self.kind[rows] != STRUCT_CLASS) | (self.size[rows] != 1), rows, "one struct", where
        )
        columns = [np.zeros(len(rows), dtype=np.int64) for _ in fields]
        for names, chosen in self._layouts(rows):
            self._check_fields(names, fields, where, chosen)
            child = rows[chosen] + 1
            for name in names:
                self._refuse(child >= self.stop[rows[chosen]], "a struct with fewer fields than names")
                if name in fields:
                    columns[fields.index(name)][chosen] = child
                child = self.stop[child]
        return columns

    def elements(
        self, rows: NDArray[np.int64], fields: Sequence[str], where: Where
    ) -> list[NDArray[np.int64]]:
        """Returns the rows of the fields' matrices in all elements of struct arrays.

        Args:
            rows: (m,) struct arrays whose fields hold nothing nested, or empty number matrices, which may
                stand for a struct array without elements.
            fields: names of the fields wanted.
            where: names the place of struct array i.

        Returns:
            For each field wanted (e,) int64, e the number of elements of all struct arrays together.

        Raises:
            AnnotationError: something else than a struct array with these fields.
        """
        sizes = self.size[rows]
        self._refuse_entry((self.kind[rows] != STRUCT_CLASS) & (sizes > 0), rows, "a struct array", where)
        filled = np.flatnonzero(sizes > 0)
        layouts = [(names, filled[among]) for names, among in self._layouts(rows[filled])]
        for names, chosen in layouts:
            self._check_fields(names, fields, where, chosen)
            parents = rows[chosen]
            nested = self.stop[parents] - parents - 1 != sizes[chosen] * len(names)
            if nested.any():
                place = where(int(chosen[np.flatnonzero(nested)[0]]))
                expected = "as many plain fields as elements"
                raise AnnotationError(place, expected=expected, found="others", hint=_COMPARE)

        ends = np.cumsum(sizes)
        columns = [np.zeros(int(sizes.sum()), dtype=np.int64) for _ in fields]
        for names, chosen in layouts:
            counts = sizes[chosen]
            inner = ragged_ranges(np.zeros_like(counts), counts)
            places = ragged_ranges(ends[chosen] - counts, counts)
            first_child = np.repeat(rows[chosen] + 1, counts)
            for column, field in zip(columns, fields, strict=True):
                column[places] = first_child + inner * len(names) + names.index(field)
        return columns

    def numbers(self, rows: NDArray[np.int64], count: int, where: Where) -> NDArray[np.float64]:
        """Returns (n, count) float64: the numbers of matrices that hold exactly `count` each.

        Raises:
            AnnotationError: another class or another count.
        """
        is_bad = ~np.isin(self.kind[rows], NUMBER_CLASSES) | (self.size[rows] != count)
        self._refuse_entry(is_bad, rows, f"{count} number{'s' * (count > 1)}", where)
        result = np.empty((len(rows), count))
        for kind, size, chosen in self._groups(rows):
            dtype = np.dtype(NUMBER_TYPES.get(kind, "V"))
            if kind not in NUMBER_TYPES or dtype.itemsize * count != size:
                found = f"{size} bytes of type {kind}"
                expected = f"{count} numbers"
                raise AnnotationError(where(int(chosen[0])), expected=expected, found=found, hint=_COMPARE)
            result[chosen] = self._payloads(rows[chosen], size).view(dtype)
        return result

    def texts(self, rows: NDArray[np.int64], where: Where) -> list[str]:
        """Returns the texts of char matrices.

        Raises:
            AnnotationError: another class, an empty text, or bytes that are not text.
        """
        self._refuse_entry((self.kind[rows] != CHAR_CLASS) | (self.size[rows] == 0), rows, "a text", where)
        result = np.empty(len(rows), dtype=object)
        for kind, size, chosen in self._groups(rows):
            codec, width = TEXT_TYPES.get(kind, ("", 1))
            if not codec or size == 0 or size % width:
                found = f"{size} bytes of type {kind}"
                raise AnnotationError(where(int(chosen[0])), expected="a text", found=found, hint=_COMPARE)
            payloads = self._payloads(rows[chosen], size)
            units = payloads.view(f"<u{width}")
            if (units < 128).all():
                result[chosen] = units.astype("<u4").view(f"<U{size // width}")[:, 0]
                continue
            for row, payload in zip(chosen.tolist(), payloads, strict=True):
                try:
                    result[row] = payload.tobytes().decode(codec)
                except UnicodeDecodeError as error:
                    found = repr(payload.tobytes())
                    raise AnnotationError(
                        where(row), expected="a text", found=found, hint=_COMPARE
                    ) from error
        return result.tolist()

    def distinct_texts(self, rows: NDArray[np.int64], where: Where) -> tuple[NDArray[np.int64], list[str]]:
        """Returns (n,) int64, the index of each char matrix's text, and the texts, each once or twice.

        For names that come again and again: only the different ones become Python objects. (Twice: a text
        stored in two ways.)

        Raises:
            AnnotationError: as `texts`.
        """
        self._refuse_entry((self.kind[rows] != CHAR_CLASS) | (self.size[rows] == 0), rows, "a text", where)
        which = np.empty(len(rows), dtype=np.int64)
        firsts = [np.zeros(0, dtype=np.int64)]
        count = 0
        for _, size, chosen in self._groups(rows):
            first, among = _distinct_rows(self._payloads(rows[chosen], size))
            which[chosen] = count + among
            firsts.append(chosen[first])
            count += len(first)
        examples = np.concatenate(firsts)
        return which, self.texts(rows[examples], lambda index: where(int(examples[index])))

    def _at(self, words: int, half: NDArray[np.uint32] | None = None) -> NDArray[np.int64]:
        """Returns the lower (or the given) half of the word this far behind each start."""
        place = np.minimum(self.start + words, len(self._words) - 1)
        return (self._low if half is None else half)[place].astype(np.int64)

    def _following(self, start: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the word where the next matrix after each start begins: its first child, if it has one."""
        last = len(self._words) - 1
        end = start + 1 + self._high[start].astype(np.int64) // 8
        kind = self._low[np.minimum(start + 2, last)] & 0xFF
        kind[end == start + 1] = DOUBLE_CLASS
        names = np.minimum(start + 7, last)
        names_words = np.where(self._low[names] >> 16, 0, (self._high[names].astype(np.int64) + 7) // 8)
        return np.select(
            [kind == STRUCT_CLASS, kind == CELL_CLASS], [start + 8 + names_words, start + 6], end
        )

    def _followed(self, start: NDArray[np.int64], following: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the starts that a walk from the first word visits."""
        next_of = dict(zip(start.tolist(), following.tolist(), strict=True))
        visited, place = [], 0
        while place < len(self._words):
            if place not in next_of:
                raise self._error(f"no matrix where one should begin, at word {place}")
            visited.append(place)
            place = next_of[place]
        if place > len(self._words):
            raise self._error("a matrix that is longer than its parent")
        return np.array(visited, dtype=np.int64)

    def _check(self, end: NDArray[np.int64], is_void: NDArray[np.bool_]) -> None:
        """Raises InputFileError unless every matrix has the head that `_following` assumed."""
        total = len(self._words)
        self._refuse((self._high[self.start] % 8 != 0) | (end > total), "a matrix of a wrong size")
        least = np.select([self.kind == STRUCT_CLASS, self.kind == CELL_CLASS], [8, 6], 7)
        self._refuse(~is_void & (end - self.start < least), "a matrix without its head")
        tags = [self._words[np.minimum(self.start + word, total - 1)] for word in (1, 3)]
        plain = (tags[0] == _FLAGS_TAG) & (tags[1] == _SHAPE_TAG) & (self._at(5, self._high) == 0)
        plain &= self._at(5) == INT8
        self._refuse(~is_void & ~plain, "a matrix with a name or with more than two dimensions")

    def _layouts(self, structs: NDArray[np.int64]) -> Iterator[tuple[tuple[str, ...], NDArray[np.int64]]]:
        """Yields each different list of field names of these structs, and the structs that have it."""
        start = self.start[structs]
        lengths = self._following(start) - start
        for length in np.unique(lengths).tolist():
            chosen = np.flatnonzero(lengths == length)
            heads = self._words[start[chosen][:, None] + np.arange(6, length)]
            different, which = np.unique(heads, axis=0, return_inverse=True)
            for number, head in enumerate(different):
                yield self._field_names(head.tobytes()), chosen[which.reshape(-1) == number]

    def _field_names(self, head: bytes) -> tuple[str, ...]:
        """Returns the names in the two elements after a struct's name."""
        width, tag, size = np.frombuffer(head[4:16], "<u4").tolist()
        names = head[12 : 12 + (tag >> 16)] if tag >> 16 else head[16 : 16 + size]
        try:
            return split_fields(names, width)
        except ValueError as error:
            raise self._error(str(error)) from error

    def _check_fields(
        self, names: tuple[str, ...], fields: Sequence[str], where: Where, chosen: NDArray[np.int64]
    ) -> None:
        if not set(fields) <= set(names):
            expected = f"a struct with the fields {', '.join(fields)}"
            found = ", ".join(names)
            raise AnnotationError(where(int(chosen[0])), expected=expected, found=found, hint=_COMPARE)

    def _groups(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """Yields each type and size (bytes) of the rows' payloads, and the rows that have them."""
        data = self.start[rows] + 6
        low, high = self._low[data], self._high[data]
        is_small = low > 0xFFFF
        kind = np.where(is_small, low & 0xFFFF, low).astype(np.int64)
        size = np.where(is_small, low >> 16, high).astype(np.int64)
        room = np.where(is_small, 4, (self._end[rows] - data - 1) * 8)
        self._refuse(size > room, "numbers or a text longer than their matrix")
        key = is_small.astype(np.int64) << 62 | kind << 32 | size
        for value in np.unique(key).tolist():
            yield value >> 32 & 0xFFFF, value & 0xFFFFFFFF, np.flatnonzero(key == value)

    def _payloads(self, rows: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
        """Returns (n, size) uint8: the payloads of matrices that store `size` bytes in the same way."""
        data = self.start[rows] + 6
        if len(rows) and self._low[data[0]] > 0xFFFF:
            raw = self._high[data][:, None]
        else:
            raw = self._words[data[:, None] + np.arange(1, 1 + -(-size // 8))]
        return np.ascontiguousarray(np.ascontiguousarray(raw).view(np.uint8)[:, :size])

    def _refuse(self, is_bad: NDArray[np.bool_], found: str) -> None:
        if is_bad.any():
            raise self._error(found)

    def _refuse_entry(
        self, is_bad: NDArray[np.bool_], rows: NDArray[np.int64], expected: str, where: Where
    ) -> None:
        if is_bad.any():
            entry = int(np.flatnonzero(is_bad)[0])
            kind, size = int(self.kind[rows[entry]]), int(self.size[rows[entry]])
            names = {CELL_CLASS: "cells", STRUCT_CLASS: "structs", CHAR_CLASS: "characters"}
            found = f"{size} {names.get(kind, 'numbers')}"
            raise AnnotationError(where(entry), expected=expected, found=found, hint=_COMPARE)

    def _error(self, found: str) -> InputFileError:
        return InputFileError(
            self._path,
            expected="nested structs and cells as MATLAB writes them",
            found=f"it is damaged: {found}",
            hint="copy or download it again",
        )


def _distinct_rows(rows: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns one example of each different row, and the index of the example of each of the n rows."""
    words = np.zeros((len(rows), max(1, -(-rows.shape[1] // 8))), dtype=np.uint64)
    words.view(np.uint8)[:, : rows.shape[1]] = rows
    keys = words[:, 0]
    for word in range(1, words.shape[1]):
        keys = keys * _ODD + words[:, word]
    _, first, among = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(words[first][among], words):  # different rows with one key
        _, first, among = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, among.reshape(-1)


def split_fields(names: bytes, width: int) -> tuple[str, ...]:
    """Returns the names of a struct's fields, stored with `width` bytes each.

    Raises:
        ValueError: a width that does not fit.
    """
    if width < 1 or len(names) % width:
        raise ValueError(f"{len(names)} bytes of field names, {width} each")
    pieces = [names[place : place + width] for place in range(0, len(names), width)]
    return tuple(piece.split(b"\0", 1)[0].decode("latin-1") for piece in pieces)
