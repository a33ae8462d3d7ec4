"""Background replacement: persons of one scene before the background of another, cut out by their outlines.

An augmentation that outlines make possible: copy-paste (Ghiasi et al. 2021), applied to person search. The
scene keeps its own persons and its background; persons of one other scene come into it, so that the network
sees an identity before backgrounds where it never stood (docs/decisions/0011).

A person keeps its size and its pixels, as the network sees it in its own scene, and the height of its feet.
Only its column is drawn. It never touches an annotated box, so nobody is hidden and every outline stays that
of the visible part. A person for whom the scene has no such place is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskps.masks.pasting import pixel_shares

MOST_PERSONS = 3
"""Persons that come into a scene, at most."""


@dataclass(frozen=True)
class ResizedScene:
    """A training scene in the size in which the network sees it.

    Attributes:
        image: (3, h, w) float32, 0..1, RGB.
        boxes: (n, 4) float64 xyxy, pixels of `image`.
        pids: (n,) int64.
        outlines: n arrays (E, 4) float64, the edges of the persons' outlines; (0, 4) without one.
        edges: likewise, the outlines that train; others than the persons' own if masks are shuffled.
    """

    image: Tensor
    boxes: NDArray[np.float64]
    pids: NDArray[np.int64]
    outlines: list[NDArray[np.float64]]
    edges: list[NDArray[np.float64]]


def with_persons_of(scene: ResizedScene, other: ResizedScene, *, rng: np.random.Generator) -> ResizedScene:
    """Returns the scene with up to `MOST_PERSONS` of another one's persons pasted into its background.

    Persons without an outline, and those whose identity the scene holds already, do not come. The new persons
    follow the scene's own.
    """
    has_outline = np.array([len(outline) > 0 for outline in other.outlines], dtype=np.bool_)
    able = np.flatnonzero(has_outline & ~np.isin(other.pids, scene.pids))
    for person in rng.permutation(able)[:MOST_PERSONS].tolist():
        scene = _with_person(scene, other, person, rng)
    return scene


def _with_person(
    scene: ResizedScene, other: ResizedScene, person: int, rng: np.random.Generator
) -> ResizedScene:
    """Returns the scene with one more person, or as it is if there is no free place."""
    box, outline = other.boxes[person], other.outlines[person]
    corners = np.concatenate([box, outline.reshape(-1)]).reshape(-1, 2)
    size = np.array(other.image.shape[:0:-1])
    left, top = np.floor(np.clip(corners.min(axis=0), 0, size)).astype(np.int64).tolist()
    right, bottom = np.ceil(np.clip(corners.max(axis=0), 0, size)).astype(np.int64).tolist()
    width, height = right - left, bottom - top

    y = max(0, round(bottom * scene.image.shape[1] / other.image.shape[1]) - height)
    x = _free_column(scene, y, width, height, rng)
    if x is None:
        return scene
    shares = pixel_shares(outline, left, top, width, height)
    weight = torch.from_numpy(shares.round(6).astype(np.float32))
    image = scene.image.clone()
    spot = image[:, y : y + height, x : x + width]
    spot.lerp_(other.image[:, top:bottom, left:right], weight)  # lerp is exact where a share is 0 or 1
    shift = np.tile([x - left, y - top], 2)
    return ResizedScene(
        image=image,
        boxes=np.concatenate([scene.boxes, box[None] + shift]),
        pids=np.append(scene.pids, other.pids[person]),
        outlines=[*scene.outlines, outline + shift],
        edges=[*scene.edges, other.edges[person] + shift],
    )


def _free_column(
    scene: ResizedScene, y: int, width: int, height: int, rng: np.random.Generator
) -> int | None:
    """Returns a random x at which a patch fits into the scene and touches no box; None if there is none."""
    image_height, image_width = scene.image.shape[1:]
    if y + height > image_height or width > image_width:
        return None
    is_free = np.ones(image_width - width + 1, dtype=np.bool_)
    for x0, y0, x1, y1 in scene.boxes.tolist():
        if y0 < y + height and y < y1:
            is_free[max(0, math.floor(x0 - width) + 1) : math.ceil(x1)] = False
    columns = np.flatnonzero(is_free)
    return int(rng.choice(columns)) if len(columns) else None
