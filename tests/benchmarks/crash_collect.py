"""Kills `collect` at random moments, and compares what a rerun makes with what was never killed.

    python tests/benchmarks/crash_collect.py [--kills 50] [--scenes 40] [--seed 0]

Every kill hits a collection that starts from an empty store, at a moment drawn from the time of a whole one.
Afterwards every annotator's file must be as it was, the subset must open, every version in the log must be in
the store, and a rerun must end in the bytes of the run that was left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from maskps.masks import LabelMeShape, write_labelme
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset import build_subset, open_subset, select_subset
from maskps_annotation.collect_packs import collect_packs, store_of
from maskps_annotation.pack_files import prefilled
from maskps_annotation.pack_record import PackSet, read_packs
from maskps_annotation.packs import write_packs

BOX = (10.0, 10.0, 30.0, 70.0)
CHILD = """
import pickle, sys
from pathlib import Path
from maskps_annotation.collect_packs import collect_packs
packs, subset, dataset = pickle.loads(Path(sys.argv[1]).read_bytes())
print("begins", flush=True)
collect_packs(packs, subset, dataset)
"""


def made(folder: Path, scenes: int, rng: np.random.Generator) -> tuple[PersonSearchDataset, PackSet]:
    """A data set of one person a scene, its subset with all scenes, and packs in which everybody is drawn."""
    images = folder / "images"
    images.mkdir()
    names = np.array([f"s{number:05}.jpg" for number in range(scenes)])
    for number, name in enumerate(names):
        Image.new("RGB", (100, 90), (number % 256, number // 256, 0)).save(images / name)
    train = SceneTable(
        names=names,
        offsets=np.arange(scenes + 1),
        boxes=np.tile(np.array(BOX, dtype=np.float32), (scenes, 1)),
        pids=np.arange(1, scenes + 1),
        is_hard=np.zeros(scenes, dtype=np.bool_),
    )
    ids = np.array([f"id{number}" for number in range(scenes)])
    nobody = train.select([])
    dataset = PersonSearchDataset(images, "test", images, train, nobody, ids, ids[:0], "crash")
    build_subset(dataset, folder / "subset", select_subset(train, portion_size=1))
    write_packs(folder / "subset", dataset, folder / "packs", annotators=["ann", "bob"], double=0.2)
    packs = read_packs(folder / "packs")
    x0, y0, x1, y1 = BOX
    corners = np.array([(x0 + 3, y0 + 3), (x1 - 3, y0 + 3), (x1 - 3, y1 - 3), (x0 + 3, y1 - 3)])
    for pack in packs.packs:
        for scene in pack.scenes:
            file = prefilled(scene, packs.fingerprint)
            shape = LabelMeShape("p1", corners + rng.uniform(-2, 2, corners.shape))
            drawn = replace(file, shapes=(*file.shapes, shape), flags={"done": True})
            write_labelme(pack.folder / scene.file_name, drawn)
    return dataset, packs


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset, packs = made(folder, options.scenes, rng)
        drawn = contents(folder / "packs")
        whole = shutil.copytree(folder / "subset", folder / "whole")
        began = time.perf_counter()
        collect_packs(packs, whole, dataset)
        seconds = time.perf_counter() - began
        wanted = contents(whole)
        subset, job = folder / "killed", folder / "job"
        job.write_bytes(pickle.dumps((packs, subset, dataset)))
        hit = 0
        for _ in range(options.kills):
            for path in (subset, store_of(subset).folder):
                shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(folder / "subset", subset)
            child = subprocess.Popen([sys.executable, "-c", CHILD, str(job)], stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(rng.uniform(0, 1.1 * seconds))
            child.kill()
            hit += child.wait() != 0
            child.stdout.close()
            assert contents(folder / "packs") == drawn, "an annotator's file has changed"
            open_subset(subset, dataset)
            store = store_of(subset)
            for file in store.files():
                for version in store.versions(*file):
                    content = store.path(version.sha256).read_bytes()
                    assert hashlib.sha256(content).hexdigest() == version.sha256, version
            collect_packs(packs, subset, dataset)
            assert contents(subset) == wanted, "the rerun ended in other bytes"
            assert contents(folder / "packs") == drawn, "an annotator's file has changed"
    print(
        f"{options.kills} kills, {hit} before the end of a run of {seconds:.2f} s: nothing lost, same bytes"
    )


if __name__ == "__main__":
    main()
