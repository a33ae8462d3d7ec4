"""ConvNeXt (Liu et al. 2022), torchvision's, cut in two before its last stage."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models.convnext import ConvNeXt

from maskps.model.stages import Res5, Stem


def build_convnext(network_of: Callable[..., ConvNeXt]) -> tuple[ConvNeXtStem, ConvNeXtRes5]:
    """Returns the two parts with torchvision's random weights; only its last layer is missing.

    Stochastic depth is off: it leaves out blocks at random, so a step would depend on how its images are
    spread over processes.

    Args:
        network_of: torchvision's function that builds it, such as `convnext_tiny`.
    """
    network = network_of(weights=None, stochastic_depth_prob=0.0)
    return ConvNeXtStem(network), ConvNeXtRes5(network)


class ConvNeXtStem(Stem):
    """The first three stages, and the layer norm that follows them.

    In torchvision that norm is the first layer of the step to the last stage ("features.6.0"). Here it
    belongs to the stem, so that the RPN gets normalised features, too. Other detectors on ConvNeXt add norms
    of their own at this point.
    """

    def __init__(self, network: ConvNeXt) -> None:
        super().__init__()
        parts = OrderedDict((str(index), network.features[index]) for index in range(6))
        parts["6"] = nn.Sequential(network.features[6][0])
        self.features = nn.Sequential(parts)
        one, two, three = (network.features[step][0].normalized_shape[0] for step in (2, 4, 6))
        self.channels = (one, one, two, three)

    @property
    def groups(self) -> list[list[nn.Module]]:
        first, one, down_one, two, down_two, three, norm = self.features
        return [[first], [one], [down_one, two], [down_two, three, norm]]


class ConvNeXtRes5(Res5):
    """The step to the last stage, that stage, and the norm of torchvision's classifier.

    torchvision applies that norm to the mean over all cells. The mask branch needs the cells, so here it
    normalises each of them.
    """

    def __init__(self, network: ConvNeXt) -> None:
        super().__init__()
        # Their names in torchvision's network: features.6.1, features.7, classifier.0
        step = nn.Sequential(OrderedDict([("1", network.features[6][1])]))
        self.features = nn.Sequential(OrderedDict([("6", step), ("7", network.features[7])]))
        self.classifier = nn.Sequential(network.classifier[0])
        self.out_channels = network.classifier[0].normalized_shape[0]

    def forward(self, regions: Tensor) -> Tensor:
        return self.classifier(self.features(regions))
