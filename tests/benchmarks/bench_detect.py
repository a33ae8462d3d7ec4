"""Processor time of one image on one core: the persons in it, with their embeddings, by recipe.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_detect.py
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_detect.py modern-900 "mobile backbone=mobilenet_v2"

Weights are random, and so is the image. Ten boxes pass, whatever their scores, so that a second head has work
to do (an image of CUHK-SYSU has 5 persons, one of PRW 4). The rows take turns; the table shows the shortest
time of each.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from maskps.config import load_config
from maskps.model.build import build_model, build_predictor

ROWS = (
    "modern",
    "mobile backbone=resnet50",
    "mobile",
    "mobile head=single",
    "mobile rpn_post_nms_top_n_test=300",
    "mobile rpn_pre_nms_top_n_test=6000",
)
PERSONS = 10
FIXED = ("pretrained=none", "box_score_threshold=0", f"detections_per_image={PERSONS}")
IDENTITIES = 5532  # of CUHK-SYSU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", default=ROWS, help="a recipe and KEY=VALUE")
    parser.add_argument("--size", nargs=2, type=int, default=(600, 800), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image = np.random.default_rng(0).integers(0, 256, (*options.size, 3), dtype=np.uint8)

    predictors, sizes = {}, {}
    for row in options.rows:
        recipe, *settings = row.split()
        config = load_config(recipe, [*settings, *FIXED])
        model = build_model(config, IDENTITIES)
        sizes[row] = sum(value.numel() for value in model.parameters())
        predictors[row] = build_predictor(config, model, "cpu")
        assert len(predictors[row].detect(image).boxes) == PERSONS
    best = dict.fromkeys(predictors, float("inf"))
    for _ in range(options.repeats):
        for row, predictor in predictors.items():
            start = time.process_time()
            predictor.detect(image)
            best[row] = min(best[row], time.process_time() - start)

    height, width = options.size
    print(f"| one image of {height} x {width} pixels, one core | parameters, million | ms |\n|---|---|---|")
    for row, seconds in best.items():
        print(f"| `{row}` | {sizes[row] / 1e6:.1f} | {seconds * 1e3:.0f} |")


if __name__ == "__main__":
    main()
