"""Some searches that are hard to rank; `tests/benchmarks/fuzz_search.py` takes as many as one wants."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def fuzz(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("fuzz_search")


def test_every_way_gives_the_numbers_of_the_literal_loops(
    fuzz: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzz.main(["150", "--seed", "1000"]) == 0
    assert "150 cases, each in 2 ways, 0 differ" in capsys.readouterr().out
