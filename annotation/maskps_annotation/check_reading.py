"""A LabelMe file of a pack, read shape by shape: one shape that cannot be meant does not hide the others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError
from maskps.files import read_json
from maskps.masks.labelme_file import LabelMeShape, read_labelme, read_shape
from maskps.masks.outlines import outline_from_polygons
from maskps.masks.tracing import mask_to_outline

POLYGON_TYPES = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")
"""Types whose points are the corners of an area."""

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
    content = read_json(path, what="a LabelMe file")
    bad: list[tuple[str, AnnotationError]] = []
    shapes: list[tuple[int, LabelMeShape]] = []
    notes: list[str] = []
    try:
        file = read_labelme(path)
    except AnnotationError as error:
        for index, shape in enumerate(content["shapes"]):
            try:
                shapes.append((index, read_shape(shape, f"{where} shape {index}", notes)))
            except AnnotationError as error_of_shape:
                label = shape.get("label") if isinstance(shape, dict) else None
                bad.append((label if isinstance(label, str) else "", error_of_shape))
        if not bad:
            raise AnnotationError(
                where, expected=error.expected, found=error.found, hint="correct or restore the file"
            ) from error
        flags = content.get("flags")
        flags = {key: value for key, value in flags.items() if value is True} if _is_object(flags) else {}
        size = (content.get("imageWidth"), content.get("imageHeight"))
        image_path, extra = content.get("imagePath"), content
    else:
        shapes = list(enumerate(file.shapes))
        notes = [note.replace(f"{path} ", f"{where} ") for note in file.notes]
        flags, image_path, extra = file.flags, file.image_path, file.extra
        size = (file.width, file.height)
    record = extra.get(private_key)
    return ReadFile(
        shapes=tuple(shapes),
        bad_shapes=tuple(bad),
        flags=flags,
        size=size if type(size[0]) is int and type(size[1]) is int else None,
        image_path=image_path if isinstance(image_path, str) else "",
        record=record if _is_object(record) else {},
        version=_version(content.get("version")),
        embedded=_embedded(content.get("imageData")),
        notes=tuple(notes),
    )


def geometry_of_shape(shape: LabelMeShape, where: str) -> Any:
    """Returns the area of a polygon, rectangle or mask as a valid shapely geometry; None of other types.

    Raises:
        AnnotationError: a polygon without an area or that crosses itself, or a mask that cannot be read.
    """
    if shape.shape_type == "mask":
        return _mask_geometry(shape, where)
    points = polygon_of_shape(shape)
    return None if points is None else outline_from_polygons([points], where=where).to_shapely()


def polygon_of_shape(shape: LabelMeShape) -> NDArray[np.float64] | None:
    """Returns the (K, 2) corners of a polygon or rectangle; None of other types."""
    if shape.shape_type == "rectangle":
        return shapely.get_coordinates(shapely.box(*shape.points.min(axis=0), *shape.points.max(axis=0)))[:-1]
    return shape.points if shape.shape_type in POLYGON_TYPES else None


def is_shifted_ai_polygon(points: NDArray[np.float64], version: tuple[int, ...]) -> bool:
    """Tells whether LabelMe's AI tools, in a version that shifts them by half a pixel, drew a polygon.

    They trace a bitmap: every corner lies halfway between two pixel centres, one coordinate whole and the
    other one with a half. A hand does not do that eight times.
    """
    if version > LAST_SHIFTED or len(points) < 8:
        return False
    halves = points * 2
    return bool((halves == np.round(halves)).all() and (halves.sum(axis=1) % 2 == 1).all())


def _mask_geometry(shape: LabelMeShape, where: str) -> Any:
    corners = np.round(np.stack([shape.points.min(axis=0), shape.points.max(axis=0)])).astype(int)
    width, height = (corners[1] - corners[0] + 1).tolist()
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape.extra["mask"], validate=True))) as image:
            mask = np.array(image) > 0
    except (OSError, SyntaxError, ValueError, binascii.Error, Image.DecompressionBombError) as error:
        raise AnnotationError(
            where, expected="a mask that is a PNG", found=str(error)[:90], hint="draw it again"
        ) from error
    if mask.shape != (height, width) or not mask.any():
        raise AnnotationError(
            where,
            expected=f"a mask of {width} x {height} pixels, as its corners say, with some of them set",
            found=f"an array of shape {mask.shape} with {int(mask.sum())} set",
            hint="draw it again",
        )
    return mask_to_outline(mask, origin=(int(corners[0, 0]), int(corners[0, 1]))).to_shapely()


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


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
