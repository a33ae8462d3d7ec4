"""Images a second and peak memory of training on a CUDA device, and where the time goes.

    python tests/benchmarks/bench_gpu.py                      # all rows, and a profile
    python tests/benchmarks/bench_gpu.py --device cpu --tiny  # the same code on a CPU, for trying the script

The recipes `paper` (one head), `modern` (SeqNet's two heads) and `modern` with activation checkpointing, at
600 and 900 pixels with 1, 4 and 8 images a batch, on synthetic scenes of CUHK-SYSU's size with masks,
backbone weights drawn at random. Steps are those of `maskps train`, from batches that are already in memory:
what loading costs is `bench_loading.py`'s to tell. Times are taken with the device synchronised, after a
warm-up; memory is the largest that torch's allocator handed out. The share of the arithmetic limit is the
operations that torch counts in a step over what the device does at its best in that precision, which a large
matrix product is timed for here.

Goals, for an H200: 40 images/s at 600 pixels, batch 8; less than 8 GB at 600 pixels, batch 4.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import torch
import torchvision
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from maskps.datasets import open_dataset
from maskps.model.build import build_model
from maskps.model.processes import Processes
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset, open_subset, select_subset
from maskps.synthetic import SplitScale, SynthScale, write_synthetic
from maskps.training import SceneDataset, TrainConfig, load_config
from maskps.training.data import Batch, batches_of_steps
from maskps.training.schedule import build_optimizer
from maskps.training.step import Stepper
from maskps_annotation import build_subset_from_labelme

SCENES = 48
SCALE = SynthScale(
    800,
    (0.1, 0.46),
    SplitScale(SCENES, 0, 24, 72, 168, 10, (2, 4)),
    SplitScale(9, 0, 3, 10, 10, 3, (3, 4)),
    galleries=(4,),
    occluded=1,
    low_resolution=1,
    subset_gallery=4,
)
TINY = ("backbone=tiny", "rois_per_image=8", "rpn_post_nms_top_n_train=50", "rpn_pre_nms_top_n_train=200")
GOALS = {("modern", 600, 8): ">= 40 images/s", ("modern", 600, 4): "< 8 GB"}
IDENTITIES = 5532


def make_scenes(folder: Path) -> tuple[PersonSearchDataset, Subset]:
    """Returns scenes of CUHK-SYSU's size; one in five has masks, as in the paper."""
    write_synthetic(folder / "scenes", scale=SCALE, jobs=os.cpu_count() or 1)
    dataset = open_dataset(folder / "scenes")
    labelme = folder / "scenes" / "truth" / "labelme"
    build_subset_from_labelme(dataset, folder / "subset", labelme, select_subset(dataset.train))
    return dataset, open_subset(folder / "subset", dataset)


class Training:
    """A network and its next steps, on a device."""

    def __init__(
        self, config: TrainConfig, dataset: PersonSearchDataset, subset: Subset, device: torch.device
    ) -> None:
        self.config, self.device = config, device
        self.steps: list[list[Batch]] = list(batches_of_steps(SceneDataset(dataset, subset, config)))
        model = build_model(config, IDENTITIES).to(device).train()
        self.stepper = Stepper(model, build_optimizer(model, config), config, Processes(), device)
        self.done = 0

    def step(self) -> int:
        """Takes a step; returns its number of images."""
        batches = self.steps[self.done % len(self.steps)]
        self.stepper.take(batches, step=self.done, rate=self.config.learning_rate, where="benchmark")
        self.done += 1
        return sum(len(batch.images) for batch in batches)

    def timed(self, steps: int) -> tuple[float, int]:
        """Returns the seconds of so many steps, and their images."""
        synchronize(self.device)
        begin = time.perf_counter()
        images = sum(self.step() for _ in range(steps))
        synchronize(self.device)
        return time.perf_counter() - begin, images


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_flops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Returns the operations a second of a (size, size) matrix product: the most that can be hoped for."""
    first, second = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(8):
        synchronize(device)
        begin = time.perf_counter()
        first @ second
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / min(seconds)


def settings(recipe: str, side: int, batch: int, tiny: bool) -> TrainConfig:
    recipe, *own = recipe.split()
    changes = [*own, "pretrained=none", f"shorter_side={side}", f"longest_side={round(side * 5 / 3)}"]
    changes += [f"batch_size={batch}", "epochs=1", "num_workers=0", *(TINY if tiny else ())]
    return load_config(recipe, changes)


def print_profile(training: Training, steps: int) -> None:
    """Prints the operations that a step spends its time in, on the device where there is one."""
    is_cuda = training.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            training.step()
        synchronize(training.device)
    own = "self_device_time_total" if is_cuda else "self_cpu_time_total"
    events = sorted(profiler.key_averages(), key=lambda event: -getattr(event, own))
    whole = sum(getattr(event, own) for event in events)
    print("\n| operation | calls a step | ms a step | share |\n|---|---|---|---|")
    for event in events[:15]:
        time_in = getattr(event, own)
        calls = event.count / steps
        name = event.key[:70].replace("|", "/")
        print(f"| `{name}` | {calls:.0f} | {time_in / 1000 / steps:.2f} | {100 * time_in / whole:.1f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--recipes", default="paper,modern,modern activation_checkpointing=true")
    parser.add_argument("--sides", default="600,900")
    parser.add_argument("--batches", default="1,4,8")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument(
        "--tiny", action="store_true", help="a small network at 96 pixels: does the script work?"
    )
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu --tiny tries the script, and measures nothing")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {os.cpu_count()} cores"
    print(f"{name}, torch {torch.__version__}, torchvision {torchvision.__version__}\n", flush=True)
    sides = [96] if given.tiny else [int(side) for side in given.sides.split(",")]
    sizes = [int(size) for size in given.batches.split(",")]
    product = 256 if given.tiny else 8192
    with tempfile.TemporaryDirectory() as temporary:
        dataset, subset = make_scenes(Path(temporary))
        print("| recipe | side | batch | images/s | memory, GB | TFLOP/image | share of the limit | goal |")
        print("|---|---|---|---|---|---|---|---|")
        for recipe, side, size in itertools.product(given.recipes.split(","), sides, sizes):
            config = settings(recipe, side, size, given.tiny)
            training = Training(config, dataset, subset, device)
            try:
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                training.timed(given.warmup)
                seconds, images = training.timed(given.steps)
                memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
                with FlopCounterMode(display=False) as counter:
                    counted = training.step()
            except torch.OutOfMemoryError:
                print(f"| {recipe} | {side} | {size} | out of memory | | | | |", flush=True)
                continue
            flops = counter.get_total_flops() / counted
            dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
            share = flops * images / seconds / best_flops(device, dtype, product)
            goal = GOALS.get((recipe, side, size), "")
            print(
                f"| {recipe} | {side} | {size} | {images / seconds:.1f} | {memory:.2f} | {flops / 1e12:.3f} "
                f"| {100 * share:.1f} % | {goal} |",
                flush=True,
            )
        print(f"\nThe last row's step, by operation ({recipe}, {side} pixels, batch {size}):")
        print_profile(training, 2 if given.tiny else 10)


if __name__ == "__main__":
    main()
