"""The search evaluator beside the loop of a released one: time, growth with the gallery, memory.

    python tests/benchmarks/bench_search.py TestG100.mat
    python tests/benchmarks/bench_search.py TestG100.mat --detections 5000 --dim 32 --sizes 200 --rounds 1

TestG100.mat is the released file, or one of the same size from `maskps-data synth --scale cuhk-sysu`. The
detections are random: every true box once, a little off, and other boxes, with unit embeddings. The loop is
As SeqNet's evaluator: for each query it reads the cells of its gallery, and for each image there it makes
one product, one sort and one list; then scikit-learn computes the average precision. Loop and evaluator take
turns and must give the same numbers; reading files is in neither time. Larger galleries are those of TestG100
with other test scenes drawn at random, as the released TestG500 to TestG4000 are.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from maskps.evaluation import Detections, evaluate_search, evaluate_searches
from maskps.protocols import SearchProtocol, read_protocol

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from literal_search import kept_detections, labelled, scored


def released_loop(cells: np.ndarray, detections: Detections) -> tuple[list[float], list[list[bool]]]:
    """Returns APs and top-1, 5, 10 of every query, as SeqNet's evaluator computes them.

    Args:
        cells: the variable of TestG100.mat, as `scipy.io.loadmat` returns it.
    """
    found = kept_detections(detections, 0.5)
    aps, hits = [], []
    for query, gallery in enumerate(cells["Gallery"]):
        similarities: dict[str, np.ndarray] = {}
        truths: dict[str, np.ndarray | None] = {}
        count_gt, count_tp = 0, 0
        for cell in gallery.squeeze():
            name = str(cell[0][0])
            truth = cell[1][0].astype(np.float64) if cell[1].size else None
            count_gt += truth is not None
            if name not in found or name in similarities:
                continue
            similarities[name] = found[name][1].dot(detections.query_embeddings[query][:, None]).ravel()
            truths[name] = None if truth is None else np.concatenate([truth[:2], truth[:2] + truth[2:]])
        y_true: list[int] = []
        y_score: list[np.float32] = []
        for name, similarity in similarities.items():
            label, ordered = labelled(similarity, found[name][0], truths[name])
            count_tp += int(label.sum())
            y_true.extend(label)
            y_score.extend(ordered)
        ap, top = scored(y_true, y_score, count_tp, count_gt)
        aps.append(ap)
        hits.append(top)
    return aps, hits


def random_detections(protocol: SearchProtocol, count: int, dim: int, seed: int = 0) -> Detections:
    """Returns every true box of the protocol, a little off, and random boxes in all of its images."""
    rng = np.random.default_rng(seed)
    images, truths = len(protocol.image_names), len(protocol.truth_boxes)
    queries = unit(rng.normal(size=(protocol.num_queries, dim)))
    corner = rng.uniform(0, 500, (count - truths, 2))
    size = rng.uniform((40, 100), (120, 300), corner.shape)
    near = protocol.truth_boxes + rng.normal(0, 4, protocol.truth_boxes.shape)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    boxes = np.concatenate([near, np.concatenate([corner, corner + size], axis=1)])
    alike = queries[protocol.query_of_truth] + rng.normal(size=(truths, dim)) / dim**0.5
    embeddings = unit(np.concatenate([alike, rng.normal(size=(count - truths, dim))]))
    image = np.concatenate([protocol.truth_scenes, rng.integers(0, images, count - truths)])
    order = np.argsort(image, kind="stable")
    return Detections(
        image_names=protocol.image_names,
        offsets=np.searchsorted(image[order], np.arange(images + 1)),
        boxes=boxes[order].astype(np.float32),
        scores=rng.uniform(0.5, 1, count).astype(np.float32),
        embeddings=embeddings[order].astype(np.float32),
        query_embeddings=queries.astype(np.float32),
    )


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def larger(protocol: SearchProtocol, size: int, seed: int = 0) -> SearchProtocol:
    """Returns the protocol with other scenes, drawn at random, after those of its galleries."""
    draw = np.random.default_rng(seed).random((protocol.num_queries, len(protocol.image_names)))
    np.put_along_axis(draw, protocol.galleries, np.inf, axis=1)
    more = np.argsort(draw, axis=1)[:, : size - protocol.gallery_size].astype(np.int32)
    return dataclasses.replace(protocol, galleries=np.concatenate([protocol.galleries, more], axis=1))


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def middle(values: list[float], form: str) -> str:
    """Returns the median, and in brackets the smallest and the largest."""
    least, median, largest = (format(of(values), form) for of in (min, statistics.median, max))
    return median if len(values) == 1 else f"{median} ({least} - {largest})"


def compare(path: Path, protocol: SearchProtocol, detections: Detections, rounds: int) -> str:
    """Returns the row of the released loop and ours; their ratio is taken round by round."""
    (cells,) = (value for name, value in loadmat(path).items() if not name.startswith("__"))
    cells = cells.squeeze()
    loop, ours = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        aps, hits = released_loop(cells, detections)
        loop.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        result = evaluate_search(protocol, detections, rules="seqnet")
        ours.append(time.perf_counter() - begin)
    # The loop's float32 products may order nearly equal similarities in another way.
    difference = float(np.abs(result.average_precisions - aps).max())
    same_hits = "yes" if result.hits.tolist() == hits else "no"
    ratios = [one / other for one, other in zip(loop, ours, strict=True)]
    return (
        f"| {middle(loop, '.1f')} | {middle(ours, '.2f')} | {middle(ratios, '.0f')} "
        f"| {difference:.1e} | {same_hits} |"
    )


def peak_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("protocol", type=Path, help="TestG100.mat")
    parser.add_argument("--detections", type=int, default=36_547)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--sizes", default="1000,4000", help="of the larger galleries")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    protocol = read_protocol(given.protocol)
    detections = random_detections(protocol, given.detections, given.dim)
    print(
        f"{protocol.num_queries:,} queries, {len(protocol.image_names):,} images, {len(detections):,} "
        f"detections, {given.dim} dimensions; numpy {np.__version__}, Python {platform.python_version()}\n"
    )
    sizes = [int(size) for size in given.sizes.split(",")]
    protocols = {protocol.gallery_size: protocol} | {size: larger(protocol, size) for size in sizes}
    print("| gallery | ours, s | ms a query |\n|---|---|---|")
    for size, one in protocols.items():
        times = [seconds(lambda one=one: evaluate_search(one, detections)) for _ in range(given.rounds)]
        print(
            f"| {size:,} | {middle(times, '.2f')} | {1e3 * statistics.median(times) / one.num_queries:.3f} |"
        )
    together = seconds(lambda: evaluate_searches(protocols, detections))
    print(f"\nAll of these galleries in one call: {together:.1f} s.")
    print(f"Memory of this process at most {peak_memory_mb():,.0f} MB.\n")
    print("| released loop, s | ours, s | times faster | largest AP difference | same top-k |")
    print("|---|---|---|---|---|")
    print(compare(given.protocol, protocol, detections, given.rounds), flush=True)


if __name__ == "__main__":
    main()
