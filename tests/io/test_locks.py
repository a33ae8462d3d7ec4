"""One process at a time writes to a folder, and a dead one does not block the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maskps import OutputError
from maskps.io.files import LOCK_NAME, check_output
from maskps.io.locks import locked

HOLD = """
import os, sys, time
from pathlib import Path
from maskps.io.locks import locked
with locked(Path(sys.argv[1]), what="run"):
    if os.fork() == 0:  # a worker, which outlives the process
        print("locked", os.getpid(), flush=True)
    time.sleep(60)
"""


@contextmanager
def other_process_in(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            state, worker = process.stdout.readline().split()
            assert state == "locked"
            yield process
        finally:
            process.kill()
            os.kill(int(worker), signal.SIGKILL)


def test_a_second_process_is_refused_and_told_which_one_holds_the_lock(tmp_path: Path) -> None:
    with other_process_in(tmp_path) as process:
        found = rf"(?s)no other process.*process {process.pid} \(.*is using it"
        with pytest.raises(OutputError, match=found), locked(tmp_path, what="run"):
            pytest.fail("two processes hold the lock")


def test_the_lock_of_a_killed_process_is_free_even_if_its_worker_lives_on(tmp_path: Path) -> None:
    with other_process_in(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK_NAME).is_file()
        with locked(tmp_path, what="run"):
            pass


def test_no_lock_file_is_left_and_none_counts_as_content(tmp_path: Path) -> None:
    with locked(tmp_path / "new", what="run"):
        assert os.listdir(tmp_path / "new") == [LOCK_NAME]
        check_output(tmp_path / "new", record="r.json")
    assert os.listdir(tmp_path / "new") == []


def test_a_link_in_place_of_the_lock_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / LOCK_NAME).symlink_to("thesis.tex")
    with pytest.raises(OutputError), locked(tmp_path, what="run"):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
