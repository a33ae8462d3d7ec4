"""The store in one SQLite file: what it finds, keeps, forgets and refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from gallery_records import DIM, NETWORK, add_photos, literal, matches, persons, refused, source

from maskps.errors import ConfigError, InputFileError, MaskpsError, OutputError
from maskps.gallery import Persons, Where, open_store, sqlite_store
from maskps.gallery.sqlite_store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "gallery.sqlite", NETWORK)
    yield made
    made.close()


@pytest.fixture
def cameras(store: SqliteStore) -> SqliteStore:
    add_photos(store)
    return store


@pytest.mark.parametrize("block", [7, 16, 1000])
def test_the_order_is_that_of_a_literal_loop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(sqlite_store, "BLOCK", block)
    batch = persons(60)
    batch.vectors[5:60:6] = batch.vectors[3]  # ten persons that look the same, in all blocks
    for start in range(0, 60, 12):
        part = [getattr(batch, field.name)[start : start + 12] for field in dataclasses.fields(batch)]
        store.add(source(f"{start}.jpg"), Persons(*part))
    queries = np.concatenate([batch.vectors[[3, 8]], persons(3, seed=1).vectors])
    rows = list(enumerate(batch.vectors, 1))
    for k in (1, 5, 30, 60, 100):
        ids, similarities = store.search(queries, k, Where())
        assert ids.tolist() == [literal(query, rows, k) for query in queries]
        assert ids.shape == similarities.shape == (5, min(k, 60))
        assert (np.diff(similarities) <= 0).all()
    assert similarities.dtype == np.float32 and similarities[0, 0] == pytest.approx(1)


def test_rounding_in_float32_does_not_change_the_order(store: SqliteStore) -> None:
    # Similarities so close that a sum in float32, whose error depends on the place, would exchange them.
    batch = persons(1)
    random = np.random.default_rng(1)
    vectors = (batch.vectors + random.normal(scale=2e-7, size=(500, DIM))).astype(np.float32)
    zeros = np.zeros(500)
    store.add(
        source("a.jpg"),
        Persons(np.zeros((500, 4), np.float32), zeros.astype(np.float32), vectors, zeros),
    )
    query = persons(1, seed=1).vectors
    rows = list(enumerate(vectors, 1))
    for k in (1, 7, 50, 200):
        assert store.search(query, k, Where())[0].tolist() == [literal(query[0], rows, k)]


def test_a_source_and_its_persons_are_written_together_or_not_at_all(store: SqliteStore) -> None:
    kept = store.add(source("a.jpg"), persons(2))
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON person WHEN NEW.x0 < 0 BEGIN SELECT RAISE(ABORT, 'x'); END"
        )
        db.commit()
    bad = persons(3, seed=1)
    bad.boxes[2, 0] = -1
    for one in (source("b.jpg"), source("a.jpg"), dataclasses.replace(kept, read_until=9.0)):
        with pytest.raises(MaskpsError):
            store.add(one, bad)
        assert store.sources() == [kept] and store.ids(Where()).tolist() == [1, 2]


def test_what_another_process_changes_is_seen_at_the_next_call(cameras: SqliteStore) -> None:
    query = persons(1, seed=99).vectors
    other = SqliteStore(cameras.path, NETWORK)
    assert len(cameras.search(query, 100, Where())[0][0]) == 60
    photo = other.add(source("new.jpg"), persons(4, seed=20))
    assert cameras.search(persons(4, seed=20).vectors, 1, Where())[0].ravel().tolist() == [61, 62, 63, 64]
    other.add(dataclasses.replace(photo, camera="roof", started_at=5.0), Persons.none(DIM))
    assert cameras.ids(Where(cameras=("roof",), end=6.0)).tolist() == [61, 62, 63, 64]
    other.forget([62])
    assert cameras.ids(Where(sources=(13,))).tolist() == [61, 63, 64]
    cameras.forget(Where(sources=(1,)))
    assert other.count() == len(other.ids(Where())) == 58
    other.close()


def left_in_files(store: SqliteStore, vectors: np.ndarray) -> int:
    """How many of the vectors are in a file of the store, by their first four numbers."""
    content = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    return sum(vector.astype("<f4").tobytes()[:16] in content for vector in vectors)


@pytest.mark.parametrize(
    ("where", "sources_left"),
    [
        (Where(sources=(2, 3)), 10),
        (Where(sources=()), 12),
        (Where(end=1030.0), 12),
        (Where(cameras=("gate",)), 12),
        (Where(), 0),
        ([1, 17, 60, 61], 12),
        ([], 12),
    ],
)
def test_what_is_forgotten_is_in_no_file(
    cameras: SqliteStore, where: Where | list[int], sources_left: int
) -> None:
    everybody = cameras.rows(range(1, 61))
    is_gone = [matches(row, where) if isinstance(where, Where) else row.id in where for row in everybody]
    vectors = cameras.vectors(range(1, 61))
    assert left_in_files(cameras, vectors) == 60
    assert cameras.forget(where) == sum(is_gone)
    assert left_in_files(cameras, vectors[is_gone]) == 0
    assert left_in_files(cameras, vectors[~np.array(is_gone)]) == 60 - sum(is_gone)
    kept = [row.id for row, gone in zip(everybody, is_gone, strict=True) if not gone]
    found = cameras.search(vectors[:1], 60, Where())[0][0]
    assert sorted(found.tolist()) == cameras.ids(Where()).tolist() == kept
    assert len(cameras.sources()) == sources_left and cameras.count() == len(kept)
    cameras.add(source("later.jpg"), persons(1, seed=50))
    assert cameras.ids(Where()).tolist() == [*kept, 61]  # the number of nobody before


def test_nothing_is_left_after_many_changes(store: SqliteStore) -> None:
    # Deleting one row moves its neighbours between pages, and their old places are not overwritten.
    random = np.random.default_rng(0)
    added: dict[int, np.ndarray] = {}
    for turn in range(8):
        for photo in range(4):
            batch = persons(int(random.integers(100, 200)), seed=100 * turn + photo)
            store.add(source(f"{photo}.jpg" if turn % 2 else f"{turn}-{photo}.jpg"), batch)
            added |= dict(zip(store.ids(Where())[-len(batch) :].tolist(), batch.vectors, strict=True))
        store.forget(random.choice(store.ids(Where()), store.count() // 3, replace=False))
    gone = set(added) - set(store.ids(Where()).tolist())
    assert left_in_files(store, np.array([added[one] for one in sorted(gone)])) == 0


def test_forgetting_says_so_while_a_reader_keeps_the_old_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.1)
    store = SqliteStore(tmp_path / "gallery.sqlite", NETWORK)
    store.add(source("a.jpg"), persons(9))
    vectors = store.vectors([1, 2])
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM person").fetchone()
        with pytest.raises(OutputError, match="2 persons are removed, but another process"):
            store.forget([1, 2])
    assert store.count() == 7 and left_in_files(store, vectors) == 2
    assert store.forget([1, 2]) == 0
    assert left_in_files(store, vectors) == 0
    store.close()


def test_only_the_owner_may_read_the_files(cameras: SqliteStore) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in cameras.path.parent.iterdir()}
    assert modes == {f"gallery.sqlite{end}": 0o600 for end in ("", "-wal", "-shm")}
    cameras.close()
    assert [path.name for path in cameras.path.parent.iterdir()] == ["gallery.sqlite"]


def test_a_reopened_gallery_is_the_same_and_keeps_to_its_settings(cameras: SqliteStore) -> None:
    rows, query = cameras.rows(range(1, 61)), persons(1, seed=9).vectors
    found = cameras.search(query, 60, Where())
    cameras.close()
    for network in (None, dataclasses.replace(NETWORK, recipe="", terms="")):
        again = open_store(str(cameras.path), network)
        assert again.network == NETWORK and again.rows(range(1, 61)) == rows
        assert all(map(np.array_equal, again.search(query, 60, Where()), found))
        names = ("synchronous", "secure_delete", "page_size", "journal_mode")
        values = [again._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        assert values == [2, 1, 16384, "wal"]  # 2: full
        again.close()


def test_threads_share_a_store(cameras: SqliteStore) -> None:
    found: list[list[int]] = []
    query = cameras.vectors([7])

    def work(number: int) -> None:
        for turn in range(5):
            cameras.add(source(f"thread {number}-{turn}.jpg"), persons(1, seed=100 + 10 * number + turn))
            found.append(cameras.search(query, 1, Where())[0].ravel().tolist())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[7]] * 20 and cameras.count() == 80


def test_killed_writers_lose_nothing_acknowledged(
    benchmark_script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    there = benchmark_script("crash_gallery").kill_writers(tmp_path / "gallery.sqlite", kills=3, seed=1)
    assert there == sorted(there)


def test_two_processes_make_and_fill_one_gallery_at_once(
    benchmark_script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    script, path = benchmark_script("crash_gallery"), tmp_path / "gallery.sqlite"
    children = [script.start_writer(path, name, 30) for name in ("one", "two", "two")]
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0, 0]
    store = SqliteStore(path, script.NETWORK)
    expected = sorted(f"/{name}/{image}" for name in ("one", "two") for image in range(30))
    assert sorted(one.path for one in store.sources()) == expected
    assert store.count() == script.PERSONS * 60
    store.close()


def test_a_new_file_that_another_process_is_just_writing_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.2, other.rollback)
    ending.start()
    SqliteStore(path, NETWORK).close()
    ending.join()
    other.close()


def test_a_gallery_that_another_process_makes_between_two_looks_at_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.sqlite"
    path.touch()
    connect = sqlite3.connect

    class Late(sqlite3.Connection):
        looks = 0

        def execute(self, *statement: object) -> sqlite3.Cursor:
            Late.looks += 1
            if Late.looks == 2:
                monkeypatch.setattr(sqlite3, "connect", connect)
                SqliteStore(path, NETWORK).close()
            return super().execute(*statement)

    monkeypatch.setattr(
        sqlite3, "connect", lambda *place, **options: connect(*place, factory=Late, **options)
    )
    with contextlib.closing(SqliteStore(path, NETWORK)) as store:
        assert store.count() == 0


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"not a database, but long enough to have a head of 100 bytes" * 9, "another kind of file"),
        ("folder", "a folder"),
        ("pipe", "not a regular file"),
        ("CREATE TABLE photos (id)", "a SQLite file of another program"),
        ("PRAGMA user_version = 1", "an empty file"),
        (f"PRAGMA application_id = {0x6D6B7073}; PRAGMA user_version = 2", "format 2"),
    ],
)
def test_what_is_not_a_gallery_is_refused_and_left_alone(
    tmp_path: Path, content: bytes | str | None, found: str
) -> None:
    path = tmp_path / "gallery.sqlite"
    if content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    elif isinstance(content, str):
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(content)
    elif content is not None:
        path.write_bytes(content)
    before = path.read_bytes() if path.is_file() else None
    refused(InputFileError, found, lambda: open_store(path))
    if found not in ("no such file", "an empty file"):
        refused(InputFileError, found, lambda: open_store(path, NETWORK))
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [one.name for one in tmp_path.iterdir()] == ([path.name] if content is not None else [])


def test_a_damaged_gallery_is_named(cameras: SqliteStore) -> None:
    cameras.close()
    with cameras.path.open("r+b") as file:
        file.seek(16384)
        file.write(b"\xff" * 16384 * 3)
    refused(InputFileError, "malformed", lambda: open_store(cameras.path).count())
    with contextlib.closing(sqlite3.connect(cameras.path.with_name("other"))) as db:
        db.executescript(f"PRAGMA application_id = {0x6D6B7073}; PRAGMA user_version = 1")
    refused(InputFileError, "no such table", lambda: open_store(cameras.path.with_name("other")))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta",
        "UPDATE meta SET value = '{' WHERE key = 'network'",
        "UPDATE meta SET value = '[1]' WHERE key = 'network'",
        "UPDATE meta SET value = 7 WHERE key = 'network'",
        "UPDATE source SET path = 7 WHERE id = 1",
        "UPDATE person SET vector = x'0102'",
        "UPDATE person SET vector = 7 WHERE id = 9",
        "UPDATE person SET score = 'high'",
    ],
)
def test_values_of_another_kind_are_damage(cameras: SqliteStore, damage: str) -> None:
    cameras.close()
    with contextlib.closing(sqlite3.connect(cameras.path)) as db:
        db.execute(damage)
        db.commit()

    def read() -> None:
        with contextlib.closing(SqliteStore(cameras.path)) as store:
            store.sources()
            store.rows([9])
            store.vectors([9])
            store.search(persons(1).vectors, 3, Where())

    with pytest.raises(InputFileError) as caught:
        read()
    assert caught.value.expected == "an undamaged gallery" and caught.value.where == str(cameras.path)


def test_the_first_add_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "gallery.sqlite"
    store, other = SqliteStore(path, NETWORK), SqliteStore(path, NETWORK)
    assert store.count() == 0 and store.sources() == [] and store.forget(Where()) == 0
    assert store.search(persons(1).vectors, 3, Where())[0].shape == (1, 0)
    store.close()
    assert not path.parent.exists()
    store = SqliteStore(path, NETWORK)
    store.add(source("a.jpg"), persons(2))
    assert other.count() == 2  # it sees what another made since
    other.add(source("b.jpg"), persons(1, seed=1))
    assert store.ids(Where()).tolist() == [1, 2, 3]
    third = SqliteStore(path.with_name("third"), NETWORK)
    SqliteStore(path.with_name("third"), dataclasses.replace(NETWORK, weights="cd" * 32)).add(
        source("a.jpg"), persons(1)
    )
    refused(ConfigError, "weights", lambda: third.add(source("b.jpg"), persons(1)))
    for one in (store, other, third):
        one.close()


@pytest.mark.parametrize("name", [":memory:", "file:a?mode=memory"])
def test_a_name_that_means_something_to_sqlite_is_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = SqliteStore(Path(name), NETWORK)
    made.add(source("a.jpg"), persons(2))
    made.add(source("b.jpg"), persons(2))
    made.close()
    again = SqliteStore(Path(name))
    assert (tmp_path / name).is_file() and again.count() == 4
    again.close()


def test_an_empty_file_becomes_a_gallery(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    path.touch()
    store = open_store(path, NETWORK)
    assert store.network == NETWORK and store.count() == 0 and store.sources() == []
    ids, similarities = store.search(persons(2).vectors, 3, Where())
    assert ids.shape == similarities.shape == (2, 0)
    store.close()


def test_another_network_is_refused(cameras: SqliteStore) -> None:
    other = dataclasses.replace(NETWORK, weights="cd" * 32)
    refused(ConfigError, f"weights {'cd' * 32}", lambda: open_store(cameras.path, other))


def test_a_locked_gallery_is_waited_for_and_then_named(
    cameras: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 0.1)
    store = open_store(cameras.path)
    with contextlib.closing(
        sqlite3.connect(cameras.path, isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(OutputError, "locked", lambda: store.add(source("a.jpg"), persons(1)))
        refused(OutputError, "locked", lambda: store.forget([1]))
        assert store.count() == 60  # reading does not wait
        monkeypatch.setattr(sqlite_store, "BUSY_SECONDS", 10.0)
        patient = open_store(cameras.path)
        release = threading.Timer(0.3, other.rollback)
        release.start()
        patient.add(source("a.jpg"), persons(1))
        release.join()
    assert store.count() == 61
    store.close()
    patient.close()


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """The superuser may write everywhere: be somebody else meanwhile."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path: nobody else may enter that
        path = Path(name) / "gallery.sqlite"
        store = SqliteStore(path, NETWORK)
        store.add(source("a.jpg"), persons(1))
        store.close()
        path.chmod(0o666)
        Path(name).chmod(0o555)
        with without_privileges():
            new = open_store(Path(name) / "new.sqlite", NETWORK)
            refused(OutputError, "Permission denied", lambda: new.add(source("a.jpg"), persons(1)))
            refused(OutputError, "readonly", lambda: open_store(path))
        path.chmod(0o444)
        with without_privileges():
            refused(OutputError, "Permission denied", lambda: open_store(path))
        Path(name).chmod(0o755)
    refused(OutputError, "is a file", lambda: open_store(Path(__file__) / "gallery.sqlite", NETWORK))


@pytest.mark.parametrize(
    ("is_replaced", "found"), [(False, "the file is gone"), (True, "another file in its")]
)
def test_a_gallery_that_is_removed_or_replaced_meanwhile_is_named(
    cameras: SqliteStore, tmp_path: Path, is_replaced: bool, found: str
) -> None:
    # What was read before, or is added from now on, would be in no file that anybody can open.
    query = persons(1).vectors
    cameras.search(query, 1, Where())
    cameras.path.unlink()
    if is_replaced:
        with contextlib.closing(SqliteStore(tmp_path / "other.sqlite", NETWORK)) as other:
            add_photos(other)
        (tmp_path / "other.sqlite").rename(cameras.path)
    for call in (
        lambda: cameras.search(query, 1, Where()),
        lambda: cameras.add(source("new.jpg"), persons(1)),
        cameras.sources,
        lambda: cameras.forget(Where()),
    ):
        with pytest.raises(OutputError, match=found):
            call()
