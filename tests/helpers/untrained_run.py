"""A finished run whose network has learned nothing but to say "person"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from maskps.datasets import open_dataset
from maskps.model.build import build_model
from maskps.training import RunInfo, SceneDataset, load_config
from maskps.training.checkpoint import Checkpoint, checkpoint_path, write_checkpoint
from maskps.training.run import write_run_files

TERMS = "trained on a set: research only"
SETTINGS = ["pretrained=none", "shorter_side=96", "longest_side=160", "detections_per_image=6"]


def write_untrained_run(scenes: Path, out: Path, *, terms: str = "") -> Path:
    """Writes a run folder for these scenes, with a small network that finds up to six persons an image."""
    torch.manual_seed(0)
    config = load_config("tiny", SETTINGS)
    info = RunInfo.of(SceneDataset(open_dataset(scenes), None, replace(config, masks=False)))
    model = build_model(config, info.num_pids)
    with torch.no_grad():
        model.roi_heads.box_head.classifier.bias += torch.tensor([0.0, 1.0])
    out.mkdir()
    write_run_files(out, replace(info, terms=terms), config)
    state = Checkpoint(info.steps, info.num_pids, model.state_dict(), {})
    write_checkpoint(checkpoint_path(out, info.steps), state)
    return out
