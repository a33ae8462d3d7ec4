"""Exports networks with random weights, and compares each with PyTorch as `maskps export` does.

    OMP_NUM_THREADS=1 python tests/benchmarks/export_networks.py paper "paper backbone=convnext_tiny"

Batch norms get the statistics of one generated scene, so that features keep their size through all layers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from maskps.config import load_config
from maskps.model import MaskGuidedPersonSearch, build_model, build_predictor
from maskps.model.export import compare, generated_scene, onnx_of

FIXED = ("pretrained=none", "frozen_stages=0", "freeze_batch_norm=none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="+", metavar="ROW", help="a recipe and KEY=VALUE")
    for row in parser.parse_args().rows:
        recipe, *settings = row.split()
        config = load_config(recipe, [*FIXED, *settings])
        model = build_model(config, 50).eval()
        estimate(model, config.longest_side * 2 // 3)
        predictor = build_predictor(config, model, "cpu")
        content = onnx_of(predictor)
        print(f"{row}: {len(content) / 1e6:.0f} MB")
        for scene in compare(content, Path(row), predictor):
            found = f"{scene.detections} / {scene.onnx_detections} persons"
            detected = f"boxes {scene.boxes:.1e} px, embeddings {scene.embeddings:.1e}"
            size = f"{scene.width} x {scene.height}"
            print(f"  {size}: {found}, {detected}, given {scene.given_embeddings:.1e}", flush=True)


@torch.no_grad()
def estimate(model: MaskGuidedPersonSearch, longest: int) -> None:
    """Makes scores and boxes vary, and sets the statistics of all batch norms."""
    torch.manual_seed(0)
    heads = model.roi_heads
    for part in (model.rpn, heads.box_head, *([] if heads.first is None else [heads.first.box_head])):
        for parameter in part.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    pixels, boxes = generated_scene(7, longest, 4)
    norms = [one for one in model.modules() if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d)]
    for _ in range(2):  # the second time, proposals are those of the first time's statistics
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None
        model.detect_and_pool([torch.from_numpy(pixels)], [torch.from_numpy(boxes)])
        model.eval()


if __name__ == "__main__":
    main()
