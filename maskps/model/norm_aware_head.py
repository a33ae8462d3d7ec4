"""The box head of NAE (Chen et al. 2020, "Norm-aware embedding for efficient person search")."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from maskps.model.box_head import BoxHead
from maskps.model.precision import FullPrecisionLinear, FullPrecisionNorm


class NormAwareHead(BoxHead):
    """The length of the embedding is the score of a person; boxes come from a linear layer and a batch norm.

    The direction of an embedding says who it is, its length whether it is a person. A batch norm of one
    number, `rescaler`, turns the length into a logit; that of background is 0. The layers start as in SeqNet.
    """

    scores_embeddings = True

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.regressor = FullPrecisionLinear(channels, 4)
        self.regressor_norm = FullPrecisionNorm(4)
        self.rescaler = FullPrecisionNorm(1)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.regressor.weight, std=0.01)
        nn.init.zeros_(self.regressor.bias)
        nn.init.normal_(self.regressor_norm.weight, std=0.01)

    def logits(self, pooled: Tensor, embedded: Tensor | None = None) -> Tensor:
        assert embedded is not None
        return F.pad(self.rescaler(embedded.norm(dim=1, keepdim=True)), (1, 0))

    def deltas(self, pooled: Tensor, rows: Tensor | None = None) -> Tensor:
        deltas = self.regressor_norm(self.regressor(pooled))
        return deltas if rows is None else deltas[rows]
