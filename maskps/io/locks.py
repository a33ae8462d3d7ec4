"""One writer at a time: a lock file that names the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskps.errors import OutputError
from maskps.io.files import LOCK_NAME, write_errors_explained

logger = logging.getLogger(__name__)

_held: set[int] = set()


def _close_in_child() -> None:
    # A lock lives until every copy of its handle is closed: a worker must not keep it longer.
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def locked(folder: Path, *, what: str, where: Path | None = None) -> Iterator[None]:
    """Lets one process at a time work in `folder`, which is created if it is missing.

    The lock is the file `LOCK_NAME` in the folder. It is removed at the end of the block. The system frees
    the lock when the process ends, so a lock file that a killed process left behind does no harm. On a file
    system without locks there is a warning, and no lock.

    Args:
        what: what is locked, for the error message, e.g. "run" or "store".
        where: the place that the error names; `folder` by default.

    Raises:
        OutputError: another process holds the lock, or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    handle = _locked_handle(path, where or folder, what)
    _held.add(handle)
    try:
        with write_errors_explained(folder):
            os.truncate(handle, 0)
            os.write(handle, _own_name().encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        _held.discard(handle)
        os.close(handle)


def _locked_handle(path: Path, where: Path, what: str) -> int:
    """Returns the open lock file, locked."""
    while True:
        with write_errors_explained(where):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
            except FileNotFoundError:  # the process before has removed its folder
                continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 200, 0).decode(errors="replace")
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                logger.warning("%s: this file system has no locks; let no other process write here", where)
                return handle
            os.close(handle)
            raise OutputError(
                where,
                expected=f"a {what} that no other process is using",
                found=f"{holder or 'another process'} is using it",
                hint="wait until it has finished, or choose another folder",
            ) from error
        try:
            if os.stat(path).st_ino == os.fstat(handle).st_ino:
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)  # the process before removed this file between our two calls: take the new one


def _own_name() -> str:
    program = Path(sys.argv[0]).name if sys.argv else "python"
    return f"process {os.getpid()} ({program} on {platform.node()})"
