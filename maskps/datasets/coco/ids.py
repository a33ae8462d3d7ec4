"""Reads the identities of a COCO-style file from `person_id`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.checks.tables import check_similar_ids
from maskps.datasets.coco.entries import LONGEST_ID, NOT_IN_NAMES, EntryFindings
from maskps.errors import InputFileError, shown_value
from maskps.io.files import check_format
from maskps.protocols.identities import means_nobody, plain_identity

FORMAT = "maskps-coco"
VERSION = 1
WHAT = "annotations in COCO style"


def read_ids(
    entries: list[tuple[int, dict[str, Any]]],
    scene: NDArray[np.int64],
    declared_ids: list[str] | None,
    marks: dict[str, int],
    problems: EntryFindings,
) -> NDArray[np.object_]:
    """Returns the (n,) identities as text, None for unlabeled persons, by the rules of docs/coco.md.

    Args:
        entries: n annotations, each with its position in the file.
        scene: (n,) row of the image of each.
        declared_ids: the file's own list of identities, as `read_declared_ids` returns it.
        marks: filled with the marks of unlabeled persons and their counts.
        problems: filled with findings.
    """
    ids = np.full(len(entries), None, object)
    bad: list[tuple[int, Any]] = []
    words: list[tuple[int, Any]] = []
    for index, (row, entry) in enumerate(entries):
        value = entry.get("person_id")
        try:
            ids[index], mark = _identity(value) if declared_ids is None else _declared(value, declared_ids)
        except ValueError:
            bad.append((row, value))
            continue
        if mark:
            marks[mark] = marks.get(mark, 0) + 1
            if re.fullmatch("-[0-9]+|missing|empty", mark) is None:
                words.append((row, value))
    problems.add(
        "coco-person-id", "error", bad, len(entries), what="annotation", found="person_id {}",
        expected="a whole number or a text of at most 100 characters; negative or missing if unlabeled"
        if declared_ids is None
        else f"-1, or a number from 1 to {len(declared_ids)} (the length of maskps_ids)",
        hint="correct the person_id, or remove it if the person has no identity",
    )  # fmt: skip
    problems.add(
        "coco-person-id-word", "warning", words, len(entries), what="annotation",
        found="person_id {}, read as unlabeled", expected="-1 for a person without an identity",
        hint="write -1 for unlabeled persons; give somebody who is really called that another name",
    )  # fmt: skip
    named = [identity for identity in ids if identity is not None]
    problems.findings += check_similar_ids(named, where=problems.path)
    zeros = np.array([value == "0" for value in ids], bool)
    if declared_ids is None and not marks and zeros.any():
        per_image = np.unique(scene[zeros], return_counts=True)[1]
        if 2 * np.count_nonzero(per_image > 1) >= len(per_image):
            ids[zeros] = None
            marks["0"] = int(zeros.sum())
            shown = [(entries[index][0], 0) for index in np.flatnonzero(zeros).tolist()]
            problems.add(
                "coco-person-id-zero", "warning", shown, len(entries), what="annotation",
                found="person_id {}, taken as unlabeled: the file has no other mark, and most images with "
                "a 0 hold several", expected="-1 for a person without an identity",
                hint="write -1 for unlabeled persons; 0 is an identity if some other person is unlabeled",
            )  # fmt: skip
    return ids


def _identity(value: Any) -> tuple[str | None, str]:
    """Returns the identity, None for an unlabeled person, and how such a person is marked.

    Raises:
        ValueError: neither.
    """
    if value is None:
        return None, "missing"
    if isinstance(value, float) and (value.is_integer() or value != value):
        value = int(value) if value == value else "nan"
    if type(value) not in (int, str):
        raise ValueError
    text = plain_identity(str(value))
    if len(text) > LONGEST_ID or NOT_IN_NAMES.search(text):
        raise ValueError
    return (None, text.strip() or "empty") if means_nobody(text) else (text, "")


def _declared(value: Any, declared_ids: list[str]) -> tuple[str | None, str]:
    """Like `_identity`, for a file that maskps wrote: its person_id is the pid."""
    if type(value) is not int or value == 0 or not -1 <= value <= len(declared_ids):
        raise ValueError
    return (None, "-1") if value < 0 else (declared_ids[value - 1], "")


def read_declared_ids(content: dict[str, Any], path: Path) -> list[str] | None:
    """Returns the identities by pid of a file that maskps wrote, None for any other file.

    Raises:
        InputFileError: a file of another version, or without a proper list.
    """
    info = content.get("info")
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        return None
    check_format(path, info, format=FORMAT, version=VERSION, what=WHAT)
    ids = content.get("maskps_ids")
    if not isinstance(ids, list) or not all(map(_is_id, ids)) or len(set(ids)) != len(ids):
        raise InputFileError(
            path,
            expected="maskps_ids: a list of texts, each once",
            found=shown_value(ids),
            hint="convert the data set again",
        )
    return ids


def _is_id(text: object) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST_ID and not NOT_IN_NAMES.search(text)
