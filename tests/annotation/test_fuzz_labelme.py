"""The files that `tests/benchmarks/fuzz_all.py` damages are read by all that reads LabelMe files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def fuzz(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("fuzz_labelme")


def test_whole_files_are_read_by_all(fuzz: ModuleType, tmp_path: Path) -> None:
    """`build-subset` refuses the first, a file of a pack; the label of the third, a number, is not a slot."""
    outcomes = []
    for content in fuzz.whole_files():
        (tmp_path / "s1.json").write_bytes(content)
        outcomes.append([read(tmp_path / "s1.json") for read in fuzz.READERS.values()])
    codec, check, subset = zip(*outcomes, strict=True)
    assert set(codec) <= {"read", "read and written"}
    assert check == ("persons pass", "persons pass", "findings only", "persons pass")
    assert subset == ("findings only", "outlines", "outlines", "outlines")


def test_the_same_seed_damages_alike(fuzz: ModuleType) -> None:
    content = fuzz.whole_files()[0]
    first, second = (
        [fuzz.damaged(rng, content) for _ in range(30)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second
    assert len(set(first)) > 20
