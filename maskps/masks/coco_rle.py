"""masks.json with run-length encodings instead of polygons: for readers that must see the holes.

The file is COCO like masks.json, entry by entry, with info format "maskps-masks-rle". A segmentation is
{"size": [height, width], "counts": [...]}, uncompressed, of the pixels whose centre lies inside the outline;
`area` is their number. Persons without an outline have the segmentation [], or are left out. The file is for
other programs; ours read masks.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskps.errors import AnnotationError, shown_value
from maskps.io.files import check_output_file
from maskps.masks.mask_file import (
    HOLES_KEY,
    outline_of_annotation,
    read_mask_json,
    write_mask_json,
)
from maskps.masks.outlines import Outline
from maskps.masks.rasterising import outline_to_mask
from maskps.masks.rle import MAX_PIXELS, mask_to_rle

RLE_FORMAT = "maskps-masks-rle"
RLE_VERSION = 1

_AGAIN = "the file was edited; build the subset again"

Persons = Literal["all", "present"]


@dataclass(frozen=True)
class RleExport:
    """What an export wrote.

    Attributes:
        persons: annotations written.
        masks: those with an outline.
        with_holes: outlines that have holes.
    """

    persons: int
    masks: int
    with_holes: int

    def summary(self) -> str:
        """Returns one human-readable line."""
        return f"{self.persons:,} persons, {self.masks:,} with a mask, {self.with_holes:,} of them with holes"

    def to_dict(self) -> dict[str, int]:
        """Returns all fields by name."""
        return asdict(self)


def masks_to_coco_rle(
    masks: Path,
    out: Path,
    *,
    persons: Persons = "all",
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RleExport:
    """Writes a masks.json with run-length encodings, atomically.

    Args:
        masks: a masks.json of maskps.
        persons: "all", as in masks.json; "present": only those with an outline, for readers that require a
            mask of every annotation. They see the other persons as background.
        force: replace `out`, if it is a file that this function wrote.
        progress: called with (annotations done, annotations).

    Raises:
        OutputExistsError: `out` exists, or was not written by this function.
        InputFileError: `masks` is missing, cut off, or not a mask file.
        AnnotationError: an image without a size, a damaged outline.
    """
    check_output_file(out, mark=json.dumps(RLE_FORMAT).encode(), force=force)
    content = read_mask_json(masks)
    sizes = _sizes(content["images"], masks)
    written: list[Any] = []
    masks_written = with_holes = 0
    annotations = content["annotations"]
    for index, annotation in enumerate(annotations):
        where = f"{masks} annotation {index}"
        size = _size_of(annotation, sizes, where)
        if annotation.get("segmentation"):
            outline = outline_of_annotation(annotation, where)
            _check_outline(outline, size, where)
            mask = outline_to_mask(outline, *size)
            with_holes += bool(annotation.get(HOLES_KEY))
            masks_written += 1
            kept = {key: value for key, value in annotation.items() if key != HOLES_KEY}
            written.append(kept | {"area": float(mask.sum()), "segmentation": mask_to_rle(mask)})
        elif persons == "all":
            written.append(annotation)
        if progress is not None:
            progress(index + 1, len(annotations))
    info = content["info"] | {"format": RLE_FORMAT, "version": RLE_VERSION}
    write_mask_json(out, info, content["images"], written)
    return RleExport(len(written), masks_written, with_holes)


def _check_outline(outline: Outline, size: tuple[int, int], where: str) -> None:
    found = ""
    if not outline.to_shapely().is_valid:
        found = "rings that cross"
    elif (outline.bounds[:2] < np.negative(size)).any() or (outline.bounds[2:] > 2 * np.array(size)).any():
        found = "one far outside"
    if found:
        expected = f"a valid outline in its image of {size[0]} x {size[1]} pixels"
        raise AnnotationError(where, expected=expected, found=found, hint=_AGAIN)


def _sizes(images: list[Any], path: Path) -> dict[Any, tuple[int, int]]:
    """Returns image id -> (width, height)."""
    sizes = {}
    for index, image in enumerate(images):
        keys: dict[str, Any] = image if isinstance(image, dict) else {}
        width, height = keys.get("width", 0), keys.get("height", 0)
        is_size = isinstance(width, int) and isinstance(height, int) and min(width, height) > 0
        if not is_size or width * height > MAX_PIXELS or not isinstance(keys.get("id"), int):
            expected = f"an image with id, width and height, of at most {MAX_PIXELS} pixels"
            found = shown_value(image)
            raise AnnotationError(f"{path} image {index}", expected=expected, found=found, hint=_AGAIN)
        sizes[keys["id"]] = (width, height)
    return sizes


def _size_of(annotation: Any, sizes: dict[Any, tuple[int, int]], where: str) -> tuple[int, int]:
    image = annotation.get("image_id") if isinstance(annotation, dict) else None
    if not isinstance(image, int) or image not in sizes:
        found = shown_value(image)
        raise AnnotationError(where, expected="an image_id of the file", found=found, hint=_AGAIN)
    return sizes[image]
