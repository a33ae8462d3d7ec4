"""One step of the optimiser: micro-batches, gradients of all processes, OIM's update (decision 8)."""

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
from maskps.errors import TrainingError
from maskps.losses import LOSS_NAMES, total_loss
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.processes import Processes
from maskps.training.data import Batch
from maskps.training.precision import autocast_for
from maskps.training.schedule import set_learning_rate

NAMES = (*LOSS_NAMES, "loss")

_SYNC_BUFFERS = next(  # the option got a new name after torch 2.11
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


@dataclass(frozen=True)
class _MicroBatch:
    """What the other processes learn of one forward pass.

    Attributes:
        names: of the scenes.
        share: see `Batch`.
        losses: the values of `NAMES`.
        remembered: embeddings and pids of the foreground RoIs, see `OIMLoss.take_pending`.
    """

    names: list[str]
    share: float
    losses: list[float]
    remembered: list[tuple[Tensor, Tensor]]


class Stepper:
    """Takes steps: one process's part of the work, in time with the others.

    The loss of a step is the mean over its images, the gradient is that of this loss, and OIM's table and
    queue move once, after the step, by the embeddings of all its images in their order. So a batch, several
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
        self.network: nn.Module = model
        if processes.is_distributed:
            # OIM's buffers are kept equal here, and batch norms that train see their own share only.
            options: dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
            self.network = DistributedDataParallel(model, **options)

    def take(self, batches: list[Batch], *, step: int, rate: float, where: str) -> dict[str, float]:
        """Returns the losses of step `step` (from 0) over all processes, after it was taken.

        Args:
            batches: this process's micro-batches.
            rate: learning rate of the weights.
            where: the step in words, for errors.

        Raises:
            TrainingError: a loss or a gradient that is not finite; the weights are as before then.
        """
        torch.manual_seed((self.config.seed << 32) + step)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        values, remembered = [], []
        for batch in batches:
            values.append(self._backward(batch))
            remembered.append(self._remembered())
        # Without a limit the gradients stay as they are, to the bit; a broken one is noticed all the same.
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        *numbers, gradient = torch.cat([*values, norm[None]]).tolist()
        of_batches = [numbers[start : start + len(NAMES)] for start in range(0, len(numbers), len(NAMES))]
        own = [
            _MicroBatch(batch.names, batch.share, *rest)
            for batch, *rest in zip(batches, of_batches, remembered, strict=True)
        ]
        gathered = self.processes.gather(own)
        # Micro-batch after micro-batch, and within one process after process: the order of the images.
        parts = [part for column in zip(*gathered, strict=True) for part in column if part.share]
        for part in parts:
            if not all(map(math.isfinite, part.losses)):
                losses = dict(zip(NAMES, part.losses, strict=True))
                raise self._not_finite(where, part.names, "every loss a finite number", losses)
        losses = {
            name: sum(part.share * part.losses[column] for part in parts) for column, name in enumerate(NAMES)
        }
        if not math.isfinite(gradient):
            names = [name for part in parts for name in part.names]
            found = {"gradient norm": gradient, **losses}
            raise self._not_finite(where, names, "a finite gradient", found)
        self.optimizer.step()
        self.model.commit([one for part in parts for one in part.remembered])
        return losses

    def _backward(self, batch: Batch) -> Tensor:
        """Adds a micro-batch's part to the gradient; returns its losses, (7,) in the order of `NAMES`."""
        moved = batch.to(self.device)
        with self._exchange_only_at(batch.is_last):
            with autocast_for(self.config, self.device):
                losses = self.network(moved.images, moved.targets)
            loss = total_loss(losses, self.config.loss_weights)
            # The processes' gradients are averaged, not summed.
            (loss * (batch.share * self.processes.size)).backward()
        return torch.stack([*(losses[name].detach() for name in LOSS_NAMES), loss.detach()])

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
            hint="lower learning_rate, set gradient_clip (10, say), or look at the boxes of these images",
        )
        return self.processes.shared(error)
