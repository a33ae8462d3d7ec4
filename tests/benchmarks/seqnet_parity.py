"""How far our network is from SeqNet's with the same random weights: the table of docs/weights.md.

    PYTHONPATH=tests/model OMP_NUM_THREADS=1 python tests/benchmarks/seqnet_parity.py [--large]

SeqNet's is the one of tests/model/seqnet_oracle.py, composed of torchvision's parts. The rows in float64
compare the networks alone; those in float32 the whole way from the pixels of an image to the weighted
embeddings. --large adds images of the sizes of real ones at SeqNet's 900 / 1500 px, which takes minutes.
"""

from __future__ import annotations

import argparse

import torch
from seqnet_oracle import random_image
from seqnet_pair import Differences, SeqNetPair

SMALL = [(50, 70), (72, 128), (97, 61)]
LARGE = [(600, 800), (1080, 1920), (501, 333)]
SEED = 5


def line(precision: str, size: tuple[int, int], found: Differences) -> str:
    numbers = (found.boxes, found.scores, found.embeddings, found.given)
    cells = [precision, f"{size[0]} x {size[1]}", f"{found.detections[0]}, {found.detections[1]}"]
    return "| " + " | ".join(cells + [f"{number:.0e}" for number in numbers]) + " |"


def pixels(size: tuple[int, int]) -> torch.Tensor:
    return (random_image(SEED, *size) * 255).round().to(torch.uint8)


def boxes_in(height: int, width: int) -> torch.Tensor:
    parts = torch.tensor([[0.1, 0.2, 0.4, 0.9], [0.3, 0.1, 0.5, 0.7], [0.0, 0.0, 1.0, 1.0]])
    return parts * torch.tensor([width, height, width, height])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--large", action="store_true")
    is_large = parser.parse_args().large
    print("| | image | detections: ours, theirs | boxes (px) | scores | embeddings | given boxes |")
    print("|---|---|---|---|---|---|---|")
    pair = SeqNetPair.random(0, min_size=64, max_size=110, proposals=20).double()
    for size in SMALL:
        image = random_image(SEED, *size).double()
        print(line("float64", size, pair.of_networks(image, boxes_in(*size).double())), flush=True)
    pair = SeqNetPair.random(0, min_size=64, max_size=110, proposals=20, last_norms=0.1)
    for size in SMALL:
        print(line("float32", size, pair.of_images(pixels(size), boxes_in(*size))), flush=True)
    pair = pair.with_sides(900, 1500)
    for size in LARGE if is_large else ():
        print(line("float32", size, pair.of_images(pixels(size), boxes_in(*size))), flush=True)


if __name__ == "__main__":
    main()
