"""A subset's record and its data set: the images it names, the selection it describes. Reads no masks."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, InputFileError
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset.manifest import EDITED, RECORD_NAME, SubsetRecord, read_subset_record
from maskps.subset.nested import FULL, check_proportion
from maskps.subset.select import SubsetSelection, select_subset, with_labeled

_log = logging.getLogger(__name__)


def open_record(folder: Path, dataset: PersonSearchDataset) -> tuple[SubsetRecord, NDArray[np.int64]]:
    """Returns the record of a subset and the (K,) int64 rows of its kept scenes, rising; reads no masks.

    Raises:
        InputFileError, AnnotationError: as `open_subset`.
    """
    path = folder / RECORD_NAME
    record = read_subset_record(path)
    _check_fingerprint(record, dataset, path)
    return record, np.sort(_rows(dataset.train, record.kept, path))


def recorded_root(folder: Path) -> Path:
    """Returns the folder of the data set that a subset was built from, according to its record.

    Raises:
        InputFileError: no such record, or no folder there any more.
    """
    path = folder / RECORD_NAME
    data = read_subset_record(path).data
    root = Path(os.path.normpath(folder.resolve() / data))
    if not data or not root.is_dir():
        raise InputFileError(
            path,
            expected="the folder of the data set that the subset was built from",
            found=f"no folder {root}" if data else "a record without it",
            hint="name the folder of the data set, on the command line with --images",
        )
    return root


def nested_rows(
    record: SubsetRecord, dataset: PersonSearchDataset, proportion: str | None, *, where: Path
) -> tuple[str, NDArray[np.int64]]:
    """Returns the label of a nested subset and the (n,) int64 rows of its scenes, rising.

    Args:
        proportion: such as "6%"; None or "full": all kept images.
        where: file of the record, for error messages.

    Raises:
        ConfigError: a proportion that the record does not have.
    """
    label = FULL if proportion is None else check_proportion(proportion, record.proportions, where=str(where))
    names = record.kept if label == FULL else record.nested[: record.proportions[label]]
    return label, np.sort(_rows(dataset.train, names, where))


def selection_of_record(dataset: PersonSearchDataset, path: Path) -> SubsetSelection:
    """Returns the selection that a record describes.

    The images are those that the record lists. If its seed draws other images here, a warning is logged: the
    record was edited, or the random generator has changed.

    Raises:
        InputFileError: as `read_subset_record`.
        AnnotationError: a record of another data set, or one that contradicts this one.
    """
    record = read_subset_record(path)
    train = dataset.train
    _check_fingerprint(record, dataset, path)
    drawn, kept = _rows(train, record.drawn, path), _rows(train, record.kept, path)
    if not np.array_equal(kept, with_labeled(train, drawn)):
        raise AnnotationError(
            path,
            expected="all drawn images with a labeled person as kept ones, in the order of the data set",
            found="others, or another order",
            hint=EDITED,
        )
    selection = SubsetSelection(record.source, drawn, kept, seed=record.seed)
    if record.portion_size is not None and record.per_portion is not None and record.order is not None:
        selection = select_subset(
            train,
            portion_size=record.portion_size,
            per_portion=record.per_portion,
            order=record.order,
            seed=record.seed,
        )
        if not np.array_equal(selection.drawn, drawn):
            _log.warning("%s: seed %d draws other images here; those listed are used", path, record.seed)
    return replace(
        selection,
        drawn=drawn,
        kept=kept,
        nested=_rows(train, record.nested, path),
        proportions=record.proportions,
    )


def _check_fingerprint(record: SubsetRecord, dataset: PersonSearchDataset, path: Path) -> None:
    if record.fingerprint != dataset.fingerprint:
        raise AnnotationError(
            path,
            expected=f"a subset of {dataset.root} (fingerprint {dataset.fingerprint})",
            found=f"a subset of another data set (fingerprint {record.fingerprint[:64]})",
            hint="give the data set that the subset was built from, or build a subset of this one",
        )


def _rows(train: SceneTable, names: Sequence[str], path: Path) -> NDArray[np.int64]:
    try:
        return train.rows_of(names)
    except AnnotationError as error:
        raise AnnotationError(
            path,
            expected="images that the data set has",
            found=f"{error.where}, not in this data set",
            hint=EDITED,
        ) from error
