"""Processor time of one image on one core: the persons in it, with their embeddings, by recipe.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_detect.py
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_detect.py modern-900 "mobile backbone=mobilenet_v2"
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_detect.py --seqnet

Weights are random, and so is the image. Ten boxes pass, whatever their scores, so that a second head has work
to do (an image of CUHK-SYSU has 5 persons, one of PRW 4). The rows take turns; the table shows the shortest
time of each.

`--seqnet` compares SeqNet's network, ours and the one from torchvision's parts that the tests compare it with
(tests/model/seqnet_oracle.py), of the same weights: the same boxes, at most 0.8 of the time.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maskps.config import load_config
from maskps.model.build import build_model, build_predictor

sys.path.append(str(Path(__file__).parents[1] / "model"))
from seqnet_oracle import random_image
from seqnet_pair import SeqNetPair

ROWS = (
    "modern",
    "mobile backbone=resnet50",
    "mobile",
    "mobile head=single",
    "mobile rpn_post_nms_top_n_test=300",
    "mobile rpn_pre_nms_top_n_test=6000",
)
PERSONS = 10
FIXED = (
    "pretrained=none",
    "box_score_threshold=0",
    "first_nms=1",
    "box_nms=1",
    f"detections_per_image={PERSONS}",
)
IDENTITIES = 5532  # of CUHK-SYSU
GOAL = 0.8

Runs = dict[str, Callable[[], object]]


def recipes(rows: Sequence[str], image: NDArray[np.uint8]) -> tuple[Runs, dict[str, int]]:
    """Returns for each row what finds the persons of an image, and the network's number of parameters."""
    runs: Runs = {}
    sizes = {}
    for row in rows:
        recipe, *settings = row.split()
        config = load_config(recipe, [*settings, *FIXED])
        model = build_model(config, IDENTITIES)
        predictor = build_predictor(config, model, "cpu")
        assert len(predictor.detect(image).boxes) == PERSONS
        sizes[row] = sum(value.numel() for value in model.parameters())
        runs[row] = lambda predictor=predictor: predictor.detect(image)
    return runs, sizes


def seqnets(height: int, width: int) -> Runs:
    """Returns what finds the persons of an image at 600 / 1000 pixels: ours, and torchvision's parts."""
    # Of coloured blobs: in noise the RPN would find fewer than 300 proposals.
    image = (random_image(0, height, width) * 255).byte().permute(1, 2, 0).contiguous().numpy()
    pair = SeqNetPair.random(0, min_size=600, max_size=1000, proposals=300, last_norms=0.1)
    config = dataclasses.replace(pair.config, box_score_threshold=0.0, detections_per_image=PERSONS)
    model = build_model(config, len(pair.network.roi_heads.id_loss.lookup_table))
    model.load_state_dict(pair.network.state_dict())
    predictor = build_predictor(config, model, "cpu")
    heads = pair.oracle.roi_heads
    heads.score_thresh, heads.detections_per_img = 0.0, PERSONS

    def theirs() -> NDArray[np.float32]:
        return pair.oracle.gallery(torch.from_numpy(image).permute(2, 0, 1).float() / 255).boxes.numpy()

    np.testing.assert_allclose(predictor.detect(image).boxes, theirs(), atol=0.1)
    return {"ours": lambda: predictor.detect(image), "torchvision's parts": theirs}


def timed(runs: Runs, repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of processor time of every run; they take turns."""
    seconds: dict[str, list[float]] = {row: [] for row in runs}
    for _ in range(repeats):
        for row, run in runs.items():
            start = time.process_time()
            run()
            seconds[row].append(time.process_time() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", default=ROWS, help="a recipe and KEY=VALUE")
    parser.add_argument("--size", nargs=2, type=int, default=(600, 800), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seqnet", action="store_true", help="SeqNet's network instead of recipes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    image = np.random.default_rng(0).integers(0, 256, (*options.size, 3), dtype=np.uint8)
    title = "one image of {} x {} pixels, one core".format(*options.size)
    if options.seqnet:
        seconds = timed(seqnets(*options.size), options.repeats)
        print(f"| SeqNet, {title} | s, median | from | to |\n|---|---|---|---|")
        ratios = [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)]
        for row, values in {**seconds, f"ratio, round by round; goal: at most {GOAL}": ratios}.items():
            print(f"| {row} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
        return
    runs, sizes = recipes(options.rows, image)
    print(f"| {title} | parameters, million | ms |\n|---|---|---|")
    for row, values in timed(runs, options.repeats).items():
        print(f"| `{row}` | {sizes[row] / 1e6:.1f} | {min(values) * 1e3:.0f} |")


if __name__ == "__main__":
    main()
