"""masks.json with run-length encodings instead of polygons: for readers that must see the holes.

The file is COCO like masks.json, entry by entry, with info format "maskps-masks-rle". A segmentation is
{"size": [height, width], "counts": [...]}, uncompressed, of the pixels whose centre lies inside the outline;
`area` is their number. Persons without an outline have the segmentation [], or are left out. It is for other
programs; ours read masks.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskps.errors import AnnotationError
from maskps.io.files import check_output_file, written_atomically
from maskps.masks.mask_file import (
    CATEGORIES,
    HOLES_KEY,
    json_by_lines,
    outline_of_annotation,
    read_mask_json,
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
        masks: a masks.json of ours.
        persons: "all", as in masks.json; "present": only those with an outline, for readers that require a
            mask of every annotation. They see the other persons as background.
        force: replace `out`, if it is a file that this function wrote.
        progress: called with (annotations done, annotations).

    Raises:
        OutputExistsError: `out` exists, or is not ours to replace.
        InputFileError: `masks` is missing, cut off, or not a mask file.
        AnnotationError: an image without a size, an outline that is damaged.
    """
    check_output_file(out, mark=json.dumps(RLE_FORMAT).encode(), force=force)
    content = read_mask_json(masks)
    sizes = _sizes(content["images"], masks)
    lines: list[str] = []
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
            lines.append(json.dumps(kept | {"area": float(mask.sum()), "segmentation": mask_to_rle(mask)}))
        elif persons == "all":
            lines.append(json.dumps(annotation))
        if progress is not None:
            progress(index + 1, len(annotations))
    info = content["info"] | {"format": RLE_FORMAT, "version": RLE_VERSION}
    blocks = {
        "info": [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in info.items()],
        "licenses": [],
        "categories": [json.dumps(category) for category in CATEGORIES],
        "images": [json.dumps(image) for image in content["images"]],
        "annotations": lines,
    }
    with written_atomically(out) as temporary:
        temporary.write_text(json_by_lines(blocks), encoding="utf-8")
    return RleExport(len(lines), masks_written, with_holes)


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
    sizes = {}
    for index, image in enumerate(images):
        width, height = (image.get("width"), image.get("height")) if isinstance(image, dict) else (0, 0)
        if (
            not (isinstance(width, int) and isinstance(height, int))
            or not (width > 0 and height > 0 and width * height <= MAX_PIXELS)
            or not isinstance(image.get("id"), int)
        ):
            raise AnnotationError(
                f"{path} image {index}",
                expected=f"an image with id, width and height, of at most {MAX_PIXELS} pixels",
                found=repr(image)[:100],
                hint=_AGAIN,
            )
        sizes[image["id"]] = (width, height)
    return sizes


def _size_of(annotation: Any, sizes: dict[Any, tuple[int, int]], where: str) -> tuple[int, int]:
    image = annotation.get("image_id") if isinstance(annotation, dict) else None
    if not isinstance(image, int) or image not in sizes:
        raise AnnotationError(where, expected="an image_id of the file", found=repr(image)[:60], hint=_AGAIN)
    return sizes[image]
