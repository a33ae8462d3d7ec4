"""Colours of places, and noise, for backgrounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.synthetic.shapes import Colour


def smooth_noise(rng: np.random.Generator, height: int, width: int, size: int) -> NDArray[np.float32]:
    """Returns (height, width) float32 noise of unit variance at its knots, `size` pixels apart."""
    knots = rng.standard_normal((height // size + 3, width // size + 3)).astype(np.float32)
    image = Image.fromarray(knots).resize(
        ((width // size + 3) * size, (height // size + 3) * size), Image.Resampling.BICUBIC
    )
    return np.asarray(image, dtype=np.float32)[:height, :width]


def sky_colour(rng: np.random.Generator) -> Colour:
    """Returns the colour of a sky."""
    return jittered(((188, 206, 226), (206, 210, 214), (226, 222, 210))[int(rng.integers(0, 3))], rng, 8)


def wall_colour(rng: np.random.Generator) -> Colour:
    """Returns the colour of a house front."""
    colours = (
        (182, 172, 156),
        (150, 96, 78),
        (196, 188, 176),
        (132, 134, 138),
        (206, 184, 144),
        (158, 150, 140),
        (120, 98, 84),
        (174, 182, 186),
    )
    return jittered(colours[int(rng.integers(0, len(colours)))], rng, 12)


def leaf_colour(rng: np.random.Generator) -> Colour:
    """Returns the colour of leaves."""
    return jittered(
        ((72, 104, 52), (94, 120, 60), (58, 92, 58), (150, 120, 52))[int(rng.integers(0, 4))], rng, 8
    )


def jittered(colour: Colour, rng: np.random.Generator, spread: float) -> Colour:
    """Returns the colour with its brightness changed by about `spread` and its tint by a third of that."""
    red, green, blue = np.clip(
        np.asarray(colour) + rng.normal(0, spread) + rng.normal(0, spread * 0.3, 3), 0, 255
    )
    return float(red), float(green), float(blue)


def scaled(colour: Colour, factor: float) -> Colour:
    """Returns the colour made darker or lighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def rgb(colour: Colour) -> tuple[int, int, int]:
    """Returns the colour in Pillow's form; never as dark as the colour that marks the floor."""
    red, green, blue = (int(np.clip(value, 4, 255)) for value in colour)
    return red, green, blue
