"""Some damaged LabelMe files for all that reads them; `tests/benchmarks/fuzz_labelme.py` takes any number."""

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


def test_damaged_files_give_a_result_or_an_explained_error(fuzz: ModuleType, tmp_path: Path) -> None:
    tally = fuzz.feed(tmp_path, 400, seed=1)
    assert not [trace for _, _, trace in tally.failures]
    for outcome in (
        ("codec", "read and written"),
        ("annotate check", "persons pass"),
        ("build-subset", "outlines"),
    ):
        assert tally.outcomes[outcome] > 20, "no damage that leaves files readable"


def test_the_same_seed_damages_alike(fuzz: ModuleType) -> None:
    content = fuzz.whole_files()[0]
    first, second = (
        [fuzz.damaged(rng, content) for _ in range(30)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second
    assert len(set(first)) > 20
