"""CUHK-SYSU as released: its annotation files, read into scene tables."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy
from maskps.columns import check_unique, rows_of_names
from maskps.datasets import cuhk_sysu_layout as layout
from maskps.datasets.cuhk_sysu_layout import available_protocols, protocol_path
from maskps.errors import AnnotationError
from maskps.evaluation.protocol import read_protocol
from maskps.matlab import open_mat
from maskps.structures import UNLABELED_PID, PersonSearchDataset, SceneTable

_log = logging.getLogger(__name__)


def read_cuhk_sysu(root: Path) -> PersonSearchDataset:
    """Returns the data set below `root`; the images themselves are not opened.

    As the released readers do: boxes without width or height are left out; an appearance gets its identity
    by exact equality with a box of Images.mat, the first one of equal ones; test identities are those of the
    queries, from the protocol with the smallest galleries. Training scenes are all that are not in pool.mat,
    sorted as text (the released code takes them from a Python set, in no order); test scenes are in the
    order of pool.mat. Appearances that match no box, and boxes that are given two identities (the later one
    stays), are logged as warnings.

    Training pid i is row i - 1 of Train.mat; test pid i is the i-th query, counting every identity once.

    Raises:
        InputFileError: a file is missing or cannot be read.
        AnnotationError: a scene listed twice, a name of Train.mat, pool.mat or the protocol that Images.mat
            does not have, an identity listed twice in Train.mat, or a value that is no box or name.
    """
    images = _read_images(root / layout.IMAGES_FILE)
    test_rows = images.rows_of(_read_pool(root / layout.POOL_FILE), root / layout.POOL_FILE)
    is_test = np.zeros(len(images.names), dtype=bool)
    is_test[test_rows] = True
    train_rows = np.flatnonzero(~is_test)
    train_rows = train_rows[np.argsort(images.names[train_rows])]

    train_ids, train_pids = _read_train(root / layout.TRAIN_FILE, images)
    test_ids, test_pids = _read_test(root, images)
    train, test = images.table(train_rows, train_pids), images.table(test_rows, test_pids)
    return PersonSearchDataset(
        root=root,
        kind="cuhk-sysu",
        image_dir=root / layout.IMAGE_DIR,
        train=train,
        test=test,
        train_ids=train_ids,
        test_ids=test_ids,
        fingerprint=fingerprint(train),
    )


def fingerprint(table: SceneTable) -> str:
    """Returns the sha256 (hex) of a table's names, boxes and pids."""
    digest = hashlib.sha256("\n".join(table.names.tolist()).encode("utf-8"))
    for column in (table.offsets, table.boxes, table.pids):
        digest.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Images:
    """Images.mat: all scenes with their boxes, in the order of the file, without empty boxes."""

    path: Path
    names: NDArray[np.str_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    is_hard: NDArray[np.bool_]

    def table(self, rows: NDArray[np.int64], pids: NDArray[np.int64]) -> SceneTable:
        """Returns the table of these scenes, in this order; pids are given for all persons."""
        return SceneTable(self.names, self.offsets, self.boxes, pids, self.is_hard).select(rows)

    def rows_of(self, names: list[str], where: Path) -> NDArray[np.int64]:
        """Returns the (n,) int64 rows of these scenes.

        Raises:
            AnnotationError: a scene that is not there.
        """
        rows = rows_of_names(self.names, names)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise AnnotationError(
                where,
                expected=f"scenes of {self.path.name}",
                found=f"'{names[missing[0]]}'{others}, not in {self.path.name}",
                hint="the annotation files may be of different versions; copy all of them again",
            )
        return rows

    def matched_pids(
        self, scenes: NDArray[np.int64], boxes: NDArray[np.float32], pids: NDArray[np.int64], where: Path
    ) -> NDArray[np.int64]:
        """Returns the (P,) int64 pid of every person, -1 where no appearance matches.

        Args:
            scenes: (A,) rows of the scenes in which an identity appears.
            boxes: (A, 4) xyxy, its box there.
            pids: (A,) its pid.
            where: file that lists the appearances, for the warnings.
        """
        person_of: dict[tuple[float, ...], int] = {}
        scene_of_person = np.repeat(np.arange(len(self.names)), np.diff(self.offsets))
        for person, key in enumerate(zip(scene_of_person.tolist(), *self.boxes.T.tolist(), strict=True)):
            person_of.setdefault(key, person)
        result = np.full(len(self.boxes), UNLABELED_PID, dtype=np.int64)
        unmatched: list[tuple[float, ...]] = []
        taken: list[tuple[float, ...]] = []
        appearances = zip(scenes.tolist(), *boxes.T.tolist(), strict=True)
        for key, pid in zip(appearances, pids.tolist(), strict=True):
            if key not in person_of:
                unmatched.append(key)
                continue
            person = person_of[key]
            if result[person] not in (UNLABELED_PID, pid):
                taken.append(key)
            result[person] = pid
        for keys, what in (
            (unmatched, f"match no box of {self.path.name}"),
            (taken, "give a box another identity than an earlier one; the later stays"),
        ):
            if keys:
                _log.warning(
                    "%s: %d of %d appearances %s, the first in %s",
                    where, len(keys), len(pids), what, self.names[int(keys[0][0])],
                )  # fmt: skip
        return result


def _read_images(path: Path) -> _Images:
    variable = open_mat(path, "Img")
    names: list[str] = []
    counts, boxes, marks = [np.zeros(0, np.int64)], [np.zeros((0, 4))], [np.zeros(0, bool)]
    for chunk in variable.chunks():
        matrices = chunk.matrices
        where = partial(_place, path, "scene", chunk.first)
        names += matrices.texts(chunk.rows[:, variable.column("imname")], where)
        parents = chunk.rows[:, variable.column("box")]
        scenes = np.repeat(np.arange(len(parents)), matrices.size[parents])
        box_rows, mark_rows = matrices.elements(parents, ("idlocate", "ishard"), where)
        in_box = partial(_inner_place, path, names[chunk.first :], "box", scenes)
        part = matrices.numbers(box_rows, 4, in_box)
        is_kept = (part[:, 2:] > 0).all(axis=1)
        boxes.append(part[is_kept])
        marks.append(matrices.numbers(mark_rows[is_kept], 1, in_box)[:, 0] != 0)
        counts.append(np.bincount(scenes[is_kept], minlength=len(parents)))
    check_unique(path, names, expected="every scene once")
    return _Images(
        path=path,
        names=np.array(names, dtype=np.str_),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        boxes=xywh_to_xyxy(np.concatenate(boxes)),
        is_hard=np.concatenate(marks),
    )


def _read_pool(path: Path) -> list[str]:
    """Returns the names of the test scenes."""
    names: list[str] = []
    for chunk in open_mat(path, "pool").chunks():
        names += chunk.matrices.texts(chunk.rows[:, 0], partial(_place, path, "scene", chunk.first))
    check_unique(path, names, expected="every scene once")
    return names


def _read_train(path: Path, images: _Images) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Returns the training identities, and the pids of all persons of Images.mat."""
    ids: list[str] = []
    names: list[str] = []
    boxes, pids = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for chunk in open_mat(path, "Train").chunks():
        matrices = chunk.matrices
        where = partial(_place, path, "identity", chunk.first)
        identity, scene = matrices.single(chunk.rows[:, 0], ("idname", "scene"), where)
        ids += matrices.texts(identity, where)
        image_rows, box_rows = matrices.elements(scene, ("imname", "idlocate"), where)
        row = np.repeat(np.arange(len(scene)), matrices.size[scene])
        in_scene = partial(_inner_place, path, ids[chunk.first :], "scene", row)
        names += matrices.texts(image_rows, in_scene)
        boxes.append(matrices.numbers(box_rows, 4, in_scene))
        pids.append(chunk.first + row + 1)
    check_unique(path, ids, expected="every identity once")
    scenes = images.rows_of(names, path)
    matched = images.matched_pids(scenes, xywh_to_xyxy(np.concatenate(boxes)), np.concatenate(pids), path)
    return np.array(ids, dtype=np.str_), matched


def _read_test(root: Path, images: _Images) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Returns the test identities, and the pids of all persons of Images.mat."""
    galleries = [name for name in available_protocols(root) if name.startswith("TestG")]
    path = root / layout.protocol_file(galleries[0]) if galleries else protocol_path(root, gallery_size=50)
    protocol = read_protocol(path)
    ids, first, pid_of_query = np.unique(protocol.query_ids, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # identities are numbered in the order of their first query
    query_pids = rank[pid_of_query] + 1
    rows = images.rows_of(protocol.image_names.tolist(), path)
    matched = images.matched_pids(
        rows[np.concatenate([protocol.query_scenes, protocol.truth_scenes])],
        np.concatenate([protocol.query_boxes, protocol.truth_boxes]),
        np.concatenate([query_pids, query_pids[protocol.query_of_truth]]),
        path,
    )
    return ids[np.argsort(first)], matched


def _place(path: Path, what: str, first: int, index: int) -> str:
    return f"{path}, {what} {first + index}"


def _inner_place(path: Path, names: list[str], what: str, rows: NDArray[np.int64], index: int) -> str:
    """Names entry `index` of a column whose entries belong to the rows (rising) with these names."""
    return f"{path}, {names[rows[index]]}, {what} {index - int(np.searchsorted(rows, rows[index]))}"
