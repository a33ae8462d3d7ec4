"""What check, collect, progress and agreement need for 10,000 drawn persons, beside the goals.

    python tests/benchmarks/bench_annotation.py [--persons 10000] [--runs 3]
    python tests/benchmarks/bench_annotation.py --work FOLDER    keeps the scenes there for a later call

Prints Markdown. Packs for three annotators, a twentieth of the images doubled, drawn by simulated annotators
with their usual mistakes. Every image is a JPEG file of its own of 100 KB: checksums are part of the check.
Every run is a process of its own: seconds from its start to its end, and its largest resident memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from outlined_scenes import training_scale, true_outlines, write_outlined_scenes
from simulated_annotators import draw_packs

from maskps.datasets import open_dataset
from maskps.subset import build_subset, select_subset
from maskps.synthetic import SplitScale, SynthScale
from maskps_annotation.packs import write_packs

SECONDS = {"check": 60, "collect": 90}
MEGABYTES = 1000
IMAGE_BYTES = 100_000
_COMMENT = b"\xff\xfe"
_LONGEST = 65_533  # bytes in one segment of a JPEG


def scale_of(persons: int) -> SynthScale:
    """As many labeled persons, in scenes like those of CUHK-SYSU: 1.55 of them in an image, and 3 others."""
    scenes = round(persons / 1.55)
    train = SplitScale(scenes, 0, max(persons // 3, 3), persons, 3 * scenes, max(scenes // 27, 3), (2, 14))
    return replace(training_scale("cuhk-sysu"), train=train)


def fill_images(folder: Path, rng: np.random.Generator) -> None:
    """Makes every image as large as a photograph, and different from every other, by comments in it."""
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        missing = IMAGE_BYTES - len(data)
        while missing > 4:
            size = min(missing - 4, _LONGEST)
            data = data[:2] + _COMMENT + (size + 2).to_bytes(2, "big") + rng.bytes(size) + data[2:]
            missing -= size + 4
        path.write_bytes(data)


def make(folder: Path, persons: int) -> Path:
    """Writes scenes, a subset of all of them, and drawn packs; returns the folder of the scenes."""
    scenes = folder / "scenes"
    if not scenes.exists():
        write_outlined_scenes(scenes, scale_of(persons), seed=0)
        fill_images(scenes / "Image" / "SSM", np.random.default_rng(0))
    for name in ("subset", "subset.store", "packs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    dataset = open_dataset(scenes)
    build_subset(dataset, folder / "subset", select_subset(dataset.train, portion_size=1))
    annotators = ("ann", "bob", "cem")
    packs = write_packs(folder / "subset", dataset, folder / "packs", annotators=annotators, double=0.05)
    mistakes = draw_packs(packs, true_outlines(scenes))
    files = [scene for pack in packs.packs for scene in pack.scenes]
    print(
        f"{int(dataset.train.is_labeled.sum()):,} persons in {len(dataset.train):,} images; {len(files):,} "
        f"files with {sum(len(scene.slots) for scene in files):,} persons, {len(mistakes):,} mistakes\n"
    )
    return scenes


def begin_anew(folder: Path) -> None:
    """Makes the subset as it was before anything was collected."""
    dataset = open_dataset(folder / "scenes")
    shutil.rmtree(folder / "subset.store", ignore_errors=True)
    build_subset(dataset, folder / "subset", select_subset(dataset.train, portion_size=1), force=True)


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and megabytes of a process."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode not in (0, 1):  # 1: check has found errors
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode()}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    # Made aside: a process starts with the memory of its parent, which is to stay small.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(1, mp_context=context) as aside:
        folder = options.work or Path(scratch)
        scenes = aside.submit(make, folder, options.persons).result()
        program = [str(Path(sys.executable).with_name("maskps-data")), "annotate"]
        packs, subset = str(folder / "packs"), str(folder / "subset")
        collect = ["collect", packs, "--into", subset, "--images", str(scenes), "--quiet"]
        print(
            "| command | seconds | from - to | goal | largest memory, MB | goal |\n|---|---|---|---|---|---|"
        )
        for name, arguments, is_fresh in (
            ("check", ["check", packs, "--quiet"], False),
            ("collect", collect, True),
            ("collect, nothing new", collect, False),
            ("progress", ["progress", packs, "--quiet"], False),
            ("agreement", ["agreement", packs], False),
        ):
            runs = []
            for _ in range(options.runs):
                if is_fresh:
                    aside.submit(begin_anew, folder).result()
                runs.append(measured([*program, *arguments]))
            seconds, memory = zip(*runs, strict=True)
            goal = SECONDS.get(name, "")
            print(
                f"| {name} | {statistics.median(seconds):.1f} | {min(seconds):.1f} - {max(seconds):.1f} | "
                f"{goal} | {max(memory):.0f} | {MEGABYTES} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
