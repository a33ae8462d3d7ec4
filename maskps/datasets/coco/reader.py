"""Reads person search in COCO style: two JSON files with a `person_id` per annotation.

docs/coco.md describes the files of other code bases (`train_pid.json`, `test_pid.json`) and those of maskps
(`train.json`, `test.json`, with the test protocols in `protocols.npz`).
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import has_area, xywh_to_xyxy
from maskps.columns import check_unique, rows_of_names
from maskps.datasets.coco.json_file import CocoColumns, read_columns
from maskps.datasets.coco.protocols import PROTOCOLS_FILE, protocols_in, read_protocol_of
from maskps.datasets.prw.files import QUERY_FILE
from maskps.datasets.prw.reader import read_prw_protocol
from maskps.errors import AnnotationError, InputFileError
from maskps.findings import raise_on_errors
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.sets import WHOLE_TEST_SET
from maskps.structures import UNLABELED_PID, PersonSearchDataset, SceneTable

FILES = (
    ("train.json", "test.json"),
    ("train_pid.json", "test_pid.json"),
    ("train.json", "val.json"),
    *(
        (f"annotations/{prefix}train{year}.json", f"annotations/{prefix}{test}{year}.json")
        for prefix in ("", "instances_")
        for year in ("", "2017", "2014")
        for test in ("test", "val")
    ),
)
"""Names of the two files: those of maskps, those of other code bases, and those in the layout of COCO."""

IMAGE_DIR = "images"
_IMAGE_DIRS = (IMAGE_DIR, "frames", "Image/SSM", ".")
_SPLIT_DIRS = (
    ("train", "train2017", "train2014"),
    ("test", "val", "test2017", "val2017", "test2014", "val2014"),
)
"""Folders with the images of one split, in the root or in `IMAGE_DIR`."""


def is_coco(root: Path) -> bool:
    """Whether a folder holds one of the files of a COCO-style data set."""
    return any((root / name).is_file() for pair in FILES for name in pair)


def coco_files(root: Path) -> tuple[Path, Path]:
    """Returns the training and the test file below a root; they may not exist."""
    there = [sum((root / name).is_file() for name in pair) for pair in FILES]
    pair = FILES[there.index(max(there))]
    return root / pair[0], root / pair[1]


def read_coco(root: Path) -> PersonSearchDataset:
    """Returns the data set in this folder; the images themselves are not opened.

    Scenes, and the persons in each, are in the order of the files. Boxes without width or height, groups
    (`iscrowd`) and categories other than "person" are left out, with a warning. Training pid i is the i-th
    identity: numbers by size, then texts; in files that maskps wrote, the order of `maskps_ids`. The test
    file has its own identities, even if it uses the same numbers as the training file.

    Images are looked for in `images`, `frames`, `Image/SSM`, the root itself, and folders of each split
    (`train2017`, `images/val`, ...): the folder that holds most of a split's images.

    Raises:
        InputFileError: a file is missing or is not COCO-style JSON.
        AnnotationError: an entry that cannot be read, an image listed twice or in both files, boxes that are
            corners. The message has the first problem; `maskps-data verify` reports all.
    """
    train_path, test_path = coco_files(root)
    for path, other in ((train_path, test_path), (test_path, train_path)):
        if not path.is_file() and other.is_file():
            raise InputFileError(
                path,
                expected=f"a file beside {other.name}",
                found="no such file",
                hint='copy it again; a part without images is {"images": [], "annotations": []}',
            )
    warnings: list[str] = []
    train, train_ids = _read_table(train_path, warnings)
    test, test_ids = _read_table(test_path, warnings)
    both = np.intersect1d(train.names, test.names)
    if len(both):
        raise AnnotationError(
            test_path,
            expected=f"images that {train_path.name} does not list",
            found=f"'{both[0]}', one of {len(both):,} images that are in both files",
            hint="keep each image in one of the two files",
        )
    dataset = PersonSearchDataset(
        root=root,
        kind="coco",
        image_dir=root / IMAGE_DIR,
        train=train,
        test=test,
        train_ids=train_ids,
        test_ids=test_ids,
        fingerprint=train.fingerprint(),
        warnings=tuple(warnings),
    )
    return with_images(dataset)


def coco_protocol_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the test protocols beside the two files.

    They are those in protocols.npz, and "all" if there is a query_info.txt of PRW.

    Raises:
        InputFileError: a protocols.npz that cannot be read.
    """
    path = root / PROTOCOLS_FILE
    names = protocols_in(path) if path.is_file() else ()
    has_queries = WHOLE_TEST_SET not in names and (root / QUERY_FILE).is_file()
    return (*names, WHOLE_TEST_SET) if has_queries else names


def read_coco_protocol(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    """Returns the test protocol of this name, one of `coco_protocol_names`.

    Raises:
        InputFileError: no file of protocols, or none of this name in it.
        AnnotationError: a protocol that contradicts itself, or names a scene that `dataset.test` lacks.
    """
    path = dataset.root / PROTOCOLS_FILE
    if name == WHOLE_TEST_SET and not (path.is_file() and name in protocols_in(path)):
        return read_prw_protocol(dataset)
    protocol = read_protocol_of(path, name)
    missing = np.flatnonzero(rows_of_names(dataset.test.names, protocol.image_names) < 0)
    if len(missing):
        raise AnnotationError(
            f"{path}, {name}",
            expected="scenes of the test file",
            found=f"'{protocol.image_names[missing[0]]}', one of {len(missing):,} that it does not list",
            hint="the files may be of different versions; convert the data set again",
        )
    return protocol


def _read_table(path: Path, warnings: list[str]) -> tuple[SceneTable, NDArray[np.str_]]:
    columns, findings = read_columns(path)
    raise_on_errors(findings)
    warnings += [f"{finding.where}: {finding.found}".removeprefix(f"{path.parent}/") for finding in findings]
    hint = "list every image once, and give its annotations its id"
    check_unique(path, columns.names, expected="every file_name once", hint=hint)
    ids, pids = _numbered(columns)
    boxes = xywh_to_xyxy(columns.boxes)
    is_kept = has_area(boxes)
    if not is_kept.all():
        first = columns.where(int(np.argmin(is_kept))).removeprefix(f"{path.parent}/")
        count = np.count_nonzero(~is_kept)
        warnings.append(f"{first}: no width or height; {count:,} such boxes are left out")
    table = SceneTable(
        names=np.array(columns.names, np.str_),
        offsets=np.concatenate([[0], np.cumsum(is_kept)])[columns.offsets],
        boxes=boxes[is_kept],
        pids=pids[is_kept],
        is_hard=columns.is_hard[is_kept],
        camera=columns.cameras,
        size=columns.sizes,
    )
    return table, ids


def _numbered(columns: CocoColumns) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Returns the identities, and the pid of every person: 1 + the row of its identity, or -1."""
    ids = columns.declared_ids
    if ids is None:
        ids = sorted({identity for identity in columns.ids if identity is not None}, key=_by_number)
    pid_of = {identity: pid for pid, identity in enumerate(ids, start=1)} | {None: UNLABELED_PID}
    pids = np.fromiter((pid_of[identity] for identity in columns.ids), np.int64, len(columns.ids))
    return np.array(ids, np.str_), pids


def _by_number(identity: str) -> tuple[bool, int, str]:
    is_number = re.fullmatch("[0-9]+", identity) is not None
    return not is_number, int(identity) if is_number else 0, identity


def with_images(dataset: PersonSearchDataset) -> PersonSearchDataset:
    """Returns the data set with the folder of each split's images: the one that holds most of them."""
    common = [dataset.root / name for name in _IMAGE_DIRS]
    best = []
    for table, names in zip((dataset.train, dataset.test), _SPLIT_DIRS, strict=True):
        own = [dataset.root / above / name for above in (IMAGE_DIR, ".") for name in names]
        folders = [*common, *own]
        counts = [_images_in(folder, table.names.tolist()) for folder in folders]
        most = max(counts)
        best.append((folders[counts.index(most)], most))
    (train, in_train), (test, in_test) = best
    if not in_train or not in_test:  # the folder of a split without images is that of the other one
        train = test = test if in_test else train
    return replace(dataset, image_dir=train, test_image_dir=None if test == train else test)


def _images_in(folder: Path, names: list[str]) -> int:
    """Returns how many of these images a folder holds."""
    try:
        present = set(os.listdir(folder))
    except OSError:
        return 0
    return sum(name in present or ("/" in name and os.path.isfile(folder / name)) for name in names)
