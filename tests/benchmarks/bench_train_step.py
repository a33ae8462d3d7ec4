"""A training step on the CPU: ours with masks, without, and the same network from torchvision's parts.

    python tests/benchmarks/bench_train_step.py
    python tests/benchmarks/bench_train_step.py --head sequential

ResNet-50, batch 1, an image of 600 x 800 pixels with five persons, each with an outline: forward, backward,
optimiser. All sides run in one process and take turns, so that whatever else the machine does meets all of
them. Memory is the largest resident size of a process of its own that takes two steps.

`--head single` is the recipe `paper`. torchvision's side is `torchvision.models.detection.MaskRCNN` with
conv1..res4 as its backbone, res5 as its box head and a C4 mask head, and with the same anchors, RPN width,
numbers of proposals and RoIs, frozen layers and optimiser. Three things are left as each project has them:
torchvision runs res5 a second time for its mask branch, gets its masks as finished bitmaps, and has neither
embedding nor OIM; ours computes its mask targets from outlines, and has both, with the table of CUHK-SYSU.

`--head sequential` is the recipe `modern`, in float32; torchvision's side is in `seqnet_training.py`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image, ImageDraw
from seqnet_training import SeqNetInTraining
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.resnet import resnet50
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from maskps.model.build import build_model
from maskps.model.network import IMAGE_MEAN, IMAGE_STD
from maskps.model.processes import Processes
from maskps.model.proposals import ProposalHead
from maskps.model.region_pooler import RegionPooler
from maskps.model.roi_align import RegionGrid
from maskps.training import TrainConfig, load_config
from maskps.training.data import Batch
from maskps.training.schedule import build_optimizer
from maskps.training.step import Stepper

IDENTITIES = 5532
RATIOS = {
    "single": (
        ("ours, with masks", "ours, without masks", "at most 1.05"),
        ("ours, with masks", "torchvision's Mask R-CNN", "at most 1"),
        ("ours, without masks", "torchvision's Faster R-CNN", ""),
    ),
    "sequential": (
        ("ours, with masks", "ours, without masks", "at most 1.05"),
        ("ours, with masks", "SeqNet from torchvision's parts", "at most 1"),
        ("ours, without masks", "SeqNet from torchvision's parts", "at most 1"),
        ("ours, checkpointing", "ours, with masks", ""),
    ),
}
"""By the head: what is divided by what, and the goal."""

OURS = {
    "ours, with masks": (),
    "ours, without masks": ("masks=false",),
    "ours, checkpointing": ("activation_checkpointing=true",),
}
"""Our sides, and the settings that they change."""

Step = Callable[[], None]


class Backbone(nn.Module):
    """conv1..res4 of torchvision's ResNet-50; batch norms and conv1 are frozen, as in the recipe `paper`."""

    out_channels = 1024

    def __init__(self) -> None:
        super().__init__()
        body = resnet50(norm_layer=FrozenBatchNorm2d)
        self.stem = nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool)
        self.stem.requires_grad_(False)
        self.stages = nn.Sequential(body.layer1, body.layer2, body.layer3)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self.stages(self.stem(images))}


def torchvision_model(config: TrainConfig, *, masks: bool) -> nn.Module:
    """Returns torchvision's Mask R-CNN (or Faster R-CNN) on res4, with res5 as its head."""
    res5 = resnet50().layer4
    anchors = AnchorGenerator((config.anchor_sizes,), (config.anchor_ratios,))
    arguments: dict[str, Any] = {
        "min_size": config.shorter_side,
        "max_size": config.longest_side,
        "image_mean": IMAGE_MEAN,
        "image_std": IMAGE_STD,
        "rpn_anchor_generator": anchors,
        "rpn_head": ProposalHead(1024, config.rpn_channels, anchors.num_anchors_per_location()[0]),
        "rpn_pre_nms_top_n_train": config.rpn_pre_nms_top_n_train,
        "rpn_post_nms_top_n_train": config.rpn_post_nms_top_n_train,
        "rpn_batch_size_per_image": config.rpn_batch_size,
        "box_roi_pool": MultiScaleRoIAlign(["0"], config.roi_pool, 2),
        "box_head": nn.Sequential(res5, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "box_predictor": FastRCNNPredictor(2048, 2),
        "box_batch_size_per_image": config.rois_per_image,
        "box_positive_fraction": config.roi_foreground_fraction,
    }
    if not masks:
        return FasterRCNN(Backbone(), **arguments).train()
    return MaskRCNN(
        Backbone(),
        mask_roi_pool=MultiScaleRoIAlign(["0"], config.roi_pool, 2),
        mask_head=res5,
        mask_predictor=MaskRCNNPredictor(2048, config.mask_channels, 2),
        **arguments,
    ).train()


def scene(height: int, width: int, *, people: int = 5) -> tuple[Batch, dict[str, Tensor]]:
    """Returns the same image and persons for our network and for torchvision's."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((3, height, width), dtype=np.float32))
    boxes, edges, masks = [], [], []
    for person in range(people):
        tall = height * (0.3 + 0.08 * person)
        x0, y0 = width * (0.04 + 0.19 * person), height * 0.1
        x1, y1 = x0 + 0.4 * tall, y0 + tall
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack(
            [(x0 + x1) / 2 + 0.2 * tall * np.cos(angles), (y0 + y1) / 2 + 0.5 * tall * np.sin(angles)], axis=1
        )
        bitmap = Image.new("1", (width, height))
        ImageDraw.Draw(bitmap).polygon([tuple(point) for point in ring.tolist()], fill=1)
        boxes.append([x0, y0, x1, y1])
        edges.append(torch.from_numpy(np.hstack([ring, np.roll(ring, -1, axis=0)]).astype(np.float32)))
        masks.append(torch.from_numpy(np.array(bitmap, dtype=np.uint8)))
    corners = torch.tensor(boxes)
    ours = {
        "boxes": corners,
        "pids": torch.arange(1, people + 1),
        "mask_edges": edges,
        "mask_present": torch.ones(people, dtype=torch.bool),
        "seed": 0,
    }
    theirs = {"boxes": corners, "labels": torch.arange(1, people + 1), "masks": torch.stack(masks)}
    return Batch(["scene"], [image], [ours]), theirs


def without_masks(batch: Batch) -> Batch:
    target = batch.targets[0]
    none = {
        "mask_edges": [edges[:0] for edges in target["mask_edges"]],
        "mask_present": torch.zeros_like(target["mask_present"]),
    }
    return Batch(batch.names, batch.images, [{**target, **none}])


def our_step(config: TrainConfig, batch: Batch) -> tuple[nn.Module, Step]:
    """Returns the network and a step as `maskps train` takes it, checks of every loss included."""
    model = build_model(config, IDENTITIES).train()
    stepper = Stepper(model, build_optimizer(model, config), config, Processes(), torch.device("cpu"))
    return model, lambda: _taken(stepper, config, batch)


def _taken(stepper: Stepper, config: TrainConfig, batch: Batch) -> None:
    stepper.take([batch], step=0, rate=config.learning_rate, where="benchmark")


def their_step(
    model: nn.Module, config: TrainConfig, images: list[Tensor], target: dict[str, Tensor]
) -> Step:
    """Returns a step as torchvision's reference training takes it."""
    optimizer = torch.optim.SGD(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )

    def step() -> None:
        loss = sum(model(images, [dict(target)]).values())
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        if config.gradient_clip:
            nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()

    return step


def step_of(side: str, head: str, height: int, width: int) -> tuple[nn.Module, Step]:
    """Returns the network of a side, with weights drawn from a fixed seed, and its step."""
    torch.manual_seed(0)
    recipe = {"single": "paper", "sequential": "modern"}[head]
    sides = (f"shorter_side={min(height, width)}", f"longest_side={max(height, width)}")
    config = load_config(recipe, ["pretrained=none", "precision=fp32", *sides, *OURS.get(side, ())])
    batch, target = scene(height, width)
    if side in OURS:
        return our_step(config, batch if config.masks else without_masks(batch))
    if head == "sequential":
        model: nn.Module = SeqNetInTraining(config, IDENTITIES)
    else:
        target["labels"] = torch.ones_like(target["labels"])
        model = torchvision_model(config, masks=side == "torchvision's Mask R-CNN")
    return model, their_step(model, config, batch.images, target)


def sides_of(head: str) -> list[str]:
    return list(dict.fromkeys(side for *pair, _ in RATIOS[head] for side in pair))


def memory_of(side: str, arguments: Sequence[str]) -> float:
    """Returns the largest resident size, in MB, of a process that takes two steps of a side."""
    command = [sys.executable, __file__, *arguments, "--memory-of", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(steps: dict[str, Step], *, warmup: int, repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of every step; the sides take turns, in another order each time.

    With one thread they are processor time, which other processes hardly change.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = defaultdict(list)
    names = list(steps)
    for number in range(warmup + repeats):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            begin = clock()
            steps[name]()
            if number >= warmup:
                seconds[name].append(clock() - begin)
    return seconds


@contextmanager
def parts_timed(model: nn.Module) -> Iterator[dict[str, float]]:
    """Yields the seconds spent in each part of our step, added up until the block ends."""
    heads = model.roi_heads
    spent: dict[str, float] = defaultdict(float)
    places = [
        ("forward", model, "forward"),
        ("stem", model.stem, "stages"),
        ("rpn", model.rpn, "forward"),
        ("behind the rpn", heads, "losses"),
        ("pool and res5", RegionPooler, "res5"),
        ("align", RegionPooler, "align"),
        ("pool", RegionGrid, "pool"),
        ("mask logits", heads.mask_branch, "logits"),
        ("mask loss", heads.mask_branch, "loss"),
        ("backward", Tensor, "backward"),
        ("optimiser", torch.optim.SGD, "step"),
    ]
    for name, owner, attribute in places:
        _time_calls(owner, attribute, name, spent)
    try:
        yield spent
    finally:
        for _, owner, attribute in places:
            original = getattr(owner, attribute).__wrapped__
            if isinstance(owner, nn.Module):
                delattr(owner, attribute)
            else:
                setattr(owner, attribute, original)


def _time_calls(owner: Any, attribute: str, name: str, spent: dict[str, float]) -> None:
    original = getattr(owner, attribute)

    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            spent[name] += time.perf_counter() - begin

    timed.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(owner, attribute, timed)


def breakdown(model: nn.Module, step: Step, *, repeats: int) -> None:
    """Prints where a step of ours spends its time: by part, and the twelve dearest operations."""
    begin = time.perf_counter()
    with parts_timed(model) as spent:
        for _ in range(repeats):
            step()
    total = time.perf_counter() - begin
    masks = spent["mask logits"] + spent["mask loss"]
    parts = {
        "stem": spent["stem"],
        "rpn": spent["rpn"],
        "pool": spent["pool"],
        "res5": spent["pool and res5"] + spent["align"] - spent["pool"],
        "heads and losses": spent["behind the rpn"] - spent["pool and res5"] - spent["align"] - masks,
        "mask branch and its loss": masks,
        "rest of forward": spent["forward"] - spent["stem"] - spent["rpn"] - spent["behind the rpn"],
        "backward": spent["backward"],
        "optimiser": spent["optimiser"],
        "checks and OIM's update": total - spent["forward"] - spent["backward"] - spent["optimiser"],
    }
    print("\n| part of a step with masks | ms | share |\n|---|---|---|")
    for name, seconds in parts.items():
        print(f"| {name} | {1000 * seconds / repeats:.1f} | {100 * seconds / total:.1f} % |")
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    print("\n| operation | calls | ms in itself | share |\n|---|---|---|---|")
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    for event in events[:12]:
        own = event.self_cpu_time_total
        print(f"| `{event.key}` | {event.count} | {own / 1000:.1f} | {100 * own / whole:.1f} % |")


def print_ratios(title: str, head: str, values: dict[str, list[float]]) -> None:
    print(f"\n| {title} | median | from | to | goal |\n|---|---|---|---|---|")
    for first, second, goal in RATIOS[head]:
        ratios = [a / b for a, b in zip(values[first], values[second], strict=True)]
        row = f"{statistics.median(ratios):.3f} | {min(ratios):.3f} | {max(ratios):.3f}"
        print(f"| {first} / {second} | {row} | {goal} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", choices=list(RATIOS), default="single")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", default="600x800", help="height x width of the image (default 600x800)")
    parser.add_argument("--memory-of", metavar="SIDE", help="take two steps of it, print MB, and end")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    height, width = map(int, given.size.split("x"))
    if given.memory_of:
        _, step = step_of(given.memory_of, given.head, height, width)
        step()
        step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(
        f"{given.threads} threads, torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"Python {sys.version.split()[0]}; {height} x {width} pixels, {given.repeats} repeats\n"
    )
    # First: a child's largest size counts from that of its parent.
    memory = {side: memory_of(side, sys.argv[1:]) for side in sides_of(given.head)}
    networks = {side: step_of(side, given.head, height, width) for side in sides_of(given.head)}
    steps = {side: step for side, (_, step) in networks.items()}
    seconds = compare(steps, warmup=given.warmup, repeats=given.repeats)
    print("| a training step | s, median | from | to | memory, MB |\n|---|---|---|---|---|")
    for side, times in seconds.items():
        row = f"{statistics.median(times):.3f} | {min(times):.3f} | {max(times):.3f} | {memory[side]:,.0f}"
        print(f"| {side} | {row} |")
    print_ratios("time, round by round", given.head, seconds)
    print_ratios("memory", given.head, {side: [value] for side, value in memory.items()})
    breakdown(*networks["ours, with masks"], repeats=3)


if __name__ == "__main__":
    main()
