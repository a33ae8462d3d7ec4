"""docs/labelme.md describes how LabelMe files are read, old and new."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from maskps.masks.labelme_file import _FOUR_CORNERS, _POINTS_NEEDED
from maskps_annotation.shape_geometry import AREA_TYPES

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "labelme.md").read_text(encoding="utf-8")


def test_the_page_lists_every_shape_type_and_whether_it_is_an_outline() -> None:
    section = PAGE.partition("## Which shapes are outlines")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", section, re.M)
    listed = {kind: "none:" not in text for kinds, text in rows for kind in re.findall(r"`(\w+)`", kinds)}
    assert listed == {
        kind: kind in {*AREA_TYPES, *_FOUR_CORNERS} for kind in (*_POINTS_NEEDED, *_FOUR_CORNERS)
    }


@pytest.mark.real_data
def test_the_table_of_old_files_is_what_the_script_prints(real_data: Path) -> None:
    script = REPOSITORY / "tests" / "benchmarks" / "labelme_files.py"
    folders = [str(real_data / name) for name in ("labelme_history", "labelme")]
    printed = subprocess.run([sys.executable, script, *folders], capture_output=True, text=True, check=True)
    rows = [line for line in printed.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 36 + 7
    assert "\n".join(rows) in PAGE
