"""What often lies in place of a data file, known by its first bytes: a pointer, a web page, an archive."""

from __future__ import annotations

import re
from dataclasses import dataclass

SNIFFED = 512
"""Bytes that `other_file` needs."""

COPY_AGAIN = "copy or download it again"
_UNPACK = "unpack it first"
_SAVE_AS_V7 = "save it in MATLAB with the option '-v7'"


@dataclass(frozen=True)
class OtherFile:
    """A file of another kind than the one expected.

    Attributes:
        code: code of the finding.
        found: what the file is.
        hint: what to try.
    """

    code: str
    found: str
    hint: str


_STARTS = (
    (0, b"PK\x03\x04", OtherFile("file-archive", "a zip archive", _UNPACK)),
    (0, b"\x1f\x8b", OtherFile("file-archive", "a gzip archive", _UNPACK)),
    (0, b"BZh", OtherFile("file-archive", "a bzip2 archive", _UNPACK)),
    (0, b"\xfd7zXZ\x00", OtherFile("file-archive", "a xz archive", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", OtherFile("file-archive", "a 7z archive", _UNPACK)),
    (0, b"Rar!", OtherFile("file-archive", "a rar archive", _UNPACK)),
    (257, b"ustar", OtherFile("file-archive", "a tar archive", _UNPACK)),
    (0, b"\xff\xd8\xff", OtherFile("file-other-kind", "a JPEG picture", COPY_AGAIN)),
    (0, b"\x89PNG", OtherFile("file-other-kind", "a PNG picture", COPY_AGAIN)),
    (0, b"%PDF", OtherFile("file-other-kind", "a PDF file", COPY_AGAIN)),
    (0, b"MATLAB 7.3", OtherFile("file-other-kind", "a MATLAB 7.3 (HDF5) file", _SAVE_AS_V7)),
    (0, b"\x89HDF", OtherFile("file-other-kind", "an HDF5 file", _SAVE_AS_V7)),
)


def other_file(head: bytes) -> OtherFile | None:
    """Returns what a file with these first bytes is, None if it may be the data.

    Args:
        head: the first `SNIFFED` bytes; fewer if the file is shorter.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        return OtherFile("file-empty", "an empty file", COPY_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        size = re.search(rb"\nsize (\d+)", head)
        found = "a Git-LFS pointer" + (f" to {int(size.group(1)):,} bytes" if size else "")
        return OtherFile("file-lfs-pointer", found, "run 'git lfs pull'")
    if start.startswith(b"<"):
        hint = "the download needs a login or another link"
        return OtherFile("file-web-page", "a web page (HTML or XML)", hint)
    return next((other for place, magic, other in _STARTS if head[place:].startswith(magic)), None)
