"""Exports networks that are not trained, and compares each with PyTorch as `maskps export` does.

    OMP_NUM_THREADS=1 python tests/benchmarks/export_networks.py paper "paper backbone=convnext_tiny"

Random weights enlarge rounding more than trained ones do, so three things are set. Batch norms have the
statistics of generated scenes, and those that end a ResNet's block have scale 0.2: features keep their size
through all layers. The score threshold is such that at least ten persons are found in each of these scenes.
With `pretrained=FILE` the backbone stays as in the file, and only the heads are random.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from maskps.config import load_config
from maskps.model import MaskGuidedPersonSearch, build_model, build_predictor
from maskps.model.export import LARGEST_DIFFERENCES, check_equal, compare, generated_scene, onnx_of

FIXED = ("pretrained=none", "frozen_stages=0", "freeze_batch_norm=none")
PERSONS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="+", metavar="ROW", help="a recipe and KEY=VALUE")
    print("| network | size | persons, both | boxes (px) | scores | embeddings | of given boxes |")
    print("|---|---|---|---|---|---|---|")
    for row in parser.parse_args().rows:
        recipe, *settings = row.split()
        config = load_config(recipe, [*FIXED, *settings])
        model = build_model(config, 50).eval()
        if config.pretrained == "none":
            estimate(model, config.longest_side * 2 // 3)
        predictor = build_predictor(config, model, "cpu")
        content = onnx_of(predictor)
        scenes = compare(content, Path(row), predictor)
        check_equal(scenes, Path(row))
        persons = ", ".join(str(scene.detections) for scene in scenes)
        largest = " | ".join(
            f"{max(getattr(one, name) for one in scenes):.1e}" for name in LARGEST_DIFFERENCES
        )
        print(f"| `{row}` | {len(content) / 1e6:.0f} MB | {persons} | {largest} |", flush=True)


@torch.no_grad()
def estimate(model: MaskGuidedPersonSearch, longest: int) -> None:
    """Makes scores and boxes vary, and sets batch norms and the score threshold; see above."""
    torch.manual_seed(0)
    heads = model.roi_heads
    for name, scale in model.named_parameters():
        if name.endswith("bn3.weight"):
            scale.fill_(0.2)
    for part in (model.rpn, heads.box_head, *([] if heads.first is None else [heads.first.box_head])):
        for parameter in part.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05 / parameter[0].numel() ** 0.5)
    scenes = [[torch.from_numpy(one)[None] for one in generated_scene(seed, longest, 4)] for seed in range(3)]
    norms = [one for one in model.modules() if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d)]
    for _ in range(2):  # the second time, proposals are those of the first time's statistics
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None
        for scene in scenes:
            model.detect_and_pool(*scene)
        model.eval()
    heads.box_filter = replace(heads.box_filter, score_threshold=0.0)
    scores = [model.detect_and_pool(*scene)[0][0].scores for scene in scenes]
    threshold = min(float(one[min(PERSONS, len(one) - 1)]) for one in scores)
    heads.box_filter = replace(heads.box_filter, score_threshold=threshold)


if __name__ == "__main__":
    main()
