"""What a dry run says, and that it leaves nothing behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskps.errors import InputFileError, TrainingError
from maskps.model import build_model
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import Subset
from maskps.training import DryRun, TrainConfig, dry_run, train
from maskps.training.dry_run import count_parameters

Config = Callable[..., TrainConfig]


@pytest.fixture
def dry(dataset: PersonSearchDataset, subset: Subset, make_config: Config) -> DryRun:
    return dry_run(make_config(batch_size=1, accumulate=2, epochs=3, frozen_stages=1), dataset, subset)


def test_data_are_counted(dry: DryRun) -> None:
    assert (dry.info.scenes, dry.info.num_pids, dry.labeled, dry.unlabeled) == (6, 3, 6, 4)
    assert (dry.info.persons_with_mask, dry.missing) == (3, 0)


def test_steps_are_those_of_the_run(
    dry: DryRun, dataset: PersonSearchDataset, subset: Subset, tmp_path: Path
) -> None:
    result = train(dry.config, dataset, subset, tmp_path / "run")
    assert (dry.info.images_per_step, dry.info.steps_per_epoch, dry.info.steps) == (2, 3, result.steps)


def test_parameters_are_counted_by_part(make_config: Config) -> None:
    model = build_model(make_config(frozen_stages=1, freeze_batch_norm="stem", embedding_norm=True), 3)
    counts = count_parameters(model)
    assert list(counts) == ["stem", "rpn", "res5", "heads", "mask"]
    of_stem = sum(value.numel() for value in model.stem.parameters())
    frozen = sum(value.numel() for value in model.stem.parameters() if not value.requires_grad)
    assert counts["stem"] == (of_stem - frozen, frozen) and frozen > 0
    assert sum(map(sum, counts.values())) == sum(value.numel() for value in model.parameters())


def test_time_and_memory_are_measured(dry: DryRun) -> None:
    assert 1 <= dry.steps_measured <= 5 and 0 < dry.seconds_per_step < 60
    assert dry.seconds == dry.seconds_per_step * dry.info.steps
    assert 2**26 < dry.peak_bytes < 2**38


def test_nothing_is_written_and_no_random_state_is_used(
    dataset: PersonSearchDataset, subset: Subset, make_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.root)
    files, generator = sorted(dataset.root.rglob("*")), torch.get_rng_state()
    dry_run(make_config(), dataset, subset)
    assert sorted(dataset.root.rglob("*")) == files
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_text_marks_what_differs_from_the_recipe_and_from_the_paper(dry: DryRun) -> None:
    recipe = dataclasses.replace(dry.config, epochs=12, seed=5)
    lines = {line.strip(" *").split()[0]: line for line in dry.text(recipe).splitlines() if line.strip()}
    assert lines["epochs"].split() == ["*", "epochs", "3", "recipe:", "12,", "paper:", "12"]
    assert lines["seed"].split() == ["*", "seed", "0", "recipe:", "5"]
    assert lines["embedding_dim"].split() == ["embedding_dim", "16", "paper:", "256"]
    assert lines["rpn_nms"].split() == ["rpn_nms", "0.7"]


def test_the_text_shows_every_setting_and_every_count(dry: DryRun) -> None:
    text = dry.text()
    assert all(f"  {field.name} " in text for field in dataclasses.fields(TrainConfig))
    for part in (
        "6 scenes, 3 identities",
        "6 labeled and 4 unlabeled persons",
        "3 persons with a mask, 0 of the subset still without",
        "2 images in a step: batch_size 1 x accumulate 2",
        "9 steps: 3 in each of 3 epochs",
        "images/s",
        "GiB of memory",
    ):
        assert part in text


def test_missing_masks_are_refused_as_by_training_or_counted(
    dataset: PersonSearchDataset, subset: Subset, make_config: Config
) -> None:
    states = subset.masks.states.copy()
    row = min(subset.masks.outlines)
    states[row] = MaskState.MISSING
    outlines = {key: value for key, value in subset.masks.outlines.items() if key != row}
    lacking = dataclasses.replace(
        subset, masks=dataclasses.replace(subset.masks, states=states, outlines=outlines)
    )
    with pytest.raises(TrainingError, match="1 persons without one"):
        dry_run(make_config(), dataset, lacking)
    dry = dry_run(make_config(allow_missing_masks=True, epochs=1), dataset, lacking)
    assert (dry.info.persons_with_mask, dry.missing) == (2, 1)


def test_without_masks_none_are_counted(dataset: PersonSearchDataset, make_config: Config) -> None:
    dry = dry_run(make_config(masks=False), dataset, None)
    assert dry.info.persons_with_mask == 0 and "no masks" in dry.text()


def test_images_that_are_not_there_are_named(
    dataset: PersonSearchDataset, subset: Subset, make_config: Config
) -> None:
    (dataset.image_dir / "s4.jpg").unlink()
    with pytest.raises(InputFileError, match=r"s4\.jpg"):
        dry_run(make_config(), dataset, subset)


@pytest.mark.parametrize("call", ["dry_run", "train"])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")]
)
def test_too_little_memory_on_the_cpu_is_explained(
    error: Exception,
    call: str,
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_large(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("maskps.training.step.Stepper.take", too_large)
    with pytest.raises(TrainingError, match="enough memory on cpu"):
        if call == "train":
            train(make_config(), dataset, subset, tmp_path / "run")
        else:
            dry_run(make_config(), dataset, subset)


def test_an_endless_run_is_not_laid_out_beforehand(
    dataset: PersonSearchDataset, subset: Subset, make_config: Config
) -> None:
    assert dry_run(make_config(epochs=100_000), dataset, subset).info.steps == 300_000
