"""The folder of a training run, and the trained network in it.

RUN/run.json                what was trained on what: `RunInfo`
RUN/config.toml             every setting
RUN/metrics.jsonl           one line per step: losses and rate, the same bytes for the same seed
RUN/timing.jsonl            one line per epoch: seconds, how many of them waiting for images
RUN/checkpoints/last.pt     weights, OIM table and queue, optimiser
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

import maskps
from maskps.errors import ConfigError, InputFileError, TrainingError
from maskps.files import read_record, write_json
from maskps.model.build import build_model
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Predictor
from maskps.structures import PersonSearchDataset
from maskps.training.checkpoint import Checkpoint, read_checkpoint
from maskps.training.config import TrainConfig, read_config, write_config
from maskps.training.data import SceneDataset, steps_per_epoch

FORMAT = "maskps-run"
VERSION = 1
RECORD = "run.json"
CONFIG, METRICS, TIMING = "config.toml", "metrics.jsonl", "timing.jsonl"
LAST_CHECKPOINT = Path("checkpoints") / "last.pt"


@dataclass(frozen=True)
class RunInfo:
    """What a run trains on; the content of run.json.

    Attributes:
        dataset: kind of the data set, e.g. "cuhk-sysu".
        fingerprint: of its training annotation.
        num_pids: training identities, the rows of OIM's table.
        scenes: training scenes.
        persons_with_mask: persons whose outline takes part; 0 without masks.
        masks_sha256: of those outlines.
        steps_per_epoch, steps: of the whole run.
        versions: of maskps, Python, torch and torchvision that started it.
    """

    dataset: str
    fingerprint: str
    num_pids: int
    scenes: int
    persons_with_mask: int
    masks_sha256: str
    steps_per_epoch: int
    steps: int
    versions: dict[str, str]

    @classmethod
    def of(cls, scenes: SceneDataset) -> RunInfo:
        """Returns what a run on these scenes trains on."""
        digest = hashlib.sha256()
        for row, edges in sorted(scenes.edges.items()):
            digest.update(f"{row} {edges.shape}".encode())
            digest.update(edges.astype("<f8").tobytes())
        per_epoch = steps_per_epoch(len(scenes), scenes.config.batch_size)
        return cls(
            dataset=scenes.dataset.kind,
            fingerprint=scenes.dataset.fingerprint,
            num_pids=scenes.dataset.num_train_ids,
            scenes=len(scenes),
            persons_with_mask=len(scenes.edges),
            masks_sha256=digest.hexdigest(),
            steps_per_epoch=per_epoch,
            steps=per_epoch * scenes.config.epochs,
            versions={
                "maskps": maskps.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
        )


@dataclass(frozen=True)
class Run:
    """A trained network and how it came about.

    Attributes:
        model: on `device`, in evaluation mode.
        config: the settings it was trained with.
        info: what it was trained on.
        step: the step after which its weights were saved; `info.steps` when the run is finished.
    """

    model: MaskGuidedPersonSearch
    config: TrainConfig
    info: RunInfo
    step: int
    device: torch.device

    def predictor(self) -> Predictor:
        """Returns the network with the image sizes it was trained for."""
        return Predictor(self.model, self.config.shorter_side, self.config.longest_side, self.device)


def load_run(run_dir: Path, *, device: torch.device | str = "cpu", allow_unfinished: bool = False) -> Run:
    """Returns the network of a run folder.

    Args:
        allow_unfinished: also take the last checkpoint of a run that has not reached its end.

    Raises:
        InputFileError: no such folder, or its files are missing, broken or do not belong together.
        TrainingError: the run was interrupted before its end, or before its first checkpoint.
    """
    place = open_device(device)
    info, config = read_run_files(run_dir)
    checkpoint = read_last_checkpoint(run_dir, info)
    if checkpoint is None or (checkpoint.step < info.steps and not allow_unfinished):
        raise TrainingError(
            run_dir,
            expected=f"a finished run of {info.steps} steps",
            found="a run without a checkpoint yet"
            if checkpoint is None
            else f"a run that stopped after step {checkpoint.step}",
            hint="finish it: the command that started it, with --resume",
        )
    model = build_model(dataclasses.replace(config, pretrained="none"), info.num_pids).to(place)
    load_weights(model, checkpoint, run_dir / LAST_CHECKPOINT)
    return Run(model.eval(), config, info, checkpoint.step, place)


def initial_predictor(
    config: TrainConfig, dataset: PersonSearchDataset, *, device: torch.device | str = "cpu"
) -> Predictor:
    """Returns the untrained network, with the weights that a run of these settings starts from."""
    place = open_device(device)
    model = build_model(config, dataset.num_train_ids).to(place).eval()
    return Predictor(model, config.shorter_side, config.longest_side, place)


def open_device(device: torch.device | str) -> torch.device:
    """Returns the device of that name; "auto" is a CUDA device if there is one, else the CPU.

    Raises:
        ConfigError: torch does not know it, or it is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"device '{device}'", expected="a device of this machine", found=first_line, hint="use cpu"
        ) from error
    return place


def write_run_files(run_dir: Path, info: RunInfo, config: TrainConfig) -> None:
    """Writes run.json and config.toml."""
    write_json(run_dir / RECORD, {"format": FORMAT, "version": VERSION, **dataclasses.asdict(info)})
    write_config(run_dir / CONFIG, config)


def read_run_files(run_dir: Path) -> tuple[RunInfo, TrainConfig]:
    """Returns what run.json and config.toml of a run say.

    Raises:
        InputFileError: they are missing, broken, or of another kind.
        ConfigError: settings that this version does not know.
    """
    if not (run_dir / RECORD).is_file():
        raise InputFileError(
            run_dir,
            expected=f"the folder of a training run, with {RECORD} in it",
            found="no such folder" if not run_dir.exists() else f"no {RECORD}",
            hint="make one with: maskps train ROOT --subset DIR --run RUN",
        )
    what = f"the record of a training run ({RECORD})"
    hint = "give the folder that maskps train made"
    content = read_record(run_dir / RECORD, format=FORMAT, version=VERSION, what=what, hint=hint)
    fields = {field.name for field in dataclasses.fields(RunInfo)}
    if set(content) != fields | {"format", "version"}:
        raise InputFileError(
            run_dir / RECORD,
            expected=f"the keys {', '.join(sorted(fields))}",
            found=", ".join(sorted(content)),
            hint="the record was edited; put it back, or train anew",
        )
    return RunInfo(**{name: content[name] for name in fields}), read_config(run_dir / CONFIG)


def read_last_checkpoint(run_dir: Path, info: RunInfo) -> Checkpoint | None:
    """Returns the last checkpoint of a run, None if it has none yet.

    Raises:
        InputFileError: it is broken, or of another run.
    """
    path = run_dir / LAST_CHECKPOINT
    if not path.exists():
        return None
    checkpoint = read_checkpoint(path)
    if checkpoint.num_pids != info.num_pids or not 0 <= checkpoint.step <= info.steps:
        raise InputFileError(
            path,
            expected=f"{info.num_pids} training identities and at most {info.steps} steps, as {RECORD} says",
            found=f"{checkpoint.num_pids} identities, step {checkpoint.step}",
            hint="the checkpoint belongs to another run",
        )
    return checkpoint


def load_weights(model: MaskGuidedPersonSearch, checkpoint: Checkpoint, path: Path) -> None:
    """Puts a checkpoint's weights, table and queue into the network.

    Raises:
        InputFileError: they are those of another network than the run's settings describe.
    """
    try:
        model.load_state_dict(checkpoint.model)
    except (RuntimeError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputFileError(
            path,
            expected="the network that config.toml of the run describes",
            found=lines[1] if len(lines) > 1 else str(error),
            hint="config.toml was edited, or the checkpoint belongs to another run",
        ) from error


def differing_settings(first: TrainConfig, second: TrainConfig) -> list[str]:
    """Returns "name: old -> new" of every setting that differs and changes results."""
    harmless = {"num_workers", "checkpoint_every"}
    differences: list[str] = []
    for field in dataclasses.fields(TrainConfig):
        old: Any = getattr(first, field.name)
        new: Any = getattr(second, field.name)
        if old != new and field.name not in harmless:
            differences.append(f"{field.name}: {old} -> {new}")
    return differences
