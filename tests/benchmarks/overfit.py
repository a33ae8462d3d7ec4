"""Learns eight scenes by heart: is every part of the network able to learn, and does everything fit together?

    python tests/benchmarks/overfit.py

Eight synthetic scenes, 7 identities in them, an outline for each of their 16 labeled persons; the recipe
`tiny` with what it needs to learn by heart: all layers train (nothing frozen but the batch norms, whose
statistics eight scenes would spoil), no flips, AdamW. Then the same eight scenes are searched: each identity
once a query, in a gallery of the seven other scenes. The goals are mAP over 95 % and a mask IoU over 0.85.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskps.datasets import open_dataset
from maskps.evaluation import SearchResult, evaluate_search
from maskps.evaluation.extraction import extract_detections
from maskps.evaluation.mask_quality import measure_masks
from maskps.masks.outlined_persons import PersonOutlines
from maskps.model.predictor import Predictor
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset, open_subset, select_subset
from maskps.synthetic import SplitScale, SynthScale, write_synthetic
from maskps.synthetic.protocols import plan_protocols
from maskps.training import TrainConfig, TrainResult, initial_predictor, load_config, load_run, train
from maskps_annotation import build_subset_from_labelme

SCENES = 8
SCALE = SynthScale(
    200,
    (0.65, 0.9),
    SplitScale(SCENES, 0, 7, 16, 2, 4, (2, 4)),
    SplitScale(SCENES, 0, 3, 9, 9, 3, (2, 4)),
    galleries=(SCENES - 1,),
    occluded=1,
    low_resolution=1,
    subset_gallery=SCENES - 1,
)
"""The test split is not used: the network is asked for what it has seen."""

SETTINGS = (
    "frozen_stages=0",
    "flips=none",
    "shorter_side=160",
    "longest_side=240",
    "anchor_sizes=[64,96,128]",
    "rpn_pre_nms_top_n_train=300",
    "rpn_post_nms_top_n_train=40",
    "rpn_post_nms_top_n_test=30",
    "rois_per_image=16",
    "oim_queue_length=64",
    "id_weight=0.2",
    "mask_weight=3",
    "optimizer=adamw",
    "learning_rate=0.002",
    "weight_decay=0.0001",
    "bias_lr_factor=1",
    "batch_size=2",
    "warmup_steps=20",
)
"""On top of the recipe `tiny`."""

MOST_WANTED = {"mAP": 0.95, "mask IoU": 0.85}


@dataclass(frozen=True)
class Learned:
    """What a network knows of the eight scenes.

    Attributes:
        search: every identity searched for in the seven scenes that the query is not from.
        mask_iou: mean over the persons with an outline of the IoU of predicted and true mask in their
            own box.
    """

    search: SearchResult
    mask_iou: float


def make_scenes(folder: Path, *, seed: int = 0) -> tuple[PersonSearchDataset, Subset]:
    """Returns eight scenes, and the outlines of all labeled persons in them."""
    write_synthetic(folder / "scenes", scale=SCALE, seed=seed)
    dataset = open_dataset(folder / "scenes")
    everything = select_subset(dataset.train, portion_size=1)
    labelme = folder / "scenes" / "truth" / "labelme"
    build_subset_from_labelme(dataset, folder / "subset", labelme, everything)
    return dataset, open_subset(folder / "subset", dataset)


def settings(epochs: int, changes: Sequence[str] = ()) -> TrainConfig:
    return load_config("tiny", [*SETTINGS, f"epochs={epochs}", *changes])


def examine(predictor: Predictor, dataset: PersonSearchDataset, subset: Subset) -> Learned:
    """Returns what the network knows of the training scenes."""
    table = dataset.train
    everybody_visible = np.ones(table.num_persons)
    protocols = plan_protocols(SCALE, table, dataset.train_ids, everybody_visible, seed=0)
    protocol = protocols[f"TestG{SCENES - 1}"]
    detections = extract_detections(predictor, dataset, protocol)
    masks = measure_masks(predictor, dataset, PersonOutlines(train=subset.masks.outlines))
    return Learned(evaluate_search(protocol, detections), masks.iou)


def row(what: str, learned: Learned, result: TrainResult | None) -> str:
    took = f"{result.steps} | {result.seconds:.0f}" if result else "0 | 0"
    search = learned.search
    return f"| {what} | {took} | {100 * search.mAP:.1f} | {100 * search.top1:.1f} | {learned.mask_iou:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=300, help="of four steps each (default 300)")
    parser.add_argument("--seeds", type=int, default=3, help="of scenes and network (default 3)")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    print("| | steps | seconds | mAP, % | top-1, % | mask IoU |\n|---|---|---|---|---|---|")
    print(f"| goal | | minutes | {100 * MOST_WANTED['mAP']:.0f} | | {MOST_WANTED['mask IoU']} |")
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as temporary:
            dataset, subset = make_scenes(Path(temporary), seed=seed)
            config = settings(given.epochs, [*given.changes, f"seed={seed}"])
            before = examine(initial_predictor(config, dataset), dataset, subset)
            print(row(f"seed {seed}, untrained", before, None))
            result = train(config, dataset, subset, Path(temporary) / "run")
            learned = examine(load_run(Path(temporary) / "run").predictor(), dataset, subset)
            print(row(f"seed {seed}, trained", learned, result), flush=True)


if __name__ == "__main__":
    main()
