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
import shapely
from numpy.typing import NDArray

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
from maskps.masks.rle import MAX_PIXELS, mask_to_rle, rle_to_mask
from maskps.masks.tracing import mask_to_outline

RLE_FORMAT = "maskps-masks-rle"
RLE_VERSION = 1

_AGAIN = "the file was edited; build the subset again"

Persons = Literal["all", "present"]


@dataclass(frozen=True)
class FormFit:
    """How well one form of the masks gives the outlines back; NaN without a mask.

    Attributes:
        area: mean ratio of the form's area to the outline's.
        least_area, most_area: the smallest and the largest ratio.
        iou: mean intersection over union with the outline.
        least_iou: the smallest.
    """

    area: float
    least_area: float
    most_area: float
    iou: float
    least_iou: float


@dataclass(frozen=True)
class RleExport:
    """What an export wrote, and how exact it is.

    Attributes:
        persons: annotations written.
        masks: those with an outline.
        with_holes: outlines that have holes.
        rle: the run-length encodings beside the exact outlines (holes taken off, cut at the image).
        polygons: the polygons of masks.json as pycocotools turns them into pixels: holes filled.
    """

    persons: int
    masks: int
    with_holes: int
    rle: FormFit
    polygons: FormFit

    def summary(self) -> str:
        """Returns one line for people."""
        return f"{self.persons:,} persons, {self.masks:,} with a mask, {self.with_holes:,} of them with holes"

    def to_dict(self) -> dict[str, Any]:
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
    """Writes a masks.json with run-length encodings, whole or not at all; compares both forms.

    Args:
        masks: a masks.json of ours.
        persons: "all", as in masks.json; "present": only those with an outline, for readers that want a mask
            from every annotation. To these, the other persons are background.
        force: replace `out`, if it is a file that this function wrote.
        progress: called with (annotations done, annotations).

    Raises:
        OutputExistsError: `out` exists, or is not ours to replace.
        InputFileError: `masks` is missing, cut off, or no mask file.
        AnnotationError: an image without a size, an outline that is damaged.
    """
    check_output_file(out, mark=json.dumps(RLE_FORMAT).encode(), force=force)
    content = read_mask_json(masks)
    sizes = _sizes(content["images"], masks)
    lines: list[str] = []
    ratios: list[tuple[float, float, float, float]] = []
    with_holes = 0
    annotations = content["annotations"]
    for index, annotation in enumerate(annotations):
        where = f"{masks} annotation {index}"
        size = _size_of(annotation, sizes, where)
        if annotation.get("segmentation"):
            outline = outline_of_annotation(annotation, where)
            _check_outline(outline, size, where)
            mask = outline_to_mask(outline, *size)
            with_holes += bool(annotation.get(HOLES_KEY))
            ratios.append(_ratios(outline, mask, size))
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
    columns = np.array(ratios, dtype=np.float64).reshape(-1, 4).T
    return RleExport(len(lines), len(ratios), with_holes, _fit(*columns[:2]), _fit(*columns[2:]))


def _check_outline(outline: Outline, size: tuple[int, int], where: str) -> None:
    found = ""
    if not outline.to_shapely().is_valid:
        found = "rings that cross"
    elif (outline.bounds[:2] < np.negative(size)).any() or (outline.bounds[2:] > 2 * np.array(size)).any():
        found = "one far outside"  # pycocotools takes memory for every pixel of its border
    if found:
        expected = f"a valid outline in its image of {size[0]} x {size[1]} pixels"
        raise AnnotationError(where, expected=expected, found=found, hint=_AGAIN)


def _ratios(
    outline: Outline, mask: NDArray[np.bool_], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Area ratio and IoU of a mask, then of what pycocotools makes of the outer rings, with the outline."""
    # Imported here: everything else in maskps.masks works without it.
    from pycocotools import mask as coco_mask

    width, height = size
    exact = shapely.intersection(outline.to_shapely(), shapely.box(0, 0, width, height))
    rles = coco_mask.frPyObjects([outer.ravel().tolist() for outer, _ in outline.parts()], height, width)
    filled = _decoded(coco_mask.merge(rles))
    result = []
    for one in (mask, filled):
        drawn = mask_to_outline(one).to_shapely()
        common = shapely.intersection(drawn, exact).area
        union = drawn.area + exact.area - common
        result += [drawn.area / exact.area, common / union] if exact.area > 0 else [float("nan")] * 2
    return result[0], result[1], result[2], result[3]


def _fit(area: NDArray[np.float64], iou: NDArray[np.float64]) -> FormFit:
    area, iou = area[np.isfinite(area)], iou[np.isfinite(iou)]
    if not len(area):
        return FormFit(*[float("nan")] * 5)
    return FormFit(*(float(value) for value in (area.mean(), area.min(), area.max(), iou.mean(), iou.min())))


def _decoded(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Decodes what pycocotools made; its own decoder warns with numpy 2."""
    text = {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}
    return rle_to_mask(text, where="pycocotools")


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
