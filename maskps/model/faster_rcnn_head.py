"""The box head of the paper: two linear layers on f_p (Sec. 3.2), as in Faster R-CNN."""

from __future__ import annotations

from torch import Tensor, nn

from maskps.model.box_head import BoxHead
from maskps.model.precision import FullPrecisionLinear


class FasterRCNNHead(BoxHead):
    """Scores and boxes, each from a linear layer on f_p.

    The release has 8 class-specific box outputs. With one foreground class 4 of them never get a gradient, so
    they are left out here.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.classifier = FullPrecisionLinear(channels, 2)
        self.regressor = FullPrecisionLinear(channels, 4)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.normal_(self.regressor.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)
        nn.init.zeros_(self.regressor.bias)

    def logits(self, pooled: Tensor, embedded: Tensor | None = None) -> Tensor:
        return self.classifier(pooled)

    def deltas(self, pooled: Tensor, rows: Tensor | None = None) -> Tensor:
        return self.regressor(pooled if rows is None else pooled[rows])
