"""LabelMe files: the reader is tolerant, the writer strict.

The codec reads files of LabelMe 3 to 7 and of tools that write its dialect; `LabelMeFile.notes` lists what it
corrected. It writes files that LabelMe 6 and 7 open. Unknown keys survive. LabelMe itself is never imported:
it is a GUI program without a Python interface.

Points are x, y in the continuous frame of LabelMe's canvas, (0, 0) at the outer corner of the first pixel:
the frame of `maskps.structures`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, InputFileError, shown_value
from maskps.io.files import read_json, write_json

LABELME_VERSION = "6.3.1"
"""Version that written files carry: the format of LabelMe 6, which 7 reads too."""

BOX_KEY = "maskps_box"
"""Private key of a shape: the box [x, y, width, height] of its person, in pixels."""

HOLE_FLAG = "hole"
"""Flag of a shape that is cut out of its person, not added."""

PERSON_LABELS = frozenset(
    ("person", "people", "pedestrian", "human", "man", "woman", "boy", "girl", "child", "adult", "rider")
)
"""Labels of persons; case, spaces and a number at the end do not matter: "Person", "person-2"."""

_POINTS_NEEDED = {
    "polygon": (3, None),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, None),
    "point": (1, 1),
    "points": (1, None),
    "mask": (2, 2),
}
_FOUR_CORNERS = ("rotation", "quadrilateral")
"""X-AnyLabeling's names for polygons of four points, which LabelMe 7 refuses."""

_FILE_KEYS = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
_SHAPE_KEYS = ("label", "points", "group_id", "shape_type", "flags")
_EDITED = "the file was edited or damaged: draw it again in LabelMe, or go back to a copy"


@dataclass(frozen=True)
class LabelMeShape:
    """One drawn shape.

    Attributes:
        label: the annotator's name for it.
        points: (K, 2) float64, x, y in pixels of the image; K >= 3 for a polygon, 2 opposite corners for a
            rectangle.
        shape_type: "polygon", "rectangle", ...
        group_id: shapes with the same label and group_id are one person; None: the shape stands alone.
        flags: ticked or unticked marks, e.g. {"hole": True}.
        extra: all other keys of the shape, e.g. "description", "mask" (base64), and our private keys.
    """

    label: str
    points: NDArray[np.float64]
    shape_type: str = "polygon"
    group_id: int | None = None
    flags: Mapping[str, bool] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelMeFile:
    """The annotation of one image.

    Attributes:
        image_path: as written, relative to the file. Never followed: images are found by name.
        width, height: size of the image in pixels; None if the file does not say.
        shapes: in drawing order.
        flags: marks of the whole image, e.g. {"done": True}.
        extra: all other top-level keys. Embedded pixels (`imageData`) are not kept.
        notes: what the reader corrected; not written.
    """

    image_path: str
    width: int | None
    height: int | None
    shapes: tuple[LabelMeShape, ...]
    flags: Mapping[str, bool] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_labelme(path: Path) -> LabelMeFile:
    """Returns the content of a LabelMe file.

    Accepted with a note: no `shape_type` (LabelMe before 3.6.12: a polygon), a number as label, a `group_id`
    such as "3" or 3.0; from X-AnyLabeling an upright rectangle of four points, a rotation and a quadrilateral
    (polygons). Accepted silently: a byte-order mark, missing sizes, missing or null flags. docs/labelme.md
    lists what is refused.

    Raises:
        InputFileError: missing, cut off, not JSON, or not a LabelMe file.
        AnnotationError: a shape that makes no sense; the message names its index.
    """
    content = read_content(path)
    notes: list[str] = []
    shapes = [
        read_shape(shape, f"{path} shape {index}", notes) for index, shape in enumerate(content["shapes"])
    ]
    return replace(read_heading(content, str(path)), shapes=tuple(shapes), notes=tuple(notes))


def read_content(path: Path) -> dict[str, Any]:
    """Returns the JSON of a LabelMe file: an object with a list "shapes", whose entries are not checked.

    Raises:
        InputFileError: missing, cut off, not JSON, or not a LabelMe file.
    """
    content = read_json(path, what="a LabelMe file")
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        is_object = isinstance(content, dict)
        raise InputFileError(
            path,
            expected="a LabelMe file: an object with a list 'shapes'",
            found=f"an object with the keys {shown_value(sorted(content))}"
            if is_object
            else shown_value(content),
            hint="did another program write it? Give the folder with the files that LabelMe saved",
        )
    return content


def read_heading(content: Mapping[str, Any], where: str) -> LabelMeFile:
    """Returns what a LabelMe file holds about the whole image, without its shapes.

    Args:
        content: as `read_content` returns it.
        where: names the file in messages.

    Raises:
        AnnotationError: a flag, a size or a path that makes no sense.
    """
    image_path = content.get("imagePath")
    if image_path is not None and not isinstance(image_path, str):
        raise _refused(where, "imagePath as text", image_path)
    return LabelMeFile(
        image_path=image_path or "",
        width=_read_size(content, "imageWidth", where),
        height=_read_size(content, "imageHeight", where),
        shapes=(),
        flags=_read_flags(content.get("flags"), where),
        extra={key: value for key, value in content.items() if key not in _FILE_KEYS},
    )


def is_person_label(label: str, more: Collection[str] = ()) -> bool:
    """Whether a label says that its shape is a person. A number does: it counts the persons of an image.

    Args:
        more: labels beside `PERSON_LABELS`, compared in the same way.
    """
    known = PERSON_LABELS | {_word_of(one) for one in more}
    word = _word_of(label)
    return word in known or word.isdecimal()


def _word_of(label: str) -> str:
    """Returns a label without case, spaces around it, and a number at the end; a label of digits stays."""
    word = unicodedata.normalize("NFKC", label).strip().casefold()
    return re.sub(r"[\W_]*\d+$", "", word) or word


def write_labelme(path: Path, file: LabelMeFile) -> None:
    """Writes a file that LabelMe 6 and 7 open, atomically.

    Raises:
        AnnotationError: LabelMe would refuse or misread a shape: too few or too many points for its type, a
            coordinate that is not finite; or the size of the image is missing.
    """
    if file.width is None or file.height is None:
        raise AnnotationError(
            path, expected="the image's width and height", found="None", hint="give the size of the image"
        )
    shapes = []
    for index, shape in enumerate(file.shapes):
        where = f"{path} shape {index} ({shown_value(shape.label)})"
        points = np.asarray(shape.points, dtype=np.float64)
        _check_points(points, shape.shape_type, where)
        extra = dict(shape.extra)
        shapes.append(
            {
                "label": shape.label,
                "points": points.tolist(),
                "group_id": shape.group_id,
                "description": extra.pop("description", ""),
                "shape_type": shape.shape_type,
                "flags": dict(shape.flags),
                "mask": extra.pop("mask", None),
                **{key: value for key, value in extra.items() if key not in _SHAPE_KEYS},
            }
        )
    content = {
        "version": LABELME_VERSION,
        "flags": dict(file.flags),
        "shapes": shapes,
        "imagePath": file.image_path,
        "imageData": None,
        "imageHeight": file.height,
        "imageWidth": file.width,
        **{key: value for key, value in file.extra.items() if key not in _FILE_KEYS},
    }
    write_json(path, content)


def read_shape(shape: Any, where: str, notes: list[str]) -> LabelMeShape:
    """Returns one entry of "shapes" of a LabelMe file.

    Args:
        where: names the shape in messages.
        notes: gets a line for each correction.

    Raises:
        AnnotationError: it makes no sense.
    """
    if not isinstance(shape, dict):
        raise AnnotationError(
            where, expected="an object", found=f"a JSON {type(shape).__name__}", hint=_EDITED
        )
    label = _read_label(shape.get("label"), where, notes)
    where = f"{where} ({shown_value(label)})"
    shape_type = shape.get("shape_type")
    if shape_type is None:
        shape_type = "polygon"
        notes.append(f"{where}: no shape_type, read as a polygon")
    points = _read_points(shape.get("points"), where)
    if shape_type == "rectangle" and len(points) == 4:
        points = _upright_corners(points, where)
        notes.append(f"{where}: a rectangle of four points, read as two corners")
    elif shape_type in _FOUR_CORNERS and len(points) == 4:
        notes.append(f"{where}: a {shape_type}, read as a polygon")
        shape_type = "polygon"
    _check_points(points, shape_type, where)
    if shape_type == "mask" and not (isinstance(shape.get("mask"), str) and shape["mask"]):
        raise AnnotationError(where, expected="a mask shape with its bitmap", found="no 'mask'", hint=_EDITED)
    extra = {key: value for key, value in shape.items() if key not in _SHAPE_KEYS}
    for key in ("mask", "description"):
        if not extra.get(key):
            extra.pop(key, None)
    return LabelMeShape(
        label=label,
        points=points,
        shape_type=shape_type,
        group_id=_read_group(shape.get("group_id"), where, notes),
        flags=_read_flags(shape.get("flags"), where),
        extra=extra,
    )


def _refused(where: str, expected: str, value: object) -> AnnotationError:
    return AnnotationError(where, expected=expected, found=shown_value(value), hint=_EDITED)


def _read_label(label: Any, where: str, notes: list[str]) -> str:
    if isinstance(label, str):
        return label
    if isinstance(label, (int, float)) and not isinstance(label, bool):
        notes.append(f"{where}: the label is the number {shown_value(label)}, read as text")
        return str(label)
    raise _refused(where, "a label as text", label)


def _read_group(group: Any, where: str, notes: list[str]) -> int | None:
    if group is None or (isinstance(group, int) and not isinstance(group, bool)):
        return group
    is_whole = isinstance(group, float) and group.is_integer()
    if not is_whole and not (isinstance(group, str) and re.fullmatch(r"-?\d{1,18}", group)):
        raise _refused(where, "group_id as a whole number or null", group)
    number = int(group)
    notes.append(f"{where}: group_id {shown_value(group)}, read as {number}")
    return number


def _read_flags(flags: Any, where: str) -> dict[str, bool]:
    if flags is None:
        return {}
    if not isinstance(flags, dict) or not all(isinstance(value, bool) for value in flags.values()):
        raise _refused(where, "flags as names with true or false", flags)
    return flags


def _read_size(content: Mapping[str, Any], key: str, where: str) -> int | None:
    size = content.get(key)
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 2**31:
        raise _refused(where, f"{key} as a whole number above 0", size)
    return size


def _read_points(points: Any, where: str) -> NDArray[np.float64]:
    if not isinstance(points, list) or not points:
        raise AnnotationError(
            where,
            expected="a list of [x, y] points",
            found="none" if not points else shown_value(points),
            hint=_EDITED,
        )
    for index, point in enumerate(points):
        if (
            not isinstance(point, list)
            or len(point) != 2
            or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in point)
            or not all(abs(value) < 1e9 for value in point)  # NaN and infinity fail this as well
        ):
            raise _refused(f"{where} point {index}", "[x, y] in pixels", point)
    return np.array(points, dtype=np.float64)


def _check_points(points: NDArray[np.float64], shape_type: Any, where: str) -> None:
    if not isinstance(shape_type, str) or shape_type not in _POINTS_NEEDED:
        is_corners = shape_type in _FOUR_CORNERS
        raise AnnotationError(
            where,
            expected=f"4 points for a {shape_type}"
            if is_corners
            else f"one of the shape types {', '.join(_POINTS_NEEDED)}",
            found=f"{len(points)}" if is_corners else shown_value(shape_type),
            hint="draw it again as a polygon, or delete it",
        )
    low, high = _POINTS_NEEDED[shape_type]
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise AnnotationError(
            where, expected="finite x, y points", found=f"an array {points.shape}", hint=_EDITED
        )
    if not low <= len(points) <= (high or math.inf):
        raise AnnotationError(
            where,
            expected=f"{low} points{'' if high else ' or more'} for a {shape_type}",
            found=f"{len(points)}",
            hint="draw the shape again, or delete it",
        )


def _upright_corners(points: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    low, high = points.min(axis=0), points.max(axis=0)
    at_corner = np.isclose(points, low) | np.isclose(points, high)
    turns = (~np.isclose(points, np.roll(points, 1, axis=0))).sum(axis=1)
    if not at_corner.all() or not (turns == 1).all():
        raise AnnotationError(
            where,
            expected="two opposite corners, or the four corners of an upright rectangle",
            found=shown_value(points.tolist()),
            hint="draw it as a polygon",
        )
    return np.stack([low, high])
