"""Parsed annotation, kept in the user's cache folder so that it is parsed only once.

A cache file is an .npz of columns, read without pickle and safe to delete at any time. It answers only while
every file that it was parsed from is the same one, unchanged, and so is the code that parsed it: same size,
times of modification and of change, and inode. Whatever is wrong with a cache file or with the folder, the
annotation is parsed as if there were none.

Two processes that open the same data set at once both parse it, and the later one replaces the file of the
earlier: a cache file is renamed into place whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskps.errors import OutputError
from maskps.io.files import written_atomically

VARIABLE = "MASKPS_CACHE"
"""Environment variable that names another cache folder."""

FORMAT = "maskps-cache"
VERSION = 1

_SETTLED = 2.0
"""Seconds. A file changed twice within a tick of its file system's clock looks the same: a file that was
changed less than this ago is not cached. The coarsest clock in use (FAT) ticks every 2 seconds."""

_HEADER = "maskps"  # the array that holds the header; columns have names of their own
_CODE = ("", "matlab", "evaluation", "datasets")  # folders of maskps that decide what is parsed

_log = logging.getLogger(__name__)
_readers = logging.getLogger("maskps.datasets")

T = TypeVar("T")
Columns = Mapping[str, NDArray[Any]]


def cache_dir() -> Path | None:
    """Returns the folder of the cache files, which need not exist: $MASKPS_CACHE, else `maskps` in the user's
    cache folder; None if the user has no home.
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
    """Returns what `read` returns, from the cache if that has it.

    Warnings that `read` logs below "maskps.datasets" are logged again when the cache answers; they name the
    files as they are given now. Errors are not kept: `read` raises them each time.

    Args:
        key: what is read, e.g. "cuhk-sysu"; the same sources may be read as different things.
        sources: all files that `read` reads, in an order that is always the same.
        read: reads them.
        pack: makes columns of the value: arrays of numbers, bools or text, by name.
        unpack: makes an equal value of the same columns again.
    """
    folder, stamp = cache_dir(), _stamp_of(key, sources)
    if folder is None or stamp is None:
        return read()
    path = folder / f"{stamp.name}.npz"
    found = _load(path, stamp, unpack)
    if found is not None:
        value, warnings = found
        for logger, text in warnings:
            logging.getLogger(logger).warning("%s", _with_paths(text, sources))
        return value
    with _warnings_collected() as records:
        value = read()
    if stamp.is_settled and stamp == _stamp_of(key, sources):
        is_heard = _readers.isEnabledFor(logging.WARNING)
        texts = [(record.name, _without_paths(record.getMessage(), sources)) for record in records]
        _store(path, stamp, texts if is_heard else None, pack(value))
    return value


@dataclass(frozen=True)
class _Stamp:
    """What tells one state of some files from another.

    Attributes:
        name: of the cache file; the same for all states of the same files.
        digest: sha256 of everything that must be unchanged for the cache to answer.
        is_settled: no file was changed just now.
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
    """Returns the state of the code that parses: an update of maskps parses anew."""
    package = Path(__file__).parents[1]
    files = [file for folder in _CODE for file in sorted((package / folder).glob("*.py"))]
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return repr((FORMAT, VERSION, sys.byteorder, np.__version__, states))


def _load(
    path: Path, stamp: _Stamp, unpack: Callable[[Columns], T]
) -> tuple[T, Sequence[tuple[str, str]]] | None:
    """Returns the value and the warnings in a cache file, None if it cannot answer."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            header = json.loads(str(content[_HEADER]))
            if header["stamp"] != stamp.digest:
                return None
            warnings = header["warnings"]
            if warnings is None and _readers.isEnabledFor(logging.WARNING):
                return None  # made by a process that had them silenced
            columns = {name: content[name] for name in content.files if name != _HEADER}
            return unpack(columns), [(logger, text) for logger, text in warnings or ()]
    except FileNotFoundError:
        return None
    except Exception as error:  # it is only a copy: whatever is wrong with it, the sources are read
        _log.debug("%s: not used: %r", path, error)
        return None


def _store(path: Path, stamp: _Stamp, warnings: list[tuple[str, str]] | None, columns: Columns) -> None:
    """Writes a cache file; that it cannot be written is no error."""
    header = json.dumps({"stamp": stamp.digest, "warnings": warnings})
    arrays: dict[str, Any] = {_HEADER: np.array(header), **columns}
    try:
        with written_atomically(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)
    except OutputError as error:
        _log.debug("not cached: %s", error)


class _Collector(logging.Handler):
    """Keeps the warnings that this thread logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.records.append(record)


@contextmanager
def _warnings_collected() -> Iterator[list[logging.LogRecord]]:
    collector = _Collector()
    _readers.addHandler(collector)
    try:
        yield collector.records
    finally:
        _readers.removeHandler(collector)


def _without_paths(text: str, sources: Sequence[Path]) -> str:
    """Returns the text with numbers in place of the sources' paths, which may be spelled otherwise later."""
    text = text.replace("\0", "")
    for index, source in enumerate(sources):
        text = text.replace(str(source), f"\0{index}\0")
    return text


def _with_paths(text: str, sources: Sequence[Path]) -> str:
    pieces = text.split("\0")
    pieces[1::2] = [str(sources[int(index)]) for index in pieces[1::2]]
    return "".join(pieces)
