"""Fixtures that all tests share."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from maskps.synthetic import SplitScale, SynthScale, write_synthetic

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples in every run, on a slow machine too; `pytest --hypothesis-profile default` draws others.
settings.register_profile("maskps", derandomize=True, deadline=None)
settings.load_profile("maskps")

FEW_SCENES = SynthScale(
    160,
    (0.2, 0.42),
    SplitScale(12, 2, 4, 13, 20, 4, (3, 4)),
    SplitScale(9, 0, 3, 10, 10, 3, (3, 4)),
    galleries=(4, 6),
    occluded=1,
    low_resolution=1,
    subset_gallery=4,
)
"""21 scenes of 160 pixels: renders in under a second."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, also for the processes that they start: the user's is not touched."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKPS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotation files; tests that need it are skipped aloud where it is absent."""
    folder = Path(os.environ.get("MASKPS_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "cuhk_sysu" / "TestG100.mat").is_file():
        pytest.skip(f"real annotation files are not at {folder}; set MASKPS_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def benchmark_script() -> Callable[[str], ModuleType]:
    """Imports a script of tests/benchmarks by its name: `benchmark_script("overfit")`."""

    def load(name: str) -> ModuleType:
        path = REPOSITORY / "tests" / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look for their module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def few_scenes_scale() -> SynthScale:
    """The size of `few_scenes`."""
    return FEW_SCENES


@pytest.fixture(scope="session")
def few_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic data set of 12 training and 9 test scenes on disk; not to be changed."""
    root = tmp_path_factory.mktemp("few") / "scenes"
    write_synthetic(root, scale=FEW_SCENES, seed=3)
    return root


@pytest.fixture
def own_scenes(few_scenes: Path, tmp_path: Path) -> Path:
    """A copy of `few_scenes`, without the truth about its masks, for the test to change."""
    return shutil.copytree(few_scenes, tmp_path / "scenes", ignore=shutil.ignore_patterns("truth"))
