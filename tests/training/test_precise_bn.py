"""Precise statistics of batch norms: what they are, what they leave alone, and when a run estimates them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import maskps.training.loop
import maskps.training.precise_bn
from maskps.errors import TrainingError
from maskps.model import MaskGuidedPersonSearch, build_model
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import SceneDataset, StepReport, TrainConfig, load_run, train
from maskps.training.checkpoint import checkpoint_path, checkpoint_steps, read_checkpoint
from maskps.training.data import epoch_order
from maskps.training.precise_bn import estimate_norms, norms_that_train

MakeConfig = Callable[..., TrainConfig]
CPU = torch.device("cpu")


@pytest.fixture
def make_scenes(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig
) -> Callable[..., SceneDataset]:
    return lambda **changes: SceneDataset(
        dataset,
        subset,
        make_config(**({"precise_bn_images": 6, "batch_size": 1, "embedding_norm": True} | changes)),
    )


def model_of(scenes: SceneDataset) -> MaskGuidedPersonSearch:
    return build_model(scenes.config, scenes.dataset.num_train_ids).train()


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var"))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_norm_gets_the_moments_of_all_values_it_saw(
    batch_size: int, make_scenes: Callable[..., SceneDataset]
) -> None:
    """Of all images in one go, in float64: the images' differences and numbers of persons are in them."""
    scenes = make_scenes(batch_size=batch_size)
    model = model_of(scenes)
    norms = norms_that_train(model)
    assert model.roi_heads.embedding.norm in norms
    seen: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, arguments: tuple[Tensor]) -> None:
        values = arguments[0].double()
        seen[norm].append(values.movedim(1, -1).reshape(-1, values.shape[1]))

    for norm in norms:
        norm.register_forward_pre_hook(note)
    estimate_norms(model, scenes, CPU)
    for norm in norms:
        assert len(seen[norm]) == -(-6 // batch_size)
        values = torch.cat(seen[norm])
        torch.testing.assert_close(norm.running_mean, values.mean(dim=0).float())
        torch.testing.assert_close(norm.running_var, values.var(dim=0).float())


def test_nothing_else_changes(make_scenes: Callable[..., SceneDataset]) -> None:
    scenes = make_scenes()
    model = model_of(scenes)
    id_loss = model.roi_heads.id_loss
    torch.nn.init.eye_(id_loss.lookup_table)
    torch.nn.init.eye_(id_loss.circular_queue)
    before = state_of(model)
    estimate_norms(model, scenes, CPU)
    model.commit()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) != is_statistic(name), name
    assert all(value.grad is None for value in model.parameters())
    assert model.training and all(norm.track_running_stats for norm in norms_that_train(model))


def test_it_is_estimated_from_weights_and_seed_alone(make_scenes: Callable[..., SceneDataset]) -> None:
    states = []
    for seed, noise in ((0, 0), (0, 1), (1, 0)):
        scenes = make_scenes(seed=seed)
        model = build_model(make_scenes().config, scenes.dataset.num_train_ids).train()
        for norm in norms_that_train(model):
            norm.running_mean += noise
        torch.manual_seed(noise)
        estimate_norms(model, scenes, CPU)
        states.append(torch.cat([value.flatten() for value in model.state_dict().values()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_the_last_images_count_as_much_as_the_first(
    make_scenes: Callable[..., SceneDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running average gives the last of six images 1.7 times the weight of the first."""
    scenes, states = make_scenes(), []
    for order in (epoch_order, lambda *arguments, **seeds: epoch_order(*arguments, **seeds)[::-1]):
        monkeypatch.setattr(maskps.training.precise_bn, "epoch_order", order)
        model = model_of(scenes)
        estimate_norms(model, scenes, CPU)
        states.append(state_of(model))
    torch.testing.assert_close(states[0], states[1])


@pytest.mark.parametrize(
    "changes", [{"precise_bn_images": 0}, {"freeze_batch_norm": "all", "embedding_norm": False}]
)
def test_without_the_setting_or_a_norm_that_trains_no_image_is_read(
    changes: dict[str, object], make_scenes: Callable[..., SceneDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = make_scenes(**changes)
    model = model_of(scenes)
    before = state_of(model)
    monkeypatch.setattr(SceneDataset, "__getitem__", lambda *_: pytest.fail("an image was read"))
    estimate_norms(model, scenes, CPU)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_ends_with_them_and_keeps_everything_else(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    """The last checkpoint has the statistics that its weights give; the one before, those of the running."""
    settings = {"keep_checkpoints": 2, "precise_bn_images": 4}
    config = make_config(**settings)
    train(config, dataset, subset, tmp_path / "with")
    train(make_config(**settings | {"precise_bn_images": 0}), dataset, subset, tmp_path / "without")
    texts = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("with", "without")]
    assert texts[0] == texts[1]
    for step in (3, 6):
        first, second = (
            read_checkpoint(checkpoint_path(tmp_path / name, step)).model for name in ("with", "without")
        )
        for name, value in first.items():
            assert torch.equal(value, second[name]) != (step == 6 and is_statistic(name)), name
    run = load_run(tmp_path / "with")
    again = state_of(run.model)
    estimate_norms(run.model.train(), SceneDataset(dataset, subset, config), CPU)
    assert all(torch.equal(value, again[name]) for name, value in run.model.state_dict().items())


@pytest.mark.parametrize("moment", ["before the last step", "while estimating"])
def test_a_resumed_run_is_the_uninterrupted_one(
    moment: str,
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config(precise_bn_images=4)
    train(config, dataset, subset, tmp_path / "whole")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def callback(report: StepReport) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    run = tmp_path / "cut"
    with monkeypatch.context() as patch:
        if moment == "while estimating":
            patch.setattr(maskps.training.loop, "estimate_norms", interrupted)
        with pytest.raises(TrainingError, match=r"interrupted (after step 5|in step 6)"):
            train(config, dataset, subset, run, callback=None if moment == "while estimating" else callback)
    assert checkpoint_steps(run)[-1] == (3 if moment == "while estimating" else 5)
    train(make_config(precise_bn_images=4, num_workers=1), dataset, subset, run, resume=True)
    states = [read_checkpoint(checkpoint_path(folder, 6)).model for folder in (tmp_path / "whole", run)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
