"""The areas of LabelMe's shapes: polygons, rectangles, mask shapes."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError
from maskps.masks.labelme_file import LabelMeShape
from maskps.masks.outlines import polygon_from_points
from maskps.masks.tracing import mask_to_outline

POLYGON_TYPES = ("polygon", "rectangle", "oriented_rectangle")
"""Types whose points are the corners of an area."""

AREA_TYPES = (*POLYGON_TYPES, "mask")
"""Types that can be an outline; circles, lines and points cannot."""

_BITMAP_MODES = ("1", "L", "P", "I", "I;16")  # one number per pixel
_AGAIN = "draw it again"


def geometry_of_shape(shape: LabelMeShape, where: str) -> Any:
    """Returns the area of a shape as a valid shapely polygon, single or multiple; None for other types.

    Args:
        where: file and shape, for the error message.

    Raises:
        AnnotationError: a polygon has no area or crosses itself, or a mask cannot be read.
    """
    if shape.shape_type == "mask":
        return _mask_geometry(shape, where)
    points = polygon_of_shape(shape)
    return None if points is None else polygon_from_points(points, where)


def polygon_of_shape(shape: LabelMeShape) -> NDArray[np.float64] | None:
    """Returns the (K, 2) corners of a polygon or rectangle; None for other types."""
    if shape.shape_type not in POLYGON_TYPES:
        return None
    if shape.shape_type != "rectangle":
        return shape.points
    (x0, y0), (x1, y1) = shape.points
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def _mask_geometry(shape: LabelMeShape, where: str) -> Any:
    """Returns the area of a mask shape, whose two points are its first and last pixel (maybe the same)."""
    corners = np.round(np.stack([shape.points.min(axis=0), shape.points.max(axis=0)])).astype(int)
    width, height = (corners[1] - corners[0] + 1).tolist()
    bitmap, found = _read_bitmap(shape.extra["mask"], (width, height), where)
    if bitmap is None or not bitmap.any():
        raise AnnotationError(
            where,
            expected=f"a mask of {width} x {height} pixels, as its corners require, with some pixels set",
            found=found,
            hint=_AGAIN,
        )
    x, y = corners[0].tolist()
    return mask_to_outline(bitmap, origin=(x, y), where=where).to_shapely()


def _read_bitmap(text: str, size: tuple[int, int], where: str) -> tuple[NDArray[np.bool_] | None, str]:
    """Returns the (H, W) pixels of a base64 PNG, None if size or mode is wrong; and a description of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as image:
                found = f"{image.size[0]} x {image.size[1]} pixels of mode {image.mode}"
                if image.size != size or image.mode not in _BITMAP_MODES:
                    return None, found
                bitmap = np.array(image) > 0
    # A broken PNG is a SyntaxError for Pillow, and a bomb neither OSError nor ValueError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        expected = "a mask as a PNG in base64"
        raise AnnotationError(where, expected=expected, found=str(error)[:90], hint=_AGAIN) from error
    return bitmap, f"{found}, {int(bitmap.sum())} of them set"
