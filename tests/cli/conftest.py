"""Fixtures of the tests that type commands."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def one_thread() -> None:
    """torch on one thread, as small networks are fastest."""
    import torch

    torch.set_num_threads(1)
