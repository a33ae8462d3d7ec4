"""Masks in PNG files: one per image, with a number per instance; or one per person.

    s15538.png           0 is background, every other number is one person's visible pixels
    s15538_p3219.png     the pixels that are not 0 are of one person; the text after the image's name and "_",
    s15538/p3219.png     or in a folder with the image's name, is the identity or any other text

The reader takes 8 and 16 bits, palettes (their numbers, not their colours), black and white, and grey
pictures saved as colour. In a palette, 255 is "void", as in VOC's masks, and belongs to nobody.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.findings import Finding
from maskps.io.files import open_file
from maskps.masks.assignment import FoundMask
from maskps.masks.imports.scenes import ImportScenes, check_size
from maskps.masks.tracing import outlines_of_numbers

VOID = 255
"""Number of VOC's palettes that means "neither person nor background"."""


def masks_in_pngs(source: Path, scenes: ImportScenes) -> Iterator[FoundMask | Finding]:
    """Yields the masks of a PNG file or of a folder of them, and a finding for whatever cannot be used.

    Raises:
        InputFileError: neither a PNG file nor a folder with PNG files.
    """
    files = [source] if source.is_file() else sorted(source.rglob("*.[pP][nN][gG]"))
    if not files:
        others = sorted({path.suffix for path in source.iterdir() if path.suffix})
        found = f"none, but {', '.join(others)}" if others else "none"
        hint = "masks as JPEG are blurred at the borders; save them as PNG"
        raise InputFileError(source, expected="PNG files", found=found, hint=hint)
    outside: list[Path] = []
    whole: dict[int, Path] = {}
    for path in files:
        scene, tag = _scene_of(path, source, scenes)
        if scene is None:
            found = "no training image has this name"
            hint = "name it like the image, and per person: image name, '_', identity"
            yield Finding("png-unknown", "warning", str(path), found, hint=hint)
        elif not scenes.has(scene):
            outside.append(path)
        elif tag is None and scene in whole:
            found = f"a second mask file of {scenes.train.names[scene]}, after {whole[scene]}"
            yield Finding("png-twice", "error", str(path), found, hint="keep one of them")
        else:
            if tag is None:
                whole[scene] = path
            try:
                yield from _masks_of(path, scene, tag, scenes)
            except MaskpsError as error:
                yield Finding.of_error("png-unusable", error)
    if outside:
        found = f"{len(outside)} files of images that the subset does not hold, the first: {outside[0].name}"
        yield Finding("outside-subset", "info", str(source), found)


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


def _scene_of(path: Path, source: Path, scenes: ImportScenes) -> tuple[int | None, str | None]:
    """Returns the scene row and the person's identity in a file name, each None if there is none."""
    stem = path.stem
    if path.parent != source and path != source:
        scene = scenes.scene_of_stem(path.parent.name)
        if scene is not None:
            return scene, stem.removeprefix(f"{path.parent.name}_")
    scene, at = scenes.scene_of_stem(stem), len(stem)
    while scene is None and (at := stem.rfind("_", 0, at)) > 0:
        scene = scenes.scene_of_stem(stem[:at])
    return scene, stem[at + 1 :] if scene is not None and at < len(stem) else None


def _masks_of(path: Path, scene: int, tag: str | None, scenes: ImportScenes) -> Iterator[FoundMask | Finding]:
    numbers = read_numbers(path)
    height, width = numbers.shape
    check_size((width, height), scenes.sizes.get(scene), path)
    if tag is not None:
        numbers = (numbers != 0).astype(np.int32)
    person = None if tag is None else scenes.person_of_id(scene, tag)
    is_empty = True
    for number, outline in outlines_of_numbers(numbers, where=path):
        is_empty = False
        where = str(path) if tag is not None else f"{path} instance {number}"
        yield FoundMask(where, scene, outline, person)
    if is_empty:
        yield Finding("mask-empty", "warning", str(path), "a mask without a pixel")
