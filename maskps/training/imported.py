"""Published weights as a run folder, which every command opens as one of `maskps train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskps.config import TrainConfig
from maskps.datasets.formats import FORMATS
from maskps.errors import ConfigError, InputFileError
from maskps.io.files import sha256_of
from maskps.io.folders import check_replaceable, folder_written_atomically
from maskps.model.build import build_model
from maskps.model.seqnet_weights import TABLE, read_seqnet_state, sizes_of_state
from maskps.model.tensor_files import read_tensors
from maskps.training.checkpoint import Checkpoint, checkpoint_path, write_checkpoint
from maskps.training.run import RECORD, RunInfo, own_versions, write_run_files
from maskps_manifest import cuhk_sysu, prw

NETWORKS = ("seqnet",)
OTHER = "other"
TABLE_ROWS = {
    "cuhk-sysu": (cuhk_sysu.TRAIN_IDENTITIES,),
    "prw": (prw.TRAIN_IDENTITIES - 1, prw.TRAIN_IDENTITIES),  # SeqNet's own table has one row too few
}
"""Rows of OIM's table by the data that the weights were trained on."""

_OTHER_TERMS = "trained on data that the file does not name: ask those who trained them"
_WHAT = "a checkpoint of SeqNet: a file of tensors, as its train.py writes it"
_TRAINING_STATE = "state of the training"

SEQNET_SETTINGS: dict[str, Any] = {
    "frozen_stages": 1,
    "freeze_batch_norm": "none",
    "head": "sequential",
    "pooling": "max",
    "embedding_norm": True,
    "embedding_features": "res4_res5",
    "roi_align_aligned": False,
    "shorter_side": 900,
    "longest_side": 1500,
    "resize": "torchvision",
    "size_divisor": 32,
    "flips": "random",
    "anchor_sizes": (32, 64, 128, 256, 512),
    "rpn_channels": 1024,
    "roi_foreground_fraction": 0.5,
    "box_score_threshold": 0.5,
    "first_nms": 0.4,
    "box_nms": 0.5,
    "score_weighted_similarity": True,
    "oim_temperature": 1 / 30,
    "oim_mean": "rois",
    "masks": False,
    "first_reg_weight": 10.0,
    "batch_size": 5,
    "learning_rate": 0.003,
    "lr_steps": (16.0,),
    "warmup_epochs": 1.0,
    "bias_lr_factor": 1.0,
    "bias_weight_decay": 5e-4,
    "gradient_clip": 10.0,
}
"""SeqNet's network and solver (its defaults.py and models/), where our defaults differ."""

_EPOCHS = {"cuhk-sysu": 20, "prw": 18, OTHER: 20}


@dataclass(frozen=True)
class ImportedWeights:
    """What `import_weights` did.

    Attributes:
        run_dir: the run folder that it wrote.
        info: the content of its run.json; `info.terms` says on which terms the weights may be used.
        entries: tensors in the state dict of the file.
        unused: an entry of the file, or a part of one, and why it is not used.
    """

    run_dir: Path
    info: RunInfo
    entries: int
    unused: dict[str, str]


def import_weights(
    network: str, file: Path, run_dir: Path, *, data: str | None = None, force: bool = False
) -> ImportedWeights:
    """Writes a run folder with the weights of a published checkpoint, without training. See docs/weights.md.

    The settings are those of the network that the weights belong to, so `maskps eval` measures what its
    authors' code measures. The mask branch, which no published checkpoint has, is not trained.

    Args:
        network: "seqnet", the class `SeqNet` of serend1p1ty/SeqNet.
        file: as its train.py writes it ("model" beside the state of the training), or the state dict alone.
            Nothing in it is executed.
        run_dir: a new or empty folder; with `force`, also an earlier one of this command.
        data: what the weights were trained on, "cuhk-sysu", "prw" or "other". None: the set of `TABLE_ROWS`
            that has as many identities as the file's table has rows.

    Raises:
        ConfigError: an unknown network or set, or a table of another size than that of the set.
        InputFileError: the file is missing, damaged or holds pickled code; entries of the state dict are
            missing, unknown, of another shape or not finite. The message lists them.
        OutputExistsError, OutputError: `run_dir` cannot be written, as `folder_written_atomically`.
    """
    _check_choice("network", network, NETWORKS)
    if data is not None:
        _check_choice("--data", data, (*TABLE_ROWS, OTHER))
    check_replaceable(run_dir, record=RECORD, force=force)
    entries, training_state = _entries_of(file)
    rows, queue = sizes_of_state(entries)
    config = TrainConfig(**SEQNET_SETTINGS, oim_queue_length=queue)
    own = build_model(dataclasses.replace(config, pretrained="none"), rows).state_dict()
    weights = read_seqnet_state(entries, own, where=file)
    data = data_of_table(rows, data, file)
    published = FORMATS[data].published if data in FORMATS else None
    info = RunInfo(
        dataset=data,
        fingerprint="",
        num_pids=rows,
        scenes=0,
        images_with_masks=[],
        persons_with_mask=0,
        masks_sha256="",
        images_per_step=config.batch_size,
        steps_per_epoch=0,
        steps=0,
        versions=own_versions(),
        terms=_OTHER_TERMS if published is None else published.weight_terms,
        origin={"network": network, "file": file.name, "sha256": sha256_of(file, what=_WHAT)},
    )
    with folder_written_atomically(run_dir, record=RECORD, force=force) as folder:
        write_run_files(folder, info, dataclasses.replace(config, epochs=_EPOCHS[data]))
        write_checkpoint(checkpoint_path(folder, 0), Checkpoint(0, rows, {**own, **weights.state}, {}))
    return ImportedWeights(run_dir, info, len(entries), {**weights.unused, **training_state})


def _check_choice(where: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(where, expected=f"one of {', '.join(choices)}", found=repr(value))


def _entries_of(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the state dict in a file, and why the values beside it are not used."""
    content = read_tensors(
        file,
        what=_WHAT,
        if_missing="check the path; docs/weights.md says who offers the file",
        if_broken="copy it again; if it holds more than tensors and numbers, save its state dict alone",
    )
    is_checkpoint = isinstance(content, dict) and isinstance(content.get("model"), dict)
    entries = content["model"] if is_checkpoint else content
    if not isinstance(entries, dict) or not all(isinstance(name, str) for name in entries):
        found = f"{type(entries).__name__} without names"
        raise InputFileError(file, expected=_WHAT, found=found, hint="give the checkpoint, or its state dict")
    beside = [str(name) for name in content if name != "model"] if is_checkpoint else []
    return dict(entries), dict.fromkeys(beside, _TRAINING_STATE)


def data_of_table(rows: int, data: str | None, file: Path) -> str:
    """Returns what weights with a table of so many rows were trained on; arguments as `import_weights`.

    Raises:
        ConfigError: no set has so many identities, or the one that the user names has not.
    """
    sizes = {name: own for name, own in TABLE_ROWS.items() if data in (None, name)}
    fitting = [name for name, own in sizes.items() if rows in own]
    if rows and (data == OTHER or fitting):
        return data or fitting[0]
    wanted = " or ".join(f"{size:,} rows for {name}" for name, own in sizes.items() for size in own)
    wanted = wanted or "at least one row"
    raise ConfigError(
        file if data is None else f"--data {data} with {file}",
        expected=f"a table (entry {TABLE}) of {wanted}",
        found=f"{rows:,} rows",
        hint="give --data other if the weights were trained on another data set"
        if rows
        else "give the file as SeqNet's train.py wrote it: a trained network has a table",
    )
