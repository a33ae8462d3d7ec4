"""The version stands in `maskps/__init__.py`; what else names it agrees."""

from __future__ import annotations

import re
from pathlib import Path

from maskps import __version__

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert releases[0] == __version__


def test_the_citation_names_this_version() -> None:
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [__version__]
