"""Writes the annotation files of PRW with the layout, types and keys of the released ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy, xyxy_to_xywh
from maskps.datasets.prw import files
from maskps.datasets.prw.reader import cameras_of_names
from maskps.errors import AnnotationError, OutputExistsError
from maskps.io.files import write_errors_explained, written_atomically
from maskps.io.matlab import cell_matrix, char_matrix, write_mat
from maskps.io.matlab.numbers import numbers_file
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.sets import whole_test_protocol
from maskps.structures import BACKGROUND_PID, UNLABELED_PID, PersonSearchDataset, SceneTable


def write_prw(root: Path, dataset: PersonSearchDataset, protocol: SearchProtocol | None) -> None:
    """Writes the lists of images, one annotation file per image and query_info.txt below `root`.

    `read_prw` and `read_prw_protocol` give the same tables, ids and queries back, but no image sizes. Persons
    are rows of doubles in the variable "box_new"; lines of query_info.txt end with CRLF, as released.
    ID_train.mat and ID_test.mat, which some readers need, list the ids of the training set and the queries.

    Args:
        protocol: one that `whole_test_protocol` can build from its queries; without one, query_info.txt and
            ID_test.mat are not written.

    Raises:
        AnnotationError: something that PRW's files cannot hold: an image that is not a ".jpg" or is in both
            sets, ids that are not whole numbers in rising order or have no person, a hard mark, a box
            without width or height, a camera that is not in the image's name, another protocol.
        OutputExistsError: there is an annotation folder already.
        OutputError: the folder cannot be written.
    """
    _check_sets(dataset)
    if protocol is not None:
        _check_protocol(dataset, protocol)
    sets = (
        (dataset.train, dataset.train_ids, files.TRAIN_FILE, files.TRAIN_KEY),
        (dataset.test, dataset.test_ids, files.TEST_FILE, files.TEST_KEY),
    )
    target = root / files.ANNOTATION_DIR
    if target.exists():
        raise OutputExistsError(
            target, expected="no such folder yet", found="an existing one", hint="choose another path"
        )
    with write_errors_explained(target):
        target.mkdir(parents=True)
        for table, ids, _, _ in sets:
            rows = np.column_stack([_written_ids(table.pids, ids), xyxy_to_xywh(table.boxes)])
            for scene, name in enumerate(table.names.tolist()):
                part = rows[table.offsets[scene] : table.offsets[scene + 1]]
                content = numbers_file(part, files.ANNOTATION_KEYS[0])
                files.annotation_path(root, name).write_bytes(content)
    for table, _, file, key in sets:
        frames = [name.removesuffix(files.IMAGE_SUFFIX) for name in table.names.tolist()]
        write_mat(root / file, [cell_matrix([char_matrix(frame) for frame in frames], name=key)])
    train_ids = dataset.train_ids.astype(np.float64)
    _write_bytes(root / "ID_train.mat", numbers_file(train_ids[None], "ID_train"))
    if protocol is not None:
        test_ids = np.unique(protocol.query_ids.astype(np.float64))
        _write_bytes(root / "ID_test.mat", numbers_file(test_ids[None], "ID_test2"))
        _write_bytes(root / files.QUERY_FILE, _query_text(dataset.test, protocol).encode("utf-8"))


def _write_bytes(path: Path, content: bytes) -> None:
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def _written_ids(pids: NDArray[np.int64], ids: NDArray[np.str_]) -> NDArray[np.float64]:
    numbers = np.concatenate([ids.astype(np.float64), [files.UNLABELED_IDS[0]]])
    return numbers[np.where(pids == UNLABELED_PID, len(ids), pids - 1)]


def _query_text(test: SceneTable, protocol: SearchProtocol) -> str:
    """Returns the lines of query_info.txt: with 4 decimals, as released, if they give the same box."""
    boxes, exact = protocol.query_boxes, xyxy_to_xywh(protocol.query_boxes)
    corner = np.round(exact[:, :2], 4)
    short = np.column_stack([corner, np.round(boxes[:, 2:].astype(np.float64) - corner, 4)])
    is_short = (xywh_to_xyxy(short) == boxes).all(axis=1)
    lines = []
    for query, box in enumerate(np.where(is_short[:, None], short, exact).tolist()):
        numbers = " ".join(f"{value:.4f}" if is_short[query] else repr(value) for value in box)
        frame = str(test.names[protocol.query_scenes[query]]).removesuffix(files.IMAGE_SUFFIX)
        lines.append(f"{protocol.query_ids[query]} {numbers} {frame}\r\n")
    return "".join(lines)


def _check_sets(dataset: PersonSearchDataset) -> None:
    for table, ids, what in (
        (dataset.train, dataset.train_ids, "training"),
        (dataset.test, dataset.test_ids, "test"),
    ):
        _check_names(table, what)
        _check_ids(table, ids, what)
        scenes = table.scene_of_person
        empty = (table.boxes[:, 2:] <= table.boxes[:, :2]).any(axis=1)
        for bad, found in ((empty, "a box without width or height"), (table.is_hard, "a person marked hard")):
            if bad.any():
                raise _refusal(f"scene '{table.names[scenes[np.argmax(bad)]]}'", "persons as PRW has", found)
    both = np.intersect1d(dataset.train.names, dataset.test.names)
    if len(both):
        expected = "a scene of the training or of the test set"
        raise _refusal(f"scene '{both[0]}'", expected, "it is in both")


def _check_names(table: SceneTable, what: str) -> None:
    names = table.names.tolist()
    for name in names:
        frame = name.removesuffix(files.IMAGE_SUFFIX)
        if frame == name or not files.is_frame_name(frame):
            raise _refusal(f"scene '{name}'", "the name of a .jpg file in one folder", "another one")
    if table.camera is not None and names:
        cameras = cameras_of_names(names)
        if cameras is None or not np.array_equal(cameras, table.camera):
            expected = 'names that give the camera, such as "c1s1_000151.jpg"'
            raise _refusal(f"{what} scenes", expected, "other names or cameras")


def _check_ids(table: SceneTable, ids: NDArray[np.str_], what: str) -> None:
    texts = ids.tolist()
    others = [text for text in texts if not files.is_identity(text)]
    if others or (np.diff(ids.astype(np.float64)) <= 0).any():
        found = f"'{others[0]}'" if others else "numbers in another order"
        raise _refusal(f"{what} identities", "whole numbers, rising", found)
    used = np.unique(table.pids[table.is_labeled])
    if not np.array_equal(used, np.arange(BACKGROUND_PID + 1, len(ids) + 1)):
        raise _refusal(f"{what} identities", "one or more persons for every id", f"{len(used)} of {len(ids)}")


def _check_protocol(dataset: PersonSearchDataset, protocol: SearchProtocol) -> None:
    """Raises AnnotationError unless reading the queries back gives this protocol."""
    expected = "galleries of all test scenes but the query's own, as PRW has"
    if not np.array_equal(protocol.image_names, dataset.test.names):
        raise _refusal("protocol", expected, "other scenes, or another order")
    again = whole_test_protocol(
        dataset.test,
        dataset.test_ids,
        query_scenes=protocol.query_scenes.astype(np.int64),
        query_boxes=protocol.query_boxes,
        query_ids=protocol.query_ids,
    )
    for column in ("galleries", "query_hard", "truth_offsets", "truth_positions", "truth_boxes"):
        if not np.array_equal(getattr(again, column), getattr(protocol, column)):
            raise _refusal("protocol", expected, f"other {column.replace('_', ' ')}")
    others = [text for text in protocol.query_ids.tolist() if not files.is_identity(text)]
    if others:
        raise _refusal("protocol", "queries with whole numbers as ids", f"'{others[0]}'")


def _refusal(where: str, expected: str, found: str) -> AnnotationError:
    return AnnotationError(
        where,
        expected=expected,
        found=found,
        hint="PRW's files cannot hold it; choose another format, such as coco",
    )
