"""Matrices as columns: what is found in the bytes, and proved."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskps.errors import AnnotationError, InputFileError, MaskpsError
from maskps.io.matlab import Matrices, cell_matrix, char_matrix, number_matrix, struct_matrix

PATH = Path("test.mat")


def place(index: int) -> str:
    return f"entry {index}"


def numbers_of(*values: float) -> list[float]:
    matrices = Matrices(number_matrix(values), PATH)
    return matrices.numbers(np.array([0]), len(values), place)[0].tolist()


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=6))
def test_numbers_come_back_exactly(values: list[float]) -> None:
    assert numbers_of(*values) == values


@pytest.mark.parametrize("value", [0, 255, 256, 65535, 65536, -1, -32768, -32769, 2**31 - 1, 2**31, 0.5])
def test_numbers_at_the_limits_of_the_stored_types_come_back(value: float) -> None:
    assert numbers_of(value, 1, 2, 3) == [value, 1, 2, 3]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1), max_size=5))
def test_texts_come_back_exactly(texts: list[str]) -> None:
    matrices = Matrices(b"".join(map(char_matrix, texts)), PATH)
    assert matrices.texts(np.arange(len(texts)), place) == texts


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20), max_size=9
    )
)
def test_distinct_texts_tell_which_each_matrix_holds(texts: list[str]) -> None:
    matrices = Matrices(b"".join(map(char_matrix, texts * 2)), PATH)
    which, distinct = matrices.distinct_texts(np.arange(2 * len(texts)), place)
    assert [distinct[index] for index in which.tolist()] == texts * 2
    assert len(distinct) == len(set(texts))


def test_texts_whose_keys_are_equal_are_reported_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskps.io.matlab.matrices._ODD", np.uint64(0))  # only the last word counts
    texts = ["a" * 8 + "end", "b" * 8 + "end"]
    which, distinct = Matrices(b"".join(map(char_matrix, texts)), PATH).distinct_texts(np.arange(2), place)
    assert [distinct[index] for index in which.tolist()] == texts


def test_no_bytes_are_no_matrices() -> None:
    assert len(Matrices(b"", PATH)) == 0


def test_a_box_that_looks_like_a_tag_is_not_taken_for_a_matrix() -> None:
    """x = 14, y = 0 in 16 bits is the tag of a matrix of size w + 65536 h."""
    boxes = [(14, 0, 40, 300), (14, 0, 0, 256), (14, 0, 8, 257)]
    elements = [char_matrix("s1.jpg") + number_matrix(box) for box in boxes]
    matrices = Matrices(struct_matrix(("imname", "box"), elements), PATH)
    assert len(matrices) == 1 + 2 * len(boxes)
    _, rows = matrices.elements(np.array([0]), ("imname", "box"), place)
    assert matrices.numbers(rows, 4, place).tolist() == [list(map(float, box)) for box in boxes]


def test_elements_of_several_structs_follow_each_other() -> None:
    structs = [struct_matrix(("a", "b"), [number_matrix((i, j)) * 2 for j in range(i)]) for i in range(4)]
    matrices = Matrices(b"".join(structs), PATH)
    parents = np.flatnonzero(matrices.kind == 2)
    (rows,) = matrices.elements(parents, ("b",), place)
    expected = [[i, j] for i in range(4) for j in range(i)]
    assert matrices.numbers(rows, 2, place).tolist() == expected


def test_structs_whose_fields_stand_in_another_order_are_read_alike() -> None:
    first = struct_matrix(("a", "b"), [number_matrix((1,)) + number_matrix((2,))])
    second = struct_matrix(("b", "a"), [number_matrix((2,)) + number_matrix((1,))])
    matrices = Matrices(first + second, PATH)
    (rows,) = matrices.elements(np.array([0, 3]), ("a",), place)
    assert matrices.numbers(rows, 1, place)[:, 0].tolist() == [1, 1]


def test_an_empty_number_matrix_may_stand_for_an_empty_struct_array() -> None:
    (rows,) = Matrices(number_matrix(()), PATH).elements(np.array([0]), ("a",), place)
    assert len(rows) == 0


def test_nested_fields_of_single_structs_are_found() -> None:
    inner = struct_matrix(("x",), [number_matrix((7,))])
    one = struct_matrix(("a", "b", "c"), [char_matrix("n") + inner + number_matrix((5,))])
    matrices = Matrices(one + one, PATH)
    tops = np.array([0, matrices.stop[0]])
    b, c = matrices.single(tops, ("b", "c"), place)
    assert matrices.numbers(c, 1, place)[:, 0].tolist() == [5, 5]
    (x,) = matrices.single(b, ("x",), place)
    assert matrices.numbers(x, 1, place)[:, 0].tolist() == [7, 7]


def test_a_matrix_without_a_payload_is_empty() -> None:
    matrices = Matrices(cell_matrix([number_matrix(())]), PATH)
    assert matrices.size.tolist() == [1, 0]


@pytest.mark.parametrize("what", ["texts", "distinct_texts", "numbers", "single", "elements"])
def test_a_value_of_another_class_names_the_place(what: str) -> None:
    matrices = Matrices(number_matrix((1, 2, 3)) + char_matrix("abc"), PATH)
    row = np.array([1 if what == "numbers" else 0])
    with pytest.raises(AnnotationError) as error:
        if what in ("texts", "distinct_texts"):
            getattr(matrices, what)(row, place)
        elif what == "numbers":
            matrices.numbers(row, 3, place)
        elif what == "single":
            matrices.single(row, ("a",), place)
        else:
            matrices.elements(row, ("a",), place)
    assert error.value.where == "entry 0"
    assert error.value.found == ("3 characters" if what == "numbers" else "3 numbers")


def test_another_count_of_numbers_is_refused() -> None:
    with pytest.raises(AnnotationError, match="4 numbers"):
        Matrices(number_matrix((1, 2, 3)), PATH).numbers(np.array([0]), 4, place)


@pytest.mark.parametrize("tag", [(0, 0), (14, 0), (9, 0), (2, 8)])
def test_numbers_of_an_unknown_type_or_without_a_payload_are_refused(tag: tuple[int, int]) -> None:
    data = bytearray(number_matrix((7,)))
    struct.pack_into("<II", data, 48, *tag)
    with pytest.raises(MaskpsError):
        Matrices(bytes(data), PATH).numbers(np.array([0]), 1, place)


def test_a_missing_field_is_named() -> None:
    matrices = Matrices(struct_matrix(("a",), [number_matrix((1,))]), PATH)
    with pytest.raises(AnnotationError, match="fields b"):
        matrices.elements(np.array([0]), ("b",), place)


def test_words_that_are_no_matrices_are_refused() -> None:
    with pytest.raises(InputFileError, match="damaged"):
        Matrices(bytes(64), PATH)


def test_a_matrix_that_ends_elsewhere_than_its_parent_is_refused() -> None:
    data = bytearray(struct_matrix(("a",), [number_matrix((1,))]))
    data[4] -= 8
    with pytest.raises(InputFileError, match="damaged"):
        Matrices(bytes(data), PATH)
