"""Folders that are written atomically, and replaced only if everything in them was written by maskps.

Each has a file `LIST_NAME` with the SHA-256 of every other file in it. `--force` deletes a folder only if
this list covers all that is there: a file that was added or changed later belongs to the user.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskps.errors import MaskpsError, OutputExistsError
from maskps.io.files import check_output, json_field, read_record, write_errors_explained, write_json
from maskps.io.locks import locked

LIST_NAME = ".maskps-files"
FORMAT = "maskps-files"
VERSION = 1
_SHOWN = 5
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def folder_written_atomically(folder: Path, *, record: str, force: bool = False) -> Iterator[Path]:
    """Yields a new folder to write to; it becomes `folder` if the block succeeds.

    With `force` an existing folder is replaced, after the new one is complete. After a kill at any moment the
    old or the new folder is at `folder`. What a killed process leaves in `.NAME.maskps`, beside `folder`, is
    removed by the next one that writes the same folder.

    Args:
        record: name of the file that every folder of this kind holds, e.g. "subset.json".

    Raises:
        OutputError, OutputExistsError: as `check_replaceable`, another process writes the same folder, or the
            folder cannot be written.
    """
    check_replaceable(folder, record=record, force=force)
    place = Path(os.path.realpath(folder))
    with _staging(place, folder) as staging:
        new, old = staging / "new", staging / "old"
        with write_errors_explained(folder):
            if old.exists() and not place.exists():  # killed between the two renames of `_put`
                old.replace(place)
        check_replaceable(folder, record=record, force=force)
        try:
            with write_errors_explained(folder):
                _remove(new, old)
                new.mkdir()
                yield new
                content = {"format": FORMAT, "version": VERSION, "files": _files_of(new)}
                write_json(new / LIST_NAME, content)
            check_replaceable(folder, record=record, force=force)  # again: the work may have taken hours
            with write_errors_explained(folder):
                _put(new, place, old)
        finally:
            if place.exists() or not old.exists():
                _remove(new, old)


@contextmanager
def _staging(place: Path, folder: Path) -> Iterator[Path]:
    """Yields a folder beside `place`, locked and then removed; errors name `folder`."""
    staging = place.with_name(f".{place.name}.maskps")
    try:
        with locked(staging, what="folder", where=folder):
            yield staging
    finally:
        with suppress(OSError):  # another process may be using it
            staging.rmdir()


def check_replaceable(folder: Path, *, record: str, force: bool = False) -> None:
    """Raises an error unless `folder_written_atomically` may write a folder.

    Raises:
        OutputExistsError: as `check_output`; or, with `force`, the folder has no list of maskps's files, or
            holds a file that is not on it or was changed.
        OutputError: as `check_output`.
    """
    check_output(folder, record=record, force=force)
    if not (folder / record).exists():
        return
    try:
        content = read_record(
            folder / LIST_NAME, format=FORMAT, version=VERSION, what="the list of files", hint=""
        )
        listed = json_field(content, "files", dict, folder / LIST_NAME, hint="")
    except MaskpsError as error:
        raise OutputExistsError(
            folder,
            expected=f"a folder with {LIST_NAME}, the list of what maskps wrote there",
            found=f"no list that maskps can read ({error.found})",
            hint="move the folder away, or choose another path",
        ) from error
    with write_errors_explained(folder):
        found = _files_of(folder)
    others = [name for name, digest in found.items() if listed.get(name) != digest]
    if others:
        more = ", ..." if len(others) > _SHOWN else ""
        raise OutputExistsError(
            folder,
            expected="only files that maskps wrote, unchanged since",
            found=f"other files ({len(others):,}): {', '.join(others[:_SHOWN])}{more}",
            hint="move these files away, or choose another path; --force deletes nothing of yours",
        )


def _files_of(folder: Path, below: str = "") -> dict[str, str]:
    """Returns the SHA-256 of each file in a folder except its list; for what is not a file, what it is."""
    found: dict[str, str] = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = f"{below}{entry.name}"
        if entry.is_symlink():
            found[name] = f"link to {os.readlink(entry.path)}"
        elif entry.is_dir():
            found |= _files_of(Path(entry.path), f"{name}/")
        elif not entry.is_file():
            found[name] = "not a regular file"
        elif name != LIST_NAME:
            with open(entry.path, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _put(new: Path, folder: Path, old: Path) -> None:
    """Moves `new` to `folder`; what was there moves to `new` or to `old`."""
    if not folder.exists():
        new.replace(folder)
    elif not _exchanged(new, folder):
        folder.replace(old)
        new.replace(folder)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders could change places in one step: Linux, and most of its file systems."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    at_working_folder, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename(at_working_folder, os.fsencode(one), at_working_folder, os.fsencode(other), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
