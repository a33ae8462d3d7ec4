"""Whose drawing of a person is used: the first annotator in pack order, unless ..."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskps.errors import InputFileError
from maskps_annotation.collected import (
    SUBSET_OWNER,
    CollectedPerson,
    Drawing,
    choose_drawing,
    read_collected,
)


def drawing(annotator: str, outline: str = "o1", packs: str = "first") -> Drawing:
    """Each outline of an annotator is a file of its own."""
    return Drawing(annotator, "a.json", f"{annotator}-{outline}", packs, outline)


ANN, BOB = drawing("ann"), drawing("bob", "o2")
ANN_ANEW = drawing("ann", "o3")
EVE = drawing("eve", "o4", "second")
SUBSETS = Drawing(SUBSET_OWNER, "masks.json", "m", "", "o0")

CASES: list[tuple[str, list[Drawing], CollectedPerson | None, bool, CollectedPerson | None]] = [
    ("the first annotator in pack order", [ANN, BOB], None, False, CollectedPerson(ANN, (BOB,))),
    ("one alone", [BOB], None, False, CollectedPerson(BOB)),
    ("bob's is in use", [ANN, BOB], CollectedPerson(BOB), True, CollectedPerson(BOB, (ANN,))),
    ("bob hands in nothing now", [ANN], CollectedPerson(BOB), True, CollectedPerson(BOB, (ANN,))),
    ("and his outline is lost", [ANN], CollectedPerson(BOB), False, CollectedPerson(ANN, (BOB,))),
    (
        "a new version by who is in use",
        [ANN_ANEW, BOB],
        CollectedPerson(ANN, (BOB,)),
        True,
        CollectedPerson(ANN_ANEW, (BOB,)),
    ),
    (
        "the subset had another outline",
        [ANN],
        CollectedPerson(SUBSETS),
        True,
        CollectedPerson(ANN, (SUBSETS,)),
    ),
    (
        "the subset had this outline",
        [drawing("ann", "o0")],
        CollectedPerson(SUBSETS),
        True,
        CollectedPerson(drawing("ann", "o0")),
    ),
    (
        "a later distribution",
        [EVE],
        CollectedPerson(ANN, (BOB,)),
        True,
        CollectedPerson(EVE, (ANN, BOB)),
    ),
    ("an earlier distribution, unchanged", [ANN], CollectedPerson(EVE, (ANN,)), True, None),
    (
        "an earlier distribution, saved again with the same outline",
        [Drawing("ann", "a.json", "other", "first", "o1")],
        CollectedPerson(EVE, (ANN,)),
        True,
        None,
    ),
    (
        "an earlier distribution, drawn anew",
        [ANN_ANEW],
        CollectedPerson(EVE, (ANN,)),
        True,
        CollectedPerson(ANN_ANEW, (EVE,)),
    ),
    ("an earlier distribution, who drew late", [BOB], CollectedPerson(EVE, (ANN,)), True, None),
]


@pytest.mark.parametrize(
    ("drawings", "known", "has_outline", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_first_annotator_is_used_unless(
    drawings: list[Drawing],
    known: CollectedPerson | None,
    has_outline: bool,
    expected: CollectedPerson | None,
) -> None:
    assert choose_drawing(drawings, known, has_outline=has_outline) == expected


@pytest.mark.parametrize("row", ["Infinity", "null", '"x"', "[]"])
def test_a_record_with_an_impossible_row_is_refused(tmp_path: Path, row: str) -> None:
    head = '{"format": "maskps-collected", "version": 1, "persons": '
    (tmp_path / "collected.json").write_text(f'{head}[{{"row": {row}, "used": {{}}, "others": []}}]}}')
    with pytest.raises(InputFileError, match="do not edit it"):
        read_collected(tmp_path / "collected.json")
