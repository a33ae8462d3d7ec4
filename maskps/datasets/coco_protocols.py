"""protocols.npz: the test protocols of a COCO-style data set, whole.

    format, version   "maskps-protocols", 1
    names             (K,) str, e.g. "TestG50", in the order of the data set
    NAME/COLUMN       the ten columns of `maskps.evaluation.SearchProtocol` for each of these names

Boxes are x0, y0, x1, y1. A zip of arrays without pickles, as `numpy.savez_compressed` writes it: a gallery of
4,000 scenes for each of 2,900 queries is one array. Only the columns that are asked for are unpacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.evaluation.protocol import SearchProtocol
from maskps.files import written_atomically

FORMAT = "maskps-protocols"
VERSION = 1
PROTOCOLS_FILE = "protocols.npz"

_WHAT = "test protocols (protocols.npz)"
_AGAIN = "convert the data set again"
_COLUMNS = tuple(field.name for field in fields(SearchProtocol))
_KINDS = {
    **dict.fromkeys(("image_names", "query_ids"), np.str_),
    **dict.fromkeys(("query_scenes", "galleries", "truth_positions"), np.int32),
    **dict.fromkeys(("query_boxes", "truth_boxes"), np.float32),
    **dict.fromkeys(("query_hard", "truth_hard"), np.bool_),
    "truth_offsets": np.int64,
}


def write_protocols(path: Path, protocols: Mapping[str, SearchProtocol]) -> None:
    """Writes the protocols, whole or not at all; the same protocols give the same bytes."""
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "version": np.array(VERSION),
        "names": np.array(list(protocols), np.str_),
    }
    for name, protocol in protocols.items():
        arrays |= {f"{name}/{column}": getattr(protocol, column) for column in _COLUMNS}
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def protocols_in(path: Path) -> tuple[str, ...]:
    """Returns the names of the protocols in a file.

    Raises:
        InputFileError: missing, cut off, of another kind or version.
    """
    with _opened(path) as arrays:
        return _names(path, arrays)


def read_protocol_of(path: Path, name: str) -> SearchProtocol:
    """Returns one protocol of a file.

    Raises:
        InputFileError: as `protocols_in`, or no protocol of this name.
        AnnotationError: its columns contradict each other.
    """
    with _opened(path) as arrays:
        names = _names(path, arrays)
        if name not in names:
            raise InputFileError(
                path,
                expected=f"the test protocol {name}",
                found=f"protocols here: {', '.join(names) or 'none'}",
                hint="choose one of those",
            )
        columns = {column: _column(path, arrays, name, column) for column in _COLUMNS}
    try:
        return SearchProtocol(**columns)
    except AnnotationError as error:
        raise AnnotationError(
            f"{path}, {name}: {error.where}", expected=error.expected, found=error.found, hint=_AGAIN
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        # Opened here: numpy leaves its own handle open when the content is not what it expects.
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise InputFileError(path, expected=_WHAT, found="a single array", hint=_AGAIN)
            with arrays:
                yield arrays
    except MaskpsError:
        raise
    except FileNotFoundError as error:
        hint = "convert a data set that has test protocols, or write some (docs/coco.md)"
        raise InputFileError(path, expected=_WHAT, found="no such file", hint=hint) from error
    except OSError as error:
        hint = "check who may read it" if error.errno else _AGAIN
        found = error.strerror or str(error)
        raise InputFileError(path, expected=_WHAT, found=found, hint=hint) from error
    except (
        Exception
    ) as error:  # damaged bytes make numpy, zipfile, zlib, ast and tokenize raise what they will
        raise InputFileError(path, expected=_WHAT, found=f"a damaged file ({error})", hint=_AGAIN) from error


def _names(path: Path, arrays: Any) -> tuple[str, ...]:
    if "format" not in arrays.files or str(_array(path, arrays, "format")) != FORMAT:
        raise InputFileError(path, expected=_WHAT, found="another file", hint=_AGAIN)
    version = str(_array(path, arrays, "version"))
    if version != str(VERSION):
        raise InputFileError(
            path,
            expected=f"format version {VERSION}",
            found=f"version {version}",
            hint="install the maskps release that wrote it",
        )
    return tuple(str(name) for name in _array(path, arrays, "names").reshape(-1))


def _column(path: Path, arrays: Any, name: str, column: str) -> NDArray[Any]:
    key, kind = f"{name}/{column}", _KINDS[column]
    array = _array(path, arrays, key)
    if array.dtype.kind != np.dtype(kind).kind:
        raise InputFileError(
            path, expected=f"{key} as {kind.__name__}", found=f"an array of {array.dtype}", hint=_AGAIN
        )
    return array.astype(kind, copy=False)


def _array(path: Path, arrays: Any, key: str) -> NDArray[Any]:
    if key not in arrays.files:
        raise InputFileError(path, expected=f"the array {key}", found="none of that name", hint=_AGAIN)
    array = arrays[key]
    if not isinstance(array, np.ndarray):  # numpy hands out the bytes of a member that is no array
        raise InputFileError(path, expected=f"the array {key}", found="something else", hint=_AGAIN)
    return array
