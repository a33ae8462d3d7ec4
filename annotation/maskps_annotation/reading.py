"""A LabelMe file read shape by shape: one shape that makes no sense does not hide the others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskps.errors import AnnotationError
from maskps.masks.labelme_file import LabelMeFile, LabelMeShape, read_content, read_heading, read_shape
from maskps_annotation.pack_files import FILE_KEY


@dataclass(frozen=True)
class ReadFile:
    """The content of a LabelMe file.

    Attributes:
        heading: everything about the whole image; it holds no shapes.
        shapes: index in the file and shape, for those that make sense.
        bad_shapes: label and error of the others.
        record: what a pack wrote under our private key; None if there is no such record.
        version: of the LabelMe that wrote the file, (0,) if unknown.
        embedded: sha256 of the image inside the file; None without one.
        notes: what the reader had to correct.
    """

    heading: LabelMeFile
    shapes: tuple[tuple[int, LabelMeShape], ...]
    bad_shapes: tuple[tuple[str, AnnotationError], ...]
    record: Mapping[str, Any] | None
    version: tuple[int, ...]
    embedded: str | None
    notes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) as the file declares them, None if it does not."""
        width, height = self.heading.width, self.heading.height
        return None if width is None or height is None else (width, height)


def read_file(path: Path, where: str) -> ReadFile:
    """Returns the content of an annotator's file.

    Args:
        where: names the file in error messages.

    Raises:
        InputFileError, AnnotationError: not a LabelMe file, or its heading makes no sense.
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
    record = heading.extra.get(FILE_KEY)
    return ReadFile(
        heading=heading,
        shapes=tuple(shapes),
        bad_shapes=tuple(bad),
        record=record if isinstance(record, dict) else None,
        version=_version(content.get("version")),
        embedded=_embedded(content.get("imageData")),
        notes=tuple(notes),
    )


def renamed_files(name: str, present: Iterable[str]) -> list[str]:
    """Returns the files that may be the LabelMe file `name` under another name, the most similar first.

    Examples for "s1.json": "s1.JSON", "S1.json", "s1.json.txt", "s1 (1).json", "s1 - Copy.json".
    """
    stem = _folded(name).removesuffix(".json")
    pattern = re.compile(rf"{re.escape(stem)}( ?\(\d+\)| - .*)?\.json(\.\w+)?")
    similar = [other for other in present if pattern.fullmatch(_folded(other))]
    return sorted(similar, key=lambda other: (len(other), other))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


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
