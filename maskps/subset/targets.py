"""targets_14x14.npz: the mask targets of the subset's ground-truth boxes, for other code bases.

Our own training cuts its targets at the proposals instead and never reads this file.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.files import written_atomically
from maskps.masks.coverage import THRESHOLD, coverage_in_chunks
from maskps.masks.mask_file import PersonMasks
from maskps.structures import SceneTable

FORMAT = "maskps-targets"
VERSION = 1
_COLUMNS = ("names", "pids", "boxes", "coverage", "target")


@dataclass(frozen=True)
class MaskTargets:
    """Mask targets of N labeled persons, in the order of the training table.

    Attributes:
        names: (N,) str, file name of the person's scene.
        pids: (N,) int64.
        boxes: (N, 4) float32, xyxy, pixels of the original scene.
        coverage: (N, 14, 14) float32, covered fraction of each cell of the box.
        target: (N, 14, 14) bool, half or more covered.
    """

    names: NDArray[np.str_]
    pids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    coverage: NDArray[np.float32]
    target: NDArray[np.bool_]


def targets_of(train: SceneTable, masks: PersonMasks) -> MaskTargets:
    """Returns the targets of all persons whose mask is PRESENT, cut at their own boxes (N may be 0)."""
    rows = np.array(sorted(masks.outlines), dtype=np.int64)
    edges = [masks.outlines[row].edges() for row in rows.tolist()]
    fractions = coverage_in_chunks(edges, train.boxes[rows])
    return MaskTargets(
        names=train.names[train.scene_of_person[rows]],
        pids=train.pids[rows],
        boxes=train.boxes[rows],
        coverage=fractions.astype(np.float32),
        target=fractions >= THRESHOLD,
    )


def write_targets(path: Path, train: SceneTable, masks: PersonMasks) -> None:
    """Writes the targets of all persons whose mask is PRESENT as .npz, whole or not at all.

    The same masks give the same bytes.
    """
    targets = targets_of(train, masks)
    with written_atomically(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            format=np.array(FORMAT),
            version=np.array(VERSION),
            **{column: getattr(targets, column) for column in _COLUMNS},
        )


def read_targets(path: Path) -> MaskTargets:
    """Returns the content of a targets file; nothing in it is unpickled.

    Raises:
        InputFileError: missing, cut off, or not a targets file.
    """
    what = "a targets file (targets_14x14.npz)"
    hint = "build the subset again; the file may be cut off, or from another release"
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            if content["format"] != FORMAT or content["version"] != VERSION:
                found = f"format {content['format']}, version {content['version']}"
                raise InputFileError(path, expected=f"{what}, version {VERSION}", found=found, hint=hint)
            targets = MaskTargets(**{column: content[column] for column in _COLUMNS})
    except FileNotFoundError as error:
        raise InputFileError(path, expected=what, found="no such file", hint=hint) from error
    except (OSError, KeyError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputFileError(path, expected=what, found=str(error), hint=hint) from error
    lengths = {column: len(getattr(targets, column)) for column in _COLUMNS}
    if len(set(lengths.values())) > 1:
        raise InputFileError(path, expected="columns of one length", found=str(lengths), hint=hint)
    return targets
