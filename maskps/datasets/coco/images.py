"""The images of a COCO-style file: names, ids, sizes and cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.coco.entries import FARTHEST, EntryFindings
from maskps.io.paths import name_problem


@dataclass(frozen=True)
class CocoImages:
    """The images with a usable name, in the order of the file; `row_of_id` gives the row of an id."""

    names: list[str]
    row_of_id: dict[Any, int]
    sizes: NDArray[np.int64] | None
    cameras: NDArray[np.int64] | None


def read_images(entries: list[Any], problems: EntryFindings) -> CocoImages:
    """Returns the images of a file's list. If several have the same id, it belongs to the first."""
    names: list[str] = []
    kept: list[dict[str, Any]] = []
    bad_names: list[tuple[int, Any]] = []
    bad_ids: list[tuple[int, Any]] = []
    twice: list[tuple[int, Any]] = []
    row_of_id: dict[Any, int] = {}
    for index, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        key = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name_problem(name):
            bad_names.append((index, entry if name is None else name))
            if type(key) in (int, str):
                row_of_id.setdefault(key, -1)  # its annotations are not without an image
            continue
        if type(key) not in (int, str):
            bad_ids.append((index, key))
        elif row_of_id.get(key, -1) >= 0:
            twice.append((index, key))
        else:
            row_of_id[key] = len(names)
        names.append(name)
        kept.append(entry)
    total = len(entries)
    problems.add(
        "coco-image-name", "error", bad_names, total, what="image", found="file_name {}",
        expected="a path below the folder of images, without '..' and control characters, of names of at "
        "most 255 bytes", hint="give every image its 'file_name'; no file outside the folder is read",
    )  # fmt: skip
    problems.add(
        "coco-image-id", "error", bad_ids, total, what="image", found="id {}",
        expected="a whole number or a text", hint="number the images 1, 2, 3, ...",
    )  # fmt: skip
    problems.add(
        "coco-image-id-repeated", "error", twice, total, what="image",
        found="id {}, which an earlier image has", expected="an id of its own for every image",
        hint="number the images anew, and set the image_id of their annotations to match: which of the "
        "images an annotation belongs to is unknown",
    )  # fmt: skip
    return CocoImages(names, row_of_id, _read_sizes(kept, problems), _read_cameras(kept, problems))


def _read_sizes(images: list[dict[str, Any]], problems: EntryFindings) -> NDArray[np.int64] | None:
    sizes = [(image.get("width"), image.get("height")) for image in images]
    good = [_is_size(width) and _is_size(height) for width, height in sizes]
    bad = [
        (index, size)
        for index, (size, is_good) in enumerate(zip(sizes, good, strict=True))
        if not is_good and size != (None, None)
    ]
    problems.add(
        "coco-image-size", "warning", bad, len(images), what="image",
        found="width and height {}", expected="two whole numbers of pixels, at least 1",
        hint="write the sizes as numbers; until then, the file is read as one without sizes",
    )  # fmt: skip
    stated = all("maskps_size" not in image for image in images)
    return np.array(sizes, np.int64) if images and all(good) and stated else None


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < FARTHEST


def _read_cameras(images: list[dict[str, Any]], problems: EntryFindings) -> NDArray[np.int64] | None:
    cameras = [image.get("camera") for image in images]
    good = [type(camera) is int and abs(camera) < FARTHEST for camera in cameras]
    is_stated = any(good)
    bad = [
        (index, camera)
        for index, (camera, is_good) in enumerate(zip(cameras, good, strict=True))
        if not is_good and (camera is not None or is_stated)
    ]
    problems.add(
        "coco-camera", "warning", bad, len(images), what="image", found="camera {}",
        expected="a whole number for every image, or for none",
        hint="number the cameras; until then, the file is read as one without cameras",
    )  # fmt: skip
    return np.array(cameras, np.int64) if images and all(good) else None
