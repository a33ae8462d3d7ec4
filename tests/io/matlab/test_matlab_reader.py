"""Opening MATLAB files: what is read, and what is said about a file that cannot be."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from maskps.errors import InputFileError, MaskpsError
from maskps.io.matlab import cell_matrix, char_matrix, number_matrix, open_mat, struct_matrix, write_mat
from maskps.io.matlab.reader import MatVariable


def place(index: int) -> str:
    return f"entry {index}"


def people(count: int) -> bytes:
    return struct_matrix(
        ("name", "box"),
        [char_matrix(f"p{i}") + number_matrix((i, 2, 3, 4)) for i in range(count)],
        name="people",
    )


def names_of(variable: MatVariable) -> list[str]:
    column = variable.column("name")
    return [
        name for chunk in variable.chunks() for name in chunk.matrices.texts(chunk.rows[:, column], place)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_mat(tmp_path / "people.mat", [people(5)])
    return tmp_path / "people.mat"


def test_the_head_of_a_struct_array_is_read(file: Path) -> None:
    variable = open_mat(file, "people")
    assert (variable.name, variable.fields, variable.count) == ("people", ("name", "box"), 5)


def test_without_a_key_the_first_variable_is_opened(file: Path) -> None:
    assert open_mat(file).name == "people"


def test_all_elements_arrive_in_order(file: Path) -> None:
    assert names_of(open_mat(file)) == ["p0", "p1", "p2", "p3", "p4"]


def test_elements_that_fill_several_chunks_arrive_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskps.io.matlab.reader._CHUNK", 1000)
    write_mat(tmp_path / "people.mat", [people(200)])
    variable = open_mat(tmp_path / "people.mat")
    assert [chunk.first for chunk in variable.chunks()][1] > 0
    assert names_of(variable) == [f"p{i}" for i in range(200)]


def test_an_uncompressed_file_is_read_like_a_compressed_one(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:128] + zlib.decompress(data[136:]))
    assert names_of(open_mat(file, "people")) == ["p0", "p1", "p2", "p3", "p4"]


@pytest.mark.parametrize("do_compression", [False, True])
def test_a_file_of_scipy_is_read(tmp_path: Path, do_compression: bool) -> None:
    people = np.zeros((1, 2), dtype=[("name", object), ("box", object)])
    people[0, 0] = "Ann", np.array([[1, 2, 3, 300]], dtype=np.uint16)
    people[0, 1] = "Bartholomew", np.array([[1.5, 2, 3, 4]])
    savemat(tmp_path / "scipy.mat", {"other": 1, "people": people}, do_compression=do_compression)
    variable = open_mat(tmp_path / "scipy.mat", "people")
    (chunk,) = variable.chunks()
    assert names_of(variable) == ["Ann", "Bartholomew"]
    boxes = chunk.matrices.numbers(chunk.rows[:, 1], 4, place)
    assert boxes.tolist() == [[1, 2, 3, 300], [1.5, 2, 3, 4]]


def test_a_cell_array_has_one_matrix_per_element(tmp_path: Path) -> None:
    write_mat(tmp_path / "pool.mat", [cell_matrix([char_matrix("a"), char_matrix("bc")], name="pool")])
    (chunk,) = open_mat(tmp_path / "pool.mat", "pool").chunks()
    assert chunk.matrices.texts(chunk.rows[:, 0], place) == ["a", "bc"]


def test_an_empty_array_has_no_chunks(tmp_path: Path) -> None:
    write_mat(tmp_path / "pool.mat", [cell_matrix([], name="pool")])
    assert list(open_mat(tmp_path / "pool.mat", "pool").chunks()) == []


def test_numbers_in_place_of_an_array_of_elements_are_refused(tmp_path: Path) -> None:
    """Taken for empty, a pool of numbers would make every test scene a training scene."""
    savemat(tmp_path / "pool.mat", {"pool": np.arange(4.0)})
    with pytest.raises(InputFileError, match="numbers or text"):
        open_mat(tmp_path / "pool.mat", "pool")


def test_matlabs_own_empty_array_is_an_empty_one(tmp_path: Path) -> None:
    savemat(tmp_path / "pool.mat", {"pool": np.zeros((0, 0))})
    assert list(open_mat(tmp_path / "pool.mat", "pool").chunks()) == []


def test_a_missing_field_names_those_that_are_there(file: Path) -> None:
    with pytest.raises(InputFileError, match="Query") as error:
        open_mat(file).column("Query")
    assert error.value.found == "the fields name, box"


def test_a_wrong_key_names_the_right_and_the_present_variable(file: Path) -> None:
    with pytest.raises(InputFileError) as error:
        open_mat(file, "TestG50")
    assert "'TestG50'" in error.value.expected
    assert error.value.found == "the variables people"


def test_a_missing_file_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as error:
        open_mat(tmp_path / "Images.mat", "Img")
    assert (error.value.expected, error.value.found) == (
        "a MATLAB file with the variable 'Img'",
        "no such file",
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="a folder"):
        open_mat(tmp_path, "Img")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8\xff\xe0JFIF", "a JPEG picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git-LFS pointer"),
        (b"\n<!DOCTYPE html>", "a web page (HTML or XML)"),
        (b"MATLAB 7.3 MAT-file, Platform".ljust(600), "a MATLAB 7.3 (HDF5) file"),
        (b"hello", "something else, beginning with b'hello'"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "Images.mat").write_bytes(content)
    with pytest.raises(InputFileError) as error:
        open_mat(tmp_path / "Images.mat", "Img")
    assert error.value.found == found


@pytest.mark.parametrize("kept", [60, 130, 140, 200])
def test_a_cut_off_file_is_called_so(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputFileError, match="cut off"):
        names_of(open_mat(file, "people"))


def test_a_variable_with_fewer_elements_than_announced_is_cut_off(file: Path) -> None:
    data = bytearray(zlib.decompress(file.read_bytes()[136:]))
    struct.pack_into("<i", data, 36, 6)
    packed = zlib.compress(data)
    file.write_bytes(file.read_bytes()[:128] + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(InputFileError, match="element 5 of 6"):
        names_of(open_mat(file, "people"))


@settings(deadline=None, max_examples=300)
@given(position=st.integers(0, 1200), value=st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: bytes
) -> None:
    content = bytearray(people(5))
    content[position : position + len(value)] = value
    header = (b"MATLAB 5.0 MAT-file").ljust(124) + b"\x00\x01IM"
    file = tmp_path_factory.getbasetemp() / "damaged.mat"
    file.write_bytes(header + content)
    try:
        for chunk in open_mat(file).chunks():
            chunk.matrices.elements(chunk.rows[:, 0], ("name",), place)
    except MaskpsError:
        pass
