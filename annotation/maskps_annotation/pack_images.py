"""The image files of packs: plain names, and pixels that LabelMe shows in the data set's frame."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from maskps.errors import AnnotationError
from maskps.io.files import explained_reading, read_bytes
from maskps.io.images import image_orientation, image_size

_ODD = re.compile(r"[^\w.-]")
_SCAN, _APP1 = 0xDA, 0xE1
_LONGEST = 150  # bytes of a stem: a file system takes 255, with endings and what a temporary name adds
_TAKEN = ("pack", "rules", "labelmerc")
"""Stems of the other files in a pack."""


def pack_image_names(scenes: Sequence[str], *, tag: str = "") -> list[str]:
    """Returns a plain file name for each scene; no two share a stem, ignoring case.

    LabelMe finds the file of an image by its stem, so two images with the same stem would share one file.
    If file names alone are not unique, the folders in a scene's name become part of its file name.

    Args:
        tag: at the end of every stem.
    """
    short = [PurePosixPath(scene).name for scene in scenes]
    is_unique = len({PurePosixPath(name).stem.casefold() for name in short}) == len(short)
    taken = set(_TAKEN)
    names = []
    for scene in short if is_unique else scenes:
        plain = _ODD.sub("_", scene).lstrip(".-")
        stem, suffix = PurePosixPath(plain).stem or "image", PurePosixPath(plain).suffix
        stem = stem.encode()[:_LONGEST].decode(errors="ignore")
        free, number = stem, 1
        while free.casefold() in taken:
            number += 1
            free = f"{stem}-{number}"
        taken.add(free.casefold())
        names.append(free + tag + suffix)
    return names


def pack_image(source: Path, target: Path) -> tuple[str, tuple[int, int]]:
    """Copies an image into a pack; returns the copy's sha256 (hex) and (width, height).

    The pack never holds a link: a program that saves the picture in place would change the data set.
    LabelMe turns an image by its EXIF orientation, but boxes refer to the stored pixels. A JPEG with such an
    orientation is copied without its EXIF data: the same pixels, shown as stored.

    Raises:
        InputFileError: the image is missing or broken.
        AnnotationError: an image of another format has an EXIF orientation.
    """
    size = image_size(source)
    content = packed_content(source)
    target.write_bytes(content)
    if _is_turned(target):  # the mark stands where we cannot remove it
        raise AnnotationError(
            source,
            expected="an image without EXIF orientation, or a JPEG",
            found="an image that LabelMe would show turned",
            hint="save it again without EXIF data; the boxes refer to the stored pixels",
        )
    return hashlib.sha256(content).hexdigest(), size


def packed_content(source: Path) -> bytes:
    """Returns the bytes that a pack holds of an image.

    Raises:
        InputFileError: the image is missing or broken.
    """
    if _is_turned(source):
        return _without_marks(source)
    with explained_reading(source, what="an image"):
        return read_bytes(source)


def _is_turned(path: Path) -> bool:
    return image_orientation(path) not in (0, 1)


def _without_marks(path: Path) -> bytes:
    """Returns a JPEG file without its Exif and XMP segments (APP1); any other file as it is."""
    data = read_bytes(path)
    kept, at = [data[:2]], 2
    while data[:2] == b"\xff\xd8" and data[at : at + 1] == b"\xff" and data[at + 1] != _SCAN:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != _APP1:
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])
