"""Masks in PNG files: one per image, with a number per instance; or one per person.

    s15538.png           0 is background, every other number is one person's visible pixels
    s15538_p3219.png     the pixels that are not 0 are of one person; the text after the image's name and "_",
    s15538/p3219.png     or in a folder with the image's name, is the identity or any other text

A file whose text names nobody and that holds several numbers, such as Penn-Fudan's "FudanPed00001_mask.png",
is read like the first kind.

The reader takes 8 and 16 bits, palettes (their numbers, not their colours), black and white, and grey
pictures saved as colour. In a palette, 255 is "void", as in VOC's masks, and belongs to nobody.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.findings import Finding
from maskps.io.files import open_file
from maskps.masks.assignment import FoundMask
from maskps.masks.imports.scenes import Elsewhere, ImportScenes, check_size, files_elsewhere
from maskps.masks.tracing import outlines_of_numbers

VOID = 255
"""Number of VOC's palettes that means "neither person nor background"."""


def masks_in_pngs(source: Path, scenes: ImportScenes) -> Iterator[FoundMask | Finding]:
    """Yields the masks of a PNG file or of a folder of them, and a finding for whatever cannot be used."""
    files = [source] if not source.is_dir() else sorted(source.rglob("*.[pP][nN][gG]"))
    elsewhere: dict[Elsewhere, list[str]] = {}
    whole: dict[int, Path] = {}
    for path in files:
        scene, tag = _scene_of(path, source, scenes)
        if scene == "unknown-image":
            found = "no training image has this name"
            hint = "name it like the image, and per person: image name, '_', identity"
            yield Finding("png-unknown", "warning", str(path), found, hint=hint)
            continue
        if not isinstance(scene, int):
            elsewhere.setdefault(scene, []).append(path.name)
            continue
        try:
            yield from _masks_of(path, scene, tag, scenes, whole)
        except MaskpsError as error:
            yield Finding.of_error("png-unusable", error)
    yield from files_elsewhere(source, elsewhere)


def read_numbers(path: Path) -> NDArray[np.int32]:
    """Returns the (H, W) int32 numbers of a mask in a PNG file; 0 is background.

    Raises:
        InputFileError: missing, cut off, or not a picture.
        AnnotationError: a picture with colours, or partly transparent.
    """
    try:
        with warnings.catch_warnings(), open_file(path) as file, Image.open(file) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            mode = image.mode
            numbers = np.array(image)
    # A broken PNG is a SyntaxError for Pillow, and a bomb neither OSError nor ValueError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        hint = "the file is broken or cut off; write it again"
        raise InputFileError(path, expected="a mask as PNG, whole", found=str(error), hint=hint) from error
    if mode in ("LA", "RGBA"):
        if (numbers[..., -1] != 255).any():
            hint = "save the mask without transparency, one number per person"
            raise AnnotationError(path, expected="an opaque mask", found="transparent pixels", hint=hint)
        numbers = numbers[..., :-1]
    if numbers.ndim == 3:
        if (numbers != numbers[..., :1]).any():
            hint = "save it with a palette or as 16-bit grey: one number per person, 0 for background"
            raise AnnotationError(
                path, expected="numbers per person", found="a picture in colours", hint=hint
            )
        numbers = numbers[..., 0]
    numbers = numbers.astype(np.int32)  # PNG has 16 bits at most
    if mode == "P":
        numbers[numbers == VOID] = 0
    return numbers


def _scene_of(path: Path, source: Path, scenes: ImportScenes) -> tuple[int | Elsewhere, str | None]:
    """Returns the scene row of a file name, or why it has none, and the text after the image's name."""
    inner = PurePosixPath(path.name if path == source else path.relative_to(source).as_posix())
    if inner.parent.name:
        scene = scenes.find(str(inner.parent), has_ending=False)
        if scene != "unknown-image":
            return scene, inner.stem.removeprefix(f"{inner.parent.name}_")
    stem = inner.stem
    scene, at = scenes.find(str(inner.parent / stem), has_ending=False), len(stem)
    while scene == "unknown-image" and (at := stem.rfind("_", 0, at)) > 0:
        scene = scenes.find(str(inner.parent / stem[:at]), has_ending=False)
    return scene, stem[at + 1 :] if scene != "unknown-image" and at < len(stem) else None


def _masks_of(
    path: Path, scene: int, tag: str | None, scenes: ImportScenes, whole: dict[int, Path]
) -> Iterator[FoundMask | Finding]:
    """Yields the masks of one file.

    Args:
        tag: the text after the image's name, or None.
        whole: scene row -> the file that has the numbers of all its persons; this file is added.
    """
    numbers = read_numbers(path)
    height, width = numbers.shape
    check_size((width, height), scenes.sizes.get(scene), path)
    highest = int(numbers.max(initial=0))
    person = None if tag is None else scenes.person_of_id(scene, tag)
    is_of_one = tag is not None and (person is not None or not ((numbers != 0) & (numbers != highest)).any())
    if is_of_one:
        numbers = (numbers != 0).astype(np.int32)
    elif scene in whole:
        found = f"a second mask file of {scenes.train.names[scene]}, after {whole[scene]}"
        yield Finding("png-twice", "error", str(path), found, hint="keep one of them")
        return
    else:
        whole[scene] = path
    for number, outline in outlines_of_numbers(numbers, where=path):
        where = str(path) if is_of_one else f"{path} instance {number}"
        yield FoundMask(where, scene, outline, person)
    if not highest:
        yield Finding("mask-empty", "warning", str(path), "a mask without a pixel")
