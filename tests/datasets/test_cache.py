"""The cache of parsed annotation: when it answers, and that nothing about it can do harm."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets import cache
from maskps.datasets.cache import Columns, cache_dir, cached
from maskps.errors import InputFileError


@dataclass
class Reader:
    """Reads the numbers in a file, and counts how often."""

    path: Path
    key: str = "numbers"
    during: Callable[[], object] | None = None
    reads: list[Path] = field(default_factory=list)

    def read(self) -> list[int]:
        self.reads.append(self.path)
        try:
            values = list(self.path.read_bytes())
        except FileNotFoundError as error:
            raise InputFileError(self.path, found="no such file", hint="-") from error
        if self.during is not None:
            self.during()
        return values

    def open(self, path: Path | None = None) -> list[int]:
        self.path = path or self.path
        return cached(self.key, [self.path], self.read, pack=pack, unpack=unpack)


def pack(values: list[int]) -> Columns:
    return {"values": np.array(values, np.int64), "text": np.array("ünïcode")}


def unpack(columns: Columns) -> list[int]:
    assert str(columns["text"]) == "ünïcode"
    values: list[int] = columns["values"].tolist()
    return values


@pytest.fixture
def reader(tmp_path: Path, cache_folder: Path) -> Reader:
    (tmp_path / "source").write_bytes(bytes(range(100)))
    return Reader(tmp_path / "source")


def rewrite(path: Path, content: bytes) -> None:
    """Changes the content, but neither size nor time of modification, in a later tick of the file system."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_read_once_is_not_read_again(reader: Reader) -> None:
    assert reader.open() == reader.open() == list(range(100))
    assert len(reader.reads) == 1


def test_a_changed_file_of_the_same_size_and_time_is_read_again(reader: Reader) -> None:
    reader.open()
    rewrite(reader.path, bytes(100))
    assert reader.open() == [0] * 100


def test_a_file_put_in_place_of_another_is_read_again(reader: Reader) -> None:
    reader.open()
    other = reader.path.with_name("other")
    other.write_bytes(bytes(100))
    before = reader.path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(reader.path)
    assert reader.open() == [0] * 100


def test_a_changed_file_replaces_what_was_kept_of_it(reader: Reader, cache_folder: Path) -> None:
    reader.open()
    first = only_file(cache_folder)
    reader.path.write_bytes(b"a")
    reader.open()
    assert only_file(cache_folder) == first
    assert reader.open() == [97]
    assert len(reader.reads) == 2


def test_a_file_changed_while_it_is_read_is_not_kept(reader: Reader, cache_folder: Path) -> None:
    reader.during = lambda: rewrite(reader.path, bytes(100))
    assert reader.open() == list(range(100))
    assert not cache_folder.exists()


def test_a_file_changed_just_now_is_not_kept(
    reader: Reader, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could change again within the same tick of the file system's clock, and look the same."""
    monkeypatch.setattr(cache, "_SETTLED", 3600.0)
    reader.open()
    assert not cache_folder.exists()


def test_another_reader_of_the_same_file_has_its_own(reader: Reader) -> None:
    reader.open()
    other = Reader(reader.path, key="other")
    other.open()
    assert len(other.reads) == 1
    assert reader.open() == list(range(100))
    assert len(reader.reads) == 1


def test_the_same_file_is_known_by_other_paths(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.open()
    parent = reader.path.parent
    (parent / "sub").mkdir()
    (parent / "sub" / "link").symlink_to(parent, target_is_directory=True)
    monkeypatch.chdir(parent)
    for path in (Path("source"), parent / "sub" / ".." / "source", parent / "sub" / "link" / "source"):
        reader.open(path)
    assert len(reader.reads) == 1


def test_other_code_reads_anew(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.open()
    monkeypatch.setattr(cache, "_code_state", lambda: "changed")
    reader.open()
    assert len(reader.reads) == 2


def test_errors_are_raised_each_time(reader: Reader, cache_folder: Path) -> None:
    reader.path.unlink()
    for _ in range(2):
        with pytest.raises(InputFileError, match="no such file"):
            reader.open()
    assert not cache_folder.exists()


def test_a_damaged_cache_file_never_gives_another_value(reader: Reader, cache_folder: Path) -> None:
    reader.open()
    path = only_file(cache_folder)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert reader.open() == list(range(100))
    for size in range(0, len(content), 101):
        path.write_bytes(content[:size])
        assert reader.open() == list(range(100))


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000)])
def test_a_foreign_file_in_the_cache_is_replaced(reader: Reader, cache_folder: Path, content: bytes) -> None:
    reader.open()
    only_file(cache_folder).write_bytes(content)
    reader.open()
    reader.open()
    assert len(reader.reads) == 2


def test_a_cache_of_other_columns_is_replaced(reader: Reader) -> None:
    cached("numbers", [reader.path], reader.read, pack=lambda _: {"old": np.zeros(1)}, unpack=unpack)
    assert reader.open() == reader.open() == list(range(100))
    assert len(reader.reads) == 2


def test_nothing_is_unpickled(reader: Reader) -> None:
    def pack_object(_: object) -> Columns:
        return {"values": np.array([[1], [1, 2]], dtype=object), "text": np.array("ünïcode")}

    for _ in range(2):
        value = cached("numbers", [reader.path], reader.read, pack=pack_object, unpack=unpack)
        assert value == list(range(100))
    assert len(reader.reads) == 2


def test_a_cache_that_cannot_be_written_is_no_error(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file" / "cache"))
    assert reader.open() == reader.open() == list(range(100))


def test_a_full_disk_is_no_error_and_nothing_is_left_on_it(
    reader: Reader, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(stream: object, **columns: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.np, "savez", full)
    assert reader.open() == list(range(100))
    assert not list(cache_folder.iterdir())


def test_two_that_open_at_once_both_get_the_value(reader: Reader, cache_folder: Path) -> None:
    barrier = threading.Barrier(2, timeout=20)
    readers = [Reader(reader.path, during=barrier.wait) for _ in range(2)]
    values: list[list[int]] = []
    threads = [threading.Thread(target=lambda one=one: values.append(one.open())) for one in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [list(range(100))] * 2
    assert only_file(cache_folder).is_file()
    assert reader.open() == list(range(100))
    assert not reader.reads


def test_an_update_of_any_module_that_reads_counts() -> None:
    package = Path(cache.__file__).parents[1]
    code = (
        "import sys, maskps.datasets; print(*(getattr(one, '__file__', '') for one in sys.modules.values()))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    ours = {Path(file) for file in loaded if file.startswith(str(package))}
    assert len(ours) > 40 and ours <= set(cache._code_files())


def test_the_cache_folder_is_the_variable_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, "/some/where")
    assert cache_dir() == Path("/some/where")
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/maskps")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert cache_dir() == Path("/home/ann/.cache/maskps")


def test_without_a_home_nothing_is_kept(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", homeless)
    assert cache_dir() is None
    assert reader.open() == list(range(100))
