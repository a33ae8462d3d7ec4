"""The loop: equal runs, exact resumption, the lambda rule, and what stops a run."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskps.errors import (
    AnnotationError,
    ConfigError,
    InputFileError,
    OutputError,
    OutputExistsError,
    TrainingError,
)
from maskps.io.locks import locked
from maskps.losses import LOSS_NAMES
from maskps.model import MaskGuidedPersonSearch
from maskps.model.processes import Processes
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import SceneDataset, StepReport, TrainConfig, dry_run, train
from maskps.training.checkpoint import checkpoint_path, checkpoint_steps, read_checkpoint, write_checkpoint
from maskps.training.loop import TrainingLoop

MakeConfig = Callable[..., TrainConfig]


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def last(run: Path) -> Path:
    """Returns the newest checkpoint."""
    return checkpoint_path(run, checkpoint_steps(run)[-1])


def same_weights(first: Path, second: Path) -> bool:
    states = [read_checkpoint(last(run)) for run in (first, second)]
    models = [state.model for state in states]
    momenta = [state.optimizer["state"] for state in states]
    assert models[0].keys() == models[1].keys()
    return (
        states[0].step == states[1].step
        and all(torch.equal(value, models[1][key]) for key, value in models[0].items())
        and all(
            torch.equal(value["momentum_buffer"], momenta[1][key]["momentum_buffer"])
            for key, value in momenta[0].items()
        )
    )


def stop_after(steps: int) -> Callable[[StepReport], None]:
    def callback(report: StepReport) -> None:
        if report.step == steps:
            raise KeyboardInterrupt

    return callback


def test_a_run_writes_one_line_per_step_and_its_settings(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    result = train(make_config(), dataset, subset, tmp_path / "run")
    lines = metrics(tmp_path / "run")
    assert [(line["step"], line["epoch"]) for line in lines] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
        (6, 2),
    ]
    assert set(lines[0]) == {"step", "epoch", "lr", *LOSS_NAMES, "loss"}
    assert [line["lr"] for line in lines] == pytest.approx([0.01] * 3 + [0.001] * 3)
    names = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.*")}
    checkpoints = {"checkpoints/step_00000003.pt", "checkpoints/step_00000006.pt"}
    assert names == {"run.json", "config.toml", "metrics.jsonl", "timing.jsonl", *checkpoints}
    assert (result.steps, result.steps_here) == (6, 6)
    assert "6 steps in 0:0" in result.summary()


def test_the_total_is_the_weighted_sum(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(epochs=1, id_weight=0.25, rpn_reg_weight=3), dataset, subset, tmp_path / "run")
    for line in metrics(tmp_path / "run"):
        total = sum(line[name] for name in LOSS_NAMES) - 0.75 * line["loss_id"] + 2 * line["loss_rpn_reg"]
        assert line["loss"] == pytest.approx(total, rel=1e-6)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    train(make_config(), dataset, subset, tmp_path / "a")
    torch.manual_seed(2)
    train(make_config(num_workers=1), dataset, subset, tmp_path / "b")
    train(make_config(seed=1), dataset, subset, tmp_path / "c")
    texts = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in "abc"]
    assert texts[0] == texts[1] != texts[2]
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_the_callers_random_state_is_left_alone(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    train(make_config(epochs=1), dataset, subset, tmp_path / "run")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("steps", "settings"),
    [
        (1, {}),
        (3, {}),
        (5, {}),
        (3, {"head": "norm_aware", "embedding_norm": True}),
        (3, {"head": "sequential", "embedding_norm": True}),
        (3, {"mask_size": 28}),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(
    steps: int,
    settings: dict[str, Any],
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    config = make_config(**settings)
    train(config, dataset, subset, tmp_path / "whole")
    with pytest.raises(TrainingError, match=f"interrupted after step {steps}") as caught:
        train(config, dataset, subset, tmp_path / "cut", callback=stop_after(steps))
    assert "--resume" in caught.value.hint
    result = train(config, dataset, subset, tmp_path / "cut", resume=True)
    assert (result.steps, result.steps_here) == (6, 6 - steps)
    whole, cut = ((tmp_path / run / "metrics.jsonl").read_bytes() for run in ("whole", "cut"))
    assert whole == cut
    assert same_weights(tmp_path / "whole", tmp_path / "cut")


def test_steps_after_the_last_checkpoint_are_done_again(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    """As after a kill, which saves nothing: the metrics know more steps than the checkpoint."""
    config = make_config(checkpoint_every=2)
    run = tmp_path / "run"

    def crash(report: StepReport) -> None:
        if report.step == 5:
            raise OSError("the machine went down")

    with pytest.raises(OSError, match="went down"):
        train(config, dataset, subset, run, callback=crash)
    assert (len(metrics(run)), read_checkpoint(last(run)).step) == (5, 4)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "epo')
    train(config, dataset, subset, run, resume=True)
    train(config, dataset, subset, tmp_path / "whole")
    assert (run / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert same_weights(run, tmp_path / "whole")


def test_a_run_killed_before_its_first_checkpoint_starts_over(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    def crash(report: StepReport) -> None:
        raise OSError("the machine went down")

    with pytest.raises(OSError, match="went down"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=crash)
    train(make_config(), dataset, subset, tmp_path / "run", resume=True)
    train(make_config(), dataset, subset, tmp_path / "whole")
    texts = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("run", "whole")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(
    number: int, dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    def callback(report: StepReport) -> None:
        if report.step == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingError, match="interrupted after step 2"):
        train(make_config(num_workers=1), dataset, subset, tmp_path / "run", callback=callback)
    assert read_checkpoint(last(tmp_path / "run")).step == 2
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_resuming_a_finished_run_does_nothing(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(), dataset, subset, tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    result = train(make_config(), dataset, subset, tmp_path / "run", resume=True)
    assert result.steps_here == 0
    assert result.summary() == "all 6 steps were done before"
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_without_masks_the_mask_loss_is_zero_and_the_rest_starts_equal(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(epochs=1, batch_size=6), dataset, subset, tmp_path / "on")
    train(make_config(epochs=1, batch_size=6, masks=False), dataset, None, tmp_path / "off")
    (on,), (off,) = metrics(tmp_path / "on"), metrics(tmp_path / "off")
    assert on["loss_mask"] > 0 == off["loss_mask"]
    for name in LOSS_NAMES[:-1]:
        assert on[name] == off[name]


def test_every_kind_of_image_gives_finite_losses(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    """One image a step: two of the six have no labeled person, one of them nobody."""
    train(make_config(epochs=1, batch_size=1), dataset, subset, tmp_path / "run")
    lines = metrics(tmp_path / "run")
    assert len(lines) == 6
    assert sum(line["loss_mask"] > 0 for line in lines) == 2
    assert sum(line["loss_id"] == 0 for line in lines) == 2


def spoil_fifth_step(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[dict[str, torch.Tensor]], None]
) -> None:
    """Has `spoil` change the losses of the fifth step."""
    forward = MaskGuidedPersonSearch.forward
    calls = []

    def spoilt(self: MaskGuidedPersonSearch, images: list, targets: list) -> dict[str, torch.Tensor]:
        calls.append(1)
        losses = forward(self, images, targets)
        assert isinstance(losses, dict)
        if len(calls) == 5:
            spoil(losses)
        return losses

    monkeypatch.setattr(MaskGuidedPersonSearch, "forward", spoilt)


def test_a_loss_that_is_not_finite_stops_with_step_images_and_losses(
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def spoil(losses: dict[str, torch.Tensor]) -> None:
        losses["loss_id"] = losses["loss_id"] * torch.nan

    spoil_fifth_step(monkeypatch, spoil)
    with pytest.raises(TrainingError, match=r"step 5, s\d\.jpg, s\d\.jpg") as caught:
        train(make_config(), dataset, subset, tmp_path / "run")
    assert "loss_id = nan" in caught.value.found
    assert all(name in caught.value.found for name in LOSS_NAMES)
    assert len(metrics(tmp_path / "run")) == 4
    assert read_checkpoint(last(tmp_path / "run")).step == 3


@pytest.mark.parametrize("gradient_clip", [0.0, 10.0])
def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(
    gradient_clip: float,
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The losses of the step are all finite: only the way back is broken."""

    def spoil(losses: dict[str, torch.Tensor]) -> None:
        losses["loss_rcnn_cls"].register_hook(lambda gradient: gradient * torch.nan)

    spoil_fifth_step(monkeypatch, spoil)
    run = tmp_path / "run"
    config = make_config(gradient_clip=gradient_clip, checkpoint_every=2)
    with pytest.raises(TrainingError, match=r"step 5, s\d\.jpg, s\d\.jpg") as caught:
        train(config, dataset, subset, run)
    assert caught.value.expected == "a finite gradient"
    assert caught.value.found.startswith("gradient norm = nan, ") and caught.value.found.count("nan") == 1
    assert len(metrics(run)) == 4
    checkpoint = read_checkpoint(last(run))
    assert checkpoint.step == 4
    assert all(value.isfinite().all() for value in checkpoint.model.values())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("tried to allocate 2 GiB"), "enough memory on cpu"),
        (RuntimeError("DataLoader worker (pid 7) is killed"), "processes that load images"),
    ],
)
def test_too_little_memory_is_explained_with_the_step(
    error: Exception,
    expected: str,
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forward(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(MaskGuidedPersonSearch, "forward", forward)
    with pytest.raises(TrainingError, match="step 1") as caught:
        train(make_config(), dataset, subset, tmp_path / "run")
    assert (caught.value.expected, caught.value.found) == (expected, str(error))


def test_missing_images_are_named_before_anything_is_written(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    for name in ("s1.jpg", "s5.jpg"):
        dataset.image_path(name).unlink()
    with pytest.raises(InputFileError, match=r"2 of them are not there: s1\.jpg, s5\.jpg"):
        train(make_config(), dataset, subset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_replaced_only_with_force(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(make_config(), dataset, subset, run)
    (run / "notes.txt").write_text("mine")
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(OutputExistsError, match="--force"):
        train(make_config(epochs=1), dataset, subset, run)
    assert (run / "metrics.jsonl").read_bytes() == before
    train(make_config(epochs=1), dataset, subset, run, force=True)
    assert len(metrics(run)) == 3
    assert read_checkpoint(last(run)).step == 3
    assert (run / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_run_is_never_replaced(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError, match="did not make"):
        train(make_config(), dataset, subset, dataset.image_dir, force=True)


def test_resuming_with_other_settings_names_them(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(1))
    with pytest.raises(ConfigError) as caught:
        train(make_config(epochs=3, seed=4), dataset, subset, tmp_path / "run", resume=True)
    assert caught.value.found == "epochs: 2 -> 3; seed: 0 -> 4"
    train(make_config(num_workers=1, checkpoint_every=1), dataset, subset, tmp_path / "run", resume=True)


def test_the_optimiser_of_another_version_is_refused(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(1))
    path = last(tmp_path / "run")
    checkpoint = read_checkpoint(path)
    checkpoint.optimizer["param_groups"].pop()
    write_checkpoint(path, checkpoint)
    with pytest.raises(InputFileError, match="optimiser") as caught:
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)
    assert "--force" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda saved: saved.update(state=[]), "another structure"),
        (lambda saved: saved["param_groups"][0].update(momentum=0.1), "momentum = 0.1 in place of 0.9"),
        (lambda saved: saved["param_groups"][0].update(params=torch.ones(2)), "params = tensor"),
        (lambda saved: saved["param_groups"][1].pop("rate_factor"), "without its settings"),
        (lambda saved: saved["state"].update({10**6: {}}), "a parameter 1000000"),
        (lambda saved: saved["state"].update({0: {}}), "parameter 0 with another state"),
        (lambda saved: saved["state"].update({0: {"momentum_buffer": torch.ones(2)}}), "momentum_buffer"),
        (lambda saved: saved["state"].update({0: {"momentum_buffer": 0.5}}), "momentum_buffer"),
    ],
)
def test_an_optimiser_of_another_kind_is_refused(
    change: Callable[[dict[str, Any]], object],
    found: str,
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(2))
    checkpoint = read_checkpoint(last(tmp_path / "run"))
    change(checkpoint.optimizer)
    write_checkpoint(last(tmp_path / "run"), checkpoint)
    with pytest.raises(InputFileError, match=last(tmp_path / "run").name) as caught:
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)
    assert found in caught.value.found


def test_resuming_with_other_masks_is_refused(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(1))
    row, outline = next(iter(subset.masks.outlines.items()))
    subset.masks.outlines[row] = outline.scaled(1.0, 0.9)  # type: ignore[index]
    with pytest.raises(TrainingError, match="masks_sha256"):
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)


def test_resuming_nothing_is_refused(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="without --resume"):
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_metrics_shorter_than_the_checkpoint_are_refused(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(4))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(lines[:2]))
    with pytest.raises(TrainingError, match="2 whole lines"):
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)


def test_an_unknown_device_is_named(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="device 'gpu7'"):
        train(make_config(), dataset, subset, tmp_path / "run", device="gpu7")


def test_a_report_is_one_line_with_all_losses(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    reports: list[StepReport] = []
    train(make_config(epochs=1), dataset, subset, tmp_path / "run", callback=reports.append)
    assert [report.step for report in reports] == [1, 2, 3]
    assert reports[-1].eta == 0 < reports[0].eta
    text = reports[0].text()
    assert (
        text.startswith("loss ")
        and "images/s" in text
        and "waiting, epoch 1/1 (" in text
        and "\n" not in text
    )
    assert all(name.removeprefix("loss_") in text for name in LOSS_NAMES)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, config = tmp_path / "run", make_config()
    train(config, dataset, subset, tmp_path / "whole")
    with pytest.raises(TrainingError, match="interrupted"):
        train(config, dataset, subset, run, callback=stop_after(5))
    last(run).write_bytes(b"damaged")
    assert train(config, dataset, subset, run, resume=True).steps_here == 3
    (message,) = caplog.messages
    assert "step_00000005.pt is damaged" in message and "going back to the checkpoint of step 3" in message
    assert same_weights(run, tmp_path / "whole")
    assert checkpoint_steps(run) == [3, 6]


def test_with_all_checkpoints_damaged_nothing_starts_over_by_itself(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(1))
    last(tmp_path / "run").write_bytes(b"damaged")
    with pytest.raises(InputFileError, match="step_00000001"):
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)


def test_a_steps_images_may_be_split_otherwise_when_resuming(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(batch_size=4), dataset, subset, run, callback=stop_after(1))
    with pytest.raises(ConfigError, match=r"images per step .*: 4 -> 6"):
        train(make_config(batch_size=3, accumulate=2), dataset, subset, run, resume=True)
    assert train(make_config(batch_size=2, accumulate=2), dataset, subset, run, resume=True).steps_here == 3


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}])
def test_a_run_has_one_writer(
    options: dict[str, bool],
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    """The second training is refused at the second step of the first, which is not disturbed."""
    run, config = tmp_path / "run", make_config()
    refusals: list[OutputError | OutputExistsError] = []

    def start_another(report: StepReport) -> None:
        if report.step == 2:
            with pytest.raises((OutputError, OutputExistsError)) as caught:
                train(config, dataset, subset, run, **options)
            refusals.append(caught.value)

    train(config, dataset, subset, run, callback=start_another)
    assert [line["step"] for line in metrics(run)] == [1, 2, 3, 4, 5, 6]
    if options:
        assert f"process {os.getpid()}" in refusals[0].found
    train(config, dataset, subset, run, force=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_is_in_use_is_refused(
    resume: bool, dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Two trainings at once would write each step twice into one metrics.jsonl."""
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, run, callback=stop_after(1))
    before = metrics(run)
    with locked(run, what="run"), pytest.raises(OutputError, match="no other process"):
        train(make_config(), dataset, subset, run, resume=resume, force=not resume)
    assert metrics(run) == before


def test_a_run_that_another_process_finished_meanwhile_is_not_replaced(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", make_config(epochs=1)
    scenes = SceneDataset(dataset, subset, config)
    place = torch.device("cpu")
    loop = TrainingLoop(scenes, run, place, Processes(), resume=False, force=False, callback=None)
    train(config, dataset, subset, run)
    before = last(run).stat().st_mtime_ns
    with pytest.raises(OutputExistsError):
        loop.run()
    assert last(run).stat().st_mtime_ns == before


@pytest.mark.parametrize("left", [[".lock"], [".run.json.x1.json"], ["run.json"]])
def test_a_run_that_was_killed_at_its_first_files_starts_again(
    left: list[str], dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(epochs=1)
    train(config, dataset, subset, tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    for name in left:
        content = (tmp_path / "whole" / name).read_bytes() if name == "run.json" else b"{"
        (run / name).write_bytes(content)
    train(config, dataset, subset, run, resume=left == ["run.json"])
    assert metrics(run) == metrics(tmp_path / "whole")
    assert (run / "config.toml").read_bytes() == (tmp_path / "whole" / "config.toml").read_bytes()


def test_force_leaves_files_that_a_run_did_not_write(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    config, run = make_config(epochs=1), tmp_path / "run"
    train(config, dataset, subset, run)
    own = [run / "notes.txt", run / "checkpoints" / "mine.pt", run / "tensorboard" / "notes.txt"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("keep")
    write_checkpoint(checkpoint_path(run, 77), read_checkpoint(last(run)))
    train(config, dataset, subset, run, force=True)
    assert all(path.read_text() == "keep" for path in own)
    assert checkpoint_steps(run) == [3]


@pytest.mark.parametrize("call", [train, dry_run])
def test_persons_beside_their_image_are_refused_before_the_first_step(
    call: Callable[..., object],
    dataset: PersonSearchDataset,
    subset: Subset,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    table = dataclasses.replace(dataset.train, boxes=dataset.train.boxes - np.float32([5000, 0, 5000, 0]))
    moved = dataclasses.replace(dataset, train=table)
    with pytest.raises(AnnotationError, match="10 of 10 boxes with no part in their image"):
        call(make_config(masks=False), moved, None, *([tmp_path / "run"] if call is train else []))
    assert not (tmp_path / "run").exists()


def test_a_pipe_in_place_of_the_metrics_is_not_waited_for(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_after(1))
    (tmp_path / "run" / "metrics.jsonl").unlink()
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(InputFileError, match=r"metrics\.jsonl"):
        train(make_config(), dataset, subset, tmp_path / "run", resume=True)
