"""The ground of a camera: its perspective, which sets people's heights, and its paving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.synthetic.appearance import cloth_colour
from maskps.synthetic.tones import jittered, smooth_noise


@dataclass(frozen=True)
class Ground:
    """The ground plane of a camera, pixels: a person whose feet are at y is `height_at(y)` tall."""

    width: int
    height: int
    base: float
    base_height: float
    horizon: float

    def height_at(self, y: float) -> float:
        """Returns the height in pixels of a mean adult who stands at image row `y`."""
        return self.base_height * (y - self.horizon) / (self.base - self.horizon)


def draw_floor(place: str, ground: Ground, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns the (H, W, 3) ground in perspective: asphalt, slabs, tiles, or grass with a path."""
    height, width = ground.height, ground.width
    rows = np.maximum(np.arange(height) + 0.5, ground.base) - ground.horizon
    far = (1.0 / rows)[:, None] * ground.base_height / ground.height_at(ground.horizon + 1.0)
    vanish = width * rng.uniform(0.2, 0.8)
    # on the ground, in body heights: sideways, and away from the camera
    side = (np.arange(width) + 0.5 - vanish)[None, :] / (
        rows[:, None] * ground.height_at(ground.horizon + 1.0)
    )
    away = np.broadcast_to(far * 4.0, (height, width))
    noise = smooth_noise(rng, height, width, 2) * 5.0 + smooth_noise(rng, height, width, 25) * 6.0
    colour = np.asarray(
        jittered(
            {
                "street": (112, 112, 114),
                "shops": (158, 150, 140),
                "plaza": (164, 156, 144),
                "hall": (176, 172, 164),
                "park": (170, 156, 130),
            }[place],
            rng,
            20,
        )
    )
    pixels = np.broadcast_to(colour, (height, width, 3)) + noise[..., None]
    if place in ("shops", "plaza", "hall"):
        size = rng.uniform(0.3, 0.8)
        column, row = np.floor(side / size), np.floor(away / size)
        joint = np.minimum(
            np.abs(side / size - np.round(side / size)), np.abs(away / size - np.round(away / size))
        )
        tone = np.where((column + row) % 2 == 0, rng.uniform(0, 16), 0.0) + 6.0 * np.sin(
            column * 12.9 + row * 78.2
        )
        pixels = pixels + tone[..., None] - np.where(joint < 0.03, 20.0, 0.0)[..., None]
        if rng.random() < 0.4:  # a coloured band through the paving
            at, wide = rng.uniform(-2, 2), rng.uniform(0.2, 0.8)
            band = np.abs(side - at) < wide
            pixels = np.where(band[..., None], 0.6 * pixels + 0.4 * np.asarray(cloth_colour(rng)), pixels)
    elif place == "street":
        at = rng.uniform(-1.5, 1.5)
        dash = (np.abs(side - at) < 0.06) & (np.mod(away, 2.0) < 1.1)
        kerb = (
            np.abs(away - far[int(ground.base) + 1 if ground.base + 1 < height else -1] * 4.0 * 0.86) < 0.05
        )
        stripes = (np.mod(side, 0.5) < 0.25) & (np.abs(away - 1.5) < 0.5) & (rng.random() < 0.5)
        pixels = np.where((dash | stripes)[..., None], 214.0 + noise[..., None], pixels)
        pixels = np.where(kerb[..., None], 168.0, pixels)
    elif place == "park":
        grass = np.asarray(jittered((92, 122, 62), rng, 14)) + noise[..., None] * 2.0
        path = np.abs(side + 0.35 * np.sin(away * 0.9) - rng.uniform(-1, 1)) < rng.uniform(0.5, 1.4)
        pixels = np.where(path[..., None], pixels, grass)
        leaves = smooth_noise(rng, height, width, 1) > 2.7
        pixels = np.where(leaves[..., None] & ~path[..., None], np.asarray(cloth_colour(rng)), pixels)
    fade = np.linspace(0.86, 1.06, height)[:, None, None]
    return (pixels * fade).astype(np.float32)
