"""The checks of CUHK-SYSU: each annotation file by itself, and all of them against each other."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_text
from maskps.columns import owner_of
from maskps.datasets.checks.protocols import check_protocol, check_same_queries
from maskps.datasets.checks.tables import RawScenes, check_tables
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.check_files import Annotation, read_annotation, truth_boxes
from maskps.datasets.cuhk_sysu.check_labels import Labels, label_boxes
from maskps.datasets.cuhk_sysu.check_lists import check_ids, check_lists
from maskps.datasets.cuhk_sysu.check_published import (
    PUBLISHED_COUNTS,
    check_names,
    check_published_counts,
    check_split,
    is_meant_as_published,
    not_compared,
)
from maskps.datasets.cuhk_sysu.raw import RawImages
from maskps.datasets.dataset_format import Checked
from maskps.findings import Finding, Rule
from maskps.io.paths import name_problem
from maskps.protocols.protocol import SUBSET_KEYS, SearchProtocol

_INTEGER_LIMITS = (2**8 - 1, 2**16 - 1)
_OVERFLOW = Rule(
    "box-overflow", "warning", hint="maskps adds in 64 bits; other code must convert boxes before it adds"
)
_GALLERY_SIZE = Rule(
    "gallery-size-differs",
    "warning",
    hint="nothing to do in a part of a data set; else the file was renamed or edited: copy it again",
)


def check_cuhk_sysu(root: Path) -> Checked:
    """Returns everything that is wrong or odd in the annotation of CUHK-SYSU below `root`; it never raises.

    Every file is read if possible; each check runs if the files that it needs could be read.
    """
    files = read_annotation(root)
    findings = files.findings
    is_published = is_meant_as_published(root, files.names)
    scenes, labels = None, None
    findings += check_lists(files)
    if files.images is not None:
        if is_published:
            findings += check_names(files.images.path, files.images.names)
        labels = label_boxes(files, findings)
        scenes = _raw_scenes(files.images, labels)
        findings += check_tables(scenes)
        findings += check_integers(files.images.path, files.images.boxes)
    if files.train is not None:
        findings += check_integers(files.train.path, files.train.boxes)
    findings += check_ids(files)
    galleries = {}
    for name, protocol in files.protocols.items():
        path = files.path(name)
        findings += check_protocol(str(path), protocol)
        findings += check_integers(path, truth_boxes(protocol))
        findings += _check_gallery_size(path, name, protocol)
        if name not in SUBSET_KEYS:
            galleries[str(path)] = protocol
    findings += check_same_queries(galleries)
    if is_published:
        if files.pool is not None:
            findings += check_split(root / layout.POOL_FILE, files.pool)
        findings += check_published_counts(root, _counted(files, labels), files.protocols)
    elif files.names:
        findings.append(not_compared(root, len(files.names)))
    usable = [name for name in files.names if name_problem(name) is None]
    return Checked(findings, scenes, usable)


def check_integers(path: Path, boxes: NDArray[np.float64]) -> list[Finding]:
    """Returns a finding if right or lower edges do not fit the integers of their boxes (code box-overflow).

    MATLAB stores whole numbers in the smallest of 8 and 16 bits that holds all four. Code that adds in this
    type overflows: x + width wraps around.
    """
    with np.errstate(invalid="ignore"):
        is_whole = ((boxes >= 0) & (boxes % 1 == 0)).all(axis=1)
        largest = boxes.max(axis=1, initial=0)
        edge = (boxes[:, :2] + boxes[:, 2:]).max(axis=1, initial=0)
    limit = np.select([largest <= limit for limit in _INTEGER_LIMITS], _INTEGER_LIMITS, np.inf)
    rows = np.flatnonzero(is_whole & (edge > limit))
    if not len(rows):
        return []
    bits = 8 if limit[rows[0]] == _INTEGER_LIMITS[0] else 16
    found = (
        f"in {len(rows):,} of {len(boxes):,} boxes x + width or y + height does not fit the integer type "
        f"in which MATLAB stores them, first {box_text(boxes[rows[0]])} in {bits} bits"
    )
    return [_OVERFLOW.broken(path, found)]


def _counted(files: Annotation, labels: Labels | None) -> dict[str, int | None]:
    """Returns what `PUBLISHED_COUNTS` lists, counted as the reader counts; None if a file is missing."""
    counts: dict[str, int | None] = dict.fromkeys(PUBLISHED_COUNTS)
    images, pool, train = files.images, files.pool, files.train
    if pool is not None:
        counts["test images"] = len(set(pool))
    if train is not None:
        counts["training identities"] = len(train.ids)
        counts["appearances in Train.mat"] = len(train.names)
    if images is None:
        return counts
    counts["images"] = len(images.names)
    if pool is None or labels is None:
        return counts
    is_test = np.isin(np.array(images.names, dtype=np.str_), np.array(pool, dtype=np.str_))
    counts["training images"] = int((~is_test).sum())
    scene = images.scene_of_person
    for split, column, chosen in (("training", labels.train, ~is_test), ("test", labels.test, is_test)):
        if column is not None:
            labeled = (column != None) & chosen[scene]  # noqa: E711
            counts[f"labeled {split} persons"] = int(labeled.sum())
            counts[f"unlabeled {split} persons"] = int((images.has_area & chosen[scene] & ~labeled).sum())
            if split == "training":
                per_scene = np.bincount(scene[labeled], minlength=len(images.names))
                without = (per_scene == 0) & chosen
                counts["training images without a labeled person"] = int(without.sum())
    return counts


def _raw_scenes(images: RawImages, labels: Labels) -> RawScenes:
    ids = np.full(len(images.boxes), None, dtype=object)
    for column in (labels.test, labels.train):
        if column is not None:
            ids = np.where(column != None, column, ids)  # noqa: E711
    return RawScenes(images.names, images.offsets, images.boxes, ids, partial(_box_place, images))


def _box_place(images: RawImages, row: int) -> str:
    scene, place = owner_of(images.offsets, row)
    return f"{images.path}, {images.names[scene]}, box {place}"


def _check_gallery_size(path: Path, name: str, protocol: SearchProtocol) -> list[Finding]:
    match = re.fullmatch(r"TestG(\d{1,9})", name)
    size = int(match.group(1)) if match else 0
    wrong = protocol.lengths != size
    if match is None or not wrong.any():
        return []
    query = int(np.argmax(wrong))
    found = (
        f"{np.count_nonzero(wrong):,} of {protocol.num_queries:,} galleries are of another size, "
        f"the first is that of query {query} with {protocol.lengths[query]:,} entries"
    )
    return [_GALLERY_SIZE.broken(path, found, expected=f"{size:,} entries, as the name of the file says")]
