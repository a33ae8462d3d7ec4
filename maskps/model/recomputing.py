"""Activations that the backward pass computes again, instead of keeping them (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Tensor], *arguments: Any, part: nn.Module) -> Tensor:
    """Returns `function(*arguments)`, of which only the arguments and the result are kept.

    Results, gradients, random numbers and the buffers of `part` are those without recomputation, to the bit
    on a CPU. The second pass would move the running statistics of batch norms again; torch does not prevent
    that.

    Args:
        function: what `part` computes, such as a method of it.
        part: the module whose activations are not kept.
    """
    return checkpoint(
        function, *arguments, use_reentrant=False, context_fn=lambda: (nullcontext(), _buffers_kept(part))
    )


@contextmanager
def _buffers_kept(part: nn.Module) -> Iterator[None]:
    """Gives the buffers the values back that they had before the block."""
    before = [(buffer, buffer.clone()) for buffer in part.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
