"""How much the background says about who somebody is: by colours, without any network.

maskps-data synth natural --scale tiny
maskps-data synth misleading --scale tiny --backgrounds misleading
python tests/benchmarks/check_backgrounds.py natural misleading [--picture rows.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outlined_scenes import true_outlines
from PIL import Image

from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol
from maskps.evaluation import Detections, evaluate_search
from maskps.masks.rasterising import outline_to_mask
from maskps.pictures.drawing import draw_frame
from maskps.structures import PersonSearchDataset, SceneTable

PROTOCOL = "TestG50"
_GROWN = 0.25  # of a box's width, at each side: pixels around a person belong to the background, too


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns (24,) shares of pixels in 8 steps of each channel."""
    if not len(pixels):
        return np.zeros(24)
    steps = [np.bincount(pixels[:, channel] // 32, minlength=8) for channel in range(3)]
    return np.concatenate(steps) / len(pixels)


def colours_of(dataset: PersonSearchDataset, table: SceneTable, folder: str) -> dict[str, NDArray]:
    """Returns (P, 24) colours of the persons, and of what is around them in their boxes; (P, 48) of both."""
    outlines = true_outlines(dataset.root, folder)
    background, person = [], []
    for scene in (table[number] for number in range(len(table))):
        image = np.asarray(Image.open(dataset.image_path(scene.name)).convert("RGB"))
        height, width = image.shape[:2]
        masks = [outline_to_mask(outlines[scene.name][row], width, height) for row in range(len(scene))]
        nobody = ~np.any(masks, axis=0)
        for mask, (x0, y0, x1, y1) in zip(masks, scene.boxes, strict=True):
            grown = _GROWN * (x1 - x0)
            rows = slice(int(y0), int(y1))
            columns = slice(int(max(x0 - grown, 0)), int(min(x1 + grown, width)))
            background.append(colours(image[rows, columns][nobody[rows, columns]]))
            person.append(colours(image[mask]))
    found = {"person": np.array(person), "background": np.array(background)}
    return {**found, "both": np.hstack([*found.values()])}


def identified(features: NDArray, pids: NDArray[np.int64], best: int) -> float:
    """Returns how often the right identity is among the `best` nearest means, each without the person."""
    ids = np.unique(pids)
    one_hot = (pids[:, None] == ids).astype(float)
    sums, counts = one_hot.T @ features, one_hot.sum(axis=0)
    hits = 0
    for row, feature in enumerate(features):
        left = np.maximum(counts - one_hot[row], 1)
        means = (sums - one_hot[row][:, None] * feature) / left[:, None]
        near = ids[np.argsort(((means - feature) ** 2).sum(axis=1))[:best]]
        hits += int(pids[row] in near)
    return hits / len(features)


def unit(features: NDArray) -> NDArray[np.float32]:
    """Returns the features around their mean, with length 1."""
    centred = features - features.mean(axis=0)
    return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)


def query_rows(dataset: PersonSearchDataset) -> NDArray[np.int64]:
    """Returns the row of each query in the columns of the test persons."""
    protocol, test = open_protocol(dataset, PROTOCOL), dataset.test
    first = {name: start for name, start in zip(test.names.tolist(), test.offsets.tolist(), strict=False)}
    rows = []
    for scene, box in zip(protocol.query_scenes, protocol.query_boxes, strict=True):
        row = first[str(protocol.image_names[scene])]
        while not np.array_equal(test.boxes[row], box):
            row += 1
        rows.append(row)
    return np.array(rows)


def report(root: Path) -> None:
    """Prints a line for each kind of colours."""
    dataset = open_dataset(root)
    train, test = dataset.train, dataset.test
    known = train.is_labeled
    trained = colours_of(dataset, train, "labelme")
    tested = colours_of(dataset, test, "labelme_test")
    protocol, rows = open_protocol(dataset, PROTOCOL), query_rows(dataset)
    for kind, features in trained.items():
        first, ten = (identified(features[known], train.pids[known], best) for best in (1, 10))
        vectors = unit(tested[kind])
        scores = np.ones(len(vectors), dtype=np.float32)
        boxes = Detections(test.names, test.offsets, test.boxes, scores, vectors, vectors[rows])
        result = evaluate_search(protocol, boxes)
        cells = (
            root.name,
            kind,
            *(f"{100 * share:.1f} %" for share in (first, ten, result.mAP, result.top1)),
        )
        print(f"| {' | '.join(cells)} |")


def picture(root: Path, *, side: int = 220, columns: int = 6) -> Image.Image:
    """Returns two training identities; below them two queries with matches (green) and distractors (red)."""
    dataset = open_dataset(root)
    train, test = dataset.train, dataset.test
    protocol, query = open_protocol(dataset, PROTOCOL), query_rows(dataset)
    sheet = Image.new("RGB", (columns * side, 4 * side * 3 // 4), "white")

    def put(table: SceneTable, row: int, colour: tuple[int, int, int], at: tuple[int, int]) -> None:
        scene = Image.open(dataset.image_path(str(table.names[table.scene_of_person[row]]))).convert("RGB")
        draw_frame(scene, table.boxes[row].tolist(), colour, width=4)
        scene.thumbnail((side - 4, side * 3 // 4 - 4))
        sheet.paste(scene, (at[1] * side, at[0] * side * 3 // 4))

    blue, green, red = (40, 90, 255), (0, 200, 60), (235, 30, 30)
    often = np.argsort(-np.bincount(train.pids[train.is_labeled]), kind="stable")[:2]
    for line, pid in enumerate(often):
        for column, row in enumerate(np.flatnonzero(train.pids == pid)[:columns]):
            put(train, row, blue, (line, column))
    for line, number in enumerate((0, len(query) // 3)):
        put(test, query[number], blue, (2 + line, 0))
        names = protocol.image_names[protocol.galleries[number]].tolist()
        true = int(np.diff(protocol.truth_offsets)[number])
        shown = [*range(min(true, 2)), *range(true, len(names))][: columns - 1]
        for column, entry in enumerate(shown, start=1):
            rows = np.flatnonzero(test.names[test.scene_of_person] == names[entry])
            if entry < true:
                rows = rows[test.pids[rows] == test.pids[query[number]]]
            put(test, rows[0], green if entry < true else red, (2 + line, column))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path)
    parser.add_argument("--picture", type=Path, help="rows of scenes from the last of them")
    given = parser.parse_args()
    print(
        "| scenes | colours of | training: identity by nearest mean | in the first 10 | test: mAP | top-1 |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for root in given.scenes:
        report(root)
    if given.picture:
        picture(given.scenes[-1]).save(given.picture, quality=85)


if __name__ == "__main__":
    main()
