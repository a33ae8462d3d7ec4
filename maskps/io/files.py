"""Files that are written atomically, outputs that are not overwritten by accident, and explained errors."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskps.errors import InputFileError, OutputError, OutputExistsError, shown_value

LOCK_NAME = ".lock"
"""Name of the file in a folder that `maskps.io.locks.locked` locks."""

LARGEST_READ = 2**31
"""Largest file, in bytes, that is read into memory at once."""

_JSON_KINDS = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
_AGAIN = "the file may be damaged; copy or make it again"
_ANOTHER_PATH = "choose another path"
_HINTS = {
    errno.ENOSPC: "free some space, or choose a path on another disk",
    errno.EDQUOT: "free some space, or choose a path on another disk",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
}


@contextmanager
def write_errors_explained(path: Path) -> Iterator[None]:
    """Turns a failure to write to `path` into an OutputError."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or Path(os.fsdecode(error.filename)).name.startswith(f".{path.name}.")
        raise OutputError(
            path if ours else error.filename,  # not the name of a temporary file
            expected="a place to write to",
            found=error.strerror or str(error),
            hint=_HINTS.get(error.errno or 0, _ANOTHER_PATH),
        ) from error


@contextmanager
def explained_reading(path: Path, *, what: str, hint: str = "check the path") -> Iterator[None]:
    """Turns a failure to read `path` into an InputFileError with a hint that fits the cause.

    Causes: the file is missing, a folder, not a regular file, too large, not readable for the user, on a
    broken disk, or not UTF-8 text.

    Args:
        what: what the file should be, for the error message, e.g. "the subset's record".
        hint: what to try if the file is missing.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputFileError(path, expected=what, found="no such file", hint=hint) from error
    except (IsADirectoryError, NotADirectoryError) as error:
        found = "a folder" if path.is_dir() else "a path below a file"
        raise InputFileError(path, expected=what, found=found, hint="check the path") from error
    except OSError as error:
        if error.errno is None:  # raised by a library about the content
            raise
        fits = "check who may read it" if isinstance(error, PermissionError) else _AGAIN
        fits = "give a regular file" if isinstance(error, UnusableFileError) else fits
        raise InputFileError(path, expected=what, found=error.strerror or str(error), hint=fits) from error
    except UnicodeDecodeError as error:
        found, fits = (
            f"not UTF-8 text ({error.reason} at byte {error.start})",
            "save it as plain text (UTF-8)",
        )
        if encoding := _likely_encoding(error.object):
            found += f", but {encoding}"
            fits = "open it in a text editor with that encoding, and save it as UTF-8; nothing is lost"
        raise InputFileError(path, expected=what, found=found, hint=fits) from error


def _likely_encoding(content: bytes) -> str:
    """Returns the encoding of a text that is not UTF-8, "" if it is not a text."""
    names = {"gb18030": "perhaps GB18030", "cp1252": "perhaps Windows-1252"}
    for codec in (json.detect_encoding(content), *names):
        try:
            if "\0" not in content.decode(codec):
                return names.get(codec, codec[:6].upper())
        except UnicodeDecodeError:
            continue
    return ""


class UnusableFileError(OSError):
    """Something that must not be read: a pipe, a socket, a device, or a file too large for memory."""


def open_file(path: Path) -> io.BufferedReader | io.BytesIO:
    """Opens a regular file to read bytes, and never waits. Whatever reads a user's file opens it here.

    A pipe or a device may block for ever, or never end. So may files of the kernel that claim to be empty:
    a file of 0 bytes is not read, its content is empty.

    Raises:
        UnusableFileError: something else than a file.
        OSError: as `open`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UnusableFileError(errno.ENXIO, "a socket, not a regular file", str(path)) from error
        raise
    state = os.fstat(handle)
    if stat.S_ISREG(state.st_mode) and state.st_size:
        return open(handle, "rb")
    os.close(handle)
    if stat.S_ISREG(state.st_mode):
        return io.BytesIO()
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = "a named pipe" if stat.S_ISFIFO(state.st_mode) else "a device"
    raise UnusableFileError(errno.EINVAL, f"{kind}, not a regular file", str(path))


def read_bytes(path: Path) -> bytes:
    """Returns the content of a regular file.

    Raises:
        UnusableFileError: something else than a file, or one of more than `LARGEST_READ` bytes.
        OSError: as `open`.
    """
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size > LARGEST_READ:
            found = f"a file of {size:,} bytes; at most {LARGEST_READ:,} are read at once"
            raise UnusableFileError(errno.EFBIG, found, str(path))
        file.seek(0)
        return file.read(size)


def sha256_of(path: Path, *, what: str) -> str:
    """Returns the SHA-256 (hex) of a file's content, without holding all of it.

    Args:
        what: what the file should be, for the error message.

    Raises:
        InputFileError: the file cannot be read.
    """
    with explained_reading(path, what=what), open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """Returns the content of a regular file of UTF-8 text, without a byte-order mark and with its line ends.

    Raises:
        UnicodeDecodeError: not UTF-8; also UTF-16 without a byte-order mark, whose ASCII letters are UTF-8.
        OSError: as `read_bytes`.
    """
    content = read_bytes(path)
    if json.detect_encoding(content).startswith(("utf-16", "utf-32")):
        raise UnicodeDecodeError("utf-8", content, 0, 2, "null bytes or another byte-order mark")
    return content.decode("utf-8-sig")


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to; renames it over `path` if the block succeeds.

    After an exception or a kill the old file, if any, is untouched.

    Raises:
        OutputError: the file cannot be written.
    """
    with write_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_output(path: Path, *, record: str, force: bool = False) -> None:
    """Raises an error unless a folder of results may be written to `path`.

    An empty folder may be filled, and one in which a kill left only a lock or a half-written record. With
    `force`, so may one that maskps made: it holds the file `record`, which is a JSON file of maskps. Other
    folders and files are never written to.

    Raises:
        OutputExistsError: something of the user's is there.
        OutputError: a folder cannot be made there.
    """

    def is_left_over(name: str) -> bool:
        return name == LOCK_NAME or name.startswith(f".{record}.")

    with write_errors_explained(path):
        check_place(path)
        if not path.exists() or (path.is_dir() and all(map(is_left_over, os.listdir(path)))):
            return
    if not path.is_dir():
        raise OutputExistsError(
            path, expected="a new path, or a folder", found="an existing file", hint="choose another path"
        )
    if not _is_record(path / record):
        raise OutputExistsError(
            path,
            expected=f"a new or empty folder, or one that maskps made, with {record} in it",
            found="a folder with other content",
            hint="choose another path; --force does not replace what maskps did not make",
        )
    if not force:
        raise OutputExistsError(
            path,
            expected="a new path, or an empty folder",
            found=f"an existing result ({record})",
            hint="choose another path, or replace it with --force",
        )


def _is_record(path: Path) -> bool:
    """Whether this is a JSON file of maskps, of any format and version."""
    try:
        content = read_json(path, what="a record")
    except InputFileError:
        return False
    return isinstance(content, dict) and str(content.get("format")).startswith("maskps-")


def check_output_file(path: Path, *, mark: bytes, force: bool = False) -> None:
    """Raises an error unless a file may be written to `path`: a new one or, with `force`, one of maskps.

    Args:
        mark: a text in the first bytes of a file that maskps made.

    Raises:
        OutputExistsError: something of the user's is there.
        OutputError: a file cannot be made there.
    """
    with write_errors_explained(path):
        check_place(path)
        if path.is_dir():
            raise OutputExistsError(
                path, expected="a file", found="a folder", hint="add the name of the file"
            )
        if not path.exists():
            return
        is_ours = False
        if path.is_file():
            with open_file(path) as file:
                is_ours = mark in file.read(4096)
    if not is_ours:
        raise OutputExistsError(
            path,
            expected="a new file, or an earlier result of this command",
            found="an existing file of another kind",
            hint="choose another path; --force does not replace it",
        )
    if not force:
        raise OutputExistsError(
            path, expected="a new file", found="an existing one", hint="choose another path, or use --force"
        )


def check_place(path: Path) -> None:
    """Raises an OutputError unless something can be made at `path`."""
    above = next(folder for folder in Path(os.path.abspath(path)).parents if folder.exists())
    if not above.is_dir():
        raise OutputError(
            path,
            expected="a path below folders",
            found=f"{above} is a file",
            hint=_ANOTHER_PATH,
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(
            path,
            expected="a place to write to",
            found=f"{above} may not be written to",
            hint=_HINTS[errno.EACCES],
        )


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as UTF-8 JSON, indented, atomically."""
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_format(path: Path, header: Any, *, format: str, version: int, what: str, hint: str = "") -> None:
    """Raises InputFileError unless `header` is an object with this "format" and "version".

    Args:
        what: what the file should be, for the error message, as for `read_json`.
        hint: what to try if the file is of another kind.
    """
    if not isinstance(header, dict) or header.get("format") != format:
        raise InputFileError(path, expected=what, found="a JSON file of another kind", hint=hint)
    if header.get("version") != version:
        raise InputFileError(
            path,
            expected=f"format version {version}",
            found=f"version {shown_value(header.get('version'))}",
            hint="install the maskps release that wrote it",
        )


def read_record(path: Path, *, format: str, version: int, what: str, hint: str) -> dict[str, Any]:
    """Returns the content of a JSON file of maskps, which has "format" and "version".

    Args:
        what: what the file should be, for the error message, as for `read_json`.
        hint: what to try if the file is of another kind.

    Raises:
        InputFileError: as `read_json` and `check_format`.
    """
    content = read_json(path, what=what)
    check_format(path, content, format=format, version=version, what=what, hint=hint)
    return content


def json_field(content: Mapping[str, Any], key: str, kind: type, path: Path, *, hint: str) -> Any:
    """Returns a value of a JSON object of the file `path`.

    Args:
        kind: str, int (but not true or false), list or dict.
        hint: what to try if the value is missing or of another kind.

    Raises:
        InputFileError: the value is missing or of another kind.
    """
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = shown_value(value) if key in content else "no such key"
        raise InputFileError(path, expected=f"'{key}' as {_JSON_KINDS[kind]}", found=found, hint=hint)
    return value


def read_json(path: Path, *, what: str) -> Any:
    """Returns the content of a JSON file; a byte-order mark is accepted.

    Args:
        what: what the file should be, for the error message, e.g. "the subset's record".

    Raises:
        InputFileError: the file is missing, not UTF-8, cut off, or not JSON.
    """
    with explained_reading(path, what=what):
        text = read_text(path)
    try:
        content = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # Half of a surrogate pair is valid JSON, but can be neither printed nor written again.
            json.dumps(content, ensure_ascii=False).encode("utf-8")
        return content
    except json.JSONDecodeError as error:
        raise InputFileError(
            path,
            expected=f"{what} as JSON",
            found=f"{error.msg} at line {error.lineno}, column {error.colno}",
            hint="the file may be cut off; copy or make it again",
        ) from error
    except (ValueError, RecursionError) as error:  # ValueError: e.g. a number of 5,000 digits
        found = str(error)[:200]
        raise InputFileError(path, expected=f"{what} as UTF-8 JSON", found=found, hint=_AGAIN) from error
