"""Writes all of PRW in its released layout, reads it back, and prints the counts and the times.

    python tests/benchmarks/prw_round_trip.py ../shared/data/prw

The persons are those of the real annotation in the COCO form of daodaofr/AlignPS, whose training ids are
renumbered from 0 and become the original ones again. Of the queries 30 are real; the others up to 2,057 are
boxes of the same annotation, since the real list is not public.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from maskps.boxes import xywh_to_xyxy
from maskps.columns import rows_of_names
from maskps.datasets.prw.reader import cameras_of_names, read_prw, read_prw_protocol
from maskps.datasets.prw.writer import write_prw
from maskps.protocols import whole_test_protocol
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import UNLABELED_PID, PersonSearchDataset, SceneTable
from maskps_manifest import prw as published

ORIGINAL_TRAIN_IDS = np.array([*range(1, 479), *range(480, 484), 932])
"""Of the ids 0..482 in train_pid.json."""


def real_prw(
    folder: Path, *, images: int | None = None, queries: int = published.QUERIES
) -> tuple[PersonSearchDataset, SearchProtocol]:
    """Returns PRW as the files in this folder have it, without image sizes.

    Args:
        folder: with train_pid.json, test_pid.json and prwmini_query_info.txt.
        images: how many of each set, evenly taken, and all images of the real queries; all if None.
        queries: how many, the 30 real ones first.
    """
    lines = [line.split() for line in (folder / "prwmini_query_info.txt").read_text().splitlines()]
    needed = {f"{line[5]}.jpg" for line in lines}
    train, train_ids = _read_json(folder / "train_pid.json", images, set(), ORIGINAL_TRAIN_IDS)
    test, test_ids = _read_json(folder / "test_pid.json", images, needed, None)
    dataset = PersonSearchDataset(
        root=folder,
        kind="prw",
        image_dir=folder,
        train=train,
        test=test,
        train_ids=train_ids,
        test_ids=test_ids,
        fingerprint=train.fingerprint(),
    )
    scenes = rows_of_names(test.names, [f"{line[5]}.jpg" for line in lines])
    candidates = np.flatnonzero(
        test.is_labeled
        & ~np.isin(test_ids[test.pids - 1], train_ids)
        & ~np.isin(test.scene_of_person, scenes)
    )
    others = candidates[:: max(1, len(candidates) // max(1, queries))][: queries - len(lines)]
    protocol = whole_test_protocol(
        test,
        test_ids,
        query_scenes=np.concatenate([scenes, test.scene_of_person[others]]),
        query_boxes=np.concatenate(
            [xywh_to_xyxy(np.array([line[1:5] for line in lines], float)), test.boxes[others]]
        ),
        query_ids=np.concatenate([np.array([line[0] for line in lines]), test_ids[test.pids[others] - 1]]),
    )
    return dataset, protocol


def _read_json(
    path: Path, images: int | None, needed: set[str], original: np.ndarray | None
) -> tuple[SceneTable, np.ndarray]:
    content = json.loads(path.read_text())
    step = 1 if images is None else max(1, len(content["images"]) // images)
    names = {image["id"]: image["file_name"] for image in content["images"]}
    kept = sorted(set(list(names.values())[::step]) | needed)
    row_of = {name: row for row, name in enumerate(kept)}
    persons = [entry for entry in content["annotations"] if names[entry["image_id"]] in row_of]
    persons.sort(key=lambda entry: row_of[names[entry["image_id"]]])
    ids = np.array([entry["person_id"] for entry in persons])
    if original is not None:
        ids = np.where(ids < 0, ids, original[ids])
    scenes = np.array([row_of[names[entry["image_id"]]] for entry in persons])
    known = np.unique(ids[ids >= 0])
    table = SceneTable(
        names=np.array(kept),
        offsets=np.searchsorted(scenes, np.arange(len(kept) + 1)).astype(np.int64),
        boxes=xywh_to_xyxy(np.array([entry["bbox"] for entry in persons])),
        pids=np.where(ids < 0, UNLABELED_PID, np.searchsorted(known, ids) + 1),
        is_hard=np.zeros(len(persons), dtype=bool),
        camera=cameras_of_names(kept),
    )
    return table, known.astype(np.str_)


def is_equal(first: object, second: object) -> bool:
    """Returns whether two records have the same columns."""
    columns = vars(first)
    return all(np.array_equal(value, getattr(second, name)) for name, value in columns.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "folder", type=Path, help="with train_pid.json, test_pid.json, prwmini_query_info.txt"
    )
    parser.add_argument("--images", type=int, help="of each set; all if not given")
    parser.add_argument("--keep", type=Path, help="write here, and keep it")
    arguments = parser.parse_args()
    root = arguments.keep or Path(tempfile.mkdtemp(prefix="prw."))
    try:
        dataset, protocol = real_prw(arguments.folder, images=arguments.images)
        start = time.perf_counter()
        write_prw(root, dataset, protocol)
        written = time.perf_counter()
        again = read_prw(root)
        read = time.perf_counter()
        protocol_again = read_prw_protocol(again)
        read_all = time.perf_counter()
        for path in sorted((root / "annotations").iterdir()):
            loadmat(path)
        with_scipy = time.perf_counter()
    finally:
        if arguments.keep is None:
            shutil.rmtree(root)
    for name, table, counts in (
        ("training", again.train, published.TRAIN),
        ("test", again.test, published.TEST),
    ):
        labeled = int(table.is_labeled.sum())
        found = (len(table), labeled, table.num_persons - labeled)
        print(
            f"{name:9} images, labeled, unlabeled: {found}; published: "
            f"{(counts.images, counts.labeled, counts.unlabeled)}"
        )
    both = np.intersect1d(again.train_ids, again.test_ids)
    print(f"identities: {len(again.train_ids)} training, {len(again.test_ids)} test, {len(both)} in both")
    print(
        f"queries: {protocol_again.num_queries}, galleries of {protocol_again.gallery_size}, "
        f"{len(protocol_again.truth_positions)} true boxes"
    )
    print(
        "equal to what was written:",
        {
            "training": is_equal(dataset.train, again.train),
            "test": is_equal(dataset.test, again.test),
            "ids": np.array_equal(dataset.train_ids, again.train_ids)
            and np.array_equal(dataset.test_ids, again.test_ids),
            "protocol": is_equal(protocol, protocol_again),
        },
    )
    print(
        f"write {written - start:.2f} s, read {read - written:.2f} s, protocol {read_all - read:.2f} s; "
        f"scipy.io.loadmat of the annotation files alone {with_scipy - read_all:.2f} s"
    )


if __name__ == "__main__":
    main()
