"""Kills processes that add to a gallery, at random moments: nothing that was acknowledged may be lost.

    python tests/benchmarks/crash_gallery.py --kills 20

A child adds images of 3 persons, and prints each image's number after `add` has returned. The parent kills it
with SIGKILL, opens the file, and counts. The last child may finish, and the gallery must then hold every
image once.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from maskps.gallery import Network, Persons, Source, Where
from maskps.gallery.sqlite_store import SqliteStore

NETWORK = Network("crash", "embedding", 16, 256, 512)
PERSONS = 3


def vectors_of(image: int) -> np.ndarray:
    """Returns the vectors of the persons in an image, the same in every process."""
    vectors = np.random.default_rng(image).normal(size=(PERSONS, NETWORK.dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write(path: Path, name: str, count: int) -> None:
    """Adds the images of 0 to count - 1 that the gallery lacks, and prints the number of each."""
    store = SqliteStore(path, NETWORK)
    known = {source.path for source in store.sources()}
    boxes = np.tile(np.array([1, 2, 3, 4], np.float32), (PERSONS, 1))
    for image in range(count):
        source = Source(f"/{name}/{image}", "image", 1, 1, "")
        if source.path not in known:
            scores, times = np.ones(PERSONS, np.float32), np.zeros(PERSONS)
            store.add(source, Persons(boxes, scores, vectors_of(image), times))
        print(image, flush=True)
    store.close()


def start_writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Starts `write` in a process of its own."""
    command = [sys.executable, __file__, "--write", str(path), "--name", name, "--images", str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check(path: Path, name: str, at_least: int) -> int:
    """Returns the number of images in the gallery, after a check of all that is in it."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store = SqliteStore(path, NETWORK)
    paths = [source.path for source in store.sources()]
    assert paths == [f"/{name}/{image}" for image in range(len(paths))], paths
    assert len(paths) >= at_least, f"{at_least} acknowledged, {len(paths)} there"
    expected = np.concatenate(
        [np.zeros((0, NETWORK.dim)), *(vectors_of(image) for image in range(len(paths)))]
    )
    assert np.array_equal(store.vectors(store.ids(Where())), expected)
    store.close()
    return len(paths)


def kill_writers(path: Path, kills: int, seed: int) -> list[int]:
    """Kills that many writers of one gallery, lets one finish, and returns what was there after each."""
    chance, there, wanted = random.Random(seed), [], 1_000_000
    for _ in range(kills):
        child = start_writer(path, "crash", wanted)
        assert child.stdout is not None
        # Half of them while they add, half at any moment, the making of the file included.
        first = child.stdout.readline() if chance.random() < 0.5 else ""
        time.sleep(chance.uniform(0, 0.3 if first else 0.8))
        child.kill()
        lines = (first + child.stdout.read()).split()
        child.stdout.close()
        child.wait()
        there.append(check(path, "crash", len(lines)))
    wanted = there[-1] + 10
    child = start_writer(path, "crash", wanted)
    child.communicate()
    assert check(path, "crash", wanted) == wanted and child.returncode == 0
    return there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="what the killed child does")
    parser.add_argument("--name", default="crash")
    parser.add_argument("--images", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write, arguments.name, arguments.images)
        return
    with tempfile.TemporaryDirectory() as folder:
        there = kill_writers(Path(folder) / "gallery.sqlite", arguments.kills, arguments.seed)
    print(f"{arguments.kills} kills; images in the gallery after each: {there}; none acknowledged was lost")


if __name__ == "__main__":
    main()
