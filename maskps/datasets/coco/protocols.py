"""protocols.npz: all test protocols of a COCO-style data set.

    format, version   "maskps-protocols", 1
    names             (K,) str, e.g. "TestG50", in the order of the data set
    NAME/COLUMN       the ten columns of `maskps.protocols.SearchProtocol` for each of these names

Boxes are x0, y0, x1, y1. The file is a zip of arrays without pickles, as `numpy.savez_compressed` writes it:
2,900 galleries of 4,000 scenes are one array. Only the requested columns are unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskps.errors import AnnotationError, InputFileError
from maskps.io.files import written_atomically
from maskps.io.npz import read_npz
from maskps.protocols.protocol import SearchProtocol

FORMAT = "maskps-protocols"
VERSION = 1
PROTOCOLS_FILE = "protocols.npz"

_WHAT = "test protocols (protocols.npz)"
_HINT = "convert the data set again, or write the protocols anew (docs/coco.md)"
_KINDS = {
    **dict.fromkeys(("image_names", "query_ids"), np.str_),
    **dict.fromkeys(("query_scenes", "galleries", "truth_positions"), np.int32),
    **dict.fromkeys(("query_boxes", "truth_boxes"), np.float32),
    **dict.fromkeys(("query_hard", "truth_hard"), np.bool_),
    "truth_offsets": np.int64,
}


def write_protocols(path: Path, protocols: Mapping[str, SearchProtocol]) -> None:
    """Writes the protocols, atomically; the same protocols give the same bytes."""
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "version": np.array(VERSION),
        "names": np.array(list(protocols), np.str_),
    }
    for name, protocol in protocols.items():
        arrays |= {f"{name}/{column}": getattr(protocol, column) for column in _KINDS}
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def protocols_in(path: Path) -> tuple[str, ...]:
    """Returns the names of the protocols in a file.

    Raises:
        InputFileError: missing, cut off, of another kind or version.
    """
    header = read_npz(path, ("format", "version", "names"), what=_WHAT, hint=_HINT)
    if str(header.get("format")) != FORMAT or "names" not in header:
        raise InputFileError(path, expected=_WHAT, found="another file", hint=_HINT)
    if str(header.get("version")) != str(VERSION):
        raise InputFileError(
            path,
            expected=f"format version {VERSION}",
            found=f"version {header.get('version')}",
            hint="install the maskps release that wrote it",
        )
    return tuple(str(name) for name in header["names"].reshape(-1))


def read_protocol_of(path: Path, name: str) -> SearchProtocol:
    """Returns one protocol of a file.

    Raises:
        InputFileError: as `protocols_in`, or no protocol of this name.
        AnnotationError: its columns contradict each other.
    """
    names = protocols_in(path)
    if name not in names:
        raise InputFileError(
            path,
            expected=f"the test protocol {name}",
            found=f"protocols here: {', '.join(names) or 'none'}",
            hint="choose one of those",
        )
    arrays = read_npz(path, [f"{name}/{column}" for column in _KINDS], what=_WHAT, hint=_HINT)
    columns: dict[str, Any] = {}
    for column, kind in _KINDS.items():
        array = arrays.get(f"{name}/{column}")
        if array is None or array.dtype.kind != np.dtype(kind).kind:
            found = "no such array" if array is None else f"an array of {array.dtype}"
            expected = f"{name}/{column}, an array of {kind.__name__}"
            raise InputFileError(path, expected=expected, found=found, hint=_HINT)
        columns[column] = array.astype(kind, copy=False)
    try:
        return SearchProtocol(**columns)
    except AnnotationError as error:
        raise AnnotationError(
            f"{path}, {name}: {error.where}", expected=error.expected, found=error.found, hint=_HINT
        ) from error
