"""The checks of PRW: its lists of images, its annotation files and its queries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, owner_of
from maskps.datasets.checks.tables import (
    RawScenes,
    check_counts,
    check_split_names,
    check_tables,
    check_unlabeled_marks,
    counted,
)
from maskps.datasets.dataset_format import is_made
from maskps.datasets.prw import files
from maskps.datasets.prw.check_queries import check_queries, identities_of, line_ends
from maskps.datasets.prw.files import QueryLine
from maskps.datasets.unreadable import file_finding, missing_file
from maskps.errors import MaskpsError
from maskps.findings import Finding, Rule
from maskps_manifest import prw as published

IDS_IN_BOTH_SETS = 94
"""Training persons who also walk through test images; measured on the annotation in its COCO form."""

_KNOWN_FILES = (files.TRAIN_FILE.name, files.TEST_FILE.name, files.QUERY_FILE.name)
_SHOWN = 5
_MISSING_ONE_BY_ONE = 10
_CORRECT = "correct it, or copy the file again"

_LIST_EMPTY = Rule("image-list-empty", "error", "the names of a set's images", "copy it again")
_MISSING = Rule(
    "annotation-missing",
    "error",
    "one file for each image",
    "unpack the released archive again, all of it",
)
_EXTRA = Rule(
    "annotation-extra",
    "warning",
    "files of the images in the two lists",
    "compare the lists with the released ones; the file is not read",
)
_ID_INVALID = Rule("id-invalid", "error", hint=_CORRECT)
_BOX_IMPOSSIBLE = Rule("box-impossible", "error", hint=_CORRECT)
_ID_IN_BOTH = Rule(
    "id-in-both-splits",
    "info",
    f"{IDS_IN_BOTH_SETS} in the released files: training persons in test images",
    "no query is of such a person there; leave the ids as they are",
)
_NOT_COMPARED = Rule(
    "counts-not-compared",
    "info",
    f"{published.IMAGES:,}, if it should be PRW",
    "nothing to do if it is a part of PRW, or another set in its layout",
)
_NO_QUERIES = Rule(
    "protocol-missing",
    "warning",
    "the queries of the test protocol",
    "only needed to evaluate; docs/prw.md shows a line of it",
)
_PUBLISHED_COUNTS = {
    "training images": published.TRAIN.images,
    "training labeled persons": published.TRAIN.labeled,
    "training unlabeled persons": published.TRAIN.unlabeled,
    "test images": published.TEST.images,
    "test labeled persons": published.TEST.labeled,
    "test unlabeled persons": published.TEST.unlabeled,
    "training identities": published.TRAIN_IDENTITIES,
    "queries": published.QUERIES,
}


@dataclass(frozen=True)
class _Set:
    """What could be read of the training or the test set."""

    file: Path
    is_read: bool
    scenes: RawScenes
    marks: set[str]

    @property
    def identities(self) -> set[str]:
        return identities_of(self.scenes)


def check_prw(root: Path) -> list[Finding]:
    """Returns everything that is wrong or odd in the annotation of PRW below `root`; it never raises.

    Codes of its own: image-list-empty, annotation-missing, annotation-extra, variable-missing, id-invalid,
    box-impossible, id-in-both-splits, line-ends, query-line-invalid, query-outside-test,
    query-id-not-in-image, query-box-differs, query-id-in-training, query-without-match, query-doubled,
    protocol-missing, counts-not-compared; the others are those of `check_tables` and `file_finding`.
    """
    findings: list[Finding] = []
    train_names = _image_names(root, files.TRAIN_FILE, files.TRAIN_KEY, findings)
    test_names = _image_names(root, files.TEST_FILE, files.TEST_KEY, findings)
    lists = f"{root / files.TRAIN_FILE}, {files.TEST_FILE}"
    findings += check_split_names(train_names or [], test_names or [], where=lists)
    persons = _persons(root, list(dict.fromkeys([*(train_names or []), *(test_names or [])])), findings)
    if train_names is not None and test_names is not None:
        findings += _extra_annotations(root, {*train_names, *test_names})
    train = _set(root, files.TRAIN_FILE, train_names, persons, findings)
    test = _set(root, files.TEST_FILE, test_names, persons, findings)
    findings += check_tables(train.scenes) + check_tables(test.scenes)
    marks = {str(part.file): part.marks for part in (train, test)}
    findings += check_unlabeled_marks(marks)
    findings += _shared_ids(train, test, lists)
    is_few = _listed_images(train, test) < published.IMAGES // 2
    is_part = train.is_read and test.is_read and (is_few or is_made(root))
    queries = _queries(root, findings, may_be_missing=is_part)
    if queries is not None and test.is_read:
        findings += check_queries(root / files.QUERY_FILE, queries, train.scenes, test.scenes)
    if is_part:
        findings.append(_NOT_COMPARED.broken(root, f"{_listed_images(train, test):,} images in both lists"))
    else:
        findings += _counts(root, train, test, queries)
    return findings


def _image_names(root: Path, file: Path, key: str, findings: list[Finding]) -> list[str] | None:
    """Returns the names of the images of a set, None if the list cannot be read."""
    path = root / file
    try:
        names = files.read_frame_names(path, key)
    except MaskpsError as error:
        findings.append(file_finding(path, error, root=root, known=_KNOWN_FILES))
        return None
    if not names and not is_made(root):
        findings.append(_LIST_EMPTY.broken(path, "no image"))
    return names


def _persons(root: Path, names: list[str], findings: list[Finding]) -> dict[str, NDArray[np.float64]]:
    """Returns the rows of each annotation file that can be read, by the name of the image."""
    folder = root / files.ANNOTATION_DIR
    persons: dict[str, NDArray[np.float64]] = {}
    missing: list[Path] = []
    for name in names:
        path = files.annotation_path(root, name)
        try:
            persons[name] = files.read_persons(path)
        except MaskpsError as error:
            if os.path.lexists(path):
                findings.append(file_finding(path, error, root=root, known=_KNOWN_FILES))
            else:
                missing.append(path)
    if len(missing) <= _MISSING_ONE_BY_ONE and folder.is_dir():
        known = {files.annotation_path(root, name).name for name in names}
        findings += [
            missing_file(path, what="the persons of an image", root=folder, known=known) for path in missing
        ]
    else:
        listed = ", ".join(path.name for path in missing[:_SHOWN])
        found = f"{len(missing):,} of {len(names):,} files are not there: {listed}, ..."
        findings.append(_MISSING.broken(folder, found if folder.is_dir() else "no such folder"))
    return persons


def _extra_annotations(root: Path, names: set[str]) -> list[Finding]:
    folder = root / files.ANNOTATION_DIR
    if not folder.is_dir():
        return []
    extra = sorted({entry.name for entry in os.scandir(folder)} - {f"{name}.mat" for name in names})
    return [_EXTRA.broken(folder, f"{counted(extra, 'file')} of no listed image")] if extra else []


def _set(
    root: Path,
    file: Path,
    names: list[str] | None,
    persons: dict[str, NDArray[np.float64]],
    findings: list[Finding],
) -> _Set:
    """Returns the columns of a set; of a scene that is listed twice, only the first entry has persons."""
    listed = names or []
    first = dict(zip(reversed(listed), range(len(listed) - 1, -1, -1), strict=True))
    nothing = np.zeros((0, 5))
    parts = [
        persons.get(name, nothing) if first[name] == scene else nothing for scene, name in enumerate(listed)
    ]
    counts = np.array([len(part) for part in parts], dtype=np.int64)
    offsets = offsets_of(counts)
    rows = np.concatenate([nothing, *parts])
    where = partial(_place, root, listed, offsets)
    ids = np.full(len(rows), None, dtype=object)
    is_whole = (np.abs(rows[:, 0]) < 2**53) & (np.floor(rows[:, 0]) == rows[:, 0])
    is_unlabeled = np.isin(rows[:, 0], files.UNLABELED_IDS)
    labeled = np.flatnonzero(is_whole & ~is_unlabeled)
    ids[labeled] = [str(int(number)) for number in rows[labeled, 0].tolist()]
    for row, expected, found in files.bad_persons(rows):
        if found.startswith("id"):
            findings.append(_ID_INVALID.broken(where(row), found, expected=expected))
        elif np.isfinite(rows[row, 1:]).all():
            findings.append(_BOX_IMPOSSIBLE.broken(where(row), f"box {found}", expected=expected))
    marks = {f"{mark:g}" for mark in np.unique(rows[is_unlabeled, 0]).tolist()}
    return _Set(file, names is not None, RawScenes(listed, offsets, rows[:, 1:], ids, where), marks)


def _place(root: Path, names: list[str], offsets: NDArray[np.int64], row: int) -> str:
    scene, place = owner_of(offsets, row)
    return files.person_place(files.annotation_path(root, names[scene]), place)


def _shared_ids(train: _Set, test: _Set, where: str) -> list[Finding]:
    both = sorted(train.identities & test.identities, key=int)
    found = f"{counted(both, 'identity', 'identities')} in the training and in the test set"
    return [_ID_IN_BOTH.broken(where, found)] if both else []


def _listed_images(train: _Set, test: _Set) -> int:
    return len(set(train.scenes.names)) + len(set(test.scenes.names))


def _queries(root: Path, findings: list[Finding], *, may_be_missing: bool) -> list[QueryLine] | None:
    path = root / files.QUERY_FILE
    if may_be_missing and not path.exists():
        findings.append(_NO_QUERIES.broken(path, "no such file"))
        return None
    try:
        text = files.read_query_text(path)
    except MaskpsError as error:
        findings.append(file_finding(path, error, root=root, known=_KNOWN_FILES))
        return None
    lines, errors = files.query_lines(path, text)
    findings += [Finding.of_error("query-line-invalid", error) for error in errors]
    findings.append(line_ends(path, text))
    return lines


def _counts(root: Path, train: _Set, test: _Set, queries: list[QueryLine] | None) -> list[Finding]:
    found: dict[str, int | None] = {}
    for part, what in ((train, "training"), (test, "test")):
        persons, labeled = len(part.scenes.ids), sum(identity is not None for identity in part.scenes.ids)
        for name, number in (
            ("images", len(set(part.scenes.names))),
            ("labeled persons", labeled),
            ("unlabeled persons", persons - labeled),
        ):
            found[f"{what} {name}"] = number if part.is_read else None
    found["training identities"] = len(train.identities) if train.is_read else None
    found["queries"] = None if queries is None else len(queries)
    return check_counts(str(root), found, _PUBLISHED_COUNTS, of="PRW")
