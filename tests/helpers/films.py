"""Short films whose persons are stripes, for `stripe_photos.StripePredictor`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SIZE = (64, 48)
"""Width and height of a film, in pixels."""


def stripes(*colours: Sequence[int]) -> np.ndarray:
    """A picture with a stripe of each of up to four colours; the rest is black."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for number, colour in enumerate(colours):
        pixels[:, 16 * number : 16 * number + 16] = colour
    return pixels


def shade(number: int) -> tuple[int, int, int]:
    """One of seven colours; the cosine of two is below 0.82."""
    bits = number % 7 + 1
    return 200 * (bits & 1), 100 * (bits & 2), 50 * (bits & 4)


def write_film(
    path: Path,
    pictures: Sequence[np.ndarray],
    times: Sequence[float] | None = None,
    *,
    codec: str = "libx264",
    gop: int = 5,
    rotation: Sequence[int] | None = None,
    metadata: dict[str, str] | None = None,
    encoding: dict[str, str] | None = None,
    **opening: Any,
) -> Path:
    """Writes a film of these pictures, at these seconds or 2 a second, with a key frame at least every `gop`.

    Args:
        rotation: the nine numbers of the display matrix.
        encoding: more options of x264.
        opening: more arguments of `av.open`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w", **opening) as film:
        film.metadata.update(metadata or {})
        stream = film.add_stream(codec, rate=10)
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt, stream.gop_size = "yuv420p", gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.codec_context.options = {"crf": "10", "preset": "veryfast", **(encoding or {})}
        if rotation is not None:
            stream.set_display_matrix(rotation)
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = round(1000 * (number / 2 if times is None else times[number]))
            frame.time_base = Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """Writes a film without pictures."""
    with av.open(path, "w") as film:
        stream = film.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path
