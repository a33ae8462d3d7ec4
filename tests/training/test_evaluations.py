"""Evaluations during a run: when, what they keep, and that an interruption changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import maskps.training.evaluations
from maskps.datasets import open_dataset
from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.evaluation.detections_file import Detections
from maskps.model.predictor import Predictor
from maskps.structures import PersonSearchDataset
from maskps.training import SceneDataset, StepReport, TrainConfig, load_run, train
from maskps.training.checkpoint import best_path, checkpoint_path, read_checkpoint
from maskps.training.precise_bn import estimate_norms

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def scenes(few_scenes: Path) -> PersonSearchDataset:
    return open_dataset(few_scenes)


@pytest.fixture
def config(make_config: MakeConfig) -> Callable[..., TrainConfig]:
    """Three epochs of three steps, evaluated after each, with precise statistics of batch norms."""
    values = {"masks": False, "epochs": 3, "batch_size": 4, "eval_every": 1, "eval_gallery_size": 4}
    values["precise_bn_images"] = 2
    return lambda **changes: make_config(**(values | changes))


def evaluations(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]


def test_an_epoch_in_so_many_is_evaluated_and_the_best_is_kept(
    scenes: PersonSearchDataset, config: MakeConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(config(epochs=4, eval_every=2, keep_checkpoints=1), scenes, None, run)
    lines = evaluations(run)
    assert [(line["step"], line["epoch"], line["protocol"]) for line in lines] == [
        (6, 2, "TestG4"),
        (12, 4, "TestG4"),
    ]
    best = max(lines, key=lambda line: (line["mAP"], -line["step"]))
    kept = load_run(run, checkpoint="best")
    assert kept.step == best["step"]
    before = {name: value.clone() for name, value in kept.model.state_dict().items()}
    estimate_norms(kept.model.train(), SceneDataset(scenes, None, kept.config), kept.device)
    assert all(torch.equal(value, before[name]) for name, value in kept.model.state_dict().items())


def test_evaluating_does_not_change_the_training(
    scenes: PersonSearchDataset, config: MakeConfig, tmp_path: Path
) -> None:
    """Also not the running averages of norms, which a step with a single person uses."""
    settings = {"keep_checkpoints": 3, "embedding_norm": True}
    train(config(**settings), scenes, None, tmp_path / "with")
    train(config(**settings, eval_every=0), scenes, None, tmp_path / "without")
    texts = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("with", "without")]
    assert texts[0] == texts[1]
    for step in (3, 6, 9):
        first, second = (
            read_checkpoint(checkpoint_path(tmp_path / name, step)).model for name in ("with", "without")
        )
        assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not best_path(tmp_path / "without").exists()


def test_an_evaluation_that_begins_at_a_resumption_sees_the_network_of_the_whole_run(
    scenes: PersonSearchDataset, config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With precise statistics of norms, which no checkpoint before the last one has."""
    seen: list[Tensor] = []

    def note(predictor: Predictor, *arguments: Any, **keywords: Any) -> Detections:
        state = predictor.model.state_dict().values()
        seen.append(torch.cat([value.flatten().double() for value in state]))
        return extract_detections(predictor, *arguments, **keywords)

    def callback(report: StepReport) -> None:
        if report.step == 3:
            raise KeyboardInterrupt

    extract_detections = maskps.training.evaluations.extract_detections
    monkeypatch.setattr(maskps.training.evaluations, "extract_detections", note)
    train(config(epochs=2), scenes, None, tmp_path / "whole")
    run = tmp_path / "cut"
    with pytest.raises(TrainingError, match="interrupted after step 3"):
        train(config(eval_every=0, epochs=2), scenes, None, run, callback=callback)
    train(config(epochs=2), scenes, None, run, resume=True)
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])


@pytest.mark.parametrize("moment", ["before the evaluation", "in it", "after it"])
def test_interrupted_and_resumed_the_evaluations_are_the_same(
    moment: str,
    scenes: PersonSearchDataset,
    config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train(config(), scenes, None, tmp_path / "whole")
    run = tmp_path / "cut"

    def callback(report: StepReport) -> None:
        if report.step == (2 if moment == "before the evaluation" else 3):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "in it":

            def cut(*arguments: object, **keywords: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(maskps.training.evaluations, "extract_detections", cut)
        with pytest.raises(TrainingError, match="interrupted"):
            train(config(), scenes, None, run, callback=callback)
    assert (run / "evaluations.jsonl").exists() == (moment == "after it")
    train(config(), scenes, None, run, resume=True)
    for name in ("evaluations.jsonl", "metrics.jsonl"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    steps = [read_checkpoint(best_path(tmp_path / name)).step for name in ("whole", "cut")]
    assert steps[0] == steps[1]


def test_an_unknown_gallery_size_is_refused_before_anything_is_written(
    scenes: PersonSearchDataset, config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="TestG5"):
        train(config(eval_gallery_size=5), scenes, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_edited_evaluations_are_named(
    scenes: PersonSearchDataset, config: MakeConfig, tmp_path: Path
) -> None:
    train(config(epochs=1), scenes, None, tmp_path / "run")
    (tmp_path / "run" / "evaluations.jsonl").write_text('{"step": 3}\n')
    with pytest.raises(InputFileError, match=r"evaluations\.jsonl"):
        train(config(epochs=1), scenes, None, tmp_path / "run", resume=True)
