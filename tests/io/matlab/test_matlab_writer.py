"""Writing MATLAB files: scipy, as an independent reader, must find what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from maskps.errors import AnnotationError
from maskps.io.matlab import cell_matrix, char_matrix, number_matrix, struct_head, struct_matrix, write_mat


def written(tmp_path: Path, matrix: bytes, name: str) -> Any:
    write_mat(tmp_path / "file.mat", [matrix])
    return loadmat(tmp_path / "file.mat")[name]


def first_field(tmp_path: Path, value: bytes) -> np.ndarray:
    return written(tmp_path, struct_matrix(("a",), [value], name="s"), "s")[0, 0]["a"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((1, 2, 3, 255), np.uint8),
        ((1, 2, 3, 256), np.uint16),
        ((-1, 2, 3, 4), np.int16),
        ((1, 2, 3, 65536), np.int32),
        ((1, 2, 3, 0.5), np.float64),
        ((), np.float64),
    ],
)
def test_numbers_are_stored_in_the_smallest_type(
    tmp_path: Path, values: tuple[float, ...], dtype: type
) -> None:
    read = first_field(tmp_path, number_matrix(values))
    assert (read.dtype, read.shape) == (np.dtype(dtype), (1, len(values)))
    assert read[0].tolist() == list(values)


@pytest.mark.parametrize("text", ["a", "p100", "s1.jpg", "s15538.jpg", "a name of many letters.jpeg", "Zoë"])
def test_texts_of_every_length_are_read_by_scipy(tmp_path: Path, text: str) -> None:
    assert first_field(tmp_path, char_matrix(text)).tolist() == [text]


@pytest.mark.parametrize("name", ["x", "pool", "TestG4000"])
def test_names_of_variables_of_every_length_are_read_by_scipy(tmp_path: Path, name: str) -> None:
    read = written(tmp_path, cell_matrix([char_matrix("a")], name=name), name)
    assert read.shape == (1, 1)


def test_a_struct_array_has_the_released_shape_and_fields(tmp_path: Path) -> None:
    elements = [number_matrix((i,)) + char_matrix(str(i)) for i in range(3)]
    read = written(tmp_path, struct_matrix(("first", "second"), elements, name="s"), "s")
    assert (read.shape, read.dtype.names) == ((1, 3), ("first", "second"))
    assert [item["second"][0] for item in read[0]] == ["0", "1", "2"]


def test_a_struct_array_may_be_empty(tmp_path: Path) -> None:
    assert first_field(tmp_path, struct_matrix(("x",), [])).shape == (1, 0)


def test_the_same_content_in_other_chunks_gives_the_same_bytes(tmp_path: Path) -> None:
    matrix = cell_matrix([char_matrix(f"s{i}.jpg") for i in range(50)], name="pool")
    write_mat(tmp_path / "a.mat", [matrix])
    write_mat(tmp_path / "b.mat", [matrix[:100], matrix[100:]])
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()


def test_a_variable_beyond_the_formats_limit_is_refused() -> None:
    with pytest.raises(AnnotationError, match="4 GB"):
        struct_head(("a",), 1, 2**32, name="TestG9000")
