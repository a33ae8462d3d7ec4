"""Reads PRW as released: its annotation files become scene tables and one test protocol."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import has_area, xywh_to_xyxy
from maskps.columns import check_unique, rows_of_names
from maskps.datasets.prw import files
from maskps.errors import AnnotationError
from maskps.io.paths import check_names
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.sets import whole_test_protocol
from maskps.structures import UNLABELED_PID, PersonSearchDataset, SceneTable

_CAMERA = re.compile(r"c(\d{1,9})s\d+_\d+\.jpg")


def is_prw(root: Path) -> bool:
    """Whether the folder has PRW's layout: a list of training or of test images."""
    return any((root / file).is_file() for file in (files.TRAIN_FILE, files.TEST_FILE))


def read_prw(root: Path) -> PersonSearchDataset:
    """Returns the data set below `root`; the images themselves are not opened.

    Scenes are in the order of frame_train.mat and frame_test.mat; the camera is read from their names
    ("c1s1_000151.jpg": camera 1). Labeled pids are 1..N in the order of rising id, in each set for itself:
    the 483 training ids are 1..478, 480..483 and 932. An id may be in both sets; as released, 94 persons are.

    Boxes are as in the files, in floats and unclipped: some begin up to 4 pixels left of the image. (The
    released readers move such a box into the image and cut off the fractions.) Boxes without width or height
    are left out. The files hold no image sizes and no "ishard" marks.

    Raises:
        InputFileError: a file is missing or cannot be read.
        AnnotationError: an image listed twice in a set, an id that is not a whole number, a wrong box.
    """
    train, train_ids = _read_set(root, files.TRAIN_FILE, files.TRAIN_KEY)
    test, test_ids = _read_set(root, files.TEST_FILE, files.TEST_KEY)
    return PersonSearchDataset(
        root=root,
        kind="prw",
        image_dir=root / files.IMAGE_DIR,
        train=train,
        test=test,
        train_ids=train_ids,
        test_ids=test_ids,
        fingerprint=train.fingerprint(),
    )


def read_prw_protocol(dataset: PersonSearchDataset) -> SearchProtocol:
    """Returns the protocol of the query_info.txt at the data set's root, as `whole_test_protocol` builds it.

    Raises:
        InputFileError: the file is missing, empty, or not text.
        AnnotationError: a line that is not a query, or an image that is not in the test set.
    """
    path = dataset.root / files.QUERY_FILE
    queries, errors = files.query_lines(path, files.read_query_text(path))
    if errors:
        raise errors[0]
    scenes = rows_of_names(dataset.test.names, [query.name for query in queries])
    missing = np.flatnonzero(scenes < 0)
    if len(missing):
        query = queries[missing[0]]
        raise AnnotationError(
            f"{path}, line {query.number}",
            expected=f"an image of {files.TEST_FILE}",
            found=f"'{query.name}', which is not; {len(missing)} of {len(queries)} queries are like that",
            hint="the files may be of different versions; copy them again",
        )
    return whole_test_protocol(
        dataset.test,
        dataset.test_ids,
        query_scenes=scenes,
        query_boxes=xywh_to_xyxy(np.array([query.box for query in queries])),
        query_ids=np.array([str(query.identity) for query in queries], dtype=np.str_),
    )


def cameras_of_names(names: list[str]) -> NDArray[np.int64] | None:
    """Returns the (S,) camera numbers in these names; None if a name has none, or without names."""
    matches = [_CAMERA.fullmatch(name) for name in names]
    numbers = [int(match.group(1)) for match in matches if match]
    return np.array(numbers, dtype=np.int64) if numbers and len(numbers) == len(names) else None


def _read_set(root: Path, file: Path, key: str) -> tuple[SceneTable, NDArray[np.str_]]:
    names = files.read_frame_names(root / file, key)
    check_names(root / file, names)
    check_unique(root / file, names, expected="every image once", hint="remove the doubled entry")
    parts = [files.read_persons(files.annotation_path(root, name)) for name in names]
    counts = np.array([len(part) for part in parts], dtype=np.int64)
    rows = np.concatenate([np.zeros((0, 5)), *parts])
    scene_of_row = np.repeat(np.arange(len(names)), counts)
    for row, expected, found in files.bad_persons(rows)[:1]:
        scene = int(scene_of_row[row])
        path = files.annotation_path(root, names[scene])
        raise AnnotationError(
            files.person_place(path, row - int(counts[:scene].sum())),
            expected=expected,
            found=found,
            hint="copy or download the file again",
        )
    boxes = xywh_to_xyxy(rows[:, 1:])
    is_kept = has_area(boxes)
    rows, boxes, scene_of_row = rows[is_kept], boxes[is_kept], scene_of_row[is_kept]
    ids = rows[:, 0].astype(np.int64)
    is_labeled = ~np.isin(ids, files.UNLABELED_IDS)
    known = np.unique(ids[is_labeled])
    table = SceneTable(
        names=np.array(names, dtype=np.str_),
        offsets=np.searchsorted(scene_of_row, np.arange(len(names) + 1)).astype(np.int64),
        boxes=boxes,
        pids=np.where(is_labeled, np.searchsorted(known, ids) + 1, UNLABELED_PID).astype(np.int64),
        is_hard=np.zeros(len(rows), dtype=bool),
        camera=cameras_of_names(names),
    )
    return table, known.astype(np.str_)
