"""Photos of one's own: found in folders, read upright, with the time at which they were taken."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from maskps.errors import InputFileError, number_of
from maskps.io.files import explained_reading, open_file
from maskps.io.images import as_rgb, loaded_image

_PHOTO_ENDINGS = ".avif .bmp .gif .jfif .jpe .jpeg .jpg .png .tif .tiff .webp"
_VIDEO_ENDINGS = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv"
_RAW_ENDINGS = ".3fr .arw .cr2 .cr3 .dng .nef .nrw .orf .pef .raf .raw .rw2 .srw"

PHOTOS, VIDEOS = frozenset(_PHOTO_ENDINGS.split()), frozenset(_VIDEO_ENDINGS.split())
"""Endings of the files that are read as photos, and of videos, in lower case."""

_NOT_READ = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC, which is not read"),
    **dict.fromkeys(_RAW_ENDINGS.split(), "a camera's raw format, which is not read"),
    **dict.fromkeys((".jxl", ".psd", ".svg"), "a format that is not read"),
}
_AS_JPEG = "export it as JPEG"
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture of an EXIF orientation becomes upright (Exif 2.32, tag 274)."""


@dataclass(frozen=True)
class Photo:
    """A photo as a person sees it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright.
        taken_at: Unix seconds by the camera's clock; None if the file does not say it.
    """

    pixels: NDArray[np.uint8]
    taken_at: float | None


@dataclass(frozen=True)
class FoundFiles:
    """What some paths lead to, each file once, in a fixed order.

    Attributes:
        photos: files to read as photos.
        videos: files that are videos by their ending.
        unread: files and folders that cannot be read, and why.
        others: number of other files in the folders.
    """

    photos: tuple[Path, ...]
    videos: tuple[Path, ...]
    unread: tuple[tuple[Path, str], ...]
    others: int


def read_photo(path: Path, content: bytes | None = None, *, most_pixels: int | None = None) -> Photo:
    """Returns a photo upright: the EXIF orientation is applied, so boxes refer to what a viewer shows.

    Transparent parts become white. Of an animation, or a file of several pictures, the first is read. Other
    colour modes as `maskps.io.images.read_image`.

    Args:
        content, most_pixels: as `maskps.io.images.loaded_image`: a photo in memory, and a limit.

    Raises:
        InputFileError: missing, of 0 bytes, cut off, not an image, too large, or HEIC or a raw format.
    """
    if reason := _NOT_READ.get(path.suffix.lower()):
        raise InputFileError(path, expected="a photo", found=reason, hint=_AS_JPEG)
    _check_first_bytes(path, content)
    with (
        warnings.catch_warnings(action="ignore"),  # damaged EXIF
        loaded_image(path, content, most_pixels=most_pixels) as image,
    ):
        orientation, taken_at = _of_exif(image)
        if image.has_transparency_data:
            opaque = Image.new("RGBA", image.size, "white")
            opaque.alpha_composite(image.convert("RGBA"))
            image = opaque
        rgb = as_rgb(image)
        if orientation in _TURNS:
            rgb = rgb.transpose(_TURNS[orientation])
        return Photo(np.array(rgb), taken_at)


def find_files(paths: Sequence[Path], *, leave_out: Sequence[Path] = ()) -> FoundFiles:
    """Returns the photos and videos at these paths: files as given, of folders all below them.

    In a folder, the ending of a name decides, names that begin with a dot are left out, and links are
    followed, but no folder is entered twice. The order is that of the paths, then of the names' bytes. A
    found path is absolute, without links above its last part.

    Args:
        leave_out: files that are not the user's photos, such as the gallery's own.

    Raises:
        InputFileError: a path does not exist, or nothing there is a photo or a video, or looks like one.
    """
    photos: dict[Path, None] = {}
    videos: dict[Path, None] = {}
    unread: dict[Path, str] = {}
    others = 0
    left_out = {absolute(path) for path in leave_out}
    for path, reason, is_named in _walk(paths):
        suffix = path.suffix.lower()
        if path in left_out:
            continue
        if reason := reason or _NOT_READ.get(suffix, ""):
            unread[path] = reason
        elif suffix in VIDEOS:
            videos[path] = None
        elif suffix in PHOTOS or is_named:
            photos[path] = None
        else:
            others += 1
    if not (photos or videos or unread):
        raise InputFileError(
            ", ".join(map(str, paths)),
            expected=f"photos or videos, by the endings {_PHOTO_ENDINGS} {_VIDEO_ENDINGS}",
            found=f"none, and {number_of(others, 'other file')}",
            hint="check the path; a file that you name is tried whatever its ending",
        )
    return FoundFiles(tuple(photos), tuple(videos), tuple(unread.items()), others)


def absolute(path: Path) -> Path:
    """Returns a path without links and ".." above its last part; a link to a file keeps its own name."""
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def shown_path(path: str | Path) -> str:
    """Returns a path as text that can be written as UTF-8; other bytes of a name become "\\xe9"."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _walk(paths: Sequence[Path]) -> Iterator[tuple[Path, str, bool]]:
    """Yields every file, why it cannot be read ("" if it can), and whether the user named it."""
    entered: set[tuple[int, int]] = set()
    for path in paths:
        with explained_reading(path, what="a photo, a video, or a folder of them"):
            os.stat(path)
        waiting = [(absolute(path), True)]
        while waiting:
            one, is_named = waiting.pop()
            if not one.is_dir():
                yield one, "", is_named
                continue
            try:
                state = one.stat()
                names = sorted(os.listdir(one), key=os.fsencode, reverse=True)
            except OSError as error:
                yield one, error.strerror or str(error), is_named
                continue
            if (state.st_dev, state.st_ino) not in entered:
                entered.add((state.st_dev, state.st_ino))
                waiting.extend((one / name, False) for name in names if not name.startswith("."))


def _check_first_bytes(path: Path, content: bytes | None) -> None:
    """Raises InputFileError for an empty file, a video, and HEIC under another name, as phones send it."""
    if content is None:
        with explained_reading(path, what="a photo"), open_file(path) as file:
            content = file.read(12)
    first = content[:12]
    if not first:
        raise InputFileError(path, expected="a photo", found="a file of 0 bytes", hint="copy it again")
    if path.suffix.lower() in VIDEOS:
        hint = "take a picture of one of its frames"
        raise InputFileError(path, expected="a photo", found="a video, by its name", hint=hint)
    if first[4:8] == b"ftyp" and first[8:] in _HEIC_BRANDS:
        found = f"HEIC under the name {path.name}"
        raise InputFileError(path, expected="a photo", found=found, hint=_AS_JPEG)


def _of_exif(image: Image.Image) -> tuple[int, float | None]:
    """Returns orientation and capture time. EXIF that cannot be read counts as none."""
    try:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif)
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        taken = details.get(ExifTags.Base.DateTimeOriginal)
        zone = details.get(ExifTags.Base.OffsetTimeOriginal)
    except Exception:  # Pillow raises whatever its parsers do on damaged EXIF
        return 1, None
    return (orientation if isinstance(orientation, int) else 1), _unix_seconds(taken, zone)


def _unix_seconds(taken: object, zone: object) -> float | None:
    """Returns the time of EXIF's "2024:05:01 12:30:00"; without a zone it is that of this machine."""
    text = str(taken).strip(" \0")
    offset = str(zone).strip(" \0")
    for form, value in (("%Y:%m:%d %H:%M:%S%z", text + offset), ("%Y:%m:%d %H:%M:%S", text)):
        try:
            seconds = datetime.strptime(value, form).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
        if math.isfinite(seconds):
            return seconds
    return None
