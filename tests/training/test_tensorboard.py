"""What TensorBoard reads from a run, also after a resumption."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from maskps.errors import ConfigError
from maskps.losses import LOSS_NAMES
from maskps.model import build_model
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import SceneDataset, TrainConfig
from maskps.training.report import StepReport
from maskps.training.tensorboard import TensorBoardLog, training_picture

CPU = torch.device("cpu")


def _report(step: int, loss: float) -> StepReport:
    losses = {name: loss + row for row, name in enumerate(LOSS_NAMES)} | {"loss": loss}
    return StepReport(step, 9, 1, 1, 0.01, losses, images_per_second=5.0, waiting=0.25, eta=1.0)


def _write(run_dir: Path, steps: range, *, loss: float, **settings: Any) -> None:
    log = TensorBoardLog(run_dir, TrainConfig(**settings), step=steps.start - 1)
    for step in steps:
        log.step(_report(step, loss))
    log.close()


def _read(run_dir: Path) -> EventAccumulator:
    return EventAccumulator(str(run_dir / "tensorboard")).Reload()


def _curve(run_dir: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _read(run_dir).Scalars(name)]


def test_there_is_a_curve_of_every_loss_of_the_rate_and_of_the_speed(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 3), loss=2.0)
    assert set(_read(tmp_path).Tags()["scalars"]) == {
        *(f"losses/{name}" for name in ("rpn_cls", "rpn_reg", "rcnn_cls", "rcnn_reg", "id", "mask")),
        *("loss", "learning rate", "speed/images per second", "speed/share of time waiting for images"),
    }
    assert _curve(tmp_path, "losses/rpn_reg") == [(1, 3.0), (2, 3.0)]
    assert _curve(tmp_path, "speed/share of time waiting for images") == [(1, 0.25), (2, 0.25)]


def test_a_resumed_run_goes_on_without_doubled_steps(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 6), loss=1.0)
    _write(tmp_path, range(4, 8), loss=2.0)  # the last checkpoint was of step 3
    assert _curve(tmp_path, "loss") == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 2)]


def test_a_run_from_its_start_drops_the_curves_of_the_one_before(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 6), loss=1.0)
    _write(tmp_path, range(1, 3), loss=2.0)
    assert _curve(tmp_path, "loss") == [(1, 2), (2, 2)]


def test_images_come_after_the_first_step_and_then_regularly(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, TrainConfig(image_every=3), step=0)
    log.close()
    assert [step for step in range(1, 10) if log.wants_images(step)] == [1, 3, 6, 9]


def test_an_image_is_written_and_the_network_is_left_as_it_was(
    tmp_path: Path, dataset: PersonSearchDataset, subset: Subset, make_config: Callable[..., TrainConfig]
) -> None:
    config = make_config()
    model = build_model(config, 3).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    log = TensorBoardLog(tmp_path, config, step=0)
    log.images(1, model, SceneDataset(dataset, subset, config)[0, 0], CPU)
    log.close()
    assert model.training and torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    (image,) = _read(tmp_path).Images("example")
    assert image.step == 1 and image.encoded_image_string[:4] == b"\x89PNG"


@pytest.mark.parametrize(("row", "masked"), [(0, [0, 1]), (1, []), (3, [])])
def test_true_masks_are_those_of_the_persons_with_an_outline(
    row: int,
    masked: list[int],
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: Callable[..., TrainConfig],
) -> None:
    """Triangles with their tip at the right, or the left when flipped; the fourth scene is empty."""
    config = make_config(flips="none")
    batch = SceneDataset(dataset, subset, config)[0, row]
    picture = training_picture(build_model(config, 3), batch, 0, CPU)
    assert picture.masked.tolist() == masked
    assert picture.true_masks.shape == picture.predicted_masks.shape == (len(masked), 14, 14)
    for mask in picture.true_masks:
        assert mask[:, 0].sum() > mask[:, -1].sum()


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'maskps\[tensorboard\]'"):
        TensorBoardLog(tmp_path, TrainConfig(), step=0)
