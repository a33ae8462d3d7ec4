"""Some damaged files for every reader; `tests/benchmarks/fuzz_readers.py` takes as many as one wants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

READERS = ("cuhk-sysu", "prw", "coco", "coco of others", "labelme", "name list", "mask subset", "detections")


@pytest.fixture(scope="module")
def fuzz(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("fuzz_readers")


@pytest.fixture(scope="module")
def targets(fuzz: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    targets = fuzz.make_targets(tmp_path_factory.mktemp("fuzz"))
    fuzz.check_whole(targets)
    return {target.name: target for target in targets}


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_give_a_table_or_an_explained_error(
    fuzz: ModuleType, targets: dict[str, Any], reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    tally = fuzz.feed([targets[reader]], 120, seed=1)
    assert not [failure.trace for failure in tally.failures]
    assert sum(tally.outcomes.values()) == 120
    assert tally.outcomes[reader, "a table"] > 0, "no damage that leaves a file readable"


def test_the_same_seed_damages_alike(fuzz: ModuleType) -> None:
    content = b'{"a": [1, 2, {"b": "c"}]}'
    first, second = (
        [fuzz.mutate(rng, "x.json", content) for _ in range(50)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second
    assert len(set(first)) > 10
