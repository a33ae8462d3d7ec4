"""`kill` and system errors end a command with one message, and nothing is left behind."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from maskps.io.folders import folder_written_atomically
from maskps_cli.options import MaskpsGroup, quiet_option
from maskps_cli.stopping import GRACE


def failing(error: BaseException) -> Result:
    @click.group(cls=MaskpsGroup)
    def main() -> None:
        pass

    @main.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(main, ["fail"])


def test_what_the_system_says_is_one_message() -> None:
    result = failing(PermissionError(errno.EACCES, "Permission denied", "scenes"))
    assert result.exit_code == 1
    assert "Permission denied: 'scenes'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reader_that_stops_reading_is_no_error() -> None:
    result = failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert result.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_kill_ends_a_command_as_ctrl_c_does(number: signal.Signals, tmp_path: Path) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as under nohup: run the tests in the foreground")
    before = signal.getsignal(number)

    @click.group(cls=MaskpsGroup)
    def main() -> None:
        pass

    @main.command()
    def wait() -> None:
        with folder_written_atomically(tmp_path / "out", record="r.json") as folder:
            (folder / "half").touch()
            os.kill(os.getpid(), number)
            time.sleep(10)

    result = CliRunner().invoke(main, ["wait"])
    assert result.exit_code == 1
    assert "interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


STUCK = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import click
from maskps_cli.options import MaskpsGroup

@click.group(cls=MaskpsGroup)
def main():
    pass

signal.signal(signal.SIGINT, signal.default_int_handler)  # which nohup ignores

@main.command()
def wait():
    reading, writing = os.pipe()
    def read():
        print("reading", flush=True)
        os.read(reading, 1)  # as of a network drive that does not answer
    if sys.argv[1] == "thread":
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: read(), range(2)))
    elif sys.argv[1] == "late watch":  # the command ends before the watch has looked at the signal
        look = signal.getsignal
        signal.getsignal = lambda number: (time.sleep(0.5), look(number))[1]
        threading.Thread(target=read).start()
        time.sleep(60)
    else:
        print("reading", flush=True)
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass

main(args=["wait"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["thread", "late watch", "main"])
def test_what_does_not_return_is_stopped_within_two_seconds(number: signal.Signals, kind: str) -> None:
    assert GRACE < 2
    command = [sys.executable, "-c", STUCK, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.send_signal(number)
            assert process.wait(timeout=60) == 1  # a busy machine adds to GRACE
            assert "interrupted" in process.stderr.read()
        finally:
            process.kill()


def test_a_signal_to_a_forked_worker_does_not_stop_its_parent() -> None:
    code = """
import os, signal, time
from maskps_cli.stopping import stopped_by_signals
with stopped_by_signals():
    if (worker := os.fork()) == 0:
        time.sleep(20)
    time.sleep(0.2)
    os.kill(worker, signal.SIGTERM)
    os.waitpid(worker, 0)
    time.sleep(2)
"""
    assert (
        subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == 0
    )


def test_quiet_silences_warnings_about_the_data(caplog: pytest.LogCaptureFixture) -> None:
    @click.group(cls=MaskpsGroup)
    def main() -> None:
        pass

    @main.command()
    @quiet_option
    def warn(quiet: bool) -> None:
        logging.getLogger("maskps.datasets.cuhk_sysu.reader").warning("odd")

    for arguments, messages in ((["warn", "--quiet"], []), (["warn"], ["odd"])):
        CliRunner().invoke(main, arguments)
        assert caplog.messages == messages
