"""Ctrl-C, `kill` and a closed terminal end a command within two seconds, and it tidies up before."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 1.5
"""Seconds from a signal until the process ends, even if a thread or a read does not return."""

_MESSAGE = b"interrupted; it did not end by itself and was stopped\n"


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise KeyboardInterrupt in the block, as SIGINT does.

    If the process still runs `GRACE` seconds after one of them, because a read or a thread does not return,
    it ends with exit code 1. That does not apply while a handler of somebody else's is installed: training
    finishes its step first.
    """
    ours: dict[int, Callable[[int, FrameType | None], object]] = {signal.SIGINT: signal.default_int_handler}
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that is ignored stays ignored: nohup does that with SIGHUP.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
            ours[number] = _interrupt
    has_ended = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def watch() -> None:
        while number := os.read(reading, 1):
            # The default one is back if the block has ended before this thread came to run.
            handler = signal.getsignal(number[0])
            if handler in (ours.get(number[0]), signal.SIG_DFL) and not has_ended.wait(GRACE):
                os.write(2, _MESSAGE)
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        for one in ours.keys() - {signal.SIGINT}:
            signal.signal(one, signal.SIG_DFL)
        if not _has_other_threads():  # Python waits for them at its end: the watch goes on
            has_ended.set()


def _unwatch() -> None:
    # A signal to a worker must not reach the watch of its parent.
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_unwatch)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _has_other_threads() -> bool:
    main = threading.main_thread()
    return any(thread is not main and not thread.daemon for thread in threading.enumerate())
