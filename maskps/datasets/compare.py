"""Compares two readings of a data set, to prove that a conversion kept everything."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskps.columns import rows_of_names
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset, SceneTable

_SPLITS = ("train", "test")


@dataclass
class Differences:
    """The differences between a data set and another one made of it.

    Attributes:
        losses: what is wrong or missing in the other one, e.g. "cameras of the test scenes".
        remarks: what it orders or numbers differently, and missing image sizes, which the images have.
    """

    losses: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def compare_datasets(source: PersonSearchDataset, other: PersonSearchDataset) -> Differences:
    """Returns how `other` differs from `source` in scenes, persons, identities, cameras and sizes.

    Scenes are compared by name, persons by their place within the scene, identities by the data set's own
    names for them. A column that only `other` has is not a difference.
    """
    found = Differences()
    for split in _SPLITS:
        ids, other_ids = getattr(source, f"{split}_ids"), getattr(other, f"{split}_ids")
        _compare_tables(split, getattr(source, split), getattr(other, split), ids, other_ids, found)
        unknown = np.setdiff1d(ids, other_ids)
        if len(unknown):
            found.losses.append(f"{len(unknown):,} {split} identities, the first: '{unknown[0]}'")
        elif len(np.setdiff1d(other_ids, ids)):
            found.losses.append(f"{split} identities that the source does not have")
        elif not np.array_equal(ids, other_ids):
            found.remarks.append(f"{split} identities are numbered in another order")
    return found


def compare_protocols(source: SearchProtocol, other: SearchProtocol) -> list[str]:
    """Returns the columns of `other` that differ from `source`, e.g. "galleries"; compares scenes by name."""
    if source.num_queries != other.num_queries:
        return ["queries"]
    row_of_name = rows_of_names(other.image_names, source.image_names).astype(np.int32)
    rows = np.append(row_of_name, np.int32(-1))  # the last one is for -1, which fills shorter galleries
    width = int(source.lengths.max(initial=0))
    differing = [
        column.replace("_", " ")
        for column in ("query_boxes", "query_ids", "query_hard")
        if not np.array_equal(getattr(source, column), getattr(other, column))
    ]
    if not np.array_equal(rows[source.query_scenes], other.query_scenes):
        differing.append("query scenes")
    is_longer = other.lengths.max(initial=0) != width
    if is_longer or not np.array_equal(rows[source.galleries[:, :width]], other.galleries[:, :width]):
        differing.append("galleries")
    differing += [
        column.replace("truth", "true").replace("_", " ")
        for column in ("truth_offsets", "truth_positions", "truth_boxes", "truth_hard")
        if not np.array_equal(getattr(source, column), getattr(other, column))
    ]
    return differing


def _compare_tables(
    split: str,
    source: SceneTable,
    other: SceneTable,
    ids: NDArray[np.str_],
    other_ids: NDArray[np.str_],
    found: Differences,
) -> None:
    rows = rows_of_names(other.names, source.names)
    if (rows < 0).any():
        first = source.names[np.argmax(rows < 0)]
        found.losses.append(f"{np.count_nonzero(rows < 0):,} {split} scenes, the first: {first}")
        return
    if len(other) != len(source):
        found.losses.append(f"{split} scenes that the source does not have")
        return
    if not np.array_equal(source.names, other.names):
        found.remarks.append(f"{split} scenes are in another order")
        other = other.select(rows)
    if len(source) == 0:
        return
    counts, other_counts = np.diff(source.offsets), np.diff(other.offsets)
    if not np.array_equal(counts, other_counts):
        first = source.names[np.argmax(counts != other_counts)]
        found.losses.append(f"persons of {np.count_nonzero(counts != other_counts):,} {split} scenes, "
                            f"the first: {first}")  # fmt: skip
        return
    persons = {
        "boxes": (source.boxes != other.boxes).any(axis=1),
        "identities": _identities(source, ids) != _identities(other, other_ids),
        "marks as hard": source.is_hard != other.is_hard,
    }
    for what, differs in persons.items():
        if differs.any():
            scene = source.names[source.scene_of_person[np.argmax(differs)]]
            found.losses.append(
                f"{what} of {np.count_nonzero(differs):,} {split} persons, the first in {scene}"
            )
    if source.camera is not None and not _equal(source.camera, other.camera):
        found.losses.append(f"cameras of the {split} scenes")
    if source.size is not None and other.size is None:
        found.remarks.append(f"sizes of the {split} scenes are left to the images")
    elif source.size is not None and not _equal(source.size, other.size):
        found.losses.append(f"sizes of the {split} scenes")


def _equal(column: NDArray[np.int64], other: NDArray[np.int64] | None) -> bool:
    return other is not None and np.array_equal(column, other)


def _identities(table: SceneTable, ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """Returns the (P,) identities of all persons, "" for the unlabeled."""
    return np.append(ids, "")[np.where(table.is_labeled, table.pids - 1, len(ids))]
