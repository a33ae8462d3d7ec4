"""Some searches that are hard to rank; `tests/benchmarks/fuzz_search.py` takes as many as one wants."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from maskps.evaluation import block_similarities


@pytest.fixture(scope="module")
def fuzz(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("fuzz_search")


def test_every_way_gives_the_numbers_of_the_literal_loops(
    fuzz: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzz.main(["150", "--seed", "1000"]) == 0
    assert "150 cases, each by 4 ways, 0 differ" in capsys.readouterr().out


def test_what_float32_cannot_tell_is_found(
    fuzz: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_similarities.BlockSimilarities, "_settle", lambda *_: None)
    assert fuzz.main(["150", "--seed", "1000"]) == 1
    assert "seed 1" in capsys.readouterr().out
