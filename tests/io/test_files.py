"""Files are written whole or not at all, and nothing of the user's is replaced."""

from __future__ import annotations

import errno
import pickle
from contextlib import nullcontext
from pathlib import Path

import pytest

from maskps import InputFileError, OutputError, OutputExistsError
from maskps.io.files import (
    check_format,
    check_output,
    explained_reading,
    read_json,
    write_json,
    written_atomically,
)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), written_atomically(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_force_does_not_replace_a_folder_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputExistsError, match="did not make"):
        check_output(tmp_path, record="r.json", force=True)


@pytest.mark.parametrize("record", ["r.json", "other.json"])
def test_without_force_nothing_is_replaced(tmp_path: Path, record: str) -> None:
    write_json(tmp_path / "r.json", {"format": "maskps-r"})
    with pytest.raises(OutputExistsError):
        check_output(tmp_path, record=record)


def test_a_record_of_another_program_proves_nothing(tmp_path: Path) -> None:
    for content, message in (({"any": "json"}, "did not make"), ({"format": "maskps-r"}, "")):
        write_json(tmp_path / "r.json", content)
        with pytest.raises(OutputExistsError, match="did not make") if message else nullcontext():
            check_output(tmp_path, record="r.json", force=True)


def test_an_empty_folder_and_a_new_path_may_be_filled(tmp_path: Path) -> None:
    check_output(tmp_path, record="r.json")
    check_output(tmp_path / "new", record="r.json")


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é"})
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.json").read_bytes())
    assert read_json(tmp_path / "b.json", what="a record") == {"name": "é"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b'{"a": [1, 2', "line 1"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_bad_json_is_one_clear_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputFileError, match=f"(?s){path}.*{message}"):
        read_json(path, what="a record")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "another kind[\\s\\S]*look again"),
        ({"format": "other", "version": 1}, "another kind[\\s\\S]*look again"),
        ({"format": "ours"}, "version None[\\s\\S]*install"),
        ({"format": "ours", "version": 2}, "version 2[\\s\\S]*install"),
        ({"format": "ours", "version": "n" * 5000}, "version 'n{56}\\.{3}\\n[\\s\\S]*install"),
    ],
)
def test_a_file_of_another_kind_or_version_is_refused(header: object, message: str) -> None:
    check_format(Path("a.json"), {"format": "ours", "version": 1}, format="ours", version=1, what="a record")
    with pytest.raises(InputFileError, match=message):
        check_format(Path("a.json"), header, format="ours", version=1, what="a record", hint="look again")


def test_errors_survive_the_way_back_from_a_worker_process() -> None:
    error = InputFileError("a.mat", expected="a file", found="none", hint="look again")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is InputFileError
    assert str(again) == str(error) == "a.mat\n  expected: a file\n  found:    none\n  try:      look again"


@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_never_replaced_by_a_folder(tmp_path: Path, force: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputExistsError, match="an existing file"):
        check_output(tmp_path / "thesis.tex", record="r.json", force=force)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        check_output(tmp_path / "file" / "new" / "out", record="r.json")


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OutputError, match="may not be written"):
        check_output(tmp_path / "out", record="r.json")


def test_a_full_disk_is_explained_and_leaves_nothing(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match="free some space"), written_atomically(tmp_path / "a.txt"):
        raise full
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_json_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("{}")
    below = tmp_path / "file.json" / "more.json"
    for path, found in ((tmp_path, "a folder"), (below, "a path below a file")):
        with pytest.raises(InputFileError, match=f"found: +{found}\n.*check the path"):
            read_json(path, what="a record")


def test_what_hinders_writing_is_caught_with_the_name_that_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "result.json"
    folder.mkdir()
    with pytest.raises(OutputError) as caught:
        write_json(folder, {})
    assert str(caught.value).startswith(f"{folder}\n")
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("cause", "found", "hint"),
    [
        (FileNotFoundError(2, "No such file or directory"), "no such file", "look there"),
        (PermissionError(13, "Permission denied"), "Permission denied", "check who may read it"),
        (OSError(5, "Input/output error"), "Input/output error", "copy or make it again"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid start byte"), "at byte 1", "UTF-8"),
    ],
)
def test_a_failed_read_has_a_hint_that_fits_its_cause(cause: Exception, found: str, hint: str) -> None:
    with (
        pytest.raises(InputFileError) as caught,
        explained_reading(Path("x"), what="names", hint="look there"),
    ):
        raise cause
    assert found in caught.value.found and hint in caught.value.hint
    assert (caught.value.where, caught.value.expected) == ("x", "names")


def test_a_folder_and_a_path_below_a_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, found in ((tmp_path, "a folder"), (tmp_path / "file" / "x", "a path below a file")):
        with pytest.raises(InputFileError, match=found), explained_reading(path, what="names"):
            path.read_text()


def test_what_a_library_says_about_the_content_is_left_to_the_caller() -> None:
    with pytest.raises(OSError, match="cannot identify"), explained_reading(Path("x"), what="an image"):
        raise OSError("cannot identify image file")


@pytest.mark.parametrize("name", [".lock", ".record.json.abc.json"])
def test_what_a_kill_left_does_not_count_as_content(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    check_output(tmp_path, record="record.json")
    (tmp_path / ".notes").touch()
    with pytest.raises(OutputExistsError, match="other content"):
        check_output(tmp_path, record="record.json", force=True)


TEXT = '{"label": "\u80cc\u5305", "flags": {}}'


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode("utf-16"), "UTF-16"),
        (TEXT.encode("utf-16-le"), "UTF-16"),
        (TEXT.encode("utf-16-be"), "UTF-16"),
        ('{"label": "p1"}'.encode("utf-16-le"), "UTF-16"),
        (TEXT.encode("utf-32"), "UTF-32"),
        (TEXT.encode("gb18030"), "perhaps GB18030"),
        ('{"label": "sac \u00e0 dos"}'.encode("cp1252"), "perhaps Windows-1252"),
    ],
)
def test_text_of_another_encoding_is_named_with_the_way_that_loses_nothing(
    tmp_path: Path, content: bytes, encoding: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputFileError) as caught:
        read_json(tmp_path / "a.json", what="a file")
    assert caught.value.found.endswith(f", but {encoding}")
    assert "save it as UTF-8" in caught.value.hint


@pytest.mark.parametrize("content", [bytes(100), b"\xff\xfe\x00", b"PK\x03\x04\xff\x00"])
def test_bytes_that_are_no_text_have_no_encoding(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputFileError, match="not UTF-8 text") as caught:
        read_json(tmp_path / "a.json", what="a file")
    assert ", but" not in caught.value.found
