"""A picture of a training image with the network's answer: boxes and masks, true and predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.pictures.drawing import (
    BLUE,
    ORANGE,
    PAPER,
    SOFT_INK,
    VERMILION,
    Colour,
    crop_tile,
    draw_frame,
    target_tile,
    text_width,
    write_text,
)
from maskps.structures import BACKGROUND_PID

_HEIGHT, _LEGEND, _GAP, _TEXT = 620, 40, 16, 18
_TILE = 196


@dataclass(frozen=True)
class TrainingPicture:
    """One image, its annotation, and the network's answer; boxes in pixels of that image.

    Attributes:
        name: of the scene.
        image: (h, w, 3) uint8, RGB.
        boxes, pids: (n, 4) xyxy and (n,), of all persons.
        found, scores: (k, 4) xyxy and (k,), of the detections to show.
        masked: (m,) rows of the persons with a mask.
        true_masks, predicted_masks: (m, S, S) of those persons, in 0..1, both cut at the true box.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    pids: NDArray[np.int64]
    found: NDArray[np.float32]
    scores: NDArray[np.float32]
    masked: NDArray[np.int64]
    true_masks: NDArray
    predicted_masks: NDArray


def training_sheet(picture: TrainingPicture, *, max_persons: int = 3) -> Image.Image:
    """Returns the image with all boxes and, beside it, up to `max_persons` persons with both masks."""
    image = Image.fromarray(picture.image)
    scale = _HEIGHT / image.height
    scene = image.resize((max(1, round(image.width * scale)), _HEIGHT), Image.Resampling.LANCZOS)
    for box, pid in zip(picture.boxes * scale, picture.pids, strict=True):
        is_labeled = pid > BACKGROUND_PID
        draw_frame(scene, box, BLUE if is_labeled else ORANGE, width=4, dashed=not is_labeled)
    for box, score in zip(picture.found * scale, picture.scores, strict=True):
        draw_frame(scene, box, VERMILION, width=2)
        _tag(scene, box, f"{score:.2f}", VERMILION)
    rows = picture.masked[:max_persons]
    columns = 3 * (_TILE + _GAP) if len(rows) else 0
    sheet = Image.new("RGB", (max(scene.width + columns, 760), _LEGEND + _HEIGHT), PAPER)
    _draw_legend(sheet, picture)
    sheet.paste(scene, (0, _LEGEND))
    for place, row in enumerate(rows):
        top = _LEGEND + place * (_TILE + _GAP)
        tiles = [
            _stretched(image, picture.boxes[row]),
            target_tile(picture.true_masks[place], _TILE),
            target_tile(picture.predicted_masks[place], _TILE),
        ]
        for column, tile in enumerate(tiles):
            sheet.paste(tile, (scene.width + _GAP + column * (_TILE + _GAP), top))
    if len(rows):
        for column, text in enumerate(("person", "true mask", "predicted mask")):
            x = scene.width + _GAP + column * (_TILE + _GAP)
            write_text(sheet, (x, 12), text, size=_TEXT, colour=SOFT_INK)
    return sheet


def _stretched(image: Image.Image, box: NDArray[np.float32]) -> Image.Image:
    """Returns the content of the box as a square, so that its cells match those of the masks."""
    width, height = box[2:] - box[:2]
    tile, _ = crop_tile(image, box, (max(1, round(_TILE * float(width / height))), _TILE))
    return tile.resize((_TILE, _TILE), Image.Resampling.BICUBIC)


def _draw_legend(sheet: Image.Image, picture: TrainingPicture) -> None:
    x = 8.0
    for colour, dashed, text in (
        (BLUE, False, "labeled"),
        (ORANGE, True, "unlabeled"),
        (VERMILION, False, f"found, {len(picture.scores)}"),
    ):
        draw_frame(sheet, [x, 9, x + 24, 31], colour, width=3, dashed=dashed)
        write_text(sheet, (x + 32, 12), text, size=_TEXT, colour=SOFT_INK)
        x += 32 + text_width(text, _TEXT) + 24
    write_text(sheet, (x, 12), picture.name, size=_TEXT, colour=SOFT_INK)


def _tag(scene: Image.Image, box: NDArray[np.float32], text: str, colour: Colour) -> None:
    x, y = max(round(float(box[0])), 0), max(round(float(box[1])), 0)
    scene.paste(colour, (x, y, x + round(text_width(text, 14)) + 8, y + 18))
    write_text(scene, (x + 4, y + 1), text, size=14, colour=PAPER)
