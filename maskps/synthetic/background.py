"""Backgrounds: a place without people, cluttered with shapes and colours that clothes have, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from maskps.synthetic.appearance import draw_appearance
from maskps.synthetic.ground import Ground, draw_floor
from maskps.synthetic.pen import BARE_GROUND, ZOOM, Pen
from maskps.synthetic.person import person_shapes
from maskps.synthetic.places import PLACES
from maskps.synthetic.pose import draw_pose
from maskps.synthetic.shapes import Light, paint
from maskps.synthetic.tones import jittered, rgb, sky_colour, smooth_noise


def draw_background(place: str, ground: Ground, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns (H, W, 3) float32, 0..255: the place without people."""
    width, height = ground.width, ground.height
    image = Image.new("RGB", (width * ZOOM, height * ZOOM), rgb(sky_colour(rng)))
    pen = Pen(ImageDraw.Draw(image), rng, ground)
    PLACES[place](pen)
    floor = draw_floor(place, ground, rng)
    drawn = np.asarray(image).copy()
    bare = (drawn == np.asarray(BARE_GROUND, dtype=np.uint8)).all(axis=2)
    drawn[bare] = floor[int(ground.base) :].mean(axis=(0, 1)).clip(0, 255)
    small = (
        Image.fromarray(drawn)
        .resize((width, height), Image.Resampling.BOX)
        .filter(ImageFilter.GaussianBlur(0.5))
    )
    is_floor = (
        np.asarray(Image.fromarray(bare).convert("L").resize((width, height), Image.Resampling.BOX)) / 255.0
    )
    pixels = np.asarray(small, dtype=np.float32)
    pixels = pixels + (floor - pixels) * is_floor[..., None].astype(np.float32)
    for x, y, tall in pen.mannequins:
        _mannequin(pixels, x, y, tall, rng)
    grain = smooth_noise(rng, height, width, 3) * 3.0 + smooth_noise(rng, height, width, 60) * 5.0
    return np.clip(pixels + grain[..., None], 0, 255).astype(np.float32)


def _mannequin(
    pixels: NDArray[np.float32], x: float, y: float, tall: float, rng: np.random.Generator
) -> None:
    """Draws a shop dummy. It wears clothes, but has neither a person's skin nor hair."""
    plastic = jittered((214, 210, 204), rng, 14)
    model = replace(
        draw_appearance(rng),
        skin=plastic,
        hair="shaved",
        hair_colour=plastic,
        hat_colour=plastic,
        bag="none",
        stature=1.0,
        shoes=plastic,
    )
    pose = replace(draw_pose(rng, bag="none", bag_side=1), stride=0.1, yaw=float(rng.normal(0, 0.4)))
    for shape in person_shapes(model, pose, foot=(x, y), height=tall):
        paint(pixels, shape, Light((0.0, -0.3, 0.95), 0.42, 0.4))
