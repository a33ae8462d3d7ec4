"""Reads .npz files; damaged files and those of another kind become errors that explain themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.io.files import explained_reading, open_file

_LAST_LETTER = 0x10FFFF


def read_npz(
    path: Path, names: Iterable[str] | None = None, *, what: str, hint: str
) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an .npz file by name; nothing in it is unpickled.

    Args:
        names: the arrays to unpack; those that the file lacks are left out. All arrays if None.
        what: what the file should be, for the error message, e.g. "detections".
        hint: what to try if the file is of another kind, or damaged.

    Raises:
        InputFileError: missing, unreadable, not an .npz file, cut off, damaged, or pickled.
    """
    try:
        with (
            explained_reading(path, what=what),
            open_file(path) as stream,
            np.load(stream, allow_pickle=False) as content,
        ):
            present = [name for name in (content.files if names is None else names) if name in content.files]
            arrays = {name: content[name] for name in present}
    except InputFileError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize, ...: damage has a dozen symptoms
        reason = str(error).split(". ")[0][:200]  # without numpy's advice to unpickle it
        found = f"another file, or a damaged one ({reason})"
        raise InputFileError(path, expected=f"{what}, an .npz file", found=found, hint=hint) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is not an array comes as bytes
            raise InputFileError(path, expected=what, found=f"'{name}' is not an array", hint=hint)
        if not _is_text(array):
            found = f"'{name}' has characters that do not exist"
            raise InputFileError(path, expected=what, found=found, hint=hint)
    return arrays


def _is_text(array: NDArray[Any]) -> bool:
    """Whether every character of an array of texts is one of Unicode: numpy reads any 32 bits as one."""
    if array.dtype.kind != "U" or array.size * array.itemsize == 0:
        return True
    letters = np.frombuffer(array.tobytes(), np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return not ((letters > _LAST_LETTER) | ((letters >= 0xD800) & (letters <= 0xDFFF))).any()
