"""How much of a result do the last images of a training decide? Precise statistics of batch norms against it.

    OMP_NUM_THREADS=1 python tests/benchmarks/precise_bn.py

Synthetic scenes (`--scale tiny`: 300 training scenes, 60 queries); the recipe `tiny` with norms of res5 that
train, one image per step, without masks. After the training no weight moves any more. Each draw lets other
training images pass through the network, and only the statistics of its norms change: once as the running
averages of 30 further images, once as `precise_bn_images = 200` estimates them. Each row is the mAP of the
same weights, so its spread is no property of the network.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import statistics
import tempfile
from pathlib import Path

import torch

from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol, protocol_of_size
from maskps.evaluation import SearchResult, evaluate_search
from maskps.evaluation.extraction import extract_detections
from maskps.model.build import build_predictor
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import Predictor
from maskps.structures import PersonSearchDataset
from maskps.synthetic import SCALES, write_synthetic
from maskps.training import SceneDataset, load_config, load_run, train
from maskps.training.data import epoch_order
from maskps.training.precise_bn import estimate_norms

FURTHER = 30
"""Images of a running average; with momentum 0.1 the last 30 have 96 % of the weight."""


def run_on(model: MaskGuidedPersonSearch, scenes: SceneDataset) -> None:
    """Moves the running averages of the norms by further training images, one at a time, and nothing else."""
    config = scenes.config
    with torch.no_grad():
        for row in epoch_order(len(scenes), seed=config.seed, epoch=config.epochs)[:FURTHER].tolist():
            item = scenes[config.epochs, row]
            model(item.images, item.targets)
            model.take_pending()


def search(predictor: Predictor, dataset: PersonSearchDataset) -> SearchResult:
    protocol = open_protocol(dataset, protocol_of_size(dataset, 50))
    return evaluate_search(protocol, extract_detections(predictor, dataset, protocol))


def row(what: str, values: list[float]) -> str:
    drawn = " ".join(f"{value:.1f}" for value in values)
    spread = f"{statistics.stdev(values):.2f} | {max(values) - min(values):.1f}"
    return f"| {what} | {drawn} | {statistics.mean(values):.1f} | {spread} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4, help="of the training (default 4)")
    parser.add_argument("--draws", type=int, default=8, help="of the images afterwards (default 8)")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    settings = ["freeze_batch_norm=stem", "batch_size=1", "masks=false", f"epochs={given.epochs}"]
    config = load_config("tiny", [*settings, *given.changes])
    with tempfile.TemporaryDirectory() as temporary:
        write_synthetic(Path(temporary) / "scenes", scale=SCALES["tiny"], seed=0)
        dataset = open_dataset(Path(temporary) / "scenes")
        train(config, dataset, None, Path(temporary) / "run")
        trained = load_run(Path(temporary) / "run").model
        print("| statistics | mAP of each draw, % | mean | sd | range |\n|---|---|---|---|---|")
        for what in (f"running averages, {FURTHER} images", f"over {config.precise_bn_images} images"):
            found = []
            for draw in range(given.draws):
                scenes = SceneDataset(dataset, None, dataclasses.replace(config, seed=draw + 1))
                model = copy.deepcopy(trained).train()
                if what.startswith("running"):
                    run_on(model, scenes)
                else:
                    estimate_norms(model, scenes, torch.device("cpu"))
                predictor = build_predictor(config, model.eval(), "cpu")
                found.append(100 * search(predictor, dataset).mAP)
            print(row(what, found), flush=True)


if __name__ == "__main__":
    main()
