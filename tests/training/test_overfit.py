"""Eight scenes are learned by heart, quickly: every part of the network learns, and all fit together.

`tests/benchmarks/overfit.py` does the same for longer, to the goals that it names. The bounds lie between
what is reached here (mAP 1.0, mask IoU 0.75) and what a broken network reaches on the same scenes: mAP 0.19
without the identity loss, mask IoU 0.39 without the mask loss.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from maskps.training import load_run, train

EPOCHS = 40
SEED = 1


@pytest.fixture(scope="module")
def overfit(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("overfit")


@pytest.fixture(scope="module")
def learned(overfit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("overfit")
    dataset, subset = overfit.make_scenes(folder, seed=SEED)
    train(overfit.settings(EPOCHS, [f"seed={SEED}"]), dataset, subset, folder / "run")
    return overfit.examine(load_run(folder / "run").predictor(), dataset, subset)


def test_persons_are_found_again(learned: Any) -> None:
    assert learned.search.mAP > 0.6


def test_masks_are_drawn_again(learned: Any) -> None:
    assert learned.mask_iou > 0.6
