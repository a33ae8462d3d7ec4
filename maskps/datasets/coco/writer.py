"""Writes a data set in COCO style, so that `read_coco` gives the same tables back.

    info         format "maskps-coco", version 1
    images       id (from 1), file_name, width, height; camera, if the data set has cameras; maskps_size
                 "extent", if the size of the image is not known
    annotations  id (from 1), image_id, category_id 1, bbox (x, y, width, height), area, iscrowd 0,
                 segmentation [], person_id (the pid: 1..N, or -1); ishard 0 or 1, if anybody has a hard mark
    categories   1: person
    maskps_ids   the data set's own identity of pid i at [i - 1]

Other programs need the true width and height. They are those of the annotation, else those of the image
file. Without the image, they are the smallest whole size that holds its boxes, as in masks.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xyxy_to_xywh
from maskps.datasets.coco.ids import FORMAT, VERSION
from maskps.datasets.coco.protocols import PROTOCOLS_FILE, write_protocols
from maskps.datasets.coco.reader import FILES
from maskps.errors import MaskpsError
from maskps.io.files import written_atomically
from maskps.io.images import image_size
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset, SceneTable


def write_coco(root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]) -> int:
    """Writes train.json and test.json below `root`, and protocols.npz if there are protocols.

    The same data set gives the same bytes. Images are not written; their folder is `root / "images"`. Of
    images whose size is not annotated, the file's head is read.

    Args:
        protocols: by name; their scenes are those of `dataset.test`.

    Returns:
        The number of images of unknown size.
    """
    unknown = 0
    for name, table, ids in zip(
        FILES[0], (dataset.train, dataset.test), (dataset.train_ids, dataset.test_ids), strict=True
    ):
        sizes = _image_sizes(dataset, table) if table.size is None else table.size
        unknown += int(np.count_nonzero(sizes[:, 0] == 0))
        _write_table(root / name, replace(table, size=sizes), ids)
    if protocols:
        write_protocols(root / PROTOCOLS_FILE, protocols)
    return unknown


def _image_sizes(dataset: PersonSearchDataset, table: SceneTable) -> NDArray[np.int64]:
    """Returns the (S, 2) width and height of the image files, 0 for those that cannot be read."""
    sizes = np.zeros((len(table), 2), np.int64)
    for row, name in enumerate(table.names.tolist()):
        with suppress(MaskpsError):
            sizes[row] = image_size(dataset.image_path(name))
    return sizes


def _write_table(path: Path, table: SceneTable, ids: NDArray[np.str_]) -> None:
    info = {
        "description": "person search: person_id is an identity, -1 a person without one",
        "format": FORMAT,
        "version": VERSION,
    }
    blocks = {
        "licenses": "[]",
        "categories": json.dumps([{"id": 1, "name": "person", "supercategory": "person"}]),
        "maskps_ids": json.dumps(ids.tolist()),
        "images": _lines(_image_entries(table)),
        "annotations": _lines(_annotation_entries(table)),
    }
    text = ",\n".join(f'"{key}": {value}' for key, value in {"info": json.dumps(info), **blocks}.items())
    with written_atomically(path) as temporary:
        temporary.write_text("{\n" + text + "\n}\n", encoding="utf-8")


def _lines(entries: Iterable[dict[str, object]]) -> str:
    """Returns a JSON list with one entry per line: quick to write, and easy to compare."""
    lines = ",\n  ".join(json.dumps(entry) for entry in entries)
    return f"[\n  {lines}\n]" if lines else "[]"


def _image_entries(table: SceneTable) -> Iterable[dict[str, object]]:
    assert table.size is not None
    is_known = table.size[:, :1] > 0
    sizes = np.where(is_known, table.size, _extents(table)).tolist()
    rows = zip(table.names.tolist(), sizes, is_known[:, 0].tolist(), strict=True)
    for row, (name, (width, height), is_size) in enumerate(rows):
        extra = {} if is_size else {"maskps_size": "extent"}
        entry = {"id": row + 1, "file_name": name, "width": width, "height": height, **extra}
        yield entry if table.camera is None else entry | {"camera": int(table.camera[row])}


def _extents(table: SceneTable) -> NDArray[np.int64]:
    """Returns the (S, 2) smallest whole width and height that hold the boxes of each scene, 1 at least."""
    extents = np.ones((len(table), 2), np.int64)
    np.maximum.at(extents, table.scene_of_person, np.ceil(table.boxes[:, 2:]).astype(np.int64))
    return extents


def _annotation_entries(table: SceneTable) -> Iterable[dict[str, object]]:
    boxes = xyxy_to_xywh(table.boxes)
    has_hard = bool(table.is_hard.any())
    listed = boxes.astype(np.int64).tolist() if (boxes == np.rint(boxes)).all() else boxes.tolist()
    rows = zip(
        (table.scene_of_person + 1).tolist(),
        listed,
        table.pids.tolist(),
        table.is_hard.astype(int).tolist(),
        strict=True,
    )
    for number, (image_id, box, pid, hard) in enumerate(rows, start=1):
        entry: dict[str, object] = {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "person_id": pid,
            "segmentation": [],
        }
        yield entry | {"ishard": hard} if has_hard else entry
