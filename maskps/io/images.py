"""Reads image files and their sizes, and checks that they exist; errors name the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from maskps.errors import InputFileError
from maskps.io.files import explained_reading

_MISSING = "copy the data set's images there again"


def read_image(path: Path) -> NDArray[np.uint8]:
    """Returns an image file as (H, W, 3) uint8, RGB.

    The pixels are those stored. An EXIF orientation is not applied, because the boxes of person-search data
    sets refer to the stored pixels. Other colour modes are converted.

    Raises:
        InputFileError: the file is missing, cut off, or not an image.
    """
    with _opened(path) as image:
        return np.array(image.convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Returns (width, height) in pixels of an image file, from its head, without the pixels.

    Raises:
        InputFileError: as `read_image`; damage behind the head is not noticed.
    """
    with _opened(path) as image:
        return image.size


def image_orientation(path: Path) -> int:
    """Returns the EXIF orientation of an image file; 1, the default, is as stored.

    Raises:
        InputFileError: as `image_size`.
    """
    with _opened(path) as image:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Yields the image; errors of Pillow, when opening or using it, become an InputFileError."""
    what = f"the image '{path.name}'"
    try:
        with explained_reading(path, what=what, hint=_MISSING), Image.open(path) as image:
            yield image
    # A broken PNG is a SyntaxError for Pillow, and a bomb neither OSError nor ValueError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputFileError(
            path,
            expected=f"{what}, whole",
            found=str(error),
            hint="the file is broken or cut off; copy it again",
        ) from error


def check_images(folder: Path, names: Sequence[str], *, what: str) -> None:
    """Raises one InputFileError with the number of images missing in `folder` and the first names.

    Args:
        what: what the images are, for the message, e.g. "training images".
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        more = ", ..." if len(missing) > 5 else ""
        raise InputFileError(
            folder,
            expected=f"{len(names)} {what}",
            found=f"{len(missing)} of them are not there: {', '.join(missing[:5])}{more}",
            hint="unpack the data set's images into this folder",
        )
