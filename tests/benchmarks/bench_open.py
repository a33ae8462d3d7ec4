"""How long it takes to open a data set, beside scipy.io.loadmat and a loop over its cells.

    python tests/benchmarks/bench_open.py                 full size; makes its data sets in a temporary folder
    python tests/benchmarks/bench_open.py --work FOLDER   keeps them there, for a later call

Prints Markdown. Every run is a process of its own, measured from outside: wall-clock seconds from its start
to its end, and the largest resident memory, as the operating system accounts them. The two sides take turns.
Before the first run all files are read once, so that both find them in the system's file cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

GALLERIES = (
    50,
    100,
    500,
    1000,
)  # of the growing data sets: four times TestG4000 does not fit into a .mat file


# What a measured process does. Imports stand inside: they count, and only those that are needed.


def open_everything(root: Path, protocols: Sequence[str]) -> None:
    """The data set and its protocols with maskps; prints the seconds without the start of the process."""
    begin = time.perf_counter()
    from maskps.datasets import open_dataset
    from maskps.datasets.protocols import open_protocol

    dataset = open_dataset(root)
    entries = 0
    for name in protocols:
        entries += int(open_protocol(dataset, name).lengths.sum())
    print(time.perf_counter() - begin, len(dataset.train), len(dataset.test), entries)


def open_with_scipy(root: Path, protocols: Sequence[str]) -> None:
    """The same files as the published code bases read them: loadmat, then a loop over the cells."""
    begin = time.perf_counter()
    from scipy.io import loadmat

    from maskps.datasets.cuhk_sysu import layout

    boxes_of = {}
    for image in loadmat(root / layout.IMAGES_FILE)["Img"][0]:
        boxes = [tuple(map(int, box[0][0])) for box in image["box"][0]]
        boxes_of[str(image["imname"][0])] = [box for box in boxes if box[2] > 0 and box[3] > 0]
    pool = {str(name[0][0]) for name in loadmat(root / layout.POOL_FILE)["pool"]}
    appearances = [
        (str(person[0, 0]["idname"][0]), str(scene["imname"][0]), tuple(map(int, scene["idlocate"][0])))
        for (person,) in loadmat(root / layout.TRAIN_FILE)["Train"]
        for scene in person[0, 0]["scene"][0]
    ]
    entries = 0
    galleries = {}
    for name in protocols:
        (protocol,) = (
            value for key, value in loadmat(root / layout.protocol_file(name)).items() if key[0] != "_"
        )
        galleries[name] = [
            (
                str(query["Query"]["imname"][0, 0][0]),
                [
                    (
                        str(entry["imname"][0]),
                        tuple(map(int, entry["idlocate"][0])) if entry["idlocate"].size else (),
                    )
                    for entry in query["Gallery"][0]
                ],
            )
            for query in protocol[0]
        ]
        entries += sum(len(gallery) for _, gallery in galleries[name])
        del protocol
    train = len(boxes_of) - len(pool)
    assert appearances
    print(time.perf_counter() - begin, train, len(pool), entries)


TASKS: dict[str, Callable[[Path, Sequence[str]], None]] = {
    "maskps": open_everything,
    "scipy": open_with_scipy,
}


# Measuring.


@dataclass(frozen=True)
class Run:
    """One finished process: seconds from outside, megabytes, and what it printed."""

    seconds: float
    megabytes: float
    output: str


def run(command: Sequence[str], cache: Path) -> Run:
    environment = os.environ | {"MASKPS_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()}")
    return Run(seconds, usage.ru_maxrss / 1024, output)


def task(name: str, root: Path, protocols: Sequence[str]) -> list[str]:
    return [sys.executable, __file__, "--task", name, "--root", str(root), "--protocols", ",".join(protocols)]


def command(*words: object) -> list[str]:
    return [str(Path(sys.executable).with_name("maskps-data")), *map(str, words)]


def row(what: str, seconds: Sequence[float], megabytes: Sequence[float]) -> str:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"| {what} | {middle:.2f} | {low:.2f} - {high:.2f} | {max(megabytes):,.0f} |"


HEAD = "| | seconds, median | from - to | largest memory, MB |\n|---|---|---|---|"


def read_all(root: Path) -> None:
    for path in root.rglob("*.mat"):
        path.read_bytes()


def compare(root: Path, protocols: Sequence[str], runs: int, with_scipy: bool) -> None:
    """Prints first open against scipy, the open from the cache, and two commands after it."""
    read_all(root)
    first, scipy = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs):
            first.append(run(task("maskps", root, protocols), Path(folder) / f"cache{number}"))
            if with_scipy:
                scipy.append(run(task("scipy", root, protocols), Path(folder) / "none"))
        for other in scipy:
            assert other.output.split()[1:] == first[0].output.split()[1:], (
                "the two sides read different things"
            )
        cache, subset = Path(folder) / "cache0", Path(folder) / "subset"
        cached = [run(task("maskps", root, protocols), cache) for _ in range(runs + 1)][1:]
        build = [
            run(command("build-subset", root, "--out", subset, "--force", "--quiet"), cache)
            for _ in range(runs + 1)
        ][1:]
        stats = [run(command("stats", root, "--subset", subset), cache) for _ in range(runs + 1)][1:]
        size = sum(file.stat().st_size for file in cache.iterdir()) / 1e6
    entries = int(first[0].output.split()[3])
    print(f"\n## {root.name}: {', '.join(protocols)}; {entries:,} gallery entries\n")
    print(f"{runs} runs each; the cache takes {size:,.0f} MB on disk.\n\n{HEAD}")
    if scipy:
        what = "`scipy.io.loadmat` and a loop over the cells"
        print(row(what, [one.seconds for one in scipy], [one.megabytes for one in scipy]))
    memory = [one.megabytes for one in first]
    print(row("maskps, first open", [one.seconds for one in first], memory))
    memory = [one.megabytes for one in cached]
    print(row("maskps, from the cache", [one.seconds for one in cached], memory))
    inside = [float(one.output.split()[0]) for one in cached]
    print(row("maskps, from the cache, without the start of Python", inside, memory))
    for what, found in (("`maskps-data build-subset`", build), ("`maskps-data stats --subset`", stats)):
        print(row(what, [one.seconds for one in found], [one.megabytes for one in found]))
    if scipy:
        ratios = [slow.seconds / quick.seconds for slow, quick in zip(scipy, first, strict=True)]
        print(f"\nFirst open is {statistics.median(ratios):.1f} times faster (pair by pair: "
              f"{min(ratios):.1f} to {max(ratios):.1f}).")  # fmt: skip


def grow(folder: Path, runs: int, multiples: Sequence[int]) -> None:
    """Prints what opening costs for multiples of the published size."""
    from maskps.synthetic import SplitScale, write_synthetic
    from maskps.synthetic.plan import SCALES

    def times(split: SplitScale, factor: int) -> SplitScale:
        counts = ("scenes", "unlabeled_only", "identities", "labeled", "unlabeled", "cameras")
        return replace(split, **{name: getattr(split, name) * factor for name in counts})

    protocols = [f"TestG{size}" for size in GALLERIES]
    print(f"\n## Growth: {', '.join(protocols)}\n")
    print("| | gallery entries | first open, s | per 1x | from the cache, s | per 1x | memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for factor in multiples:
        root = folder / f"x{factor}"
        scale = replace(
            SCALES["cuhk-sysu"],
            train=times(SCALES["cuhk-sysu"].train, factor),
            test=times(SCALES["cuhk-sysu"].test, factor),
            galleries=GALLERIES,
        )
        if not root.exists():
            write_synthetic(root, scale=scale, images=False)
            time.sleep(3)  # what was written just now is not cached
        read_all(root)
        first, cached = [], []
        for number in range(runs):
            cache = folder / f"cache{factor}-{number}"
            first.append(run(task("maskps", root, protocols), cache))
            cached.append(run(task("maskps", root, protocols), cache))
            shutil.rmtree(cache)
        one = statistics.median(float(found.output.split()[0]) for found in first)
        two = statistics.median(float(found.output.split()[0]) for found in cached)
        print(
            f"| {factor}x | {int(first[0].output.split()[3]):,} | {one:.2f} | {one / factor:.2f} "
            f"| {two:.2f} | {two / factor:.2f} | {max(found.megabytes for found in first):,.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="a data set in the layout of CUHK-SYSU")
    parser.add_argument("--protocols", help="names, with commas between; all by default")
    parser.add_argument("--runs", type=int, default=3, help="of each process (default 3)")
    parser.add_argument(
        "--multiples", default="1,2,4", help="of the published size, for the growth; '' for none"
    )
    parser.add_argument("--work", type=Path, help="folder that keeps the data sets made, for a later call")
    parser.add_argument("--no-scipy", action="store_true")
    parser.add_argument("--task", choices=sorted(TASKS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        TASKS[given.task](given.root, given.protocols.split(","))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        root = given.root or work / "full"
        if not root.exists():
            run(command("synth", root, "--scale", "cuhk-sysu", "--no-images", "--quiet"), work / "none")
            time.sleep(3)
        from maskps.datasets import available_protocols

        names = given.protocols.split(",") if given.protocols else available_protocols(root)
        print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}", flush=True)
        compare(root, names, given.runs, not given.no_scipy)
        multiples = [int(factor) for factor in given.multiples.split(",") if factor]
        if multiples:
            grow(work, given.runs, multiples)


if __name__ == "__main__":
    main()
