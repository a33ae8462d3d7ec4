"""The box head of NAE (Chen et al. 2020, "Norm-aware embedding for efficient person search")."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from maskps.model.precision import FullPrecisionLinear, FullPrecisionNorm


class NormAwareHead(nn.Module):
    """The length of the embedding is the score of a person; boxes come from a linear layer and a batch norm.

    The direction of an embedding says who it is, its length whether it is a person. A batch norm of one
    number, `rescaler`, turns the length into a logit.

    Args:
        channels: of f_p.
    """

    scores_embeddings = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.regressor = FullPrecisionLinear(channels, 4)
        self.regressor_norm = FullPrecisionNorm(4)
        self.rescaler = FullPrecisionNorm(1)

    def reset_parameters(self) -> None:
        """Starts the layers anew, as SeqNet does, from torch's default generator."""
        nn.init.normal_(self.regressor.weight, std=0.01)
        nn.init.zeros_(self.regressor.bias)
        nn.init.normal_(self.regressor_norm.weight, std=0.01)

    def logits(self, pooled: Tensor, embedded: Tensor | None = None) -> Tensor:
        """Returns the logits (R, 2): 0 for background, the rescaled length for a person.

        Args:
            pooled: f_p, which it does not look at.
            embedded: (R, D), embeddings before they get length 1.
        """
        assert embedded is not None
        return F.pad(self.rescaler(embedded.norm(dim=1, keepdim=True)), (1, 0))

    def deltas(self, pooled: Tensor, rows: Tensor | None = None) -> Tensor:
        """Returns the box deltas (R, 4) of f_p (R, C); with `rows`, (R,) bool, only those of the chosen.

        In training all R rows share the statistics of the batch norm.
        """
        deltas = self.regressor_norm(self.regressor(pooled))
        return deltas if rows is None else deltas[rows]
