"""`maskps serve`: the address it prints works, and Ctrl-C ends it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest
from command_line import invoke

from maskps_cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def people(network: Path, few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of one photo."""
    place = tmp_path_factory.mktemp("people") / "people.gallery"
    result = run("gallery", "add", place, next(few_scenes.rglob("*.jpg")), "--run", network)
    assert result.exit_code == 0, result.output
    return place


def test_the_printed_address_works_until_ctrl_c(people: Path, network: Path) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("SIGINT is ignored here, as under nohup: run the tests in the foreground")
    command = [sys.executable, "-m", "maskps_cli.main", "serve", people, "--run", network]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        address = next(line for line in process.stdout if line.startswith("http"))
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]{43})\n", address)
        assert found
        connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=5)
        connection.request("GET", "/api/info", headers={"X-Maskps-Token": found[2]})
        answer = connection.getresponse()
        assert answer.status == 200 and b'"sources":1' in answer.read()
        process.send_signal(signal.SIGINT)  # the connection is still open
        assert process.wait(timeout=5) == 0
        assert process.stderr.read() == "Ctrl-C ends it.\nstopped\n"
        connection.close()


def test_a_port_that_is_taken_is_said(people: Path, network: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", people, "--run", network, "--port", taken.getsockname()[1])
    assert result.exit_code == 1 and "leave out --port" in result.stderr


def test_no_other_host_can_be_chosen(people: Path, network: Path) -> None:
    assert run("serve", people, "--run", network, "--host", "0.0.0.0").exit_code == 2


def test_a_gallery_that_is_not_there_is_not_made(tmp_path: Path, network: Path) -> None:
    result = run("serve", tmp_path / "none.gallery", "--run", network)
    assert result.exit_code == 1 and "no such file" in result.stderr and not list(tmp_path.iterdir())


def test_the_extra_is_named_if_it_is_missing(
    people: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "maskps.serve.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = run("serve", people, "--run", network)
    assert result.exit_code == 1 and "pip install 'maskps[serve]'" in result.stderr
