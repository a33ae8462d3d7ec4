"""Explains why a file cannot be read: missing, a pointer, a web page, an archive, cut off."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from maskps.errors import AnnotationError, MaskpsError
from maskps.findings import Finding
from maskps.io.files import UnusableFileError, open_file
from maskps.io.sniffing import COPY_AGAIN, SNIFFED, other_file

_ADDED = re.compile(
    r"( \(\d+\)| copy|\.part|\.crdownload|\.download|\.tmp|\.bak|\.old|\.\d+|~)+$", re.IGNORECASE
)
_SEARCHED = 20_000  # files looked at for one with a similar name


def missing_file(path: Path, *, what: str, root: Path, known: Collection[str] = ()) -> Finding:
    """Returns the finding that a file is missing, with the name of a similar file if there is one.

    Args:
        what: what the file should hold, e.g. "the scenes and boxes".
        root: the data set's root, where similar files are looked for.
        known: names of the data set's other files, which are not proposed.
    """
    similar = similar_file(path, root, known=known)
    hint = (
        f"is it '{similar}'? Rename or move it" if similar else "copy the data set's annotation files again"
    )
    return Finding("file-missing", "error", str(path), "no such file", what, hint)


def file_finding(path: Path, error: MaskpsError, *, root: Path, known: Collection[str] = ()) -> Finding:
    """Returns why a file could not be read, from its first bytes and the reader's error.

    Codes: file-missing, file-empty, file-lfs-pointer, file-web-page, file-archive, file-other-kind,
    file-truncated, file-damaged, file-unreadable, variable-missing, and entry-invalid for an
    AnnotationError: the file can be read, but says something impossible.

    Args:
        error: the reader's error.
        root, known: as for `missing_file`.
    """
    if isinstance(error, AnnotationError):
        return Finding.of_error("entry-invalid", error)
    where, expected = str(path), error.expected
    try:
        with open_file(path) as file:
            other = other_file(file.read(SNIFFED))
    except FileNotFoundError:
        return missing_file(path, what=expected, root=root, known=known)
    except OSError as reason:
        found = "a folder" if path.is_dir() else reason.strerror or str(reason)
        hint = "check who may read it" if isinstance(reason, PermissionError) else COPY_AGAIN
        hint = "give a regular file" if isinstance(reason, UnusableFileError) else hint
        return Finding("file-unreadable", "error", where, found, expected, hint)
    if other is not None:
        return Finding(other.code, "error", where, other.found, expected, other.hint)
    if error.found.startswith(("the variables", "no variable")):
        return Finding.of_error("variable-missing", error)
    found, hint = error.found, error.hint or COPY_AGAIN
    if "cut off" in found:
        return Finding("file-truncated", "error", where, found, expected, hint)
    return Finding("file-damaged", "error", where, found, expected, hint)


def similar_file(
    path: Path, root: Path, *, known: Collection[str] = (), pictures: bool = False
) -> str | None:
    """Returns the path, below `root`, of a file that may be the missing one, or None.

    First choice: the same name in another folder. Second: the same name except for case and for what a
    browser or a copy appends ("Images (1).mat", "Images.mat.part"). Third, but not for pictures: a similar
    name in the same folder.

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
    if pictures:  # s17.jpg is similar to s18.jpg, but another picture
        return None
    beside = [file.name for file in candidates if file.parent == path.parent]
    close = get_close_matches(path.name, beside, n=1, cutoff=0.75)
    return (path.parent / close[0]).relative_to(root).as_posix() if close else None


def _plain(name: str) -> str:
    """Returns a file name in lower case, composed, without what a browser or a copy appended to it."""
    stem, dot, suffix = _ADDED.sub("", name).rpartition(".")
    plain = (_ADDED.sub("", stem) + dot + suffix).lower().replace(".jpeg", ".jpg")
    return unicodedata.normalize("NFC", plain)


def is_picture(name: str) -> bool:
    """Whether this is the name of a picture."""
    return _ADDED.sub("", name).lower().endswith((".jpg", ".jpeg", ".png", ".bmp"))


def pictures_below(folder: Path) -> list[Path]:
    """Returns the pictures below a folder, about `_SEARCHED` at most."""
    return _files(folder, pictures=True)


def _files(root: Path, pictures: bool) -> list[Path]:
    """Returns the pictures, or the other files, below a folder, about `_SEARCHED` at most."""
    found: list[Path] = []
    for folder, _, names in os.walk(root):
        found += [Path(folder, name) for name in sorted(names) if is_picture(name) == pictures]
        if len(found) > _SEARCHED:
            break
    return found
