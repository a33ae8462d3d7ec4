"""Reads image files and their sizes, and checks that they exist; errors name the file."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from maskps.errors import ConfigError, InputFileError, MaskpsError
from maskps.io.files import explained_reading, open_file, read_bytes
from maskps.io.jpeg import hole_in_jpeg

MAX_PIXELS_VARIABLE = "MASKPS_MAX_PIXELS"

_MISSING = "check the path, or copy the image there again"
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_TOO_WIDE = ("I", "F")
_PIXELS_PER_BYTE = 8 * 64  # at most in a JPEG: a block of 8 x 8 pixels takes 1 bit or more
_DRAFT = 8  # JPEGs are checked at this fraction of their size: every byte is read, few pixels are computed
_open_lock = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Returns an image file as (H, W, 3) uint8, RGB.

    The pixels are those stored. An EXIF orientation is not applied, because the boxes of person-search data
    sets refer to the stored pixels. Other colour modes are converted; of 16 bits of grey, the upper 8 are
    taken.

    Raises:
        InputFileError: the file is missing, cut off, not an image, has a hole (see `maskps.io.jpeg`), more
            pixels than `max_pixels()`, or pixels of 32 bits.
    """
    with loaded_image(path) as image:
        return np.array(as_rgb(image))


@contextmanager
def loaded_image(
    path: Path, content: bytes | None = None, *, most_pixels: int | None = None
) -> Iterator[Image.Image]:
    """Yields an image file as Pillow has it, all its pixels read; of an animation, the first picture.

    Args:
        content: the file's bytes; then nothing is read from disk, and `path` is a name for messages.
        most_pixels: a limit below `max_pixels()`.

    Raises:
        InputFileError: as `read_image`; also in place of what Pillow raises in the block.
    """
    with _opened(path, content) as image:
        _check_head(image, path, content, most_pixels)
        _load(image, path, content)
        yield image


def as_rgb(image: Image.Image) -> Image.Image:
    """Returns an image in mode RGB; of 16 bits of grey, the upper 8 are taken."""
    if image.mode in _SIXTEEN_BITS:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def image_size(path: Path) -> tuple[int, int]:
    """Returns (width, height) in pixels of an image file, from its head, without the pixels.

    Raises:
        InputFileError: missing, or not an image; damage behind the head is not noticed.
    """
    with _opened(path) as image:
        return image.size


def image_orientation(path: Path) -> int:
    """Returns the EXIF orientation of an image file; 1, the default, is as stored.

    Raises:
        InputFileError: as `image_size`.
    """
    with _opened(path) as image:
        return _orientation(image)


def check_image(path: Path) -> tuple[tuple[int, int], int]:
    """Returns (width, height) and EXIF orientation of an image file after reading all of it.

    It finds what `read_image` refuses, and is faster: of a JPEG, every byte is read but few pixels are
    computed.

    Raises:
        InputFileError: as `read_image`.
    """
    with _opened(path) as image:
        size, orientation = image.size, _orientation(image)
        _check_head(image, path)
        image.draft("L", (max(1, size[0] // _DRAFT), max(1, size[1] // _DRAFT)))
        _load(image, path)
        return size, orientation


def max_pixels() -> int:
    """Returns how many pixels an image may have to be read: $MASKPS_MAX_PIXELS, by default 200 million.

    Raises:
        ConfigError: the variable is not a whole number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "200000000")
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ConfigError(
            f"the environment variable {MAX_PIXELS_VARIABLE}",
            expected="a whole number above 0",
            found=f"'{text}'",
            hint="correct or unset it",
        )
    return int(text)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


@contextmanager
def _opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Yields the image, of which only the head is read; all that goes wrong becomes an InputFileError."""
    what = f"the image '{path.name}'"
    try:
        with explained_reading(path, what=what, hint=_MISSING), _stream(path, content) as file:
            with _open_lock:  # our limit is `max_pixels`, and not for the head
                limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                try:
                    image = Image.open(file)
                finally:
                    Image.MAX_IMAGE_PIXELS = limit
            with image:
                yield image
    except MaskpsError:
        raise
    except UnidentifiedImageError as error:
        found, hint = "not a picture of a known format, or one without its head", "copy it again"
        raise InputFileError(path, expected=f"{what}, whole", found=found, hint=hint) from error
    except Exception as error:  # Pillow raises whatever its decoders do on a damaged file
        raise InputFileError(
            path,
            expected=f"{what}, whole",
            found=str(error) or type(error).__name__,
            hint="the file is broken or cut off; copy it again",
        ) from error


def _stream(path: Path, content: bytes | None) -> BinaryIO:
    return open_file(path) if content is None else io.BytesIO(content)


def _check_head(
    image: Image.Image, path: Path, content: bytes | None = None, most_pixels: int | None = None
) -> None:
    """Raises InputFileError if an image is too large, or of a kind that would not fit into 8 bits."""
    width, height = image.size
    if most_pixels is not None and width * height > most_pixels:
        raise InputFileError(
            path,
            expected=f"a picture of at most {most_pixels:,} pixels",
            found=f"{width} x {height} pixels, more than {most_pixels:,}",
            hint="scale it down",
        )
    if width * height > (limit := max_pixels()):
        raise InputFileError(
            path,
            expected=f"a picture of at most {limit:,} pixels",
            found=f"{width} x {height} pixels, more than {limit:,}",
            hint=f"scale it down together with its boxes, or set {MAX_PIXELS_VARIABLE} to a larger number",
        )
    size = path.stat().st_size if content is None else len(content)
    if image.format in ("JPEG", "MPO") and width * height > _PIXELS_PER_BYTE * size:
        raise InputFileError(
            path,
            expected=f"a whole JPEG file of {width} x {height} pixels",
            found=f"{size:,} bytes, too few for so many pixels",
            hint="copy it again",
        )
    if image.mode in _TOO_WIDE:
        raise InputFileError(
            path,
            expected="a picture with 8 bits per channel, or 16 bits of grey",
            found=f"pixels of mode '{image.mode}': 32 bits, whose range is not known",
            hint="save it with 8 bits per channel",
        )


def _load(image: Image.Image, path: Path, content: bytes | None = None) -> None:
    """Reads the pixels of an opened image.

    Raises:
        InputFileError: a JPEG file with a hole.
    """
    image.load()
    if image.format not in ("JPEG", "MPO"):
        return
    if hole := hole_in_jpeg(read_bytes(path) if content is None else content):
        raise InputFileError(path, expected="a whole JPEG file", found=hole, hint="copy it again")


def check_images(folder: Path, names: Sequence[str], *, what: str) -> None:
    """Raises one InputFileError with the number of images missing in `folder` and the first names.

    Args:
        what: what the images are, for the message, e.g. "training images".
    """
    # os.path.isfile is False, too, for a name that is too long; Path.is_file raises an error.
    missing = [name for name in names if not os.path.isfile(folder / name)]
    if missing:
        more = ", ..." if len(missing) > 5 else ""
        raise InputFileError(
            folder,
            expected=f"{len(names)} {what}",
            found=f"{len(missing)} of them are not there: {', '.join(missing[:5])}{more}",
            hint="unpack the data set's images into this folder",
        )
