"""The files of PRW as released: their places, and readers of their content.

frames/c1s1_000151.jpg                 the images
annotations/c1s1_000151.jpg.mat        their persons: rows of id, x, y, width, height
frame_train.mat, frame_test.mat        names of the images of both sets, without ".jpg"
query_info.txt                         the queries: id, x, y, width, height, image without ".jpg"
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, InputFileError
from maskps.io.files import explained_reading, read_bytes
from maskps.io.matlab import open_mat
from maskps.io.matlab.numbers import read_numbers
from maskps.io.sniffing import COPY_AGAIN, SNIFFED, other_file

IMAGE_DIR = Path("frames")
ANNOTATION_DIR = Path("annotations")
TRAIN_FILE, TRAIN_KEY = Path("frame_train.mat"), "img_index_train"
TEST_FILE, TEST_KEY = Path("frame_test.mat"), "img_index_test"
QUERY_FILE = Path("query_info.txt")

ANNOTATION_KEYS = ("box_new", "anno_file", "anno_previous")
"""Variables with the persons of an image; the released readers take the first of them in the file."""

UNLABELED_IDS = (-2, -1)
"""Ids of persons without identity: -2 as released, -1 in copies made from other formats."""

IMAGE_SUFFIX = ".jpg"

LINE_END = re.compile(r"\r\n|\n|\r")

_LARGEST_ID = 2**31 - 1
_LARGEST_PLACE = 1e6
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class QueryLine:
    """A line of query_info.txt.

    Attributes:
        number: of the line, from 1.
        identity: id of the person.
        box: x, y, width, height in pixels.
        name: of the image, with ".jpg".
    """

    number: int
    identity: int
    box: tuple[float, float, float, float]
    name: str


def annotation_path(root: Path, name: str) -> Path:
    """Returns the file that holds the persons of this image."""
    return root / ANNOTATION_DIR / f"{name}.mat"


def is_frame_name(frame: str) -> bool:
    """Whether this can be the name of an image without ".jpg": a file name without folders."""
    return _NAME.fullmatch(frame) is not None


def is_identity(text: str) -> bool:
    """Whether this text is an identity as the reader gives it: a whole number, no sign or zeros in front."""
    return text.isascii() and text.isdecimal() and str(int(text[:11])) == text and int(text) <= _LARGEST_ID


def read_frame_names(path: Path, key: str) -> list[str]:
    """Returns the names of the images of a set, with ".jpg", in the order of the file.

    Raises:
        InputFileError: the file is missing, damaged or another one.
        AnnotationError: an entry that is not a name.
    """
    names: list[str] = []
    for chunk in open_mat(path, key).chunks():
        names += chunk.matrices.texts(chunk.rows[:, 0], partial(_frame_place, path, chunk.first))
    for index, name in enumerate(names):
        if not is_frame_name(name):
            raise AnnotationError(
                _frame_place(path, 0, index),
                expected="the name of an image",
                found=repr(name),
                hint=COPY_AGAIN,
            )
    return [name + IMAGE_SUFFIX for name in names]


def read_persons(path: Path) -> NDArray[np.float64]:
    """Returns the (n, 5) rows of an annotation file: id, x, y, width, height.

    Raises:
        InputFileError: the file is missing, damaged, or has none of the three variables.
        AnnotationError: it has another number of columns.
    """
    key, rows = read_numbers(path, ANNOTATION_KEYS)
    if rows.size == 0:
        return np.zeros((0, 5))
    if rows.shape[1] != 5:
        raise AnnotationError(
            f"{path}, '{key}'",
            expected="5 columns: id, x, y, width, height",
            found=f"{rows.shape[0]} rows of {rows.shape[1]}",
            hint=COPY_AGAIN,
        )
    return rows


def bad_persons(rows: NDArray[np.float64]) -> list[tuple[int, str, str]]:
    """Returns the rows that cannot be a person: index, what was expected, what was found.

    Args:
        rows: (n, 5) float64: id, x, y, width, height.
    """
    ids, boxes = rows[:, 0], rows[:, 1:]
    # Comparisons with NaN are false, so "not within" also finds NaN.
    no_id = ~((ids >= min(UNLABELED_IDS)) & (ids <= _LARGEST_ID)) | (np.floor(ids) != ids)
    no_box = ~(np.abs(boxes) <= _LARGEST_PLACE).all(axis=1)
    found = [
        (int(row), "an id that is -2, or a whole number from 0", f"id {ids[row]:g}")
        for row in np.flatnonzero(no_id)
    ]
    found += [
        (int(row), "x, y, width and height in pixels", str(boxes[row].tolist()))
        for row in np.flatnonzero(no_box)
    ]
    return sorted(found)


def person_place(path: Path, row: int) -> str:
    """Names a row of an annotation file, counted from 0."""
    return f"{path}, person {row}"


def read_query_text(path: Path) -> str:
    """Returns the content of query_info.txt, with its line ends as they are.

    Raises:
        InputFileError: the file is missing, empty, or not text.
    """
    wanted = "the queries of PRW: lines of id, x, y, width, height and image"
    with explained_reading(path, what=wanted, hint="copy it from the released archive"):
        content = read_bytes(path)
        text = content.decode("utf-8-sig")
    other = other_file(content[:SNIFFED])
    if other is not None:
        raise InputFileError(path, expected=wanted, found=other.found, hint=other.hint)
    return text


def query_lines(path: Path, text: str) -> tuple[list[QueryLine], list[AnnotationError]]:
    """Returns the queries of query_info.txt, and an error for each wrong line; empty lines are skipped.

    Lines may end with CRLF, as released, or LF. (Readers that cut a fixed number of characters lose a digit
    of the image's name in one of the two cases.)
    """
    lines: list[QueryLine] = []
    errors: list[AnnotationError] = []
    for number, line in enumerate(LINE_END.split(text), start=1):
        if not line.strip():
            continue
        try:
            lines.append(_query_line(number, line.split()))
        except ValueError as error:
            errors.append(
                AnnotationError(
                    f"{path}, line {number}",
                    expected="id, x, y, width, height and image, with spaces between",
                    found=str(error) if len(line) > 200 else f"{line.strip()!r}: {error}",
                    hint="correct the line, or copy the file again",
                )
            )
    return lines, errors


def _query_line(number: int, fields: list[str]) -> QueryLine:
    if len(fields) != 6:
        raise ValueError(f"{len(fields)} words in place of 6")
    identity = _whole(fields[0])
    box = tuple(float(field) for field in fields[1:5])
    if not all(math.isfinite(value) and abs(value) <= _LARGEST_PLACE for value in box):
        raise ValueError("a box that is not in any image")
    if not is_frame_name(fields[5]):
        raise ValueError("a name that no image can have")
    return QueryLine(number, identity, (box[0], box[1], box[2], box[3]), fields[5] + IMAGE_SUFFIX)


def _whole(text: str) -> int:
    value = float(text)
    if not 0 <= value <= _LARGEST_ID or value != int(value):
        raise ValueError("an id that is not a whole number")
    return int(value)


def _frame_place(path: Path, first: int, index: int) -> str:
    return f"{path}, image {first + index}"
