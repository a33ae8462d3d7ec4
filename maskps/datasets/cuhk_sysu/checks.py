"""The doctor's checks of CUHK-SYSU: its annotation files, each by itself and against each other."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from maskps.datasets.checks.integers import check_integers
from maskps.datasets.checks.protocols import check_protocol, check_same_queries
from maskps.datasets.checks.tables import RawScenes, check_tables
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.check_counts import counted
from maskps.datasets.cuhk_sysu.check_files import read_annotation, truth_boxes
from maskps.datasets.cuhk_sysu.check_labels import Labels, label_boxes
from maskps.datasets.cuhk_sysu.check_lists import check_ids, check_lists
from maskps.datasets.cuhk_sysu.check_published import (
    check_names,
    check_published_counts,
    check_split,
    is_meant_as_published,
    not_compared,
)
from maskps.datasets.cuhk_sysu.raw import RawImages
from maskps.datasets.dataset_format import Checked
from maskps.findings import Finding
from maskps.protocols.protocol import SUBSET_KEYS, SearchProtocol


def check_cuhk_sysu(root: Path) -> Checked:
    """Returns everything that is wrong or odd in the annotation of CUHK-SYSU below `root`; it never raises.

    Every file is read as far as that goes; each check runs if the files that it needs could be read.
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
        findings += check_published_counts(root, counted(files, labels), files.protocols)
    elif files.names:
        findings.append(not_compared(root, len(files.names)))
    return Checked(findings, scenes)


def _raw_scenes(images: RawImages, labels: Labels) -> RawScenes:
    ids = np.full(len(images.boxes), None, dtype=object)
    for column in (labels.test, labels.train):
        if column is not None:
            ids = np.where(column != None, column, ids)  # noqa: E711
    return RawScenes(images.names, images.offsets, images.boxes, ids, partial(_box_place, images))


def _box_place(images: RawImages, row: int) -> str:
    scene = int(np.searchsorted(images.offsets, row, side="right")) - 1
    return f"{images.path}, {images.names[scene]}, box {row - int(images.offsets[scene])}"


def _check_gallery_size(path: Path, name: str, protocol: SearchProtocol) -> list[Finding]:
    match = re.fullmatch(r"TestG(\d{1,9})", name)
    wrong = protocol.lengths != int(match.group(1)) if match else np.zeros(0, dtype=bool)
    if not wrong.any():
        return []
    query = int(np.argmax(wrong))
    return [
        Finding(
            "gallery-size-differs",
            "warning",
            str(path),
            f"{np.count_nonzero(wrong):,} of {protocol.num_queries:,} galleries are of another size, "
            f"the first is that of query {query} with {protocol.lengths[query]:,} entries",
            f"{int(match.group(1)) if match else 0:,} entries, as the name of the file says",
            "the file may have been renamed or edited; copy it again",
        )
    ]
