"""subset.json: read back as written; an edit that contradicts itself is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskps.errors import InputFileError
from maskps.subset import SubsetRecord, read_subset_record, write_subset_record

RECORD = SubsetRecord(
    fingerprint="f1",
    portion_size=5,
    seed=3,
    generator="numpy PCG64",
    drawn=("a.jpg", "b.jpg", "ü.jpg"),
    kept=("a.jpg", "ü.jpg"),
    counts={
        "images": 16,
        "portions": 3,
        "drawn": 3,
        "kept": 2,
        "labeled": 4,
        "unlabeled": 5,
        "masks_present": 3,
        "masks_missing": 1,
    },
)


def edited(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "subset.json"
    write_subset_record(path, RECORD)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def test_reading_back_gives_what_was_written(tmp_path: Path) -> None:
    write_subset_record(tmp_path / "subset.json", RECORD)
    assert read_subset_record(tmp_path / "subset.json") == RECORD


def test_format_and_version_are_in_the_file(tmp_path: Path) -> None:
    content = json.loads(edited(tmp_path).read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("maskps-subset", 1)


def test_the_summary_names_what_is_missing() -> None:
    assert RECORD.summary() == (
        "3 of 16 images drawn, 2 kept; 4 labeled persons, 3 with outline, 1 still without"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "maskps-masks"},
        {"version": 2},
        {"seed": "3"},
        {"seed": True},
        {"portion_size": None},
        {"portion_size": 0},
        {"per_portion": 6},
        {"seed": -1},
        {"source": "guess"},
        {"order": "size"},
        {"nested": ["a.jpg"]},
        {"nested": ["a.jpg", "ü.jpg"]},
        {"proportions": {"full": 2}},
        {"nested": ["a.jpg", "b.jpg"], "proportions": {"full": 2}},
        {"nested": ["a.jpg", "ü.jpg"], "proportions": {"5%": 2, "full": 2}},
        {"nested": ["a.jpg", "ü.jpg"], "proportions": {"5%": 1}},
        {"nested": ["a.jpg", "ü.jpg"], "proportions": {"many": 1, "full": 2}},
        {"masks_sha256": 0},
        {"fingerprint": 7},
        {"drawn": "a.jpg"},
        {"drawn": ["a.jpg", "b.jpg", 3]},
        {"kept": ["a.jpg", "a.jpg"]},
        {"kept": ["a.jpg", "z.jpg"]},
        {"kept": ["a.jpg"]},
        {"counts": {}},
        {"counts": {**RECORD.counts, "kept": 3}},
        {"counts": {**RECORD.counts, "labeled": "4"}},
        {"counts": {**RECORD.counts, "labeled": -4}},
        {"counts": []},
    ],
    ids=repr,
)
def test_an_edited_record_is_an_error_that_names_the_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputFileError, match=r"subset\.json"):
        read_subset_record(edited(tmp_path, **changes))


@pytest.mark.parametrize("key", ["fingerprint", "seed", "drawn", "kept", "counts"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = edited(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[key]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputFileError, match=key):
        read_subset_record(path)


def test_every_cut_of_the_file_is_an_error(tmp_path: Path) -> None:
    whole = edited(tmp_path).read_text(encoding="utf-8")
    for length in range(0, len(whole), 11):
        (tmp_path / "cut.json").write_text(whole[:length], encoding="utf-8")
        with pytest.raises(InputFileError):
            read_subset_record(tmp_path / "cut.json")


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_subset_record(tmp_path / "subset.json")
