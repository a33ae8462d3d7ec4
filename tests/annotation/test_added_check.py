"""docs/extend/check.md as printed: its check warns of few corners, and of nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from two_person_scenes import BOXES, draw, polygon, write_scenes

from maskps.subset import build_subset, select_subset
from maskps_annotation import check_shapes
from maskps_annotation.checks import check_packs
from maskps_annotation.packs import write_packs

PAGE = Path(__file__).resolve().parents[2] / "docs/extend/check.md"


def added_check(path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    exec(block, {"__name__": "added_check"})


def corners(person: int, count: int) -> np.ndarray:
    """A polygon of so many corners in the box of a person."""
    x0, y0, x1, y1 = BOXES[person]
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
    half = np.array([x1 - x0, y1 - y0]) / 2 - 1
    return np.array([x0 + x1, y0 + y1]) / 2 + half * np.stack([np.cos(turns), np.sin(turns)], axis=1)


@pytest.mark.parametrize(("count", "expected"), [(7, [("warning", "few-corners", "ann/a.json p1")]), (8, [])])
def test_the_added_check_warns_below_eight_corners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, expected: list[tuple[str, str, str]]
) -> None:
    monkeypatch.setattr(check_shapes, "PERSON_CHECKS", list(check_shapes.PERSON_CHECKS))
    added_check(PAGE)
    dataset = write_scenes(tmp_path / "data", ["a.jpg"])
    build_subset(dataset, tmp_path / "subset", select_subset(dataset.train, portion_size=1))
    packs = write_packs(tmp_path / "subset", dataset, tmp_path / "packs", annotators=["ann"])
    draw(packs, "ann", "a.jpg", {"p1": corners(0, count), "p2": corners(1, 20)})
    findings = [(one.level, one.code, one.where) for one in check_packs(packs)]
    assert findings == expected


def test_an_error_of_an_earlier_check_silences_the_added_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_shapes, "PERSON_CHECKS", list(check_shapes.PERSON_CHECKS))
    added_check(PAGE)
    dataset = write_scenes(tmp_path / "data", ["a.jpg"])
    build_subset(dataset, tmp_path / "subset", select_subset(dataset.train, portion_size=1))
    packs = write_packs(tmp_path / "subset", dataset, tmp_path / "packs", annotators=["ann"])
    draw(packs, "ann", "a.jpg", {"p1": polygon(1), "p2": corners(1, 20)})
    assert "few-corners" not in {one.code for one in check_packs(packs)}
