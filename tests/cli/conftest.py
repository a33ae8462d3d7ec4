"""Fixtures of the tests that type commands."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def one_thread() -> None:
    """torch on one thread, as small networks are fastest."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def network(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained run whose weights have the data terms `TERMS`; no test changes it."""
    from untrained_run import TERMS, write_untrained_run

    return write_untrained_run(few_scenes, tmp_path_factory.mktemp("network") / "run", terms=TERMS)
