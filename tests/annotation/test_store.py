"""The store keeps every version, and its log never names what is not there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from folder_contents import contents_of

from maskps.errors import InputFileError, OutputError, OutputExistsError
from maskps_annotation.store import Store


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_version_is_found_under_the_checksum_of_its_bytes(store: Store, tmp_path: Path) -> None:
    sha256 = store.add(written(tmp_path / "a.json", "one"), "ann", "a.json")
    assert sha256 == hashlib.sha256(b"one").hexdigest()
    assert store.path(sha256).read_bytes() == b"one"


def test_versions_are_listed_as_they_came_also_one_that_came_back(store: Store, tmp_path: Path) -> None:
    for text in ("one", "two", "one"):
        store.add(written(tmp_path / "a.json", text), "ann", "a.json")
    again = Store(store.folder)
    assert again.versions("ann", "a.json") == store.versions("ann", "a.json")
    assert [store.path(one.sha256).read_text() for one in again.versions("ann", "a.json")] == [
        "one",
        "two",
        "one",
    ]
    assert again.versions("ann", "a.json")[0].modified == "2001-09-09T01:46:40+00:00"


def test_adding_the_same_twice_writes_nothing(store: Store, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", "one")
    store.add(path, "ann", "a.json")
    before = contents_of(store.folder)
    store.add(path, "ann", "a.json")
    Store(store.folder).add(path, "ann", "a.json")
    assert contents_of(store.folder) == before


def test_files_of_two_annotators_do_not_mix(store: Store, tmp_path: Path) -> None:
    store.add(written(tmp_path / "a.json", "one"), "ann", "a.json")
    store.add(written(tmp_path / "a.json", "two"), "bob", "a.json")
    assert store.files() == [("ann", "a.json"), ("bob", "a.json")]
    assert len(store.versions("ann", "a.json")) == 1
    assert store.versions("eve", "a.json") == []


def test_a_line_that_was_cut_off_is_passed_over_and_written_again(store: Store, tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{name}.json", name) for name in "abc"]
    for path in paths[:2]:
        store.add(path, "ann", path.name)
    log = store.folder / "log.jsonl"
    whole = log.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole), 7):
        log.write_bytes(whole[:length])
        again = Store(store.folder)
        for path in paths:
            again.add(path, "ann", path.name)
        assert Store(store.folder).files() == [("ann", path.name) for path in paths]


def test_a_log_of_another_kind_is_refused(store: Store) -> None:
    written(store.folder / "log.jsonl", '{"format": "other", "version": 1}\n')
    with pytest.raises(InputFileError, match="log of a store"):
        Store(store.folder)
    written(store.folder / "log.jsonl", '{"format": "maskps-store", "version": 1}\n{"annotator": "a"}\n')
    with pytest.raises(InputFileError, match="lines that 'annotate collect' wrote"):
        Store(store.folder)


def test_any_version_is_restored_and_nothing_is_replaced_unasked(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    first, second = (store.add(written(path, text), "ann", "a.json") for text in ("one", "two"))
    store.restore(second, path)  # as it is
    with pytest.raises(OutputExistsError):
        store.restore(first, path)
    assert path.read_text() == "two"
    store.restore(first, path, force=True)
    assert path.read_text() == "one"
    store.restore(second, tmp_path / "new" / "b.json")
    assert (tmp_path / "new" / "b.json").read_text() == "two"


def test_a_damaged_version_is_not_restored(store: Store, tmp_path: Path) -> None:
    sha256 = store.add(written(tmp_path / "a.json", "one"), "ann", "a.json")
    store.path(sha256).write_text("eno")
    with pytest.raises(InputFileError, match="other bytes"):
        store.restore(sha256, tmp_path / "b.json")
    with pytest.raises(InputFileError, match="a stored version"):
        store.restore("0" * 64, tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


def test_a_version_is_found_by_its_first_letters(store: Store, tmp_path: Path) -> None:
    sha256 = store.add(written(tmp_path / "a.json", "one"), "ann", "a.json")
    assert store.find(sha256[:6]) == sha256
    for prefix in ("", "x"):
        with pytest.raises(InputFileError, match="which 0 of 1"):
            store.find(prefix)


def test_what_a_restored_version_replaces_is_stored_before(store: Store, tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", "one")
    first = store.add(path, "ann", "a.json")
    path.write_text("two")
    assert store.bring_back(first[:8], path, annotator="ann", name="a.json", force=True) == first
    assert path.read_text() == "one"
    assert store.path(store.versions("ann", "a.json")[-1].sha256).read_text() == "two"


def test_two_processes_do_not_use_a_store_at_once(store: Store) -> None:
    with (
        store.locked(),
        pytest.raises(OutputError, match="no other process"),
        Store(store.folder).locked(),
    ):
        pass
    with Store(store.folder).locked():
        pass


def test_a_file_that_is_not_there_cannot_be_stored(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="a file to store"):
        store.add(tmp_path / "none.json", "ann", "none.json")
    assert not store.folder.exists()


def test_listing_what_was_never_stored_is_explained(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="that 'annotate collect' has filled"):
        store.listed()
    store.add(written(tmp_path / "a.json", "one"), "ann", "a.json")
    assert store.listed() == store.listed("ann/a.json") == store.versions("ann", "a.json")
    with pytest.raises(InputFileError, match="'bob/a', which has no stored version"):
        store.listed("bob/a")
