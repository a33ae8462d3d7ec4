"""Time of one image on one core: the network of a run in PyTorch, and its ONNX file in onnxruntime.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_onnx.py run model.onnx scenes/Image/SSM/s1*.jpg

Both take turns at each image, resizing included; the table shows the sum of the shortest times of all images,
and the largest differences of their results.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from maskps.io.images import read_image
from maskps.model import OnnxPredictor
from maskps.model.prediction import ImagePredictor
from maskps.training import load_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictors: dict[str, ImagePredictor] = {
        "PyTorch": load_run(options.run).predictor(),
        "onnxruntime": OnnxPredictor(options.onnx, threads=1),
    }
    images = [read_image(path) for path in options.images]
    best = {name: np.full(len(images), np.inf) for name in predictors}
    differences = np.zeros(3)
    persons = {name: 0 for name in predictors}
    for row, image in enumerate(images):
        for _ in range(options.repeats):
            found = {}
            for name, predictor in predictors.items():
                start = time.process_time()
                found[name] = predictor.detect(image)
                best[name][row] = min(best[name][row], time.process_time() - start)
        theirs, ours = found.values()
        for name, one in found.items():
            persons[name] += len(one.scores)
        if len(theirs.scores) == len(ours.scores):
            pairs = zip(theirs, ours, strict=True)
            largest = [float(np.abs(one - other).max(initial=0)) for one, other in pairs]
            differences = np.maximum(differences, largest)

    print(f"| {len(images)} images, one core | detections | ms an image | ratio |\n|---|---|---|---|")
    for name, times in best.items():
        ratio = times.sum() / best["PyTorch"].sum()
        print(f"| {name} | {persons[name]} | {times.mean() * 1000:.1f} | {ratio:.2f} |")
    box, score, feature = differences
    print(f"\nlargest differences: boxes {box:.1e} px, scores {score:.1e}, embeddings {feature:.1e}")


if __name__ == "__main__":
    main()
