"""PRW as released: its annotation files, read into scene tables, and its one test protocol."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import has_area, xywh_to_xyxy
from maskps.columns import check_unique, offsets_of, ragged_ranges, rows_of_names
from maskps.datasets.prw import files
from maskps.errors import AnnotationError, InputFileError
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import UNLABELED_PID, PersonSearchDataset, SceneTable

PRW_PROTOCOL = "all"
"""The one protocol of PRW: the gallery of every query is all test scenes but its own."""

_CAMERA = re.compile(r"c(\d{1,9})s\d+_\d+\.jpg")


def is_prw(root: Path) -> bool:
    """Returns whether the folder is laid out as PRW: it has a list of training or of test images."""
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
        AnnotationError: an image listed twice in a set, an id that is no whole number, a box that is none.
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


def read_prw_protocol(root: Path, dataset: PersonSearchDataset) -> SearchProtocol:
    """Returns the protocol of query_info.txt, as `prw_protocol` builds it.

    Args:
        dataset: what `read_prw` returned.

    Raises:
        InputFileError: the file is missing or no text.
        AnnotationError: a line that is no query, or an image that is not in the test set.
    """
    path = root / files.QUERY_FILE
    queries, errors = files.query_lines(path, files.read_query_text(path))
    if errors:
        raise errors[0]
    if not queries:
        raise InputFileError(
            path,
            expected="lines of id, x, y, width, height and image",
            found="an empty file",
            hint="copy it from the released archive",
        )
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
    return prw_protocol(
        dataset.test,
        dataset.test_ids,
        query_scenes=scenes,
        query_boxes=xywh_to_xyxy(np.array([query.box for query in queries])),
        query_ids=np.array([str(query.identity) for query in queries], dtype=np.str_),
    )


def prw_protocol(
    test: SceneTable,
    test_ids: NDArray[np.str_],
    *,
    query_scenes: NDArray[np.int64],
    query_boxes: NDArray[np.float32],
    query_ids: NDArray[np.str_],
) -> SearchProtocol:
    """Returns the protocol whose galleries are the whole test set, each without the query's own scene.

    As in the released evaluators, scenes of the query's own camera belong to the gallery, and where an id is
    twice in a scene its first box is the true one (so in 3 test scenes). Gallery entries are in the order of
    the test set. A query whose id is nowhere else has no true box.

    Args:
        test: the scenes; the protocol's `image_names` are theirs.
        test_ids: (M,) str, the id of pid i at [i - 1].
        query_scenes: (Q,) rows of `test`.
        query_boxes: (Q, 4) float32 xyxy.
        query_ids: (Q,) str.
    """
    own = query_scenes.astype(np.int32)[:, None]
    entries = np.arange(max(len(test) - 1, 0), dtype=np.int32)[None]
    galleries = entries + (entries >= own)

    persons, first = _first_persons(test, len(test_ids))
    query_pids = rows_of_names(test_ids, query_ids) + 1  # 0, a pid without persons, for an unknown id
    counts = first[query_pids + 1] - first[query_pids]
    truth_persons = persons[ragged_ranges(first[query_pids], counts)]
    query_of_truth = np.repeat(np.arange(len(query_scenes)), counts)
    scenes, own_scenes = test.scene_of_person[truth_persons], query_scenes[query_of_truth]
    is_other = scenes != own_scenes
    truths = np.bincount(query_of_truth[is_other], minlength=len(query_scenes))
    return SearchProtocol(
        image_names=test.names,
        query_scenes=query_scenes.astype(np.int32),
        query_boxes=query_boxes,
        query_ids=query_ids,
        query_hard=np.zeros(len(query_scenes), dtype=bool),
        galleries=galleries,
        truth_offsets=offsets_of(truths),
        truth_positions=(scenes - (scenes > own_scenes))[is_other].astype(np.int32),
        truth_boxes=test.boxes[truth_persons[is_other]],
        truth_hard=test.is_hard[truth_persons[is_other]],
    )


def cameras_of_names(names: list[str]) -> NDArray[np.int64] | None:
    """Returns the (S,) camera numbers that these names give; None if a name gives none, or without names."""
    matches = [_CAMERA.fullmatch(name) for name in names]
    numbers = [int(match.group(1)) for match in matches if match]
    return np.array(numbers, dtype=np.int64) if numbers and len(numbers) == len(names) else None


def _first_persons(test: SceneTable, pids_known: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the labeled persons by rising pid and scene, of a pid twice in a scene the first only.

    The second array says where each of the pids 0..`pids_known` begins, and where the last one ends: pid p
    has the persons [starts[p]:starts[p + 1]].
    """
    persons = np.flatnonzero(test.is_labeled)
    persons = persons[np.argsort(test.pids[persons], kind="stable")]
    pids, scenes = test.pids[persons], test.scene_of_person[persons]
    is_first = np.ones(len(persons), dtype=bool)
    is_first[1:] = (pids[1:] != pids[:-1]) | (scenes[1:] != scenes[:-1])
    persons, pids = persons[is_first], pids[is_first]
    return persons, np.searchsorted(pids, np.arange(pids_known + 2))


def _read_set(root: Path, file: Path, key: str) -> tuple[SceneTable, NDArray[np.str_]]:
    names = files.read_frame_names(root / file, key)
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
