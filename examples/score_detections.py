"""Score what your own network found. Here a toy stands in for it: true boxes, and colours as embeddings.

Try it:

    maskps-data synth scenes --scale tiny
    python examples/score_detections.py scenes TestG50 detections.npz
    maskps score --protocol scenes --gallery-size 50 --detections detections.npz    # the same numbers
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol
from maskps.evaluation import Detections, evaluate_search, write_detections


def embed(image: Path, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns (n, 96) embeddings of length 1: the colours of 4 x 8 places in each box."""
    with Image.open(image) as picture:
        crops = [picture.crop(tuple(box)).resize((4, 8), Image.Resampling.BOX) for box in boxes.round()]
    colours = np.array([np.asarray(crop, np.float32).ravel() for crop in crops]).reshape(-1, 96) - 127.5
    return colours / np.linalg.norm(colours, axis=1, keepdims=True)


def main(root: Path, protocol_name: str, out: Path) -> None:
    dataset = open_dataset(root)
    protocol = open_protocol(dataset, protocol_name)

    scenes = [dataset.test[row] for row in dataset.test.rows_of(protocol.image_names)]
    found = [embed(dataset.image_path(scene.name), scene.boxes) for scene in scenes]
    queries = [
        embed(dataset.image_path(str(protocol.image_names[row])), box[np.newaxis])
        for row, box in zip(protocol.query_scenes, protocol.query_boxes, strict=True)
    ]
    detections = Detections(
        image_names=protocol.image_names,
        offsets=np.cumsum([0, *(len(scene) for scene in scenes)]),
        boxes=np.concatenate([scene.boxes for scene in scenes]),
        scores=np.ones(sum(len(scene) for scene in scenes), np.float32),
        embeddings=np.concatenate(found),
        query_embeddings=np.concatenate(queries),
    )
    write_detections(out, detections)
    result = evaluate_search(protocol, detections)
    print(f"{result.queries} queries: mAP {result.mAP:.1%}, top-1 {result.top1:.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
