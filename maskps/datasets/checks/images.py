"""Checks of the image files: present, readable to the last pixel, as large as annotated, not rotated."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.unreadable import file_finding, is_picture, pictures_below, similar_file
from maskps.errors import InputFileError, MaskpsError
from maskps.findings import Finding, Rule
from maskps.io.images import check_image, image_size
from maskps.io.paths import path_inside

_NOT_A_PICTURE = ("file-empty", "file-lfs-pointer", "file-web-page", "file-archive", "file-unreadable")
_SEARCHED_FOR = 20  # missing images for which similar names are looked for

_COPY_OR_CUT = "copy the data set's images again, or write the part that is there with 'maskps-data cut'"

_FOLDER_MISSING = Rule("image-folder-missing", "error", hint="unpack the data set's images into this folder")
_OTHER_SIZE = Rule(
    "image-size-differs", "error", hint="boxes would not fit the persons; take the original image"
)
_EXTRA = Rule("images-extra", "info", hint="they are not used")


@dataclass(frozen=True)
class _Look:
    """The size of an image file, and a finding if something is wrong or odd."""

    size: tuple[int, int]
    finding: Finding | None = None


def check_images(
    folder: Path,
    names: Sequence[str],
    *,
    root: Path | None = None,
    sizes: NDArray[np.int64] | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Finding], NDArray[np.int64]]:
    """Returns what is wrong with the images, and their sizes.

    Every image is decoded, to find those that are cut off. Codes: image-folder-missing, image-missing,
    image-outside, image-unreadable, image-size-differs, image-exif-rotated, images-extra, and those of
    `file_finding` for pointers, web pages and archives in place of pictures.

    Args:
        folder: the folder of images.
        names: S file names.
        root: of the data set: links out of it and of `folder` are findings. None: links are followed.
        sizes: (S, 2) annotated width and height, 0 if not annotated.
        jobs: images decoded at a time.
        progress: called with (images done, images in all).

    Returns:
        The findings, and (S, 2) int64 width and height of the image files, 0 if unknown.
    """
    found = np.zeros((len(names), 2), dtype=np.int64)
    annotated = np.zeros_like(found) if sizes is None else sizes
    present = _names_below(folder)
    missing = [name for name in names if name not in present and not os.path.isfile(folder / name)]
    if names and len(missing) == len(names):
        return [_no_images(folder, names, root or folder)], found
    share = f"{len(names) - len(missing):,} of {len(names):,} images are there"
    findings = [_missing(folder, name, number, share) for number, name in enumerate(missing)]
    inside = set(names) - set(missing)
    for name in sorted(inside if root is not None else ()):
        try:
            path_inside(folder, name, root=root or folder)
        except MaskpsError as error:
            findings.append(Finding.of_error("image-outside", error))
            inside.remove(name)
    rows = [row for row, name in enumerate(names) if name in inside]
    paths = [folder / names[row] for row in rows]
    for done, (row, path, look) in enumerate(zip(rows, paths, _looks(paths, jobs), strict=True), start=1):
        found[row] = look.size
        if look.finding is not None:
            findings.append(look.finding)
        if (annotated[row] > 0).all() and look.size[0] and look.size != tuple(annotated[row].tolist()):
            findings.append(_other_size(path, look.size, annotated[row]))
        if progress is not None:
            progress(done, len(rows))
    extra = sorted(name for name in present - set(names) if is_picture(name))
    if extra:
        more = ", ..." if len(extra) > 5 else ""
        text = f"{len(extra):,} images that the annotation does not name: {', '.join(extra[:5])}{more}"
        findings.append(_EXTRA.broken(folder, text))
    return findings, found


def _looks(paths: Sequence[Path], jobs: int) -> Iterator[_Look]:
    """Yields a look at each image, in order. Decoding releases Python's lock, so threads run in parallel."""
    with warnings.catch_warnings(), ThreadPoolExecutor(jobs) as pool:
        warnings.simplefilter("ignore")  # of damaged EXIF data and of very large images
        waiting = iter(paths)
        while part := list(islice(waiting, 256)):
            yield from pool.map(_look, part)


def _look(path: Path) -> _Look:
    try:
        size, orientation = check_image(path)
    except InputFileError as error:
        size = (0, 0)
        with suppress(InputFileError):
            size = image_size(path)
        finding = file_finding(path, error, root=path.parent)
        if finding.code not in _NOT_A_PICTURE:
            finding = Finding.of_error("image-unreadable", error)
        return _Look(size, finding)
    if orientation == 1:
        return _Look(size)
    rotated = Rule(
        "image-exif-rotated",
        "warning",
        "orientation 1, or none",
        f"boxes refer to the pixels as stored, here {size[0]} x {size[1]}; if they were drawn on the turned "
        "picture, store it turned",
    )
    found = f"its EXIF orientation is {orientation}: many programs show it turned"
    return _Look(size, rotated.broken(path, found))


def _names_below(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError:
        return set()


def _no_images(folder: Path, names: Sequence[str], root: Path) -> Finding:
    """Returns the finding that no image is there, and the pictures that may be the images."""
    found = "none of the images is there" if folder.is_dir() else "no such folder"
    pictures = pictures_below(folder) or pictures_below(root)
    if pictures:
        found += f"; there are {len(pictures):,} other pictures, the first is {pictures[0]}"
    wanted = {_spelled_alike(PurePosixPath(name)): name for name in reversed(names)}
    for picture in pictures:
        if name := wanted.get(_spelled_alike(picture)):
            hint = f"are '{name}' and '{picture}' the same picture? Rename or move the files"
            hint += _accents_differ(name, picture.name)
            return replace(_FOLDER_MISSING, hint=hint).broken(
                folder, found, expected=f"{len(names):,} images"
            )
    return _FOLDER_MISSING.broken(folder, found, expected=f"{len(names):,} images")


def _spelled_alike(path: PurePath) -> str:
    """Returns a name without ending in the form in which names are compared: composed, without case."""
    return unicodedata.normalize("NFC", path.stem).casefold()


def _accents_differ(name: str, other: str) -> str:
    """Returns a note for two names that look the same on a screen, or nothing."""
    is_same = unicodedata.normalize("NFC", Path(other).name) == unicodedata.normalize("NFC", Path(name).name)
    if not is_same or Path(other).name == Path(name).name:
        return ""
    return "; they look alike, but one has its accents as characters of their own"


def _missing(folder: Path, name: str, number: int, share: str) -> Finding:
    similar = similar_file(folder / name, folder, pictures=True) if number < _SEARCHED_FOR else None
    hint = f"is it '{similar}'? Rename or move it" if similar else _COPY_OR_CUT
    hint += _accents_differ(name, similar or name)
    return Finding("image-missing", "error", str(folder / name), f"no such file; {share}", "an image", hint)


def _other_size(path: Path, size: tuple[int, int], annotated: NDArray[np.int64]) -> Finding:
    turned = ", turned by a quarter" if size == tuple(annotated[::-1].tolist()) else ""
    expected = f"{annotated[0]} x {annotated[1]}, as annotated"
    return _OTHER_SIZE.broken(path, f"{size[0]} x {size[1]} pixels{turned}", expected=expected)
