"""Data sets and test protocols as the columns that the cache keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.cache import Columns, cached
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset, SceneTable

_TABLES = ("train", "test")
_IDS = ("train_ids", "test_ids")
_SHORT = np.iinfo(np.int16).max


def cached_dataset(
    kind: str, root: Path, sources: Sequence[Path], read: Callable[[], PersonSearchDataset]
) -> PersonSearchDataset:
    """Returns the data set that `read` reads, from the cache if these files are unchanged.

    Args:
        kind: on-disk format.
        root: folder that the data set is opened from; another path may lead to the same files.
        sources: all files that `read` reads.
    """

    def unpack(columns: Columns) -> PersonSearchDataset:
        train, test = (_table(columns, f"{table}.") for table in _TABLES)
        return PersonSearchDataset(
            root=root,
            kind=kind,
            image_dir=root / str(columns["image_dir"]),
            train=train,
            test=test,
            train_ids=columns["train_ids"],
            test_ids=columns["test_ids"],
            fingerprint=str(columns["fingerprint"]),
            warnings=tuple(columns["warnings"].tolist()),
        )

    return cached(kind, sources, read, pack=_dataset_columns, unpack=unpack)


def cached_protocol(key: str, sources: Sequence[Path], read: Callable[[], SearchProtocol]) -> SearchProtocol:
    """Returns the protocol that `read` reads, from the cache if these files are unchanged.

    Args:
        key: differs between protocols that are read from the same files.
        sources: all files that `read` reads.
    """
    return cached(f"protocol {key}", sources, read, pack=_protocol_columns, unpack=_protocol)


def _dataset_columns(dataset: PersonSearchDataset) -> dict[str, NDArray[Any]]:
    columns = {
        f"{table}.{name}": column
        for table in _TABLES
        for name, column in _columns_of(getattr(dataset, table)).items()
    }
    columns |= {name: getattr(dataset, name) for name in _IDS}
    columns["image_dir"] = np.array(os.path.relpath(dataset.image_dir, dataset.root))
    columns["fingerprint"] = np.array(dataset.fingerprint)
    columns["warnings"] = np.array(dataset.warnings, np.str_)
    return columns


def _table(columns: Columns, prefix: str) -> SceneTable:
    found = {name: column for name, column in columns.items() if name.startswith(prefix)}
    return SceneTable(**{name.removeprefix(prefix): column for name, column in found.items()})


def _protocol_columns(protocol: SearchProtocol) -> dict[str, NDArray[Any]]:
    columns = _columns_of(protocol)
    if len(protocol.image_names) <= _SHORT:  # TestG4000: 23 MB in place of 46
        columns["galleries"] = columns["galleries"].astype(np.int16)
    return columns


def _protocol(columns: Columns) -> SearchProtocol:
    return SearchProtocol(**{**columns, "galleries": columns["galleries"].astype(np.int32, copy=False)})


def _columns_of(record: SceneTable | SearchProtocol) -> dict[str, NDArray[Any]]:
    columns = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: column for name, column in columns.items() if column is not None}
