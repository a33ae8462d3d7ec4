"""Finds holes in JPEG files: blocks of zero bytes that a broken copy or a download left in the picture.

A decoder turns a hole into wrong pixels without an error. Long runs of zero bytes do not occur in the scan of
a whole file: the first codes stand for small changes, and no picture has hundreds of the same in a row. The
exception is a flat area, if the file's code tables have "no change" as their first code.
"""

from __future__ import annotations

import re

_HOLE = 512
"""Zero bytes in a row that make a hole."""

_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # after 00 and the restart marks the scan continues
_TABLES, _SCAN, _END = 0xC4, 0xDA, 0xD9
_ALONE = {0x01, *range(0xD0, 0xD9)}  # marks without a length


def hole_in_jpeg(data: bytes) -> str:
    """Returns where a JPEG file has a hole; "" if it has none, or is not a JPEG file."""
    firsts: dict[int, int] = {}  # the value of the code 0...0, for each table
    place = 2
    while 0 <= place < len(data) - 3:
        if data[place] != 0xFF or data[place + 1] == 0xFF:
            place = data.find(b"\xff", place + 1)
            continue
        mark = data[place + 1]
        if mark == _END:
            break
        if mark in _ALONE:
            place += 2
            continue
        after = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if mark == _TABLES:
            firsts |= _first_values(data[place + 4 : after])
        if mark == _SCAN:
            found = _END_OF_SCAN.search(data, after)
            end = found.start() if found else len(data)
            hole = data.find(bytes(_HOLE), after, end)
            if hole >= 0 and not _is_flat(data[place + 4 : after], firsts):
                length = len(data[hole:end]) - len(data[hole:end].lstrip(b"\x00"))
                return f"{length:,} zero bytes in the middle of the picture, from byte {hole:,} on"
            after = end
        place = after
    return ""


def _first_values(tables: bytes) -> dict[int, int]:
    """Returns the value that the code of zeros has in each Huffman table, by the table's class and number."""
    firsts = {}
    while len(tables) > 17:
        firsts[tables[0]] = tables[17]
        tables = tables[17 + sum(tables[1:17]) :]
    return firsts


def _is_flat(header: bytes, firsts: dict[int, int]) -> bool:
    """Whether zeros in a scan mean "no change": a flat area."""
    count = header[0]
    start, end, bits = (header[1 + 2 * count :] + bytes(3))[:3]
    if start > 0:  # a progressive file without averages: one code stands for a run of many flat blocks
        return False
    if bits >> 4:  # a refinement of the averages: one bit per block, no codes
        return True
    tables = header[2 : 1 + 2 * count : 2]
    used = {chosen >> 4 for chosen in tables} | ({0x10 | chosen & 15 for chosen in tables} if end else set())
    return all(firsts.get(number) == 0 for number in used)
