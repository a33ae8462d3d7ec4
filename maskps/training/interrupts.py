"""Ctrl-C and `kill` during a run: the main process ends its step first, loader processes ignore them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPPING = {signal.SIGINT, signal.SIGTERM}


class Interruption:
    """Context manager that notes SIGINT and SIGTERM, so that the loop can stop after its step.

    A second signal stops at once (KeyboardInterrupt). Outside the main thread, where Python permits no signal
    handlers, nothing is noted.

    Attributes:
        requested: whether the run shall stop.
    """

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            # None: it was installed outside Python and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Start loader processes within this: they are born with the signals blocked.

    A signal to the whole process group could otherwise reach one before it has called `ignore_signals`, under
    a handler that it inherited and that only makes a note.
    """
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def ignore_signals(worker: int) -> None:
    """Takes a loader process out of the process group; torch calls it first in each of them.

    Ctrl-C and `kill` of the group then do not reach it, so it still loads the images of the step that the
    main process is finishing. The main process ends its loaders, and they end themselves if it has died.
    """
    os.setpgrp()
    while signal.sigtimedwait(_STOPPING, 0) is not None:
        pass  # sent to the group before this process left it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
