"""The study of docs/proposals.md: what proposed outlines save, and what drawing the least sure images brings.

    python tests/benchmarks/proposals_study.py run WORK
    python tests/benchmarks/proposals_study.py after WORK
    python tests/benchmarks/proposals_study.py table WORK

`run` makes a synthetic set, and then 15 trainings of some two minutes on one core; again, it continues where
it was stopped. `after` adds what the plan does not have: two trainings with all masks, and proposals without
a network, the mean mask and the whole box. `table` prints what is there. WORK/cells holds a file of numbers
for each training.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import shapely
from hand import Box, mended, own_drawing
from outlined_scenes import true_outlines
from simulated_annotators import Truth

from maskps.datasets import open_dataset
from maskps.evaluation.mask_quality import measure_masks
from maskps.evaluation.paired import PairedDifference
from maskps.evaluation.task import ScoringOptions
from maskps.io.files import write_json
from maskps.io.images import read_image
from maskps.masks import Outline, mask_targets, outline_from_polygons
from maskps.masks.outlined_persons import PersonOutlines
from maskps.masks.outlines import ring_area
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset import SubsetSelection, build_subset, open_subset, select_subset
from maskps.subset.nested import in_order_of
from maskps.synthetic import SCALES, write_synthetic
from maskps.training import NetworkOptions, evaluate_run, load_config, load_run, train
from maskps_annotation.next_images import next_images
from maskps_annotation.proposers import RunProposer

SEEDS = (0, 1, 2)
SHARES = (3, 6, 12)  # percent of the training images
SETTINGS = ["epochs=3", "rois_per_image=16", "mask_weight=3", "background_replacement=0.7"]
AFTER = {"all": SETTINGS, "longer": ["epochs=6", *SETTINGS[1:], "frozen_stages=0"]}
"""Settings of the trainings of `after`: those of the study, and twice as long with all layers."""
HANDS = (1.0, 2.0, 3.0)  # pixels, the noise of three annotators: `simulated_annotators.NOISE`
LOOKS_AT: tuple[Literal["border", "cells"], ...] = ("border", "cells")
EVERY = 5
"""Every fifth training image is never drawn: there the proposals are measured."""


@dataclass(frozen=True)
class Cell:
    """One training: its seed, the share of images with masks in percent, and how they were drawn."""

    seed: int
    share: int
    draw: str

    @property
    def name(self) -> str:
        return f"s{self.seed}_{self.share}_{self.draw}"


def all_cells() -> Iterator[Cell]:
    """Yields every training after those that it needs. The first share has no earlier run to ask."""
    for seed in SEEDS:
        for share in SHARES:
            for draw in ("random", "next") if share > SHARES[0] else ("random",):
                yield Cell(seed, share, draw)


AFTER_CELLS = {Cell(0, 80, draw): settings for draw, settings in AFTER.items()}


def drawn_images(cell: Cell, work: Path, dataset: PersonSearchDataset, truth: Truth) -> list[int]:
    """Returns the scene rows that have masks: of a random order, or the earlier ones and `next_images`."""
    count = round(len(dataset.train) * cell.share / 100)
    pool = select_subset(dataset.train, portion_size=1).kept
    pool = pool[pool % EVERY != EVERY - 1]
    order = in_order_of(pool, cell.seed).tolist()
    if cell.draw != "next":
        return order[:count]
    smaller = SHARES[SHARES.index(cell.share) - 1]
    before = Cell(cell.seed, smaller, "next" if smaller > SHARES[0] else "random")
    drawn = json.loads((work / "cells" / f"{before.name}.json").read_text())["drawn"]
    rows = dataset.train.rows_of(drawn).tolist()
    folder = work / "subsets" / f"{cell.name}_pool"
    subset_of(pool, outlines_of(rows, dataset.train, truth), dataset, folder)
    predictor = load_run(work / "runs" / before.name).predictor()
    wanted = next_images(open_subset(folder, dataset), dataset, predictor)[: count - len(rows)]
    return rows + dataset.train.rows_of([image.name for image in wanted]).tolist()


def outlines_of(scenes: Sequence[int], train: SceneTable, truth: Truth) -> dict[int, Outline]:
    """Returns the true outlines of the labeled persons of these scenes, by person row."""
    return {
        row: truth[str(train.names[scene])][row - int(train.offsets[scene])]
        for scene in sorted(scenes)
        for row in train.persons_of(scene)
        if train.is_labeled[row]
    }


def subset_of(
    scenes: Sequence[int] | np.ndarray,
    outlines: Mapping[int, Outline],
    dataset: PersonSearchDataset,
    folder: Path,
) -> None:
    rows = np.sort(np.asarray(scenes, dtype=np.int64))
    build_subset(
        dataset, folder, SubsetSelection("names", rows, rows), outlines=lambda _: outlines, force=True
    )


def run_cells(cells: Mapping[Cell, Sequence[str]], work: Path) -> None:
    """Trains and measures what is not done yet; the values are the settings."""
    root = work / "data"
    if not (root / "annotation").exists():
        write_synthetic(root, scale=SCALES["tiny"], seed=7, force=True)
    (work / "cells").mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(root)
    truths = true_outlines(root), true_outlines(root, "labelme_test")
    for cell, settings in cells.items():
        if not (work / "cells" / f"{cell.name}.json").exists():
            run_cell(cell, settings, work, dataset, truths)
            print(cell.name, flush=True)


class Constant:
    """Proposes the same mask for everybody."""

    weights = "none"

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask.astype(np.float32)

    def masks(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.repeat(self.mask[None], len(boxes), axis=0)


def without_network(work: Path) -> None:
    """Measures the mean mask of the images that may be drawn, and the whole box, as proposals."""
    dataset, truth = open_dataset(work / "data"), true_outlines(work / "data")
    rows = outlines_of(
        [row for row in range(len(dataset.train)) if row % EVERY != EVERY - 1], dataset.train, truth
    )
    masks = [mask_targets(one.edges(), dataset.train.boxes[[row]])[0] for row, one in rows.items()]
    for name, mask in (("mean mask", np.mean(masks, axis=0)), ("whole box", np.ones((14, 14)))):
        proposed = proposals_of(RunProposer(Constant(mask), name), dataset, truth)
        write_json(work / "controls" / f"{name}.json", proposed)


def run_cell(
    cell: Cell,
    settings: Sequence[str],
    work: Path,
    dataset: PersonSearchDataset,
    truths: tuple[Truth, Truth],
) -> None:
    drawn = drawn_images(cell, work, dataset, truths[0])
    outlines = outlines_of(drawn, dataset.train, truths[0])
    folder, run = work / "subsets" / cell.name, work / "runs" / cell.name
    subset_of(drawn, outlines, dataset, folder)
    config = load_config("tiny", [*settings, f"seed={cell.seed}"])
    train(config, dataset, open_subset(folder, dataset), run, force=True)
    scoring = ScoringOptions(gallery_sizes=(50,))
    searched = evaluate_run(dataset.root, run, scoring, NetworkOptions())
    assert searched is not None
    test = outlines_of(range(len(dataset.test)), dataset.test, truths[1])
    predictor = load_run(run).predictor()
    quality = measure_masks(predictor, dataset, PersonOutlines(test=test))
    content = {
        "drawn": dataset.train.names[drawn].tolist(),
        "persons": len(outlines),
        "mAP": searched.results[0].mAP,
        "mask_iou": quality.iou,
        "mask_iou_mean_mask": quality.iou_mean_mask,
        "proposed": proposals_of(RunProposer(predictor, cell.name), dataset, truths[0]),
    }
    write_json(work / "cells" / f"{cell.name}.json", content)


def proposals_of(proposer: RunProposer, dataset: PersonSearchDataset, truth: Truth) -> list[dict[str, Any]]:
    """Returns the numbers of every labeled person of the images that nobody draws."""
    rows = []
    for number in range(EVERY - 1, len(dataset.train), EVERY):
        scene = dataset.train[number]
        image = read_image(dataset.image_path(scene.name))
        proposed = proposer.propose(scene, image)
        for index in np.flatnonzero(scene.is_labeled).tolist():
            found = proposed.get(index)
            one = person_numbers(
                truth[scene.name][index],
                None if found is None else found.outline,
                scene.boxes[index],
                (image.shape[1], image.shape[0]),
                np.random.default_rng((number, index)),
            )
            rows.append({"person": f"{scene.name} {index}", **one})
    return rows


def person_numbers(
    true: Outline,
    proposed: Outline | None,
    box: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Returns what one person costs and how well it is drawn: with the proposal, and drawn in full.

    The hand is one of `HANDS`; it and its drawing depend on `rng` alone. Without a proposal it draws in full.
    """
    noise, seed = float(rng.choice(HANDS)), int(rng.integers(2**32))
    drawing = own_drawing(true, noise, np.random.default_rng(seed), size)
    full = {"touched": sum(map(len, drawing)), **agreement(drawing, true, box)}
    numbers: dict[str, Any] = {"hand": noise, "full": full}
    if proposed is None:
        return numbers | {looks_at: full for looks_at in LOOKS_AT}
    corners = cast(Box, tuple(box.astype(np.float64).tolist()))
    vertices = len(proposed.edges())
    for looks_at in LOOKS_AT:
        made = mended(proposed, true, corners, noise, np.random.default_rng(seed), size, looks_at=looks_at)
        numbers[looks_at] = {
            "touched": made.moved + made.added,
            "deleted": made.deleted,
            "anew": made.added == full["touched"] and made.deleted == vertices,
            **agreement(made.rings, true, box),
        }
    return numbers | {"proposal": {"vertices": vertices, **agreement(proposed.rings, true, box)}}


def agreement(rings: Sequence[np.ndarray], true: Outline, box: np.ndarray) -> dict[str, float]:
    """Returns the IoU with the truth, and the cells of the 14 x 14 target that differ from it."""
    outline = outline_from_polygons(
        [ring for ring in rings if ring_area(ring) > 0],
        holes=[ring for ring in rings if ring_area(ring) < 0],
        where="a hand",
    )
    one, other = outline.to_shapely(), true.to_shapely()
    both = shapely.intersection(one, other).area
    targets = [mask_targets(shape.edges(), box[None])[0] for shape in (outline, true)]
    return {"iou": both / (one.area + other.area - both), "cells": int((targets[0] != targets[1]).sum())}


def table(work: Path) -> None:
    """Prints the numbers of the seeds of which all trainings are done."""
    cells = {
        cell: json.loads(path.read_text())
        for cell in (*all_cells(), *AFTER_CELLS)
        if (path := work / "cells" / f"{cell.name}.json").exists()
    }
    seeds = [seed for seed in SEEDS if all(cell in cells for cell in all_cells() if cell.seed == seed)]
    rows = {
        (cell.share, cell.draw): [cells[Cell(seed, cell.share, cell.draw)] for seed in seeds]
        for cell in all_cells()
        if cell.seed in seeds
    }
    every = [one for own in rows.values() for cell in own for one in cell["proposed"]]
    rows |= {(cell.share, cell.draw): [cells[cell]] for cell in AFTER_CELLS if cell in cells}
    controls = sorted((work / "controls").glob("*.json"))
    print(f"seeds {seeds}\n\n| images | draw | persons masked | mAP | mask IoU | one constant mask |")
    for (share, draw), own in rows.items():
        means = [100 * mean(one[key] for one in own) for key in ("mAP", "mask_iou", "mask_iou_mean_mask")]
        persons = mean(one["persons"] for one in own)
        print(f"| {share} % | {draw} | {persons:.0f} | " + " | ".join(f"{one:.1f}" for one in means) + " |")
    print("\nnext - random, paired over the seeds, 95 % intervals, in percentage points")
    for share in SHARES[1:] if seeds else ():
        for key in ("mAP", "mask_iou"):
            pairs = zip(rows[share, "next"], rows[share, "random"], strict=True)
            print(f"| {share} % | {key} | {interval([one[key] - other[key] for one, other in pairs])} |")
    for looks_at in LOOKS_AT:
        print(
            f"\nmended until the {looks_at} is as near to the truth as in a full drawing, beside that drawing"
        )
        print(
            "| images | draw | untouched | anew | touched | deleted | full | cells | full | IoU | full | - |"
        )
        for (share, draw), own in rows.items():
            line = savings([one["proposed"] for one in own], looks_at)
            print(f"| {share} % | {draw} | {' | '.join(line)} |")
        for noise in HANDS:
            line = savings([[one for one in every if one["hand"] == noise]], looks_at)
            print(f"| all | hand of {noise:g} pixels | {' | '.join(line)} |")
        for path in controls:
            print(f"| {path.stem} | | {' | '.join(savings([json.loads(path.read_text())], looks_at))} |")
    print("\nthe proposals themselves")
    for (share, draw), own in rows.items():
        found = [one["proposal"] for cell in own for one in cell["proposed"] if "proposal" in one]
        quartiles = np.quantile([one["cells"] for one in found], [0.25, 0.5, 0.75]).tolist()
        size, iou = mean(one["vertices"] for one in found), 100 * mean(one["iou"] for one in found)
        print(
            f"| {share} % | {draw} | {len(found)} | {size:.1f} vertices | IoU {iou:.1f} | cells {quartiles} |"
        )
    proposed = [one for one in every if "proposal" in one]
    for low, high in ((0, 10), (11, 15), (16, 196)):
        some = [one["border"] for one in proposed if low <= one["proposal"]["cells"] <= high]
        if some:
            share = 100 * mean(one["touched"] + one["deleted"] == 0 for one in some)
            print(f"| {low} to {high} wrong cells | {len(some)} | untouched {share:.1f} % |")


def savings(persons: Sequence[Sequence[dict[str, Any]]], looks_at: str) -> list[str]:
    """Returns the cells of a row of the table of savings; the difference of the IoU is paired by seed."""
    every = [one for seed in persons for one in seed]
    made = [one[looks_at] for one in every]
    untouched = 100 * mean(one["touched"] + one.get("deleted", 0) == 0 for one in made)
    texts = [f"{untouched:.1f} %", f"{100 * mean(one.get('anew', True) for one in made):.1f} %"]
    for key, factor in (("touched", 1), ("cells", 1), ("iou", 100)):
        texts.append(f"{factor * mean(one[key] for one in made):.1f}")
        texts += [f"{mean(one.get('deleted', 0) for one in made):.1f}"] if key == "touched" else []
        texts.append(f"{factor * mean(one['full'][key] for one in every):.1f}")
    by_seed = [mean(one[looks_at]["iou"] - one["full"]["iou"] for one in own) for own in persons]
    return [*texts, interval(by_seed)]


def interval(differences: Sequence[float]) -> str:
    found = PairedDifference.of(differences)
    return "-" if found is None else found.text()


def mean(values: Any) -> float:
    return float(np.mean(list(values)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "after", "table"])
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.what == "table":
        table(arguments.work)
    else:
        planned = dict.fromkeys(all_cells(), SETTINGS)
        run_cells(planned if arguments.what == "run" else AFTER_CELLS, arguments.work)
    if arguments.what == "after":
        (arguments.work / "controls").mkdir(exist_ok=True)
        without_network(arguments.work)


if __name__ == "__main__":
    main()
