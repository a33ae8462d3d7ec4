"""Speed and memory of a gallery of many persons, beside other ways to keep and search the same vectors.

    python tests/benchmarks/bench_gallery.py --persons 100000
    python tests/benchmarks/bench_gallery.py --persons 1000000 --engines sqlite memmap

The vectors are random: 256 numbers, 20 of each identity, in photos of 1,000 persons. Every
engine runs in two processes of its own: one fills it, the other loads it and asks for the best 100. `load` is
the first query and what it reads; `query` the median of 9 later ones; `filtered` the same among the persons
of one camera, 1 % of all. `equal` compares the hits with those of products in float64. faiss and
lancedb take part if they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskps.gallery import Network, Persons, Source, Where
from maskps.gallery.sqlite_store import SqliteStore

DIM, K, PHOTO = 256, 100, 1000
NETWORK = Network("benchmark", "embedding", DIM, 256, 512)
Search = Callable[[np.ndarray, bool], np.ndarray]


def photos(count: int) -> Iterator[np.ndarray]:
    """Yields (PHOTO, DIM) float32 unit vectors, photo by photo: the same in every process."""
    for photo in range(count // PHOTO):
        random = np.random.default_rng(photo)
        identities = random.normal(size=(PHOTO // 20, DIM)).astype(np.float32)
        vectors = np.repeat(identities, 20, axis=0)
        vectors += 0.7 * random.normal(size=vectors.shape).astype(np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def is_chosen(photo: int) -> bool:
    """Whether a photo is from the 1 % of cameras that a filtered query asks for."""
    return photo % 100 == 7


def fill_sqlite(folder: Path, count: int) -> None:
    store = SqliteStore(folder / "gallery.sqlite", NETWORK)
    boxes = np.tile(np.array([0, 0, 50, 100], np.float32), (PHOTO, 1))
    for photo, vectors in enumerate(photos(count)):
        source = Source(f"/{photo}.jpg", "image", 1, 1, "", camera="chosen" if is_chosen(photo) else "other")
        store.add(source, Persons(boxes, np.ones(PHOTO, np.float32), vectors, np.zeros(PHOTO)))
    store.close()


def open_sqlite(folder: Path, count: int) -> Search:
    store = SqliteStore(folder / "gallery.sqlite")
    where = {False: Where(), True: Where(cameras=("chosen",))}
    return lambda queries, is_filtered: store.search(queries, K, where[is_filtered])[0] - 1


def fill_memmap(folder: Path, count: int) -> None:
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, (count, DIM))
    for photo, vectors in enumerate(photos(count)):
        rows[photo * PHOTO : (photo + 1) * PHOTO] = vectors
    rows.flush()


def open_memmap(folder: Path, count: int) -> Search:
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    chosen = chosen_rows(count)

    def search(queries: np.ndarray, is_filtered: bool) -> np.ndarray:
        products = queries @ (rows[chosen] if is_filtered else rows).T
        best = np.argsort(-products, axis=1, kind="stable")[:, :K]
        return chosen[best] if is_filtered else best

    return search


def chosen_rows(count: int) -> np.ndarray:
    """Returns the rows that a filtered query may find."""
    return np.flatnonzero([is_chosen(row // PHOTO) for row in range(count)])


def fill_faiss(folder: Path, count: int) -> None:
    import faiss

    index = faiss.IndexFlatIP(DIM)
    for vectors in photos(count):
        index.add(vectors)
    faiss.write_index(index, str(folder / "rows.faiss"))


def open_faiss(folder: Path, count: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.read_index(str(folder / "rows.faiss"))
    # faiss has no columns: the caller must know the rows of a camera.
    chosen = faiss.SearchParameters(sel=faiss.IDSelectorBatch(chosen_rows(count)))
    return lambda queries, is_filtered: index.search(queries, K, params=chosen if is_filtered else None)[1]


def fill_lancedb(folder: Path, count: int) -> None:
    import lancedb
    import pyarrow

    kinds = [
        ("id", pyarrow.int64()),
        ("chosen", pyarrow.bool_()),
        ("vector", pyarrow.list_(pyarrow.float32(), DIM)),
    ]
    table = lancedb.connect(folder).create_table("rows", schema=pyarrow.schema(kinds))
    for photo, vectors in enumerate(photos(count)):
        start = photo * PHOTO
        ids, flags = np.arange(start, start + PHOTO), np.full(PHOTO, is_chosen(photo))
        column = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), DIM)
        table.add(pyarrow.table({"id": ids, "chosen": flags, "vector": column}))


def open_lancedb(folder: Path, count: int) -> Search:
    import lancedb

    table = lancedb.connect(folder).open_table("rows")

    def search(queries: np.ndarray, is_filtered: bool) -> np.ndarray:
        found = table.search(queries[0]).distance_type("dot").limit(K)
        found = found.where("chosen", prefilter=True) if is_filtered else found
        return found.select(["id"]).to_arrow()["id"].to_numpy()[None]

    return search


ENGINES: dict[str, tuple[Callable[[Path, int], None], Callable[[Path, int], Search], str]] = {
    "sqlite": (fill_sqlite, open_sqlite, "numpy"),
    "memmap": (fill_memmap, open_memmap, "numpy"),
    "faiss": (fill_faiss, open_faiss, "faiss"),
    "lancedb": (fill_lancedb, open_lancedb, "lancedb"),
}


def measured(engine: str, folder: Path, count: int, is_filling: bool) -> dict[str, Any]:
    """Fills an engine or asks it, and returns the seconds, bytes and hits."""
    fill, opened, _ = ENGINES[engine]
    begin = time.perf_counter()
    if is_filling:
        fill(folder, count)
        result: dict[str, Any] = {"insert": time.perf_counter() - begin}
        result["disk"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    else:
        query = next(photos(PHOTO))[:1]
        begin = time.perf_counter()
        search = opened(folder, count)
        search(query, False)
        result = {"load": time.perf_counter() - begin}
        for name, is_filtered in (("query", False), ("filtered", True)):
            times = []
            for _ in range(10):
                begin = time.perf_counter()
                hits = search(query, is_filtered)
                times.append(time.perf_counter() - begin)
            result[name] = statistics.median(times[1:])
            result[f"{name} hits"] = hits[0].tolist()
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result


def expected_hits(count: int) -> dict[str, list[int]]:
    """Returns the hits of both queries by products in float64, photo by photo."""
    query = next(photos(PHOTO))[0].astype(np.float64)
    products = np.concatenate([vectors @ query for vectors in photos(count)])
    chosen = chosen_rows(count)
    best = {
        "query hits": np.argsort(-products, kind="stable"),
        "filtered hits": chosen[np.argsort(-products[chosen], kind="stable")],
    }
    return {name: rows[:K].tolist() for name, rows in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--step", choices=("fill", "ask"), help="what a child process does")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.step:
        result = measured(arguments.engines[0], arguments.folder, arguments.persons, arguments.step == "fill")
        print(json.dumps(result))
        return
    expected = expected_hits(arguments.persons)
    print(f"{arguments.persons:,} persons of {DIM} numbers, best {K}, one thread; s and MB")
    names = ("insert", "load", "query", "filtered")
    print("| engine | " + " | ".join(names) + " | disk | peak filling | peak asking | equal |")
    print("|---|" + "---:|" * (len(names) + 3) + "---|")
    for engine in arguments.engines:
        if importlib.util.find_spec(ENGINES[engine][2]) is None:
            print(f"{engine} is not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory(prefix="bench_gallery", dir=arguments.folder) as folder:
            own = [
                sys.executable,
                __file__,
                "--engines",
                engine,
                "--folder",
                folder,
                "--persons",
                str(arguments.persons),
            ]
            filled, asked = (
                json.loads(subprocess.check_output([*own, "--step", step])) for step in ("fill", "ask")
            )
        cells = [f"{(filled | asked)[name]:.3g}" for name in names]
        cells += [f"{value / 1e6:.0f}" for value in (filled["disk"], filled["peak"], asked["peak"])]
        is_equal = all(asked[name] == hits for name, hits in expected.items())
        print(f"| {engine} | {' | '.join(cells)} | {'yes' if is_equal else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
