"""Parsed annotation, kept in the user's cache folder so that it is parsed only once.

A cache file is an .npz of columns. It is read without pickle, and the user may delete it at any time. It is
used only while every file that it was parsed from, and the code that parsed it, have the same size, times of
modification and change, and inode. If anything is wrong with a cache file or the folder, the annotation is
parsed again.

Two processes that open the same data set at once both parse it. The later one replaces the file of the
earlier one, atomically.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskps.errors import OutputError
from maskps.io.files import open_file, written_atomically

VARIABLE = "MASKPS_CACHE"
"""Environment variable that names another cache folder."""

FORMAT = "maskps-cache"
VERSION = 2

_SETTLED = 2.0
"""Seconds from the last change of a file until it may be cached. A file that changes twice within one tick of
its file system's clock looks the same, and the coarsest clock in use (FAT) ticks every 2 seconds."""

_STAMP = "maskps"  # name of the array that holds the stamp's digest; columns have other names
_CODE = (
    "*.py",
    "io/**/*.py",
    "protocols/*.py",
    "masks/**/*.py",
    "datasets/**/*.py",
)  # what decides how files are parsed

_log = logging.getLogger(__name__)

T = TypeVar("T")
Columns = Mapping[str, NDArray[Any]]


def cache_dir() -> Path | None:
    """Returns the folder of the cache files, which may not exist yet; None if the user has no home.

    It is $MASKPS_CACHE, else `maskps` in the user's cache folder.
    """
    given = os.environ.get(VARIABLE)
    try:
        if given:
            return Path(given).expanduser()
        if sys.platform == "win32":
            parent = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            parent = Path.home() / "Library" / "Caches"
        else:
            parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(parent) / "maskps"


def cached(
    key: str,
    sources: Sequence[Path],
    read: Callable[[], T],
    *,
    pack: Callable[[T], Columns],
    unpack: Callable[[Columns], T],
) -> T:
    """Returns what `read` returns, from the cache if it has that. Errors are not kept.

    Args:
        key: what is read, e.g. "cuhk-sysu"; the same sources may be read as different things.
        sources: all files that `read` reads, always in the same order.
        read: reads them.
        pack: turns the value into columns: arrays of numbers, bools or text, by name.
        unpack: turns the columns into an equal value.
    """
    folder, stamp = cache_dir(), _stamp_of(key, sources)
    if folder is None or stamp is None:
        return read()
    path = folder / f"{stamp.name}.npz"
    found = _load(path, stamp, unpack)
    if found is not None:
        return found[0]
    value = read()
    if stamp.is_settled and stamp == _stamp_of(key, sources):
        _store(path, stamp, pack(value))
    return value


@dataclass(frozen=True)
class _Stamp:
    """The state of some files.

    Attributes:
        name: name of the cache file; the same for all states of the same files.
        digest: sha256 of everything that must be unchanged for the cache file to be used.
        is_settled: whether the last change is at least `_SETTLED` ago.
    """

    name: str
    digest: str
    is_settled: bool


def _stamp_of(key: str, sources: Sequence[Path]) -> _Stamp | None:
    """Returns the present state of these files, None if one is missing."""
    now = time.time()
    real = lru_cache(maxsize=None)(os.path.realpath)
    places, states, latest = [key], [_code_state()], 0.0
    try:
        for source in sources:
            folder, name = os.path.split(source)
            state = os.stat(source)
            places.append(os.path.join(real(folder), name))
            states.append(repr((state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)))
            latest = max(latest, state.st_mtime if os.name == "nt" else state.st_ctime)
    except OSError:
        return None
    name = hashlib.sha256("\n".join(places).encode("utf-8", "surrogateescape")).hexdigest()
    digest = hashlib.sha256("\n".join([name, *states]).encode()).hexdigest()
    return _Stamp(name[:32], digest, latest + _SETTLED <= now)


@lru_cache(maxsize=1)
def _code_state() -> str:
    """Returns the state of the code that parses: after an update of maskps, files are parsed again."""
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in _code_files()]
    return repr((FORMAT, VERSION, sys.byteorder, np.__version__, states))


def _code_files() -> list[Path]:
    package = Path(__file__).parents[1]
    return [file for pattern in _CODE for file in sorted(package.glob(pattern))]


def _load(path: Path, stamp: _Stamp, unpack: Callable[[Columns], T]) -> tuple[T] | None:
    """Returns the value in a cache file, None if the file cannot be used."""
    try:
        with open_file(path) as stream, np.load(stream, allow_pickle=False) as content:
            if str(content[_STAMP]) != stamp.digest:
                return None
            return (unpack({name: content[name] for name in content.files if name != _STAMP}),)
    except FileNotFoundError:
        return None
    except Exception as error:  # only a copy: whatever is wrong with it, the sources are read
        _log.debug("%s: not used: %r", path, error)
        return None


def _store(path: Path, stamp: _Stamp, columns: Columns) -> None:
    """Writes a cache file; if it cannot be written, nothing happens."""
    arrays: dict[str, Any] = {_STAMP: np.array(stamp.digest), **columns}
    try:
        with written_atomically(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)
    except OutputError as error:
        _log.debug("not cached: %s", error)
