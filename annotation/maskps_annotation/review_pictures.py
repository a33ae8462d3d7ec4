"""The picture of one person on the review page, and outlines drawn in its pixels."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.masks.outlines import Outline

_MOST = (320, 256)  # width and height in pixels of a picture
_MARGIN = 0.12  # of the longer side of what is shown
_FARTHEST = 1.0  # nothing farther from the box than this many of its sides is shown
_QUALITY = 80  # of WebP, 0 to 100


@dataclass(frozen=True)
class Frame:
    """Which part of a scene a picture shows, and how large.

    Attributes:
        region: (4,) float64 xyxy, pixels of the scene, inside it.
        size: (width, height) of the picture in its own pixels; never more than the region has.
    """

    region: NDArray[np.float64]
    size: tuple[int, int]

    def place(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Returns (..., 2) points of the scene in pixels of the picture."""
        sides = self.region[2:] - self.region[:2]
        return (np.asarray(points, dtype=np.float64) - self.region[:2]) * (np.array(self.size) / sides)

    def path(self, outline: Outline) -> str:
        """Returns an outline as the `d` of an SVG path, to a tenth of a pixel."""
        return "".join(
            f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in self.place(ring).tolist())}Z"
            for ring in outline.rings
        )


def frame_of_person(
    box: NDArray[np.floating], outlines: Iterable[Outline], scene_size: tuple[int, int]
) -> Frame:
    """Returns the frame that shows a box, the drawings of its person, and a margin.

    Args:
        box: (4,) xyxy, pixels of the scene.
        outlines: must be visible, up to one side of the box away from it.
        scene_size: (width, height) in pixels.
    """
    box = np.asarray(box, dtype=np.float64)
    sides = np.maximum(box[2:] - box[:2], 1.0)
    shown = [box, *(outline.bounds for outline in outlines)]
    low = np.min([one[:2] for one in shown], axis=0)
    high = np.max([one[2:] for one in shown], axis=0)
    low = np.maximum(low, box[:2] - _FARTHEST * sides)
    high = np.minimum(high, box[2:] + _FARTHEST * sides)
    margin = _MARGIN * (high - low).max()
    low = np.clip(np.floor(low - margin), 0, np.array(scene_size) - 1)
    high = np.clip(np.ceil(high + margin), low + 1, scene_size)
    extent = high - low
    scale = min(1.0, *(np.array(_MOST) / extent).tolist())
    width, height = np.maximum(np.round(extent * scale), 1).astype(int).tolist()
    return Frame(np.concatenate([low, high]), (width, height))


def picture_of_frame(image: Image.Image, frame: Frame) -> bytes:
    """Returns the frame's part of a scene as a WebP file."""
    x0, y0, x1, y1 = frame.region.tolist()
    picture = image.resize(frame.size, Image.Resampling.LANCZOS, box=(x0, y0, x1, y1))
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=_QUALITY)
    return stream.getvalue()
