"""A camera: a place seen from a fixed point, with its own light, colours, sharpness and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.synthetic.background import draw_background
from maskps.synthetic.furniture import FURNITURE, Sprite, draw_furniture
from maskps.synthetic.ground import Ground
from maskps.synthetic.places import PLACES
from maskps.synthetic.shapes import Light

SWAY = 10  # pixels around the image: the background of each scene is shifted a little
_SHAPES = ((1.0, 0.75), (0.75, 1.0), (1.0, 0.5625), (0.5625, 1.0))


@dataclass(frozen=True)
class CameraPlan:
    """A camera before its background is drawn.

    Attributes:
        size: (width, height) of its images.
        ground: its ground plane, in a frame that is `SWAY` pixels larger on each side.
        seed: entropy of everything that is drawn for it.
    """

    place: str
    size: tuple[int, int]
    ground: Ground
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Camera:
    """A camera that can take scenes: its background and furniture are drawn.

    Attributes:
        background: (H + 2 SWAY, W + 2 SWAY, 3) float32.
        furniture: far to near, in the background's frame.
        gain: (3,) colour cast; `contrast`, `blur` (pixels), `noise` (grey levels), `quality` (JPEG).
    """

    plan: CameraPlan
    background: NDArray[np.float32]
    furniture: tuple[Sprite, ...]
    light: Light
    gain: NDArray[np.float32]
    contrast: float
    blur: float
    noise: float
    quality: int


def plan_camera(seed: tuple[int, ...], *, longest: int, heights: tuple[float, float]) -> CameraPlan:
    """Returns a random camera whose longest image side is `longest` pixels.

    Args:
        heights: of a person far away and near by, as shares of the longest side.
    """
    rng = np.random.default_rng(seed)
    place = tuple(PLACES)[int(rng.integers(0, len(PLACES)))]
    share = _SHAPES[int(np.searchsorted((0.62, 0.82, 0.95), rng.random(), side="right"))]
    width, height = (round(longest * side) for side in share)
    base = float(round(height * rng.uniform(0.42, 0.56))) + SWAY
    far = heights[0] * longest * rng.uniform(0.85, 1.25)
    near = heights[1] * longest * rng.uniform(0.85, 1.15)
    near = min(near, 0.66 * height)
    slope = (near - far) / (height + SWAY - base)
    ground = Ground(width + 2 * SWAY, height + 2 * SWAY, base, far, base - far / slope)
    return CameraPlan(place, (width, height), ground, seed)


def open_camera(plan: CameraPlan) -> Camera:
    """Returns the camera of this plan, with its background and furniture drawn."""
    rng = np.random.default_rng((*plan.seed, 1))
    background = draw_background(plan.place, plan.ground, rng=rng)
    kinds = FURNITURE[plan.place]
    things = []
    for _ in range(int(rng.integers(2, 6))):
        kind = kinds[int(rng.integers(0, len(kinds)))]
        depth = rng.uniform(0.2, 1.0)
        foot = plan.ground.base + depth * (plan.ground.height - plan.ground.base)
        things.append(
            draw_furniture(
                kind,
                x=rng.uniform(0, plan.ground.width),
                foot=foot,
                height=plan.ground.height_at(foot),
                rng=rng,
            )
        )
    angle = rng.uniform(-1.0, 1.0)
    direction = np.array([np.sin(angle), -0.35, 0.55 + 0.45 * np.cos(angle)])
    direction /= np.linalg.norm(direction)
    ambient = rng.uniform(0.42, 0.62)
    warm = rng.normal(0, 0.05)
    return Camera(
        plan=plan,
        background=background,
        furniture=tuple(sorted(things, key=lambda thing: thing.foot)),
        light=Light(
            (float(direction[0]), float(direction[1]), float(direction[2])),
            float(ambient),
            float(1.08 - ambient),
        ),
        gain=np.array([1 + warm, 1 + rng.normal(0, 0.015), 1 - warm], dtype=np.float32),
        contrast=float(rng.uniform(0.82, 1.1)),
        blur=float(rng.choice([0.0, 0.3, 0.5, 0.7])) * max(plan.size) / 600.0,
        noise=float(rng.uniform(1.0, 5.0)),
        quality=int(rng.integers(72, 93)),
    )
