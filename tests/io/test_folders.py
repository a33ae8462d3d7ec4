"""A folder of results is there whole or not at all, and `--force` deletes nothing of the user's."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maskps import OutputError, OutputExistsError
from maskps.io import folders
from maskps.io.files import read_json, write_json
from maskps.io.folders import LIST_NAME, folder_written_atomically


def write(out: Path, content: str, *, force: bool = False) -> None:
    with folder_written_atomically(out, record="r.json", force=force) as folder:
        write_json(folder / "r.json", {"format": "maskps-r", "content": content})
        (folder / "part").mkdir()
        (folder / "part" / "a.txt").write_text(content)
        (folder / "link").symlink_to("part")


def content_of(out: Path) -> str:
    return str(read_json(out / "r.json", what="a record")["content"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write(tmp_path / "out", "one")
    return tmp_path / "out"


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    for error, raised in ((RuntimeError(), RuntimeError), (OSError(errno.ENOSPC, "full"), OutputError)):
        with pytest.raises(raised), folder_written_atomically(tmp_path / "out", record="r.json") as folder:
            (folder / "r.json").write_text("{}")
            raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_exchange", [True, False])
def test_force_replaces_a_folder_of_ours(
    out: Path, monkeypatch: pytest.MonkeyPatch, has_exchange: bool
) -> None:
    if not has_exchange:
        monkeypatch.setattr(folders, "_exchanged", lambda one, other: False)
    write(out, "two", force=True)
    assert content_of(out) == "two"
    assert os.listdir(out.parent) == ["out"]


def test_the_same_content_gives_the_same_list(out: Path, tmp_path: Path) -> None:
    write(tmp_path / "again", "one")
    assert (tmp_path / "again" / LIST_NAME).read_bytes() == (out / LIST_NAME).read_bytes()


@pytest.mark.parametrize(
    "name", ["thesis.tex", ".hidden", "part/mine/b.txt", "part/a.txt", "link", "r.json.bak", "pipe"]
)
def test_force_does_not_delete_a_file_that_was_added_or_changed(out: Path, name: str) -> None:
    path = out / name
    if name == "link":
        path.unlink()
        path.symlink_to(out.parent)
    elif name == "pipe":
        os.mkfifo(path)
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("years of work")
    with pytest.raises(OutputExistsError, match=rf"other files \(1\): {name}"):
        write(out, "two", force=True)
    assert os.path.lexists(path) and content_of(out) == "one"


def test_a_file_that_is_added_during_the_work_is_kept(out: Path) -> None:
    with (
        pytest.raises(OutputExistsError, match=r"late\.txt"),
        folder_written_atomically(out, record="r.json", force=True),
    ):
        (out / "late.txt").write_text("years of work")
    assert (out / "late.txt").is_file() and os.listdir(out.parent) == ["out"]


@pytest.mark.parametrize("content", [None, "{}", '{"format": "maskps-files", "version": 1, "files": []}'])
def test_force_needs_the_list(out: Path, content: str | None) -> None:
    (out / LIST_NAME).unlink()
    if content is not None:
        (out / LIST_NAME).write_text(content)
    with pytest.raises(OutputExistsError, match="move the folder away"):
        write(out, "two", force=True)
    assert content_of(out) == "one"


def test_force_follows_a_link_to_the_folder(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out")
    write(tmp_path / "link", "two", force=True)
    assert content_of(out) == "two" and (tmp_path / "link").is_symlink()


def test_two_processes_do_not_write_one_folder(out: Path) -> None:
    with folder_written_atomically(out, record="r.json", force=True) as folder:
        with pytest.raises(OutputError, match=f"(?s)^{out}\n.*process {os.getpid()} "):
            write(out, "two", force=True)
        write_json(folder / "r.json", {"format": "maskps-r", "content": "first"})
    assert content_of(out) == "first"


KILLED = """
import os, signal, sys
from pathlib import Path
from maskps.io import folders
from maskps.io.files import write_json

moment, out = sys.argv[1], Path(sys.argv[2])
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "between the renames":
    folders._exchanged = lambda one, other: False
    replace = Path.replace
    Path.replace = lambda self, to: (replace(self, to), self == out and kill())
elif moment == "after the exchange":
    put = folders._put
    folders._put = lambda *paths: (put(*paths), kill())
with folders.folder_written_atomically(out, record="r.json", force=True) as folder:
    write_json(folder / "r.json", {"format": "maskps-r", "content": "two"})
    if moment == "during the work":
        kill()
"""


@pytest.mark.parametrize("moment", ["during the work", "between the renames", "after the exchange"])
def test_after_a_kill_the_next_process_finds_a_whole_folder_and_tidies_up(out: Path, moment: str) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, moment, str(out)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert out.exists() == (moment != "between the renames")
    with pytest.raises(OutputExistsError, match="an existing result"):
        write(out, "three")
    assert content_of(out) == ("two" if moment == "after the exchange" else "one")
    write(out, "three", force=True)
    assert content_of(out) == "three" and os.listdir(out.parent) == ["out"]
