"""One step of the optimiser: micro-batches, precision, gradients of all processes, OIM (decision 8)."""

from __future__ import annotations

import inspect
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from maskps.config import TrainConfig
from maskps.errors import ConfigError, TrainingError
from maskps.losses import total_loss
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.precision import tf32_within
from maskps.model.processes import Processes
from maskps.training.data import Batch
from maskps.training.schedule import set_learning_rate

_SYNC_BUFFERS = next(  # torch renamed the option after 2.11
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


@dataclass(frozen=True)
class _MicroBatch:
    """What a process sends to the others about one forward pass.

    Attributes:
        names: of the scenes.
        share: see `Batch`.
        losses: the losses and "loss", their weighted sum.
        remembered: embeddings and pids of the foreground RoIs, see `OIMLoss.take_pending`.
    """

    names: list[str]
    share: float
    losses: dict[str, float]
    remembered: list[tuple[Tensor, Tensor]]


class Stepper:
    """Takes steps: one process's part of the work, together with the others.

    The loss of a step is the mean over its images, and the gradient is that of this loss. OIM's table and
    queue move once, after the step, by the embeddings of all its images in their order. So one batch, several
    micro-batches and several processes do the same, up to rounding.
    """

    def __init__(
        self,
        model: MaskGuidedPersonSearch,
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        processes: Processes,
        device: torch.device,
    ) -> None:
        self.model, self.optimizer, self.config = model, optimizer, config
        self.processes, self.device = processes, device
        self.names = (*config.loss_weights, "loss")
        self.network: nn.Module = model
        if processes.is_distributed:
            # OIM's buffers are kept equal here, and batch norms that train see their own share only.
            options: dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
            self.network = DistributedDataParallel(model, **options)

    def take(self, batches: list[Batch], *, step: int, rate: float, where: str) -> dict[str, float]:
        """Takes step `step` (from 0) and returns its losses, over all processes.

        Args:
            batches: this process's micro-batches.
            rate: learning rate of the weights.
            where: names the step in error messages.

        Raises:
            TrainingError: a loss or a gradient is not finite. The weights have not changed.
        """
        torch.manual_seed((self.config.seed << 32) + step)
        set_learning_rate(self.optimizer, rate)
        own, gradient = self._compute(batches)
        gathered = self.processes.gather(own)
        # Micro-batch after micro-batch, and within one process after process: the order of the images.
        parts = [part for column in zip(*gathered, strict=True) for part in column if part.share]
        losses = self._losses_of_step(parts, gradient, where)
        self.optimizer.step()
        self.model.commit([one for part in parts for one in part.remembered])
        return losses

    def _compute(self, batches: list[Batch]) -> tuple[list[_MicroBatch], float]:
        """Computes the gradient of the step; returns this process's micro-batches and the gradient's norm."""
        self.optimizer.zero_grad(set_to_none=True)
        values, remembered = [], []
        with tf32_within(self.config.precision == "tf32"):
            for batch in batches:
                values.append(self._backward(batch, is_last=batch is batches[-1]))
                remembered.append(self._remembered())
        # Without a limit the gradients stay the same to the bit; the norm shows one that is not finite.
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        *numbers, gradient = torch.cat([*values, norm[None]]).tolist()  # one transfer from the device
        count = len(self.names)
        own = [
            _MicroBatch(
                batch.names,
                batch.share,
                dict(zip(self.names, numbers[count * row : count * (row + 1)], strict=True)),
                remembered[row],
            )
            for row, batch in enumerate(batches)
        ]
        return own, gradient

    def _losses_of_step(self, parts: list[_MicroBatch], gradient: float, where: str) -> dict[str, float]:
        for part in parts:
            if not all(map(math.isfinite, part.losses.values())):
                raise self._not_finite(where, part.names, "every loss a finite number", part.losses)
        losses = {name: sum(part.share * part.losses[name] for part in parts) for name in self.names}
        if not math.isfinite(gradient):
            names = [name for part in parts for name in part.names]
            found = {"gradient norm": gradient, **losses}
            raise self._not_finite(where, names, "a finite gradient", found)
        return losses

    def _backward(self, batch: Batch, *, is_last: bool) -> Tensor:
        """Adds a micro-batch's part to the gradient; returns its losses in the order of `names`, detached."""
        moved = batch.to(self.device)
        with self._exchange_only_at(is_last):
            with autocast_for(self.config, self.device):
                losses = self.network(moved.images, moved.targets)
            loss = total_loss(losses, self.config.loss_weights)
            # The processes' gradients are averaged, not summed.
            (loss * (batch.share * self.processes.size)).backward()
        return torch.stack([*(losses[name].detach() for name in self.names[:-1]), loss.detach()])

    def _exchange_only_at(self, is_last: bool) -> AbstractContextManager[None]:
        if isinstance(self.network, DistributedDataParallel) and not is_last:
            return self.network.no_sync()
        return nullcontext()

    def _remembered(self) -> list[tuple[Tensor, Tensor]]:
        pending = self.model.take_pending()
        if self.processes.size == 1:
            return pending
        return [(embeddings.cpu(), pids.cpu()) for embeddings, pids in pending]

    def _not_finite(self, where: str, names: list[str], expected: str, values: dict[str, float]) -> Exception:
        error = TrainingError(
            f"{where}, {', '.join(names)}",
            expected=expected,
            found=", ".join(f"{name} = {value:g}" for name, value in values.items()),
            hint="lower learning_rate, set gradient_clip=10, or look at the boxes of these images",
        )
        return self.processes.shared(error)


def autocast_for(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    """Returns the context for one forward pass of the network; make a new one for each pass.

    With `precision = "bf16"` convolutions run in bfloat16, also those of the RPN and of the mask head up to
    its logits. The range is that of float32, so losses need no scaling. Weights, gradients and the optimiser
    stay in float32. So do, within the pass, RoIAlign, the layers for final boxes, scores and embeddings,
    anchors, the arithmetic on box deltas, OIM, and all six losses.

    Raises:
        ConfigError: the device has no bfloat16.
    """
    if config.precision != "bf16":
        return nullcontext()
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            "precision",
            expected="a device with bfloat16 (NVIDIA: Ampere, of 2020, or later)",
            found=torch.cuda.get_device_name(device),
            hint="--set precision=fp32",
        )
    return torch.autocast(device.type, dtype=torch.bfloat16)


def is_memory_error(error: BaseException) -> bool:
    """Whether a step needed more memory than there is, on a CUDA device or the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def memory_error(error: BaseException, where: str, device: torch.device) -> TrainingError:
    """Returns the error to raise when a step needed more memory than the device has."""
    return TrainingError(
        where,
        expected=f"enough memory on {device}",
        found=(str(error).splitlines() or ["too little of it"])[0],
        hint="set activation_checkpointing=true, or lower batch_size (and raise accumulate as much), "
        "shorter_side or rois_per_image",
    )
