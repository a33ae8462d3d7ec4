"""Small files of numbers: what scipy writes is read, what we write scipy reads, damage is an error."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from maskps.errors import InputFileError, MaskpsError
from maskps.io.matlab.numbers import numbers_file, read_numbers

ROWS = np.array([[479, 10.5, -3, 30, 90], [-2, 100, 20, 300, 90]])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.mat"
    path.write_bytes(numbers_file(ROWS, "box_new"))
    return path


def test_a_matrix_comes_back(file: Path) -> None:
    name, values = read_numbers(file, ["box_new"])
    assert (name, values.tolist(), values.dtype) == ("box_new", ROWS.tolist(), np.float64)


def test_scipy_reads_what_was_written(file: Path) -> None:
    assert np.array_equal(loadmat(file)["box_new"], ROWS)


@pytest.mark.parametrize("do_compression", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_every_type_of_scipy_is_read(tmp_path: Path, dtype: str, do_compression: bool) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    savemat(tmp_path / "x.mat", {"x": values}, do_compression=do_compression)
    assert read_numbers(tmp_path / "x.mat", ["x"])[1].tolist() == values.tolist()


def test_the_first_wanted_variable_is_returned_wherever_it_is(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"text": "abc", "b": [[1, 2]], "a": [[3]]})
    assert read_numbers(tmp_path / "x.mat", ["z", "a", "b"])[0] == "a"


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
def test_an_empty_matrix_has_its_shape(tmp_path: Path, shape: tuple[int, int]) -> None:
    savemat(tmp_path / "x.mat", {"x": np.zeros(shape)})
    assert read_numbers(tmp_path / "x.mat", ["x"])[1].shape == shape


@pytest.mark.parametrize(
    "value",
    ["text", np.array([[1 + 2j]]), np.zeros((2, 2, 2)), {"field": 1}, np.array([[1], ["a"]], object),
     csc_array(np.eye(2))],
)  # fmt: skip
def test_what_is_no_matrix_of_real_numbers_is_refused(tmp_path: Path, value: Any) -> None:
    savemat(tmp_path / "x.mat", {"x": value})
    with pytest.raises(InputFileError, match="matrix of numbers") as error:
        read_numbers(tmp_path / "x.mat", ["x"])
    assert error.value.hint


def test_a_wrong_name_is_reported_with_the_right_one(file: Path) -> None:
    with pytest.raises(InputFileError, match="'anno_file' or 'boxes'") as error:
        read_numbers(file, ["anno_file", "boxes"])
    assert error.value.found == "the variables box_new"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1", "Git-LFS"),
        (b"<html>", "web page"),
        (b"MATLAB 7.3 MAT-file", "HDF5"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(InputFileError, match=found):
        read_numbers(tmp_path / "x.mat", ["x"])


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"x\.mat"):
        read_numbers(tmp_path / "x.mat", ["x"])


def test_a_file_cut_off_anywhere_is_an_error(file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    for length in range(0, len(data), 7):
        (tmp_path / "cut.mat").write_bytes(data[:length])
        with pytest.raises(InputFileError):
            read_numbers(tmp_path / "cut.mat", ["box_new"])


def test_a_variable_that_unpacks_to_gigabytes_is_refused(file: Path) -> None:
    packed = zlib.compress(bytes(2**26 + 1), level=1)
    file.write_bytes(file.read_bytes()[:128] + b"\x0f\0\0\0" + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(InputFileError, match="64 MB"):
        read_numbers(file, ["box_new"])


@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    is_packed=st.booleans(),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused(
    file: Path, changes: list[tuple[int, int]], is_packed: bool
) -> None:
    data = bytearray(numbers_file(ROWS, "box_new"))
    if not is_packed:
        data[128:] = zlib.decompress(bytes(data[136:]))
    for place, value in changes:
        data[place % len(data)] = value
    damaged = file.with_name(f"damaged{os.getpid()}.mat")
    damaged.write_bytes(data)
    try:
        assert read_numbers(damaged, ["box_new"])[1].size <= ROWS.size
    except MaskpsError as error:
        assert error.hint or "byte order" in error.found
