"""Reads the annotation files of CUHK-SYSU for the checks: what cannot be read becomes a finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xyxy_to_xywh
from maskps.datasets.cuhk_sysu import layout
from maskps.datasets.cuhk_sysu.check_published import PUBLISHED_QUERIES
from maskps.datasets.cuhk_sysu.raw import (
    EntryErrors,
    RawImages,
    RawTrain,
    read_raw_images,
    read_raw_pool,
    read_raw_train,
)
from maskps.datasets.unreadable import file_finding, missing_file
from maskps.errors import MaskpsError
from maskps.findings import Finding
from maskps.io.matlab import open_mat
from maskps.protocols.protocol import SearchProtocol, read_protocol

_T = TypeVar("_T")

_KNOWN_FILES = (
    *(path.name for path in (layout.IMAGES_FILE, layout.POOL_FILE, layout.TRAIN_FILE, layout.PERSON_FILE)),
    *(f"{name}.mat" for name in PUBLISHED_QUERIES),
)
_HELD = {
    layout.IMAGES_FILE: "all scenes and their boxes",
    layout.POOL_FILE: "the names of the test scenes",
    layout.TRAIN_FILE: "the training identities and where they appear",
}


@dataclass
class Annotation:
    """The files below `root`. A file that could not be read is None, or missing in `protocols`."""

    root: Path
    images: RawImages | None = None
    pool: list[str] | None = None
    train: RawTrain | None = None
    protocols: dict[str, SearchProtocol] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.root / layout.protocol_file(name)

    @property
    def names(self) -> set[str]:
        """The names of scenes in all files that could be read."""
        names = {*(self.images.names if self.images else ()), *(self.pool or ())}
        return names.union(*(protocol.image_names.tolist() for protocol in self.protocols.values()))


def read_annotation(root: Path) -> Annotation:
    """Reads all files; every file that cannot be read and every impossible entry becomes a finding."""
    files = Annotation(root)
    findings = files.findings
    files.images = _attempt(root, layout.IMAGES_FILE, read_raw_images, findings)
    files.pool = _attempt(root, layout.POOL_FILE, read_raw_pool, findings)
    files.train = _attempt(root, layout.TRAIN_FILE, read_raw_train, findings)
    # Nothing needs Person.mat, but a pointer or a web page in its place is a sign.
    if (root / layout.PERSON_FILE).exists():
        _attempt(root, layout.PERSON_FILE, lambda path, problems: open_mat(path), findings)
    names = layout.available_protocols(root)
    for name in names:
        protocol = _attempt(
            root, layout.protocol_file(name), lambda path, problems: read_protocol(path), findings
        )
        if protocol is not None:
            files.protocols[name] = protocol
    if not any(name.startswith("TestG") for name in names):
        path = root / layout.protocol_file("TestG50")
        what = "a test protocol, TestG50.mat ... TestG4000.mat: who the test persons are"
        findings.append(missing_file(path, what=what, root=root, known=_KNOWN_FILES))
    return files


def _attempt(
    root: Path, file: Path, read: Callable[[Path, EntryErrors], _T], findings: list[Finding]
) -> _T | None:
    """Returns the content of a file without impossible entries, None if it cannot be read."""
    problems: EntryErrors = []
    if file in _HELD and not (root / file).exists():
        findings.append(missing_file(root / file, what=_HELD[file], root=root, known=_KNOWN_FILES))
        return None
    try:
        content = read(root / file, problems)
    except MaskpsError as error:
        findings.append(file_finding(root / file, error, root=root, known=_KNOWN_FILES))
        return None
    findings += [Finding.of_error("entry-invalid", error) for error in problems]
    return content


def truth_boxes(protocol: SearchProtocol) -> NDArray[np.float64]:
    """Returns x, y, width, height of the queries' boxes, then of the true ones."""
    return xyxy_to_xywh(np.concatenate([protocol.query_boxes, protocol.truth_boxes]))
