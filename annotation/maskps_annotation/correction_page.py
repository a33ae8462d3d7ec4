"""The first section of rules.html in a pack of corrections: whom to draw again, and why."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from maskps.io.images import read_image
from maskps.masks.outlines import Outline
from maskps.pictures.drawing import INK, crop_tile, draw_frame, paint_outline
from maskps_annotation.pack_record import Pack, Slot
from maskps_annotation.prefilled import reason_text

TILE = (180, 240)
"""Width and height of a picture in pixels."""

_CONTEXT = 0.15  # of the region's sides, around it

_HOW = (
    "Somebody looked at these outlines and did not accept them. Each image opens with the outline as it is: "
    "move, add and delete points, or delete the polygon and draw the person again. The reason also stands in "
    "the description of the rectangle. An outline that stays as it is counts as not done; if you think that "
    "it is right, tick 'problem'. Leave everybody without a rectangle alone."
)


def correction_section(pack: Pack, folder: Path) -> str:
    """Returns HTML with image, slot, reasons and a picture of every person to correct; "" if there is none.

    Args:
        folder: where the images of the pack are.

    Raises:
        InputFileError: an image is missing or broken.
    """
    figures = []
    for scene in pack.scenes:
        slots = [slot for slot in scene.slots if slot.correction is not None]
        picture = Image.fromarray(read_image(folder / scene.image)) if slots else None
        figures += [_figure(scene.image, slot, picture) for slot in slots if picture is not None]
    if not figures:
        return ""
    return (
        f'<h2>What to correct</h2>\n<p>{escape(_HOW)}</p>\n<div class="pair">\n'
        + "\n".join(figures)
        + "\n</div>\n"
    )


def _figure(image: str, slot: Slot, picture: Image.Image) -> str:
    packed = io.BytesIO()
    _tile(slot, picture).save(packed, "JPEG", quality=80)
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    name = escape(slot.name)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{TILE[0]}" height="{TILE[1]}" '
        f'alt="{name} as it is now"><figcaption><b>{name}</b> in <bdi>{escape(image)}</bdi>'
        f'<div class="reasons" dir="auto">{escape(reason_text(slot))}</div></figcaption></figure>'
    )


def _tile(slot: Slot, picture: Image.Image) -> Image.Image:
    """Returns a picture of the person's box, dark, and of the rejected outline."""
    outline = slot.correction.outline if slot.correction is not None else Outline(())
    box = np.array(slot.box)
    around = box if outline.is_empty else np.array([box, outline.bounds])
    region = np.concatenate(
        [around.reshape(-1, 4)[:, :2].min(axis=0), around.reshape(-1, 4)[:, 2:].max(axis=0)]
    )
    tile, place = crop_tile(picture, region, TILE, context=_CONTEXT)
    scale = (place[2:] - place[:2]) / (region[2:] - region[:2])

    def moved(points: np.ndarray) -> np.ndarray:
        return (points - region[:2]) * scale + place[:2]

    paint_outline(tile, Outline(tuple(moved(ring) for ring in outline.rings)))
    draw_frame(tile, moved(box.reshape(2, 2)).reshape(-1).tolist(), INK, width=2)
    return tile
