"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotation files; tests that need it are skipped aloud where it is absent."""
    folder = Path(os.environ.get("MASKPS_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "cuhk_sysu" / "TestG100.mat").is_file():
        pytest.skip(f"real annotation files are not at {folder}; set MASKPS_REAL_DATA")
    return folder
