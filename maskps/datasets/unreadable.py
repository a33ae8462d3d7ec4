"""What is wrong with a file that cannot be read: not there, a pointer, a web page, an archive, cut off."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from maskps.errors import AnnotationError, MaskpsError
from maskps.findings import Finding

_COPY = "copy or download it again"
_ARCHIVES = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!", "rar"),
    (257, b"ustar", "tar"),
)
_OTHER_KINDS = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"MATLAB 7.3", "a MATLAB 7.3 (HDF5) file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF file"),
)
_ADDED = re.compile(
    r"( \(\d+\)| copy|\.part|\.crdownload|\.download|\.tmp|\.bak|\.old|\.\d+|~)+$", re.IGNORECASE
)
_SEARCHED = 20_000  # files looked at for one with a similar name


def missing_file(path: Path, *, what: str, root: Path, known: Collection[str] = ()) -> Finding:
    """Returns the finding that a file is not there, with the name of a similar one if one lies near.

    Args:
        what: what the file should hold, e.g. "the scenes and boxes".
        root: of the data set; the file is looked for below it.
        known: names of the data set's other files, which are not taken for this one.
    """
    similar = similar_file(path, root, known=known)
    hint = (
        f"is it '{similar}'? Rename or move it" if similar else "copy the data set's annotation files again"
    )
    return Finding("file-missing", "error", str(path), "no such file", what, hint)


def file_finding(path: Path, error: MaskpsError, *, root: Path, known: Collection[str] = ()) -> Finding:
    """Returns why a file could not be read, from its first bytes and from what the reader said.

    Codes: file-missing, file-empty, file-lfs-pointer, file-web-page, file-archive, file-other-kind,
    file-truncated, file-damaged, file-unreadable, variable-missing, and entry-invalid for an
    AnnotationError: the file can be read, but says something impossible.

    Args:
        error: of the reader.
        root, known: as for `missing_file`.
    """
    where = str(path)
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        return missing_file(path, what=error.expected, root=root, known=known)
    except OSError as reason:
        found = "a folder" if path.is_dir() else reason.strerror or str(reason)
        hint = "check who may read it" if isinstance(reason, PermissionError) else _COPY
        return Finding("file-unreadable", "error", where, found, error.expected, hint)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        return Finding("file-empty", "error", where, "an empty file", error.expected, _COPY)
    if start.startswith(b"version https://git-lfs"):
        size = re.search(rb"\nsize (\d+)", head)
        found = "a Git-LFS pointer" + (f" to {int(size.group(1)):,} bytes" if size else "")
        return Finding("file-lfs-pointer", "error", where, found, error.expected, "run 'git lfs pull'")
    if start.startswith(b"<"):
        hint = "the download needs a login or another link"
        return Finding("file-web-page", "error", where, "a web page (HTML or XML)", error.expected, hint)
    for place, magic, kind in _ARCHIVES:
        if head[place:].startswith(magic):
            found = f"a {kind} archive"
            return Finding("file-archive", "error", where, found, error.expected, "unpack it first")
    for magic, kind in _OTHER_KINDS:
        if head.startswith(magic):
            return Finding("file-other-kind", "error", where, kind, error.expected, error.hint or _COPY)
    if isinstance(error, AnnotationError):
        return Finding.of_error("entry-invalid", error)
    if error.found.startswith(("the variables", "no variable")):
        return Finding.of_error("variable-missing", error)
    if "cut off" in error.found:
        return Finding("file-truncated", "error", where, error.found, error.expected, error.hint or _COPY)
    return Finding("file-damaged", "error", where, error.found, error.expected, error.hint or _COPY)


def similar_file(
    path: Path, root: Path, *, known: Collection[str] = (), pictures: bool = False
) -> str | None:
    """Returns the path below `root` of a file that may be the one that is missing, None if there is none.

    First of the same name elsewhere, then of the same name but for case or what a browser or a copy appends
    ("Images (1).mat", "Images.mat.part"), then of a similar name in the same folder, but not a picture's.

    Args:
        pictures: look for a picture, not for another file.
    """
    wanted = _plain(path.name)
    candidates = [file for file in _files(root, pictures) if file.name not in known or file.name == path.name]
    for match in (
        [file for file in candidates if file.name == path.name],
        [file for file in candidates if _plain(file.name) == wanted],
    ):
        if match:
            return match[0].relative_to(root).as_posix()
    if pictures:  # s17.jpg is similar to s18.jpg, but never meant
        return None
    beside = [file.name for file in candidates if file.parent == path.parent]
    close = get_close_matches(path.name, beside, n=1, cutoff=0.75)
    return (path.parent / close[0]).relative_to(root).as_posix() if close else None


def _plain(name: str) -> str:
    """Returns a file name in lower case without what a browser or a copy appends to it."""
    stem, dot, suffix = _ADDED.sub("", name).rpartition(".")
    return (_ADDED.sub("", stem) + dot + suffix).lower().replace(".jpeg", ".jpg")


def is_picture(name: str) -> bool:
    """Returns whether this is the name of a picture."""
    return _ADDED.sub("", name).lower().endswith((".jpg", ".jpeg", ".png", ".bmp"))


def _files(root: Path, pictures: bool) -> list[Path]:
    """Returns the pictures, or the other files, below a folder; a bounded number of them."""
    found: list[Path] = []
    for folder, _, names in os.walk(root):
        found += [Path(folder, name) for name in sorted(names) if is_picture(name) == pictures]
        if len(found) > _SEARCHED:
            break
    return found
