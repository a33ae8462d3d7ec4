"""From pooled features f_p to the embedding f_id (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskps.model.precision import FullPrecisionLinear, FullPrecisionNorm


class Embedding(nn.Module):
    """A linear layer f_p -> f_id; or one for res4 and one for res5, which share the numbers of f_id.

    Args:
        channels: of the pooled features: (C5,), the paper's, or (C4, C5), as in NAE and SeqNet.
        dim: numbers of f_id. Two parts have half of them each; the second has the odd one.
        norm: a batch norm behind the projection, as in SeqNet and NAE.
    """

    def __init__(self, channels: Sequence[int], dim: int, *, norm: bool = False) -> None:
        super().__init__()
        widths = [dim] if len(channels) == 1 else [dim // 2, dim - dim // 2]
        self.channels, self.dim = list(channels), dim
        self.projections = nn.ModuleList(
            FullPrecisionLinear(width_in, width) for width_in, width in zip(channels, widths, strict=True)
        )
        self.norm = FullPrecisionNorm(dim) if norm else None

    def reset_parameters(self) -> None:
        """Starts the projections anew, from torch's default generator."""
        for parameter in self.projections.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter)

    def forward(self, pooled: Tensor) -> Tensor:
        """Returns the embedding before it gets length 1, (R, dim), of pooled features (R, sum of channels).

        In training with a batch norm, the rows share its statistics.
        """
        parts = pooled.split(self.channels, dim=1)
        embedded = [projection(part) for projection, part in zip(self.projections, parts, strict=True)]
        joined = embedded[0] if len(embedded) == 1 else torch.cat(embedded, dim=1)
        return joined if self.norm is None else self.norm(joined)
