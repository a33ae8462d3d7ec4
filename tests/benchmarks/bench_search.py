"""The search evaluator against a literal loop: time, growth with the gallery, memory.

    python tests/benchmarks/bench_search.py                         # full size: 2,900 queries, 6,978 images
    python tests/benchmarks/bench_search.py --queries 100 --images 500 --sizes 50,100

Random protocols of CUHK-SYSU's shape, 1 to 4 true boxes a query, about 8 detections an image, and unit
embeddings. The loop is the released evaluator told again (tests/evaluation/literal_search.py): one product,
one sort and one list an image, scikit-learn's average precision. At gallery sizes where all queries would
take too long it gets some of them, and its time is multiplied; both must give the same numbers. Reading files
is in neither time.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from maskps.evaluation import Detections, evaluate_search, evaluate_searches
from maskps.protocols import SearchProtocol
from maskps.protocols.sets import select_queries

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from literal_search import literal_oim

SUBSETS = {"Occlusion": (187, 100), "Resolution": (290, 100)}


def random_search(
    queries: int, images: int, sizes: list[int], *, dim: int, seed: int = 0
) -> tuple[dict[int, SearchProtocol], Detections]:
    """Returns a protocol of each gallery size, with the same queries, and detections of all images."""
    rng = np.random.default_rng(seed)
    names = np.sort(np.array([f"s{i}.jpg" for i in range(images)]))
    truths = np.minimum(rng.choice([1, 2, 3, 4], queries, p=[0.52, 0.28, 0.12, 0.08]), min(sizes))
    order = np.argsort(rng.random((queries, images)), axis=1)[:, : max(sizes)].astype(np.int32)
    corner = rng.uniform(0, 500, (truths.sum(), 2))
    boxes = np.concatenate([corner, corner + rng.uniform((40, 100), (120, 300), corner.shape)], axis=1)
    protocols = {
        size: SearchProtocol(
            image_names=names,
            query_scenes=rng.integers(0, images, queries).astype(np.int32),
            query_boxes=np.tile(np.array([10, 20, 90, 220], np.float32), (queries, 1)),
            query_ids=np.array([f"p{i}" for i in range(queries)]),
            query_hard=np.zeros(queries, bool),
            galleries=order[:, :size],
            truth_offsets=np.concatenate([[0], np.cumsum(truths)]).astype(np.int64),
            truth_positions=np.concatenate([np.arange(count) for count in truths]).astype(np.int32),
            truth_boxes=boxes.astype(np.float32),
            truth_hard=np.zeros(len(boxes), bool),
        )
        for size in sizes
    }
    truth_images = protocols[sizes[0]].truth_scenes
    query_embeddings = unit(rng.normal(size=(queries, dim)))
    counts = rng.poisson(7, images)
    found, embeddings = [], []
    by_image = np.argsort(truth_images, kind="stable")
    bounds = np.searchsorted(truth_images[by_image], np.arange(images + 1))
    query_of_truth = protocols[sizes[0]].query_of_truth
    for image in range(images):
        here = by_image[bounds[image] : bounds[image + 1]]
        corner = rng.uniform(0, 500, (counts[image], 2))
        other = np.concatenate([corner, corner + rng.uniform((40, 100), (120, 300), corner.shape)], axis=1)
        found.append(np.concatenate([boxes[here] + rng.normal(0, 4, (len(here), 4)), other]))
        alike = query_embeddings[query_of_truth[here]] + rng.normal(size=(len(here), dim)) / dim**0.5
        embeddings.append(unit(np.concatenate([alike, rng.normal(size=(counts[image], dim))])))
    scores = [rng.uniform(0.5, 1, len(one)) for one in found]
    return protocols, Detections.from_images(list(names), found, scores, embeddings, query_embeddings)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def middle(values: list[float], form: str) -> str:
    """Returns the median, and in brackets the least and the largest."""
    least, median, largest = (format(of(values), form) for of in (min, statistics.median, max))
    return median if len(values) == 1 else f"{median} ({least} - {largest})"


def compare(protocol: SearchProtocol, detections: Detections, rounds: int, loop_entries: int) -> str:
    """Returns a row: the loop on as many queries as make `loop_entries` gallery entries, and ours on all.

    Both are timed in turns, and their ratio is taken round by round: what disturbs the machine meets both.
    """
    some = np.arange(min(protocol.num_queries, max(loop_entries // protocol.gallery_size, 20)))
    part = select_queries(protocol, some)
    own = Detections(**{**vars(detections), "query_embeddings": detections.query_embeddings[: len(some)]})
    aps, accs = literal_oim(part, own)
    result = evaluate_search(protocol, detections)
    # The loop's float32 products may order nearly equal similarities in another way.
    difference = float(np.abs(result.average_precisions[some] - aps).max())
    same_hits = bool((result.hits[some] == accs).all())
    loop, ours = [], []
    for _ in range(rounds):
        loop.append(seconds(lambda: literal_oim(part, own)) * protocol.num_queries / len(some))
        ours.append(seconds(lambda: evaluate_search(protocol, detections)))
    ratios = [one / other for one, other in zip(loop, ours, strict=True)]
    size = protocol.gallery_size
    return (
        f"| {size:,} | {statistics.median(loop):.1f}"
        f"{'' if len(some) == protocol.num_queries else f' ({len(some)} queries)'} "
        f"| {middle(ours, '.3f')} | {middle(ratios, '.0f')} "
        f"| {1e3 * statistics.median(ours) / protocol.num_queries:.3f} "
        f"| {difference:.1e} | {'yes' if same_hits else 'no'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=2900)
    parser.add_argument("--images", type=int, default=6978)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--sizes", default="50,100,500,1000,2000,4000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--loop-entries", type=int, default=290_000, help="gallery entries that the loop gets"
    )
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    protocols, detections = random_search(given.queries, given.images, sizes, dim=given.dim)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{given.queries:,} queries, {given.images:,} images, {len(detections):,} detections, {given.dim} "
        f"dimensions; numpy {np.__version__}, Python {platform.python_version()}\n"
    )
    several = {f"TestG{size}": protocol for size, protocol in protocols.items()}
    for name, (count, size) in SUBSETS.items():
        base = protocols[min(sizes, key=lambda known: abs(known - size))]
        several[name] = select_queries(base, np.arange(min(count, given.queries)))
    # Subsets have query lists of their own: the detections say which query each row is.
    boxes = np.arange(given.queries, dtype=np.float32)[:, None] + protocols[sizes[0]].query_boxes
    several = {
        name: SearchProtocol(
            **{
                **vars(protocol),
                "query_boxes": boxes[: protocol.num_queries],
                "query_scenes": protocols[sizes[0]].query_scenes[: protocol.num_queries],
            }
        )
        for name, protocol in several.items()
    }
    named = Detections(
        **{
            **vars(detections),
            "query_names": protocols[sizes[0]].image_names[protocols[sizes[0]].query_scenes],
            "query_boxes": boxes,
        }
    )
    together = seconds(lambda: evaluate_searches(several, named))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    print("| gallery | loop, s | ours, s | times faster | ms a query | largest AP difference | same top-k |")
    print("|---|---|---|---|---|---|---|")
    for protocol in protocols.values():
        print(compare(protocol, detections, given.rounds, given.loop_entries), flush=True)
    print(f"\n{' + '.join(several)} together: {together:.1f} s.")
    print(f"Memory at most {peak:,.0f} MB, of which {before:,.0f} MB before the first search.")


if __name__ == "__main__":
    main()
