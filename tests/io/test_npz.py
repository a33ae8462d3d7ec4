"""Reading .npz files: the arrays, or one kind of error."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskps.errors import InputFileError
from maskps.io.npz import read_npz


def content(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


WHOLE = content(a=np.arange(50), b=np.array(["x", "yz"]), c=np.array("text"))


def read(path: Path, *names: str) -> dict[str, np.ndarray]:
    return read_npz(path, names or None, what="numbers", hint="make it again")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.npz").write_bytes(WHOLE)
    return tmp_path / "a.npz"


def test_all_arrays_come_back(file: Path) -> None:
    arrays = read(file)
    assert arrays["a"].tolist() == list(range(50))
    assert (arrays["b"].tolist(), str(arrays["c"])) == (["x", "yz"], "text")


def test_only_those_wanted_and_present_are_read(file: Path) -> None:
    assert list(read(file, "b", "z")) == ["b"]


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file") as caught:
        read(tmp_path / "none.npz")
    assert caught.value.hint == "check the path"
    with pytest.raises(InputFileError, match="a folder"):
        read(tmp_path)


@pytest.mark.parametrize("found", [b"", b"hello", b"PK\x03\x04", WHOLE[:100]])
def test_another_file_is_refused(file: Path, found: bytes) -> None:
    file.write_bytes(found)
    with pytest.raises(InputFileError, match="make it again"):
        read(file)


def test_the_message_of_a_damaged_file_is_short(file: Path) -> None:
    """zipfile quotes the name that it finds: here all 60,000 bytes that follow."""
    damaged = bytearray(content(a=np.zeros(20_000)))
    damaged[26:28] = (60_000).to_bytes(2, "little")  # the length of the first member's name
    file.write_bytes(damaged)
    with pytest.raises(InputFileError) as caught:
        read(file)
    assert len(caught.value.found) < 300


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("letter", "is_one"),
    [(0x10FFFF, True), (0x110000, False), (0xD7FF, True), (0xD800, False), (0xDFFF, False)],
)
def test_texts_of_characters_that_do_not_exist_are_refused(
    file: Path, letter: int, is_one: bool, order: str
) -> None:
    names = np.array([97, letter], f"{order}u4").view(f"{order}U1")
    file.write_bytes(content(names=names))
    if is_one:
        assert read(file)["names"].tolist() == ["a", chr(letter)]
    else:
        with pytest.raises(InputFileError, match="'names' has characters that do not exist"):
            read(file)


def test_a_single_array_is_refused(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.arange(3))
    with pytest.raises(InputFileError):
        read(file)


def test_nothing_is_unpickled(file: Path) -> None:
    file.write_bytes(content(a=np.array([[1], [1, 2]], dtype=object)))
    with pytest.raises(InputFileError):
        read(file)


def test_a_member_that_is_no_array_is_refused(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("d.npy", b"hello")
    with pytest.raises(InputFileError, match="'d' is not an array"):
        read(file)


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, len(WHOLE) - 1), value=st.binary(min_size=1, max_size=8))
def test_damage_gives_arrays_or_the_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(WHOLE[:place] + value + WHOLE[place + len(value) :])
    with suppress(InputFileError):
        assert all(isinstance(array, np.ndarray) for array in read(path).values())
