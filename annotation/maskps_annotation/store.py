"""Every version of every annotator's file, in a folder to which files are only added.

    objects/ab/abcd...   a version, named after the sha256 of its bytes
    log.jsonl            a header, then one line per version in the order of arrival: annotator, name, sha256,
                         bytes, modified (when the annotator's program wrote it)

A version is complete before its line is written, so the log never names a missing version, even after a
kill. A line that was cut off is skipped; adding the file again writes it again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maskps.errors import InputFileError, OutputExistsError, shown_value
from maskps.io.files import (
    check_format,
    explained_reading,
    read_bytes,
    write_errors_explained,
    written_atomically,
)
from maskps.io.locks import locked

FORMAT = "maskps-store"
VERSION = 1
_WHAT = "the log of a store (log.jsonl)"


@dataclass(frozen=True)
class Version:
    """One version of a file.

    Attributes:
        annotator: whose file it is.
        name: of the file, e.g. "s1234.json".
        sha256: hex, of its bytes.
        bytes: size of the file.
        modified: when the file was last written, as ISO 8601 in UTC.
    """

    annotator: str
    name: str
    sha256: str
    bytes: int
    modified: str


class Store:
    """A store in a folder, which is created with the first version.

    Args:
        folder: need not exist.

    Raises:
        InputFileError: its log is of another kind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "log.jsonl"
        self._versions = self._read_log()

    def add(self, path: Path, annotator: str, name: str) -> str:
        """Stores the content of a file and returns its sha256.

        Nothing is written if the last stored version of this file is the same.

        Raises:
            InputFileError: the file cannot be read.
            OutputError: the store cannot be written.
        """
        with explained_reading(path, what="a file to store"):
            content = read_bytes(path)
            modified = path.stat().st_mtime
        sha256 = hashlib.sha256(content).hexdigest()
        known = self._versions.get((annotator, name), [])
        self._write_object(sha256, content)
        if not known or known[-1].sha256 != sha256:
            when = datetime.fromtimestamp(int(modified), UTC).isoformat()
            version = Version(annotator, name, sha256, len(content), when)
            self._append(asdict(version))
            self._versions.setdefault((annotator, name), []).append(version)
        return sha256

    @property
    def size(self) -> int:
        """Number of stored versions of all files."""
        return sum(map(len, self._versions.values()))

    def path(self, sha256: str) -> Path:
        """Returns the path of the version with this checksum; never write to it."""
        return self.folder / "objects" / sha256[:2] / sha256

    def versions(self, annotator: str, name: str) -> list[Version]:
        """Returns the versions of a file, the oldest first; [] if it was never stored."""
        return list(self._versions.get((annotator, name), []))

    def files(self) -> list[tuple[str, str]]:
        """Returns annotator and name of every file that was ever stored, sorted."""
        return sorted(self._versions)

    def listed(self, file: str | None = None) -> list[Version]:
        """Returns the versions of every file, or of one, by annotator and name, the oldest first.

        Args:
            file: annotator and name, as "ann/s1234.json"; None for all.

        Raises:
            InputFileError: no version of this file, or of any file, is stored.
        """
        names = [one for one in self.files() if file in (None, "/".join(one))]
        if not names:
            raise InputFileError(
                self.folder,
                expected="stored files" if file is None else "a stored file, as ANNOTATOR/FILE.json",
                found="none" if file is None else f"'{file[:90]}', which has no stored version",
                hint="give a subset that 'annotate collect' has filled"
                if file is None
                else "without a file the command lists all",
            )
        return [version for one in names for version in self._versions[one]]

    def find(self, prefix: str) -> str:
        """Returns the one checksum that begins with `prefix`.

        Raises:
            InputFileError: no checksum does, or several do.
        """
        every = {version.sha256 for group in self._versions.values() for version in group}
        found = sorted(sha256 for sha256 in every if prefix and sha256.startswith(prefix))
        if len(found) != 1:
            raise InputFileError(
                self.folder,
                expected="the first letters of one stored version's sha256",
                found=f"'{prefix}', which {len(found)} of {len(every)} begin with",
                hint="give more letters; without a version the command lists them",
            )
        return found[0]

    def restore(self, sha256: str, to: Path, *, force: bool = False) -> None:
        """Writes a version to a file, atomically.

        Args:
            force: replace an existing file, which is not stored here.

        Raises:
            OutputExistsError: another file exists there.
            InputFileError: the version is not in the store, or damaged.
        """
        path = self.path(sha256)
        with explained_reading(path, what="a stored version", hint="list the versions"):
            content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputFileError(
                path,
                expected="bytes with the checksum it is named after",
                found="other bytes",
                hint="restore a backup",
            )
        if to.exists() and not force:
            if to.is_file() and read_bytes(to) == content:
                return
            raise OutputExistsError(
                to, expected="a new path", found="an existing file", hint="replace it with --force"
            )
        with written_atomically(to) as temporary:
            temporary.write_bytes(content)

    def bring_back(self, prefix: str, to: Path, *, annotator: str, name: str, force: bool = False) -> str:
        """Writes the version whose sha256 begins with `prefix` to a file, and returns its sha256.

        With `force`, an existing file at `to` is first stored as one of `annotator`'s, then replaced.

        Raises:
            OutputExistsError, InputFileError, OutputError: as `find`, `restore` and `locked`.
        """
        sha256 = self.find(prefix)
        if force and to.is_file():
            with self.locked():
                self.add(to, annotator, name or to.name)
        self.restore(sha256, to, force=force)
        return sha256

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from using the store; the lock ends with the process.

        Raises:
            OutputError: another process is using it.
        """
        with locked(self.folder, what="store"):
            self._versions = self._read_log()  # another process may have added some since
            yield

    def _write_object(self, sha256: str, content: bytes) -> None:
        path = self.path(sha256)
        if path.is_file() and path.stat().st_size == len(content):
            return
        with written_atomically(path) as temporary:
            temporary.write_bytes(content)

    def _append(self, record: dict[str, Any]) -> None:
        if not self._log.exists():
            header = json.dumps({"format": FORMAT, "version": VERSION}) + "\n"
            with written_atomically(self._log) as temporary:
                temporary.write_text(header, encoding="utf-8")
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with write_errors_explained(self._log), self._log.open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            is_whole = stream.read(1) == b"\n"
            stream.write(line if is_whole else b"\n" + line)  # never join a line that was cut off

    def _read_log(self) -> dict[tuple[str, str], list[Version]]:
        if not self._log.exists():
            return {}
        with explained_reading(self._log, what=_WHAT):
            lines = read_bytes(self._log).split(b"\n")
        records = [record for record in map(_record, lines) if record is not None]
        hint = "give the folder that 'annotate collect' made"
        check_format(
            self._log, records[0] if records else None, format=FORMAT, version=VERSION, what=_WHAT, hint=hint
        )
        versions: dict[tuple[str, str], list[Version]] = {}
        for record in records[1:]:
            try:
                version = Version(**record)
            except TypeError as error:
                raise InputFileError(
                    self._log,
                    expected="lines that 'annotate collect' wrote",
                    found=shown_value(record),
                    hint="restore a backup",
                ) from error
            versions.setdefault((version.annotator, version.name), []).append(version)
        return versions


def _record(line: bytes) -> dict[str, Any] | None:
    """Returns a line of the log; None if it was cut off."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
