"""Whether a data set is meant to be the published CUHK-SYSU, and what is then asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskps.datasets.cuhk_sysu.check_published import (
    PUBLISHED_COUNTS,
    check_names,
    check_published_counts,
    check_split,
    is_meant_as_published,
    name_ranges,
)
from maskps_manifest import cuhk_sysu as published

NAMES = published.scene_names()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (NAMES, True),
        (NAMES[::3], True),  # two thirds lost
        (NAMES[:3488], False),
        (NAMES[:3489], True),
        (NAMES + [f"own{number}.jpg" for number in range(1000)], True),
        (NAMES[:9000] + [f"own{number}.jpg" for number in range(1100)], False),
        ([f"c1s1_{number:06d}.jpg" for number in range(11_816)], False),
        ([], False),
    ],
)
def test_names_tell_what_a_data_set_is_meant_to_be(tmp_path: Path, names: list[str], expected: bool) -> None:
    assert is_meant_as_published(tmp_path, names) is expected


@pytest.mark.parametrize("record", ["synth.json", "cut.json"])
def test_a_synthetic_data_set_or_a_part_is_not_the_published_one(tmp_path: Path, record: str) -> None:
    (tmp_path / record).write_text("{}")
    assert not is_meant_as_published(tmp_path, NAMES)


def test_the_published_names_have_no_finding() -> None:
    assert check_names(Path("Images.mat"), NAMES) == []


def test_missing_and_surplus_names_are_reported_in_ranges() -> None:
    names = [name for name in NAMES if name not in ("s7.jpg", "s9.jpg", "s10.jpg", "s11.jpg")]
    missing, extra = check_names(Path("Images.mat"), [*names, "s6340.jpg", "s01.jpg"])
    assert (missing.code, extra.code) == ("names-missing", "names-extra")
    assert missing.found == "without 4 of the published names: s7.jpg, s9.jpg ... s11.jpg"
    assert extra.found == "2 names that were not published: s6340.jpg, s01.jpg"
    assert missing.expected == "s1.jpg ... s18204.jpg without s6334.jpg ... s6353.jpg"


def test_many_ranges_are_cut_short() -> None:
    assert name_ranges([f"s{number}.jpg" for number in range(1, 41, 2)]).endswith("s15.jpg, and 12 more")
    assert name_ranges([]) == ""


def test_another_split_is_reported() -> None:
    (finding,) = check_split(Path("pool.mat"), NAMES[:6978])
    assert (finding.code, finding.level) == ("split-differs", "error")


def test_counts_and_protocols_are_asked_for(tmp_path: Path) -> None:
    assert PUBLISHED_COUNTS["images"] == 18_184
    found = {**PUBLISHED_COUNTS, "images": 18_000, "training identities": None}
    findings = check_published_counts(tmp_path, found, {})
    assert [(one.code, one.level) for one in findings] == [
        ("count-differs", "error"),
        *[("protocol-missing", "warning")] * 8,
    ]
    assert findings[0].found == "18,000 images"
    assert findings[-1].expected == "the released test protocol Resolution of 290 queries"
