"""Some damaged files for every reader; `tests/benchmarks/fuzz_all.py` takes as many as one wants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

LABELME = ("labelme, codec", "labelme, annotate check", "labelme, build-subset")
READERS = {
    **dict.fromkeys(("cuhk-sysu", "prw", "coco", "coco of others", "mask subset", "name list"), "a result"),
    **dict.fromkeys(("detections", "checkpoint, sealed again", "settings", "decisions"), "a result"),
    **dict.fromkeys(("checkpoint", "collected.json"), "a result"),
    **dict(zip(LABELME, ("read and written", "persons pass", "outlines"), strict=True)),
    "images": "pixels",
    "packs": "findings",
    "gallery": "hits",
}
"""Every reader, and the outcome of a file that it can read."""


@pytest.fixture(scope="module")
def fuzz(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("fuzz_all")


@pytest.fixture(scope="module")
def targets(fuzz: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    targets = fuzz.all_targets(tmp_path_factory.mktemp("fuzz"))
    fuzz.check_whole(targets)
    return {target.name: target for target in targets}


def test_every_reader_is_here(targets: dict[str, Any]) -> None:
    assert set(targets) == set(READERS)


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_give_a_result_or_an_explained_error(
    fuzz: ModuleType, targets: dict[str, Any], reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    tally = fuzz.feed([targets[reader]], 150, seed=1)
    assert not [failure.trace for failure in tally.failures]
    assert sum(tally.outcomes.values()) == 150
    assert tally.outcomes[reader, READERS[reader]] > 0, "no damage that leaves a file readable"


@pytest.mark.parametrize("name", ["x.json", "x.toml", "x.png", "x.txt"])
def test_the_same_seed_damages_alike(fuzz: ModuleType, targets: dict[str, Any], name: str) -> None:
    content = {
        "x.json": b'{"a": [1, 2, {"b": "c"}]}',
        "x.toml": b"a = 1\nb = 2\nc = [3]",
        "x.png": (targets["images"].folder / "a.png").read_bytes(),
        "x.txt": b"any bytes will do",
    }[name]
    first, second = (
        [fuzz.mutate(rng, name, content) for _ in range(50)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second
    assert len(set(first)) > 10
