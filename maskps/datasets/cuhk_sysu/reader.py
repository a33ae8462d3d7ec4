"""Reads CUHK-SYSU as released: its annotation files become scene tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy
from maskps.columns import check_unique, offsets_of, owners_of, rows_of_names
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.layout import available_protocols
from maskps.datasets.cuhk_sysu.raw import read_raw_images, read_raw_pool, read_raw_train
from maskps.datasets.matching import match_boxes
from maskps.errors import AnnotationError
from maskps.io.paths import check_names
from maskps.protocols.protocol import read_protocol
from maskps.structures import UNLABELED_PID, PersonSearchDataset, SceneTable


def read_cuhk_sysu(root: Path) -> PersonSearchDataset:
    """Returns the data set below `root`; the images themselves are not opened.

    As in the released readers, boxes without width or height are left out; an appearance belongs to the
    first box of Images.mat that is exactly equal; test identities are those of the queries of the protocol
    with the smallest galleries. Training scenes are all that are not in pool.mat, sorted as text (the
    released code takes them from a Python set, without an order); test scenes are in the order of pool.mat.
    `warnings` names appearances that match no box, and boxes with two identities (the later one stays).

    Training pid i is row i - 1 of Train.mat; test pid i is the i-th query, counting every identity once.

    Raises:
        InputFileError: a file is missing or cannot be read.
        AnnotationError: a scene listed twice, a name of Train.mat, pool.mat or the protocol that Images.mat
            does not have, an identity listed twice in Train.mat, or a value that is not a box or name.
    """
    images = _read_images(root / layout.IMAGES_FILE)
    pool = read_raw_pool(root / layout.POOL_FILE)
    check_unique(root / layout.POOL_FILE, pool, expected="every scene once")
    test_rows = images.rows_of(pool, root / layout.POOL_FILE)
    is_test = np.zeros(len(images.names), dtype=bool)
    is_test[test_rows] = True
    train_rows = np.flatnonzero(~is_test)
    train_rows = train_rows[np.argsort(images.names[train_rows])]

    warnings: list[str] = []
    train_ids, train_pids = _read_train(root / layout.TRAIN_FILE, images, warnings)
    test_ids, test_pids = _read_test(root, images, warnings)
    train, test = images.table(train_rows, train_pids), images.table(test_rows, test_pids)
    return PersonSearchDataset(
        root=root,
        kind="cuhk-sysu",
        image_dir=root / layout.IMAGE_DIR,
        train=train,
        test=test,
        train_ids=train_ids,
        test_ids=test_ids,
        fingerprint=train.fingerprint(),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class _Images:
    """Images.mat: all scenes with their boxes, in the order of the file, without empty boxes."""

    path: Path
    names: NDArray[np.str_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    is_hard: NDArray[np.bool_]

    def table(self, rows: NDArray[np.int64], pids: NDArray[np.int64]) -> SceneTable:
        """Returns the table of these scenes, in this order; `pids` are those of all persons."""
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
        self,
        scenes: NDArray[np.int64],
        boxes: NDArray[np.float32],
        pids: NDArray[np.int64],
        where: str,
        warnings: list[str],
    ) -> NDArray[np.int64]:
        """Returns the (P,) int64 pid of every person, -1 if no appearance matches.

        Args:
            scenes: (A,) rows of the scenes in which an identity appears.
            boxes: (A, 4) xyxy, its box there.
            pids: (A,) its pid.
            where: the file that lists the appearances, for the warnings.
            warnings: what does not fit is added here.
        """
        matches = match_boxes(owners_of(self.offsets), self.boxes, scenes, boxes, pids)
        result = np.full(len(self.boxes), UNLABELED_PID, dtype=np.int64)
        is_matched = matches.persons >= 0
        result[matches.persons[is_matched]] = pids[is_matched]  # of several pids, the last one stays
        for rows, what in (
            (np.flatnonzero(~is_matched), f"match no box of {self.path.name}"),
            (matches.retaken, "give a box another identity than an earlier one; the later stays"),
        ):
            if len(rows):
                first = self.names[scenes[rows[0]]]
                count = f"{len(rows)} of {len(pids)} appearances"
                warnings.append(f"{where}: {count} {what}, the first in {first}")
        return result


def _read_images(path: Path) -> _Images:
    raw = read_raw_images(path)
    check_names(path, raw.names)
    check_unique(path, raw.names, expected="every scene once")
    kept = raw.has_area
    counts = np.bincount(raw.scene_of_person[kept], minlength=len(raw.names))
    return _Images(
        path=path,
        names=np.array(raw.names, dtype=np.str_),
        offsets=offsets_of(counts),
        boxes=_corners(raw.boxes[kept]),
        is_hard=raw.is_hard[kept],
    )


def _read_train(
    path: Path, images: _Images, warnings: list[str]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Returns the training identities, and the pids of all persons of Images.mat."""
    raw = read_raw_train(path)
    check_unique(path, raw.ids, expected="every identity once")
    scenes = images.rows_of(raw.names, path)
    boxes, pids = _corners(raw.boxes), raw.identity + 1
    return np.array(raw.ids, np.str_), images.matched_pids(scenes, boxes, pids, path.name, warnings)


def _corners(boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # overflow becomes inf, which the table refuses
        return xywh_to_xyxy(boxes)


def _read_test(
    root: Path, images: _Images, warnings: list[str]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Returns the test identities, and the pids of all persons of Images.mat."""
    galleries = [name for name in available_protocols(root) if name.startswith("TestG")]
    path = root / layout.protocol_file(galleries[0] if galleries else "TestG50")
    protocol = read_protocol(path)
    ids, first, pid_of_query = np.unique(protocol.query_ids, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # identities are numbered in the order of their first query
    query_pids = rank[pid_of_query] + 1
    rows = images.rows_of(protocol.image_names.tolist(), path)
    matched = images.matched_pids(
        rows[np.concatenate([protocol.query_scenes, protocol.truth_scenes])],
        np.concatenate([protocol.query_boxes, protocol.truth_boxes]),
        np.concatenate([query_pids, query_pids[protocol.query_of_truth]]),
        path.name,
        warnings,
    )
    return ids[np.argsort(first)], matched
