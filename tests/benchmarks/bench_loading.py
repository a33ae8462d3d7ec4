"""How long the trainer waits for images, by number of loading processes.

    python tests/benchmarks/bench_loading.py
    python tests/benchmarks/bench_loading.py --set masks=true --set background_replacement=1

Synthetic scenes of CUHK-SYSU's size (800 pixels, JPEG), the recipe `tiny` at 600 pixels, one epoch each. A
step of the smallest network is the hardest for the loader: it asks for images most often. The numbers are
those that every run writes to timing.jsonl; "by itself" is the loader with nobody to wait for, which is what
an accelerator could take at most.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from maskps.datasets import open_dataset
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset, open_subset
from maskps.synthetic import SplitScale, SynthScale, write_synthetic
from maskps.training import SceneDataset, TrainConfig, load_config, train
from maskps.training.data import batches_of_steps
from maskps_annotation import build_subset_from_labelme


def scale_of(scenes: int) -> SynthScale:
    """Returns scenes of CUHK-SYSU's size, with about its number of persons each."""
    train_split = SplitScale(scenes, 0, scenes // 2, 3 * scenes // 2, 7 * scenes // 2, 10, (2, 4))
    test_split = SplitScale(9, 0, 3, 10, 10, 3, (3, 4))
    return SynthScale(800, (0.1, 0.46), train_split, test_split, (4,), 1, 1, subset_gallery=4)


def row(
    dataset: PersonSearchDataset, subset: Subset, config: TrainConfig, workers: int, run_dir: Path
) -> str:
    config = dataclasses.replace(config, num_workers=workers)
    begin = time.perf_counter()
    steps = batches_of_steps(SceneDataset(dataset, subset, config))
    images = sum(len(batch.images) for step in steps for batch in step)
    alone = images / (time.perf_counter() - begin)
    train(config, dataset, subset, run_dir)
    (line,) = [json.loads(text) for text in (run_dir / "timing.jsonl").read_text().splitlines()]
    waiting = line["seconds_waiting"]
    return (
        f"| {workers} | {alone:.1f} | {line['images_per_second']:.1f} | {1000 * waiting / line['steps']:.1f} "
        f"| {100 * waiting / line['seconds']:.1f} % |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--workers", default="0,1,2,4", help="numbers of processes (default 0,1,2,4)")
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    sizes = ["shorter_side=600", "longest_side=1000"]
    changes = ["masks=false", "epochs=1", *sizes, *given.changes]
    config = load_config(given.recipe, changes)
    with tempfile.TemporaryDirectory() as temporary:
        write_synthetic(Path(temporary) / "scenes", scale=scale_of(given.scenes), jobs=os.cpu_count() or 1)
        dataset = open_dataset(Path(temporary) / "scenes")
        outlines = Path(temporary) / "scenes" / "truth" / "labelme"
        build_subset_from_labelme(dataset, Path(temporary) / "subset", outlines)
        subset = open_subset(Path(temporary) / "subset", dataset)
        print(
            f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {given.scenes} scenes, "
            f"recipe {given.recipe}, batch {config.batch_size}\n"
        )
        print("| num_workers | loader alone, images/s | training, images/s | wait a step, ms | of the time |")
        print("|---|---|---|---|---|")
        for workers in map(int, given.workers.split(",")):
            print(row(dataset, subset, config, workers, Path(temporary) / f"run{workers}"), flush=True)


if __name__ == "__main__":
    main()
