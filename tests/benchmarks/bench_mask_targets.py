"""How exact, how fast and how fair to mirror images the usual ways to 14x14 mask targets are.

    python -m pip install -e '.[bench]'
    python tests/benchmarks/bench_mask_targets.py                a table in Markdown, one core, a few minutes
    python tests/benchmarks/bench_mask_targets.py --images 2     small, to see that it works

Each image of 1500 x 900 pixels holds 8 persons drawn by `maskps.synthetic`: one polygon of 40 vertices each,
no holes, so that every method can take part; body heights with 5, 50 and 95 % at 70, 160 and 383 pixels. "gt"
are the boxes around the persons in whole pixels, "proposals" 8 boxes per person, every side moved by up to
12 % of the width or height. The truth is the area of the intersection of the polygon with each cell, by
shapely; a cell belongs to the target from half of its area on.

Peers' methods run in the peers' libraries, with the calls that their toolkits make, on the batch of 64 pairs
of an image; the bitmaps that some of them need are made once per person and timed on their own. To be
mirrored, polygons and boxes are mirrored, and the targets mirrored back must be those from before.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import shapely
import torch
from mask_target_methods import HEIGHT, METHODS, WIDTH, Batch, Method, by_shapely, edges_of
from numpy.typing import NDArray
from shapely import affinity

from maskps.masks import coverage, mask_targets, outline_from_polygons
from maskps.synthetic import draw_appearance
from maskps.synthetic.person import person_shapes, silhouette
from maskps.synthetic.pose import draw_pose

PERSONS, VERTICES = 8, 40  # of an image, of a person
PROPOSALS, JITTER = 8, 0.12  # of a person; share of the box's side by which each of its sides is moved
SMALL, MEDIAN, TALL = 70, 160, 383  # pixels: 5, 50 and 95 % of the persons are less tall

# The images.


def draw_ring(rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns the outer ring of a standing person somewhere in the image, (40, 2), of positive area."""
    while True:
        person = draw_appearance(rng)
        pose = draw_pose(rng, bag=person.bag, bag_side=person.bag_side)
        height = float(np.exp(rng.normal(np.log(MEDIAN), np.log(TALL / SMALL) / (2 * 1.645))))
        shape = silhouette(person_shapes(person, pose, foot=(0.0, 0.0), height=height))
        body = shapely.Polygon(max(shape.geoms, key=lambda part: part.area).exterior)
        body = with_vertices(body, VERTICES)
        x0, y0, x1, y1 = body.bounds
        if x1 - x0 < WIDTH - 2 and y1 - y0 < HEIGHT - 2 and body.is_valid:
            break
    moved = affinity.translate(
        body, rng.uniform(1, WIDTH - 1 - (x1 - x0)) - x0, rng.uniform(1, HEIGHT - 1 - (y1 - y0)) - y0
    )
    return outline_from_polygons([shapely.get_coordinates(moved)], where="person").rings[0]


def with_vertices(body: shapely.Polygon, number: int) -> shapely.Polygon:
    """Returns the polygon with so many vertices: by Douglas and Peucker, then halving the longest sides."""
    low, high = 0.0, body.length
    for _ in range(40):
        middle = (low + high) / 2
        fits = len(body.simplify(middle).exterior.coords) - 1 <= number
        low, high = (low, middle) if fits else (middle, high)
    points = shapely.get_coordinates(body.simplify(high))[:-1]
    while len(points) < number:
        after = np.roll(points, -1, axis=0)
        longest = int(np.argmax(np.hypot(*(after - points).T)))
        points = np.insert(points, longest + 1, (points[longest] + after[longest]) / 2, axis=0)
    return shapely.Polygon(points)


def draw_image(rng: np.random.Generator) -> tuple[Batch, Batch]:
    """Returns the persons of one image with their own boxes, and with proposals."""
    rings = [draw_ring(rng) for _ in range(PERSONS)]
    around = np.array([[*np.floor(ring.min(0)), *np.ceil(ring.max(0))] for ring in rings])
    matched = np.repeat(np.arange(PERSONS), PROPOSALS)
    extent = np.tile(around[:, 2:] - around[:, :2], 2)[matched]
    proposals = around[matched] + rng.uniform(-JITTER, JITTER, extent.shape) * extent
    return Batch(rings, around, np.arange(PERSONS)), Batch(
        rings, np.clip(proposals, 0, [WIDTH, HEIGHT] * 2), matched
    )


# Measuring.


def binary(shares: NDArray) -> NDArray[np.bool_]:
    """At a half, up to the rounding of float32."""
    return shares if shares.dtype == bool else shares >= 0.5 - 1e-6


def exactness(
    method: Method, images: list[tuple[Batch, Batch]], truths: list[tuple[NDArray, NDArray]]
) -> str:
    """Returns the columns from "wrong, gt" to "cells" of a method's row; cells are of 196."""

    def targets(batches: list[Batch]) -> NDArray[np.bool_]:
        return np.concatenate([binary(method.targets(one, method.prepared(one))) for one in batches])

    own, proposals = map(list, zip(*images, strict=True))
    true_own, true = (np.concatenate(parts) for parts in zip(*truths, strict=True))
    found = targets(proposals)
    mirrored = targets([batch.mirrored() for batch in proposals])[..., ::-1]
    wrong_own, wrong, moved = [
        (one != other).sum(axis=(1, 2))
        for one, other in ((targets(own), true_own), (found, true), (mirrored, found))
    ]
    union, shared = (found | true).sum(axis=(1, 2)), (found & true).sum(axis=(1, 2))
    return (
        f"{wrong_own.mean():.2f} | {wrong.mean():.2f} | {max(wrong.max(), wrong_own.max())} "
        f"| {(shared / np.maximum(union, 1)).mean():.3f} | {found.sum() / true.sum() - 1:+.1%} "
        f"| {(moved > 0).mean():.1%} | {moved.mean():.2f}"
    )


def speeds(images: list[tuple[Batch, Batch]], repeats: int) -> list[str]:
    """Returns of each method its microseconds per target and per bitmap: medians over images and repeats.

    The methods take turns, so that whatever else the machine does meets all of them. The first image of the
    first round is done twice, and counts the second time.
    """
    targets: list[list[float]] = [[] for _ in METHODS]
    bitmaps: list[list[float]] = [[] for _ in METHODS]
    batches = [batch for _, batch in images]
    for turn, batch in enumerate(batches[:1] + batches * repeats):
        for row, method in enumerate(METHODS):
            begin = time.perf_counter()
            prepared = method.prepared(batch)
            middle = time.perf_counter()
            method.targets(batch, prepared)
            end = time.perf_counter()
            if turn:
                bitmaps[row].append(1e6 * (middle - begin) / PERSONS)
                targets[row].append(1e6 * (end - middle) / len(batch.boxes))
    return [
        f"{statistics.median(target):.0f} | {statistics.median(bitmap):.0f}"
        if method.bitmaps
        else f"{statistics.median(target):.0f} |"
        for method, target, bitmap in zip(METHODS, targets, bitmaps, strict=True)
    ]


def on_accelerator(images: list[tuple[Batch, Batch]]) -> str:
    """Says how long the targets of an image take there, edges and boxes being there already."""
    inputs = [
        (
            torch.from_numpy(edges_of(batch)[batch.matched]).float().cuda(),
            torch.from_numpy(batch.boxes).cuda(),
        )
        for _, batch in images
    ]
    took = []
    for _ in range(6):
        begin = time.perf_counter()
        for edges, boxes in inputs:
            mask_targets(edges, boxes)
        torch.cuda.synchronize()
        took.append((time.perf_counter() - begin) / len(inputs))
    name, pairs = torch.cuda.get_device_name(), PERSONS * PROPOSALS
    return f"maskps on {name}: {1e3 * statistics.median(took[1:]):.2f} ms per batch of {pairs}."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=25, help="of 8 persons and 64 proposals each (25)")
    parser.add_argument("--repeats", type=int, default=3, help="of the timing (3)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    images = [draw_image(rng) for _ in range(options.images)]
    shares = [(by_shapely(own, None), by_shapely(proposals, None)) for own, proposals in images]
    truths = [(binary(own), binary(proposals)) for own, proposals in shares]
    largest = max(
        np.abs(coverage(edges_of(batch)[batch.matched], batch.boxes) - true).max()
        for (_, batch), (_, true) in zip(images, shares, strict=True)
    )
    persons = options.images * PERSONS
    print(f"{persons} persons, {persons * PROPOSALS} proposals, seed {options.seed}.")
    shown = np.concatenate([true for _, true in shares])
    whole = binary(shown).sum(axis=(1, 2)).mean()
    partly = ((shown > 1e-9) & (shown < 1 - 1e-9)).sum(axis=(1, 2)).mean()
    print(f"A proposal's target has {whole:.0f} of 196 cells; {partly:.0f} are partly covered.")
    print(f"Largest difference of maskps (float64) and shapely in a cell: {largest:.1e}.\n")
    print(
        "| method | wrong, gt | wrong, proposals | most | IoU | bias | changed by a flip | cells "
        "| us a target | us a bitmap |"
    )
    print("|---" * 10 + "|")
    for method, speed in zip(METHODS, speeds(images, options.repeats), strict=True):
        print(f"| {method.name} | {exactness(method, images, truths)} | {speed} |", flush=True)
    if torch.cuda.is_available():
        print("\n" + on_accelerator(images))


if __name__ == "__main__":
    main()
