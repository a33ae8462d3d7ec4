"""The mask branch: F_p of a proposal with mask -> its mask (Sec. 3.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_REFINING = 4
"""3x3 convolutions behind the finer features, as in Mask R-CNN."""


class MaskHead(nn.Module):
    """Predicts a mask of two or four times the features' size: (S, C, m, m) -> (S, 2m, 2m) logits.

    "A similar architecture as in the Mask R-CNN" (Sec. 4.2). On a shared res5 that is a 2x2 deconvolution of
    stride 2, a ReLU, and a 1x1 convolution. The only class is person.

    With `fine_channels` it also sees finer features: a 1x1 convolution of them is added to the output of the
    deconvolution, and four 3x3 convolutions follow, as in Mask R-CNN's head on a feature pyramid.

    With `doubled` another deconvolution and ReLU come before the logits, which are then (S, 4m, 4m): the 28 x
    28 cells that Mask R-CNN predicts from 14 x 14 on a feature pyramid.

    Every layer starts so that it keeps the size of its input (He et al. 2015). Detectron2 starts the last
    layer at a deviation of 0.001. The gradient into F_p is in proportion to it, so that start is a saddle for
    SGD: where the features are small, the branch does not leave it.
    """

    def __init__(
        self, in_channels: int, channels: int = 256, fine_channels: int = 0, *, doubled: bool = False
    ) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(in_channels, channels, 2, stride=2)
        self.fine = nn.Conv2d(fine_channels, channels, 1) if fine_channels else None
        count = _REFINING if fine_channels else 0
        self.refine = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(count))
        self.enlarge = nn.ConvTranspose2d(channels, channels, 2, stride=2) if doubled else None
        self.logits = nn.Conv2d(channels, 1, 1)
        # Every output cell of a deconvolution has one cell as its input: a fan-in of its input channels.
        nn.init.normal_(self.upsample.weight, std=(2 / in_channels) ** 0.5)
        if self.enlarge is not None:
            nn.init.normal_(self.enlarge.weight, std=(2 / channels) ** 0.5)
        for layer in (self.fine, *self.refine, self.logits):
            if layer is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor, fine: Tensor | None = None) -> Tensor:
        """Returns the logits (S, 2m, 2m), or (S, 4m, 4m).

        Args:
            features: F_p (S, C, m, m).
            fine: (S, fine_channels, 2m, 2m), the finer features of the same regions; None without them.
        """
        hidden = self.upsample(features)
        if self.fine is not None:
            assert fine is not None
            hidden = hidden + self.fine(fine)
        hidden = F.relu(hidden)
        for convolution in self.refine:
            hidden = F.relu(convolution(hidden))
        if self.enlarge is not None:
            hidden = F.relu(self.enlarge(hidden))
        return self.logits(hidden)[:, 0]
