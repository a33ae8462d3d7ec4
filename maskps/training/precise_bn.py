"""Precise statistics of the batch norms that train: moments over many images, not a running average."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from maskps.model.freezing import FrozenBatchNorm
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.precision import tf32_within
from maskps.training.data import SceneDataset, epoch_order
from maskps.training.step import autocast_for


@torch.no_grad()
def estimate_norms(model: MaskGuidedPersonSearch, scenes: SceneDataset, device: torch.device) -> None:
    """Sets the mean and variance of every batch norm that trains to those over `precise_bn_images` images.

    A running average with momentum 0.1 remembers about 20 steps. At one image per step, the norms of res5
    thus end a run with the statistics of its last few images. Here many training images pass through the
    network as in training (with sampled RoIs, flips, micro-batches of `batch_size`, each norm normalising by
    its own batch), and a norm gets the moments over all values that it saw.

    The variance is that of all batches together: the mean of their variances plus the variance of their
    means, each batch weighted by its values (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", Sec. 3;
    fvcore's `update_bn_stats`). The mean of the variances alone, which a running average approaches, leaves
    out how images differ. Behind the few persons of one image it is far too small.

    Nothing else changes: no weight, no gradient, not OIM's table or queue, not the state of a running average
    (`num_batches_tracked`). The result depends on weights, seed and data alone. One process does it, and
    loads the images, too. Without such a norm it returns at once.

    Args:
        model: in training mode, on `device`.

    Raises:
        MaskpsError: an image that cannot be read.
    """
    config = scenes.config
    norms = norms_that_train(model)
    if not norms or not config.precise_bn_images:
        return
    # The epoch after the last: no step saw its order and flips.
    order = epoch_order(len(scenes), seed=config.seed, epoch=config.epochs)[: config.precise_bn_images]
    with _watched(norms) as moments:
        for start in range(0, len(order), config.batch_size):
            rows = order[start : start + config.batch_size].tolist()
            items = [scenes[config.epochs, row].to(device) for row in rows]
            with tf32_within(config.precision == "tf32"), autocast_for(config, device):
                model([item.images[0] for item in items], [item.targets[0] for item in items])
            model.take_pending()  # OIM shall not remember them
    for norm, seen in zip(norms, moments, strict=True):
        seen.give_to(norm)


@contextmanager
def precise_norms(
    model: MaskGuidedPersonSearch, scenes: SceneDataset, device: torch.device
) -> Iterator[None]:
    """Within it, the norms have the statistics of `estimate_norms`; afterwards their own again.

    A training that goes on needs its own: `FullPrecisionNorm` uses the running averages in a step with one
    person. An evaluation must not change the steps after it.
    """
    kept = [
        (own, own.clone())
        for norm in norms_that_train(model)
        for own in (norm.running_mean, norm.running_var)
        if own is not None
    ]
    try:
        estimate_norms(model, scenes, device)
        yield
    finally:
        for own, before in kept:
            own.copy_(before)


def norms_that_train(model: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """Returns the batch norms with running statistics that move in training."""
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        and not isinstance(module, FrozenBatchNorm)
        and module.track_running_stats
    ]


class _Moments:
    """Sums over all values that a norm saw, per channel, in float64 on the CPU."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = torch.zeros(2, 1, dtype=torch.float64)

    def add(self, norm: nn.Module, arguments: tuple[Tensor]) -> None:
        """A forward pre-hook: adds the values (R, C) or (R, C, h, w) that a norm is about to normalise."""
        values = arguments[0].detach().transpose(0, 1).flatten(1).float()
        if not values.numel():
            return
        variance, mean = (one.double().cpu() for one in torch.var_mean(values, dim=1, correction=0))
        count = values.shape[1]
        self.count += count
        self.sums = self.sums + count * torch.stack([mean, variance + mean.square()])

    def give_to(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        """Sets the statistics of the norm; it keeps its own if it saw fewer than two values."""
        if self.count < 2:
            return
        assert norm.running_mean is not None and norm.running_var is not None
        mean, square = self.sums / self.count
        norm.running_mean.copy_(mean)
        # Unbiased, as torch's own.
        norm.running_var.copy_((square - mean.square()).clamp(min=0) * (self.count / (self.count - 1)))


@contextmanager
def _watched(norms: list[nn.BatchNorm1d | nn.BatchNorm2d]) -> Iterator[list[_Moments]]:
    """Watches the norms' inputs. Meanwhile their running averages stand still."""
    moments = [_Moments() for _ in norms]
    with ExitStack() as stack:
        for norm, seen in zip(norms, moments, strict=True):
            stack.enter_context(norm.register_forward_pre_hook(seen.add))
            norm.track_running_stats = False
            stack.callback(setattr, norm, "track_running_stats", True)
        yield moments
