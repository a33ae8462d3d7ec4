"""Curves and example images of a run for TensorBoard, which is an optional package."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskps.config import TrainConfig
from maskps.errors import ConfigError
from maskps.io.files import write_errors_explained
from maskps.masks.coverage import mask_targets
from maskps.model.network import MaskGuidedPersonSearch
from maskps.pictures.progress import TrainingPicture, training_sheet
from maskps.training.data import Batch
from maskps.training.report import StepReport

FOLDER = "tensorboard"

_SHOWN_SCORE = 0.5
"""Detections with at least this score are shown, as search uses them."""


class TensorBoardLog:
    """Writes RUN/tensorboard: losses, rate and speed of every step, and an example image at intervals.

    Open it with `tensorboard --logdir RUN`.

    Args:
        run_dir: folder of the run.
        config: its settings; `image_every` is read.
        step: steps that are done. 0 starts new curves. Otherwise the old ones continue, and their points
            after this step, which no checkpoint holds, are hidden.

    Raises:
        ConfigError: the package tensorboard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, run_dir: Path, config: TrainConfig, *, step: int) -> None:
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._image_every = config.image_every
        folder = run_dir / FOLDER
        with write_errors_explained(folder):
            if step == 0:
                shutil.rmtree(folder, ignore_errors=True)
            # Flushed every few seconds, so that a kill loses little of the curves.
            self._writer = SummaryWriter(str(folder), purge_step=step + 1, flush_secs=10)

    def step(self, report: StepReport) -> None:
        """Writes the numbers of a step."""
        values = {
            f"losses/{name.removeprefix('loss_')}": value
            for name, value in report.losses.items()
            if name != "loss"
        }
        values |= {
            "loss": report.losses["loss"],
            "learning rate": report.lr,
            "speed/images per second": report.images_per_second,
            "speed/share of time waiting for images": report.waiting,
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, report.step)

    def wants_images(self, step: int) -> bool:
        """Whether an image is due after this step, counted from 1: after the first, and then regularly."""
        return step == 1 or step % self._image_every == 0

    def images(
        self, step: int, model: MaskGuidedPersonSearch, batch: Batch, device: torch.device | str
    ) -> None:
        """Writes an image of the batch with the network's current results; one with masks if there is any.

        The training does not change, and the network stays in its mode.
        """
        row = next((i for i, one in enumerate(batch.targets) if bool(one["mask_present"].any())), 0)
        sheet = training_sheet(training_picture(model, batch, row, torch.device(device)))
        self._writer.add_image("example", np.asarray(sheet), step, dataformats="HWC")

    def close(self) -> None:
        """Writes everything that is still buffered."""
        self._writer.close()


def check_tensorboard() -> None:
    """Raises a ConfigError if the package tensorboard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "tensorboard",
            expected="the package tensorboard",
            found="it is not installed",
            hint="pip install 'maskps[tensorboard]', or train without it; metrics.jsonl has the numbers",
        ) from error


@torch.no_grad()
def training_picture(
    model: MaskGuidedPersonSearch, batch: Batch, row: int, device: torch.device
) -> TrainingPicture:
    """Returns image `row` of the batch with the network's detections, and its masks in the true boxes."""
    target = batch.targets[row]
    image, boxes = batch.images[row].to(device), target["boxes"].to(device)
    masked = torch.where(target["mask_present"])[0].tolist()
    was_training = model.training
    model.eval()
    try:
        (found,) = model([image])
        (predicted,) = model.predict_masks([image], [boxes[masked]])
    finally:
        model.train(was_training)
    is_shown = found.scores >= _SHOWN_SCORE
    size = predicted.shape[-1]
    true = [
        mask_targets(_numpy(target["mask_edges"][one])[None], _numpy(boxes[one])[None], size=size)[0]
        for one in masked
    ]
    return TrainingPicture(
        name=batch.names[row],
        image=_numpy((image * 255).round().permute(1, 2, 0)).astype(np.uint8),
        boxes=_numpy(boxes),
        pids=target["pids"].cpu().numpy(),
        found=_numpy(found.boxes[is_shown]),
        scores=_numpy(found.scores[is_shown]),
        masked=np.array(masked, dtype=np.int64),
        true_masks=np.array(true).reshape(-1, size, size),
        predicted_masks=_numpy(predicted),
    )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
