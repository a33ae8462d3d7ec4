"""targets_14x14.npz: the mask targets of the subset's ground-truth boxes, an export for other code.

Our own training crops its targets at the proposals and never reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.io.files import written_atomically
from maskps.io.npz import read_npz
from maskps.masks.coverage import THRESHOLD, coverage_in_chunks
from maskps.masks.mask_file import PersonMasks
from maskps.structures import SceneTable

FORMAT = "maskps-targets"
VERSION = 1
_CELLS = (14, 14)
_COLUMNS = {
    "names": ("U", ()),
    "pids": ("i", ()),
    "boxes": ("f", (4,)),
    "coverage": ("f", _CELLS),
    "target": ("b", _CELLS),
}
"""Kind of number of each column, and its shape per person."""


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
    """Returns the targets of all persons whose mask is PRESENT, cropped at their own boxes (N may be 0)."""
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
    """Writes the targets of all persons whose mask is PRESENT as .npz, atomically.

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
    """Returns the content of a targets file, without unpickling anything.

    Raises:
        InputFileError: missing, cut off, damaged, or not a targets file.
    """
    what = "a targets file (targets_14x14.npz)"
    hint = "build the subset again; the file may be cut off, or from another release"
    content = read_npz(path, ("format", "version", *_COLUMNS), what=what, hint=hint)
    missing = [name for name in ("format", "version", *_COLUMNS) if name not in content]
    if missing:
        raise InputFileError(path, expected=what, found=f"no {', '.join(missing)}", hint=hint)
    format_, version = content["format"], content["version"]
    if format_.shape or version.shape or format_ != FORMAT or version != VERSION:
        found = f"format {str(format_)[:40]}, version {str(version)[:40]}"
        raise InputFileError(path, expected=f"{what}, version {VERSION}", found=found, hint=hint)
    for name, (kind, shape) in _COLUMNS.items():
        column = content[name]
        if column.dtype.kind != kind or column.shape != (content["pids"].size, *shape):
            expected = f"'{name}' of {content['pids'].size} persons: kind '{kind}', each of shape {shape}"
            found = f"kind '{column.dtype.kind}', shape {column.shape}"
            raise InputFileError(path, expected=expected, found=found, hint=hint)
    return MaskTargets(**{name: content[name] for name in _COLUMNS})
