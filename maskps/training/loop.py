"""Training as one call: everything is checked, then the run goes on from its last checkpoint (Sec. 4.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from maskps.config import TrainConfig
from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.io.files import check_output
from maskps.io.images import check_images
from maskps.model.build import build_model
from maskps.model.processes import Processes, open_processes, own_device
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training.checkpoint import Checkpoint, checkpoint_path
from maskps.training.data import SceneDataset
from maskps.training.evaluations import Evaluations
from maskps.training.precision import autocast_for
from maskps.training.report import StepReport, TrainResult
from maskps.training.run import (
    CONFIG,
    RECORD,
    RunInfo,
    differing_settings,
    load_weights,
    open_device,
    read_newest_checkpoint,
    read_run_files,
)
from maskps.training.running import RunningTraining
from maskps.training.schedule import build_optimizer
from maskps.training.tensorboard import check_tensorboard


def train(
    config: TrainConfig,
    dataset: PersonSearchDataset,
    subset: Subset | None,
    run_dir: Path,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    force: bool = False,
    callback: Callable[[StepReport], None] | None = None,
) -> TrainResult:
    """Trains the network on the training scenes and writes a run folder (see `maskps.training.run`).

    The same settings, data, machine and number of threads give the same `metrics.jsonl` and weights on the
    CPU, byte for byte, also when a run is interrupted and resumed any number of times: nothing random is
    drawn from a state that runs on. Order, flips and sampling come from (seed, epoch, scene), and torch's
    own generator, should a layer use it, is seeded from (seed, step) before every step. The caller's
    random state is left as it was.

    SIGINT or SIGTERM (in the main thread), or a KeyboardInterrupt that `callback` raises, end the run after
    the step at hand, with a checkpoint.

    Under torchrun every process calls this function with the same arguments. Each takes its share of every
    step's images; the first one alone writes files, calls `callback` and evaluates. A run may be resumed
    with another number of processes if a step then sees as many images as before.

    Args:
        subset: the mask subset; may be None if `config.masks` is off.
        run_dir: a new or empty folder, unless `resume` or `force`.
        resume: continue the run in `run_dir` after its last checkpoint.
        force: replace the run in `run_dir`.
        callback: called after every step, in the first process.

    Raises:
        OutputExistsError: `run_dir` holds something, and neither `resume` nor `force`.
        OutputError: the run cannot be written there.
        ConfigError: settings that contradict the data, each other, or those of the run to resume.
        InputFileError: images that are not there (all are looked for before the first step) or broken.
        TrainingError: a loss or a gradient that is not finite, missing masks, an interruption, or nothing
            to resume.
    """
    if resume and force:
        raise ConfigError("--resume and --force", expected="one of them", found="both")
    place = own_device(open_device(device))
    with open_processes(place) as processes:

        def prepared() -> RunningTraining:
            scenes = SceneDataset(dataset, subset, config)
            return _prepared(scenes, run_dir, place, processes, resume=resume, force=force, callback=callback)

        return processes.together(prepared).go()


def _prepared(
    scenes: SceneDataset,
    run_dir: Path,
    device: torch.device,
    processes: Processes,
    *,
    resume: bool,
    force: bool,
    callback: Callable[[StepReport], None] | None,
) -> RunningTraining:
    """Returns the run, ready to go on: all that can be checked has been, and nothing is written yet."""
    config, dataset = scenes.config, scenes.dataset
    info = RunInfo.of(scenes, processes=processes.size)
    if resume:
        _check_resumable(run_dir, info, config)
    else:
        check_output(run_dir, record=RECORD, force=force)
    autocast_for(config, device)  # refuses a device without bfloat16
    if config.tensorboard:
        check_tensorboard()
    check_images(dataset.image_dir, [str(name) for name in dataset.train.names], what="training images")
    checkpoint = read_newest_checkpoint(run_dir, info) if resume else None
    step = 0 if checkpoint is None else checkpoint.step
    evaluations = None
    if config.eval_every and processes.is_first:
        evaluations = Evaluations(run_dir, config, dataset, step=step, steps_per_epoch=info.steps_per_epoch)
    # A checkpoint brings all weights: whatever the backbone started from may be gone by now.
    start = config if checkpoint is None else dataclasses.replace(config, pretrained="none")
    model = build_model(start, info.num_pids).to(device).train()
    optimizer = build_optimizer(model, config)
    if checkpoint is not None:
        load_weights(model, checkpoint, checkpoint_path(run_dir, step))
        _load_optimizer(optimizer, checkpoint, checkpoint_path(run_dir, step))
    return RunningTraining(
        run_dir=run_dir,
        config=config,
        info=info,
        device=device,
        processes=processes,
        scenes=scenes,
        model=model,
        optimizer=optimizer,
        evaluations=evaluations,
        callback=callback,
        is_new=not resume,
        step=step,
    )


def _load_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint, path: Path) -> None:
    try:
        optimizer.load_state_dict(checkpoint.optimizer)
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(
            path,
            expected="the optimiser's state for this network",
            found=f"another one: {error}",
            hint="it comes from another version of maskps; use that one, or train anew with --force",
        ) from error


def _check_resumable(run_dir: Path, info: RunInfo, config: TrainConfig) -> None:
    if not (run_dir / RECORD).is_file():
        raise TrainingError(
            run_dir, expected="a run to resume", found=f"no {RECORD}", hint="start it without --resume"
        )
    old_info, old_config = read_run_files(run_dir)
    # How a step's images are split may change; how many they are may not.
    same_split = dataclasses.replace(
        config, batch_size=old_config.batch_size, accumulate=old_config.accumulate
    )
    differences = differing_settings(old_config, same_split)
    if old_info.images_per_step != info.images_per_step:
        differences.append(
            f"images per step (batch_size x accumulate x processes): {old_info.images_per_step} -> "
            f"{info.images_per_step}"
        )
    if differences:
        raise ConfigError(
            run_dir / CONFIG,
            expected="the settings the run was started with",
            found="; ".join(differences),
            hint="resume with the same recipe and --set options, or start another run",
        )
    for name in ("fingerprint", "num_pids", "scenes", "masks_sha256"):
        if getattr(old_info, name) != getattr(info, name):
            raise TrainingError(
                run_dir,
                expected=f"the data the run was started with: {name} {getattr(old_info, name)}",
                found=f"{getattr(info, name)}",
                hint="resume with the same data set and subset, or start another run",
            )
