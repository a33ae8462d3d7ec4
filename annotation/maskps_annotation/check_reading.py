"""A LabelMe file of a pack, read shape by shape: one shape that cannot be meant does not hide the others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError
from maskps.masks.labelme_file import LabelMeShape, read_content, read_heading, read_shape

LAST_SHIFTED = (6, 3, 1)
"""LabelMe up to this version shifts what its AI tools draw by half a pixel."""


@dataclass(frozen=True)
class ReadFile:
    """What a file of a pack holds.

    Attributes:
        shapes: index in the file and the shape, for those that could be read.
        bad_shapes: label and error of the others.
        flags: of the whole image.
        size: (width, height) as declared; None where it is not.
        image_path: as written, "" where it is not.
        record: what stands under our private key; {} where nothing of ours does.
        version: of the LabelMe that wrote it, (0,) if it does not tell.
        embedded: sha256 of the image inside the file; None if there is none.
        notes: what the reader had to put right.
    """

    shapes: tuple[tuple[int, LabelMeShape], ...]
    bad_shapes: tuple[tuple[str, AnnotationError], ...]
    flags: Mapping[str, bool]
    size: tuple[int, int] | None
    image_path: str
    record: Mapping[str, Any]
    version: tuple[int, ...]
    embedded: str | None
    notes: tuple[str, ...]


def read_pack_file(path: Path, where: str, *, private_key: str) -> ReadFile:
    """Returns the content of an annotator's file.

    Args:
        where: annotator and file, for error messages.
        private_key: of the file, under which our record stands.

    Raises:
        InputFileError, AnnotationError: not a LabelMe file, or one whose heading cannot be meant.
    """
    content = read_content(path)
    heading = read_heading(content, where)
    bad: list[tuple[str, AnnotationError]] = []
    shapes: list[tuple[int, LabelMeShape]] = []
    notes: list[str] = []
    for index, shape in enumerate(content["shapes"]):
        try:
            shapes.append((index, read_shape(shape, f"{where} shape {index}", notes)))
        except AnnotationError as error:
            label = shape.get("label") if isinstance(shape, dict) else None
            bad.append((label if isinstance(label, str) else "", error))
    record = heading.extra.get(private_key)
    return ReadFile(
        shapes=tuple(shapes),
        bad_shapes=tuple(bad),
        flags=heading.flags,
        size=None if heading.width is None or heading.height is None else (heading.width, heading.height),
        image_path=heading.image_path,
        record=record if isinstance(record, dict) else {},
        version=_version(content.get("version")),
        embedded=_embedded(content.get("imageData")),
        notes=tuple(notes),
    )


def is_shifted_ai_polygon(points: NDArray[np.float64], version: tuple[int, ...]) -> bool:
    """Tells whether LabelMe's AI tools, in a version that shifts them by half a pixel, drew a polygon.

    They trace a bitmap: every corner lies halfway between two pixel centres, one coordinate whole and the
    other one with a half. A hand does not do that eight times.
    """
    if version > LAST_SHIFTED or len(points) < 8:
        return False
    halves = points * 2
    return bool((halves == np.round(halves)).all() and (halves.sum(axis=1) % 2 == 1).all())


def _version(version: object) -> tuple[int, ...]:
    numbers = re.findall(r"\d{1,9}", version) if isinstance(version, str) else []
    return tuple(int(number) for number in numbers[:3]) or (0,)


def _embedded(data: object) -> str | None:
    if not isinstance(data, str) or not data:
        return None
    try:
        return hashlib.sha256(base64.b64decode(data)).hexdigest()
    except (ValueError, binascii.Error):
        return ""
