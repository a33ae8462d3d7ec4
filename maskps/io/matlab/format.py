"""The part of the MATLAB 5 file format that person-search annotations use.

    file     128 bytes of header, then one element per variable, COMPRESSED (a zlib stream that holds one
             MATRIX element) or, saved with "-v6", the MATRIX element itself
    element  type and size (uint32 each), then the payload, padded to a multiple of 8 bytes;
             a payload of 1 to 4 bytes sits inside the tag instead ("small element")
    matrix   flags (class), dimensions, name, then by class
               char    one element with the text, as UTF-8 in the released files
               double  one element with the numbers, in the smallest type that holds them
               cell    one matrix per cell
               struct  width of a field name, the field names, then for each element one matrix per field
             a tag without a payload is an empty matrix: box and mark of an entry without a true box

Everything inside a variable starts at a multiple of 8 bytes: a variable is an array of 64-bit words.
"""

from __future__ import annotations

HEADER_SIZE = 128
HEADER_START = b"MATLAB 5.0 MAT-file"
LITTLE_ENDIAN_END = b"\x00\x01IM"
"""Version 1.0 and the two letters that show the byte order: the last 4 bytes of the header."""

INT8, UINT8, INT16, UINT16, INT32, UINT32, SINGLE, DOUBLE, INT64, UINT64 = 1, 2, 3, 4, 5, 6, 7, 9, 12, 13
MATRIX, COMPRESSED, UTF8, UTF16, UTF32 = 14, 15, 16, 17, 18
"""Types of elements."""

CELL_CLASS, STRUCT_CLASS, CHAR_CLASS, DOUBLE_CLASS = 1, 2, 4, 6
NUMBER_CLASSES = range(6, 16)
"""Classes of matrices."""

NUMBER_TYPES = {
    INT8: "<i1",
    UINT8: "<u1",
    INT16: "<i2",
    UINT16: "<u2",
    INT32: "<i4",
    UINT32: "<u4",
    SINGLE: "<f4",
    DOUBLE: "<f8",
    INT64: "<i8",
    UINT64: "<u8",
}
"""numpy's name of each type of number."""

TEXT_TYPES = {
    INT8: ("utf-8", 1),
    UINT8: ("utf-8", 1),
    UTF8: ("utf-8", 1),
    UINT16: ("utf-16-le", 2),
    UTF16: ("utf-16-le", 2),
    UTF32: ("utf-32-le", 4),
}
"""Encoding of each type of text, and its bytes per unit."""
