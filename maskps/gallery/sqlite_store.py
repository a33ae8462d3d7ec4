"""The gallery in one SQLite file, searched exactly with NumPy.

Tables:

    meta(key, value)  the network as JSON; how often rows were removed or changed
    source            one row per image or video
    person            one row per person; its vector as float32, little endian

Each `add` is one transaction that is on disk when the call returns (write-ahead log, full synchronisation),
so a killed process loses at most the call it was in. Deleted content is overwritten with zeros. The first
`add` makes the file: a command that adds nothing leaves nothing behind.

SQLite's locks do not work on network file systems: keep the file on a local disk.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError, MaskpsError, OutputError
from maskps.gallery.records import Network, PersonRow, Persons, Source, Where, check_unit_length
from maskps.gallery.vectors import (
    best_of,
    check_dim,
    check_hits,
    check_network,
    checked_ids,
    checked_source,
    product_error,
    similarities_of,
)
from maskps.io.files import check_place, write_errors_explained

BLOCK = 65_536
"""Rows of vectors that are multiplied at once."""

BUSY_SECONDS = 30.0
"""How long a call waits for another process that writes."""

VERSION = 1

_APPLICATION_ID = 0x6D6B7073  # "mkps"
_SIMILARITIES_AT_ONCE = 2**25
_SETTINGS = (
    "page_size = 16384",  # of a new file: 15 vectors of 256 numbers a page instead of 3 in 4,096 bytes
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
)
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value);
CREATE TABLE source (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, camera TEXT, started_at REAL,
    state TEXT NOT NULL, read_until REAL
);
CREATE TABLE person (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER NOT NULL, frame_time REAL NOT NULL,
    x0 REAL NOT NULL, y0 REAL NOT NULL, x1 REAL NOT NULL, y1 REAL NOT NULL, score REAL NOT NULL,
    vector BLOB NOT NULL
);
CREATE INDEX person_of_source ON person (source);
"""
_SOURCE_FIELDS = ("path", "kind", "size", "mtime_ns", "sha256", "camera", "started_at", "state", "read_until")
_SOURCE_COLUMNS = ", ".join(f"source.{name}" for name in (*_SOURCE_FIELDS, "id"))


class SqliteStore:
    """A `GalleryStore` in one file. Threads and processes may share the file; threads may share the object.

    Args:
        path: the file. The first `add` makes it, with mode 0600, if it is missing and `network` is given.
        network: the network in use; None takes the file's.

    Raises:
        As `maskps.gallery.open_store`. Every method also raises an OutputError if the file was removed or
        replaced since it was opened: what SQLite has open then is not what the path leads to.
    """

    def __init__(self, path: Path, network: Network | None = None) -> None:
        self.path = path
        self._place = path.absolute()
        self._lock = threading.RLock()
        self._rows = _Rows()
        with write_errors_explained(path):
            if not path.exists():
                if network is None:
                    raise InputFileError(
                        path,
                        expected="a gallery",
                        found="no such file",
                        hint="check the path, or make the gallery with maskps gallery add",
                    )
                check_place(path)
        self._open(network)

    def add(self, source: Source, persons: Persons) -> Source:
        """As `GalleryStore.add`."""
        check_dim(self.path, self.network, "Persons.vectors", persons.vectors)
        columns = (persons.frame_time, *persons.boxes.T, persons.scores)
        vectors = np.ascontiguousarray(persons.vectors, "<f4")
        if self._is_in_memory:
            with write_errors_explained(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with self._transaction("IMMEDIATE"):
            added = self._put(source, persons)
            self._db.executemany(
                "INSERT INTO person (source, frame_time, x0, y0, x1, y1, score, vector) "
                f"VALUES ({added.id}, ?, ?, ?, ?, ?, ?, ?)",
                zip(*(column.tolist() for column in columns), map(bytes, vectors), strict=True),
            )
        return added

    def forget(self, where: Where | Sequence[int]) -> int:
        """As `GalleryStore.forget`."""
        with self._transaction("IMMEDIATE"):
            ids = self.ids(where) if isinstance(where, Where) else where
            removed = self._delete_persons("id IN (SELECT value FROM json_each(?))", _as_json(ids))
            if isinstance(where, Where) and where.is_of_whole_sources:
                chosen = [one.id for one in self.sources()] if where.sources is None else where.sources
                gone = "DELETE FROM source WHERE id IN (SELECT value FROM json_each(?))"
                self._db.execute(gone, (_as_json(chosen),))
        with self._lock, _explained(self.path):
            # Balancing its pages, SQLite leaves copies of rows behind that secure_delete does not find again.
            self._db.execute("VACUUM")
            # The log still has the pages as they were.
            is_busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise OutputError(
                self.path,
                expected="a gallery that no other process is reading, to erase the vectors from its log",
                found=f"{removed} persons are removed, but another process still reads older pages",
                hint=f"end that process and run the same command again, which erases {self.path.name}-wal",
            )
        return removed

    def search(
        self, vectors: NDArray[np.float32], k: int, where: Where
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `GalleryStore.search`. A similarity is computed in float64 and rounded to float32."""
        check_dim(self.path, self.network, "the query's vectors", vectors)
        check_unit_length("the query's vectors", vectors)
        check_hits(k)
        with self._transaction():
            rows = self._current_rows()
            return rows.search(vectors, k, self._matching(rows, where))

    def ids(self, where: Where) -> NDArray[np.int64]:
        """As `GalleryStore.ids`."""
        with self._transaction():
            rows = self._current_rows()
            return rows.ids[self._matching(rows, where)]

    def rows(self, ids: Sequence[int] | NDArray[np.int64]) -> list[PersonRow]:
        """As `GalleryStore.rows`."""
        with self._transaction():
            found = self._db.execute(
                f"SELECT person.id, frame_time, x0, y0, x1, y1, score, {_SOURCE_COLUMNS} "
                "FROM person JOIN source ON source.id = person.source "
                "WHERE person.id IN (SELECT value FROM json_each(?))",
                (_as_json(ids),),
            )
            with _content_explained(self.path):
                rows = {row[0]: _person(row) for row in found}
        return [rows[one] for one in checked_ids(self.path, ids, rows)]

    def vectors(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """As `GalleryStore.vectors`."""
        with self._transaction():
            query = "SELECT id, vector FROM person WHERE id IN (SELECT value FROM json_each(?))"
            found = dict(self._db.execute(query, (_as_json(ids),)))
        vectors = [found[one] for one in checked_ids(self.path, ids, found)]
        with _content_explained(self.path):
            return _matrix(vectors, self.network.dim)

    def sources(self) -> list[Source]:
        """As `GalleryStore.sources`."""
        with self._transaction(), _content_explained(self.path):
            found = self._db.execute(f"SELECT {_SOURCE_COLUMNS} FROM source ORDER BY id")
            return [_source(row) for row in found]

    def count(self) -> int:
        """As `GalleryStore.count`."""
        with self._transaction():
            return int(self._db.execute("SELECT count(*) FROM person").fetchone()[0])

    def close(self) -> None:
        """As `GalleryStore.close`. The last process to close it removes the log beside the file."""
        with self._lock, _explained(self.path):
            self._db.close()

    def _open(self, network: Network | None) -> None:
        """Opens the file; as long as it is missing, empty tables in memory stand for it."""
        self._is_in_memory = not self.path.exists()
        if not self._is_in_memory:
            _check_file(self.path)
        with _explained(self.path):
            # The absolute path: SQLite gives names such as ":memory:" a meaning of its own.
            place = ":memory:" if self._is_in_memory else self._place
            self._opened_file = _file_at(self._place)
            self._db = sqlite3.connect(
                place, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            self.network = self._opened(network)
        except BaseException:
            self._db.close()
            raise

    def _opened(self, network: Network | None) -> Network:
        """Returns the network of the file, which is filled with empty tables if it is new."""
        with _explained(self.path):
            # First whether it has tables: another process may make them, with the marks, at any moment.
            is_new = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            found, version = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            )
            is_new = is_new and not found
        if is_new and network is None:
            raise _not_a_gallery(self.path, "an empty file")
        if not is_new and found != _APPLICATION_ID:
            raise _not_a_gallery(self.path, "a SQLite file of another program")
        if version > VERSION:
            raise InputFileError(
                self.path,
                expected=f"a gallery of format {VERSION} or older",
                found=f"format {version}",
                hint="update maskps",
            )
        with _explained(self.path):
            for setting in _SETTINGS:
                self._set(setting)
        with self._transaction("IMMEDIATE" if is_new else ""):
            if is_new and network is not None:
                self._create(network)
            row = self._db.execute("SELECT value FROM meta WHERE key = 'network'").fetchone()
        with _content_explained(self.path):
            kept = Network(**json.loads(row[0]))
        check_network(self.path, kept, network)
        return kept

    def _set(self, setting: str) -> None:
        """Waits for other processes: SQLite itself does not when a file changes to a log beside it."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._db.execute(f"PRAGMA {setting}")
                return
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def _create(self, network: Network) -> None:
        """Makes the tables, unless another process was faster."""
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        meta = (("network", json.dumps(dataclasses.asdict(network))), ("changes", 0))
        self._db.executemany("INSERT INTO meta VALUES (?, ?)", meta)

    @contextmanager
    def _transaction(self, kind: str = "") -> Iterator[None]:
        """One consistent state for all statements of the block, and all of its changes or none."""
        with self._lock, _explained(self.path):
            if self._db.in_transaction:
                yield
                return
            if self._is_in_memory and self.path.exists():  # since made, perhaps by another process
                self._db.close()
                self._open(self.network)
            self._check_place()
            self._db.execute(f"BEGIN {kind}")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _check_place(self) -> None:
        found = _file_at(self._place)
        if found != self._opened_file:
            raise OutputError(
                self.path,
                expected="the gallery that was opened",
                found="another file in its place" if found else "the file is gone",
                hint="start again; never move, replace or delete a gallery while a process uses it",
            )

    def _put(self, source: Source, persons: Persons) -> Source:
        """Writes a source's record before more of its persons, and returns it with its number."""
        values = [getattr(source, name) for name in _SOURCE_FIELDS]
        values[0] = os.fsencode(source.path)  # a name that is not UTF-8 cannot be TEXT
        same_path = self._db.execute(
            "SELECT id FROM source WHERE path = ? AND id IS NOT ?", (values[0], source.id)
        ).fetchone()
        if same_path:
            self._delete_persons("source = ?", same_path[0])
            self._db.execute("DELETE FROM source WHERE id = ?", same_path)
        if source.id is None:
            marks = ", ".join("?" * len(values))
            done = self._db.execute(
                f"INSERT INTO source ({', '.join(_SOURCE_FIELDS)}) VALUES ({marks})", values
            )
            return dataclasses.replace(source, id=done.lastrowid)
        known = self._db.execute(
            f"SELECT {_SOURCE_COLUMNS} FROM source WHERE id = ?", (source.id,)
        ).fetchone()
        before = checked_source(None if known is None else _source(known), source, persons)
        assignments = ", ".join(f"{name} = ?" for name in _SOURCE_FIELDS)
        self._db.execute(f"UPDATE source SET {assignments} WHERE id = ?", (*values, source.id))
        if (before.camera, before.started_at) != (source.camera, source.started_at):
            self._count_change()
        return source

    def _delete_persons(self, condition: str, value: object) -> int:
        removed = self._db.execute(f"DELETE FROM person WHERE {condition}", (value,)).rowcount
        if removed:
            self._count_change()
        return removed

    def _count_change(self) -> None:
        self._db.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")

    def _current_rows(self) -> _Rows:
        """Returns all persons: those in memory and what came since, or all anew after another change."""
        changes = self._db.execute("SELECT value FROM meta WHERE key = 'changes'").fetchone()[0]
        if changes != self._rows.changes:
            self._rows = _Rows(changes)
        found = self._db.execute(
            "SELECT person.id, source, started_at + frame_time, score, vector "
            "FROM person JOIN source ON source.id = person.source WHERE person.id > ? ORDER BY person.id",
            (self._rows.last_id,),
        )
        while rows := found.fetchmany(self._rows.room):
            with _content_explained(self.path):
                self._rows.append(rows, self.network.dim)
        return self._rows

    def _matching(self, rows: _Rows, where: Where) -> NDArray[np.bool_]:
        """Returns (n,) bool: the rows that meet all conditions."""
        matching = np.ones(len(rows.ids), np.bool_)
        if where.cameras is not None:
            query = "SELECT id FROM source WHERE camera IN (SELECT value FROM json_each(?))"
            cameras = json.dumps(where.cameras)
            matching &= np.isin(rows.sources, [one for (one,) in self._db.execute(query, (cameras,))])
        if where.sources is not None:
            matching &= np.isin(rows.sources, where.sources)
        if where.start is not None:
            matching &= rows.at >= where.start
        if where.end is not None:
            matching &= rows.at < where.end
        if where.min_score is not None:
            matching &= rows.scores >= np.float32(where.min_score)
        return matching


class _Rows:
    """The persons in memory, by number: columns, and vectors in blocks of up to `BLOCK` rows.

    Attributes:
        changes: the file's count of removals and changes when they were read.
        ids, sources: (n,) int64.
        at: (n,) float64; NaN if the time is not known.
        scores: (n,) float32.
        blocks: arrays (<= BLOCK, D) float32, n rows in all.
    """

    def __init__(self, changes: int = -1) -> None:
        self.changes = changes
        self.ids = np.zeros(0, np.int64)
        self.sources = np.zeros(0, np.int64)
        self.at = np.zeros(0, np.float64)
        self.scores = np.zeros(0, np.float32)
        self.blocks: list[NDArray[np.float32]] = []

    @property
    def last_id(self) -> int:
        """The highest number; later persons have higher ones."""
        return int(self.ids[-1]) if len(self.ids) else 0

    @property
    def room(self) -> int:
        """How many rows fit into the last block, or into a new one if it is full."""
        return BLOCK - (len(self.blocks[-1]) % BLOCK if self.blocks else 0)

    def append(self, rows: list[tuple], dim: int) -> None:
        """Adds at most `room` rows of (id, source, at, score, vector)."""
        ids, sources, at, scores, vectors = zip(*rows, strict=True)
        self.ids = np.concatenate([self.ids, np.array(ids, np.int64)])
        self.sources = np.concatenate([self.sources, np.array(sources, np.int64)])
        self.at = np.concatenate([self.at, np.array(at, np.float64)])  # None becomes NaN
        self.scores = np.concatenate([self.scores, np.array(scores, np.float32)])
        new = _matrix(vectors, dim)
        if self.room < BLOCK:
            new = np.concatenate([self.blocks.pop(), new])
        self.blocks.append(new)

    def search(
        self, vectors: NDArray[np.float32], k: int, matching: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns (q, m) numbers and similarities of the best rows among those that match."""
        chosen = np.flatnonzero(matching)
        k = min(k, len(chosen))
        ids = np.zeros((len(vectors), k), np.int64)
        similarities = np.zeros((len(vectors), k), np.float32)
        if not k:
            return ids, similarities
        step = max(1, _SIMILARITIES_AT_ONCE // len(chosen))
        for start in range(0, len(vectors), step):
            queries = np.ascontiguousarray(vectors[start : start + step], np.float32)
            for query, products in enumerate(self._products(queries, matching), start):
                best = self._best(vectors[query], k, chosen, products)
                ids[query], similarities[query] = best
        return ids, similarities

    def _products(self, queries: NDArray[np.float32], matching: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Returns the (q, m) float32 products of queries and matching rows, as the processor rounds them."""
        parts, start = [], 0
        for block in self.blocks:
            rows = np.flatnonzero(matching[start : start + len(block)])
            start += len(block)
            if 4 * len(rows) < len(block):  # cheaper to copy these rows than to multiply them all
                parts.append(queries @ block[rows].T)
            else:
                products = queries @ block.T
                parts.append(products if len(rows) == len(block) else products[:, rows])
        return np.concatenate(parts, axis=1)

    def _best(
        self, query: NDArray[np.float32], k: int, chosen: NDArray[np.int64], products: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns (k,) numbers and similarities, best first, equal ones by number.

        The sum of a product in float32 depends on the row's place in the matrix. So the rows that its error
        could bring among the first k are computed again, each alone, in float64.
        """
        lowest = np.partition(products, len(products) - k)[len(products) - k]
        rows = chosen[products >= lowest - product_error(len(query))]
        exact = np.concatenate(
            [self._exact(query, rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)]
        )
        return best_of(self.ids[rows], exact, k)

    def _exact(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the (n,) similarities of these rows, which are in ascending order."""
        ends = np.cumsum([len(block) for block in self.blocks])
        bounds = np.searchsorted(rows, [0, *ends])
        parts = [
            block[rows[low:high] - (end - len(block))]
            for block, end, low, high in zip(self.blocks, ends, bounds[:-1], bounds[1:], strict=True)
        ]
        return similarities_of(query, np.concatenate(parts))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns an error of SQLite into one that says what to do."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # its message may quote damaged bytes
        raise _explanation(path, error) from error


@contextmanager
def _content_explained(path: Path) -> Iterator[None]:
    """Turns an error about values of another kind than were written into one that names the file."""
    try:
        yield
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _kind(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind of error


def _is_locked(error: Exception) -> bool:
    return _kind(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _explanation(path: Path, error: Exception) -> MaskpsError:
    code = _kind(error)
    if code == sqlite3.SQLITE_NOTADB:
        return _not_a_gallery(path, "another kind of file")
    if _is_locked(error):
        return OutputError(
            path,
            expected="a gallery that no other process keeps locked",
            found=f"locked for more than {BUSY_SECONDS:g} seconds",
            hint="wait until the other process has finished, or end it",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return _not_writable(path, str(error))
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return OutputError(
            path,
            expected="a disk that works and has space",
            found=str(error),
            hint="free some space and run the same command again: what was added before is safe",
        )
    return _damaged(path, str(error))


def _check_file(path: Path) -> None:
    """Raises an error unless this is a file that may be written to; SQLite would only notice later."""
    if not path.is_file():
        raise _not_a_gallery(path, "a folder" if path.is_dir() else "not a regular file")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise _not_writable(path, error.strerror or str(error)) from error


def _not_writable(path: Path, found: str) -> OutputError:
    return OutputError(
        path,
        expected="a file and a folder to write to: reading a gallery needs a log beside it, too",
        found=found,
        hint="copy the gallery to a folder that you may write to",
    )


def _damaged(path: Path, found: str) -> InputFileError:
    return InputFileError(
        path,
        expected="an undamaged gallery",
        found=found,
        hint="restore it from a copy, or make it again with maskps gallery add",
    )


def _not_a_gallery(path: Path, found: str) -> InputFileError:
    return InputFileError(
        path,
        expected="a gallery, as maskps gallery add makes it",
        found=found,
        hint="check the path; give a new name to make a gallery",
    )


def _file_at(path: Path) -> tuple[int, int] | None:
    """Returns which file is at a path, by its device and number on it; None if none is there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _person(row: Sequence) -> PersonRow:
    one, frame_time, x0, y0, x1, y1, score = row[:7]
    return PersonRow(one, _source(row[7:]), frame_time, (x0, y0, x1, y1), score)


def _source(row: Sequence) -> Source:
    values = dict(zip((*_SOURCE_FIELDS, "id"), row, strict=True))
    return Source(**values | {"path": os.fsdecode(values["path"])})


def _matrix(vectors: Sequence[bytes], dim: int) -> NDArray[np.float32]:
    return np.frombuffer(b"".join(vectors), "<f4").reshape(-1, dim)


def _as_json(ids: Sequence[int] | NDArray[np.int64] | Sequence[int | None]) -> str:
    return json.dumps([int(one) for one in ids if one is not None])
