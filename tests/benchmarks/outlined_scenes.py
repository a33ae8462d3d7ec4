"""Synthetic scenes with everything but the pixels: annotation, true outlines, and one-coloured images.

Drawing people into pixels takes most of the time that a synthetic set needs; what annotators' files are
checked for needs the outlines only.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from maskps.masks import HOLE_FLAG, Outline, outline_from_polygons, read_labelme
from maskps.synthetic import SCALES, SplitScale, SynthScale, write_synthetic
from maskps.synthetic.camera import Camera

_SMALL_TEST = SplitScale(9, 0, 3, 10, 10, 3, (3, 4))
"""Nobody draws test scenes: as few as there can be."""


def training_scale(name: str) -> SynthScale:
    """Returns a scale of `maskps-data synth` with its training scenes and hardly any test scenes."""
    return replace(
        SCALES[name], test=_SMALL_TEST, galleries=(4,), occluded=1, low_resolution=1, subset_gallery=4
    )


def write_outlined_scenes(root: Path, scale: SynthScale, *, seed: int) -> None:
    """Writes what `maskps-data synth` does, with images of one colour; outlines and boxes are the same."""

    def grey(camera: Camera, *unused: Any) -> tuple[np.ndarray, np.ndarray]:
        width, height = camera.plan.size
        return np.full((height, width, 3), 128, np.uint8), np.full((height, width), -1, np.int16)

    with mock.patch("maskps.synthetic.scene._draw", grey):
        write_synthetic(root, scale=scale, seed=seed, force=True)


def true_outlines(root: Path, folder: str = "labelme") -> dict[str, dict[int, Outline]]:
    """Returns scene -> index of the person's box in it -> true outline, of everybody in `truth/folder`."""
    truth: dict[str, dict[int, Outline]] = {}
    for path in sorted((root / "truth" / folder).glob("*.json")):
        rings: dict[int, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
        for shape in read_labelme(path).shapes:
            assert shape.group_id is not None  # the row of the person
            rings[shape.group_id][HOLE_FLAG in shape.flags].append(shape.points)
        truth[f"{path.stem}.jpg"] = {
            row: outline_from_polygons(polygons, holes=holes, where=str(path))
            for row, (polygons, holes) in rings.items()
        }
    return truth
