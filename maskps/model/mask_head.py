"""The mask branch: F_p of a proposal with mask -> its mask (Sec. 3.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class MaskHead(nn.Module):
    """Predicts a mask of twice the features' size: (S, C, m, m) -> (S, 2m, 2m) logits.

    "A similar architecture as in the Mask R-CNN" (Sec. 4.2). On a shared res5 that is a 2x2 deconvolution of
    stride 2, a ReLU, and a 1x1 convolution. The only class is person.
    """

    def __init__(self, in_channels: int, channels: int = 256) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(in_channels, channels, 2, stride=2)
        self.logits = nn.Conv2d(channels, 1, 1)
        nn.init.kaiming_normal_(self.upsample.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.logits.weight, std=0.001)
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        return self.logits(F.relu(self.upsample(features)))[:, 0]
