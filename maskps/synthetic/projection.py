"""From the body's own frame to image pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PITCH = 0.13  # the angle at which cameras look down, radians: near feet are lower in the image than far ones


class Projection:
    """Turns (forward, right, up) in body heights into image pixels, orthographically.

    Args:
        foot: x and y pixels of the body's origin on the ground.
        scale: pixels per body height.
        yaw: 0 faces the camera, +pi/2 walks to the right of the image.
    """

    def __init__(self, foot: tuple[float, float], scale: float, yaw: float) -> None:
        self.foot, self.scale, self.yaw = foot, scale, yaw
        self._sin, self._cos = float(np.sin(yaw)), float(np.cos(yaw))

    def __call__(self, point: NDArray[np.float64]) -> tuple[float, float]:
        """Returns x and y pixels of a (3,) point."""
        across = point[0] * self._sin - point[1] * self._cos
        return (
            float(self.foot[0] + self.scale * across),
            float(
                self.foot[1] - self.scale * (point[2] * np.cos(_PITCH) - self.depth(point) * np.sin(_PITCH))
            ),
        )

    def depth(self, point: NDArray[np.float64]) -> float:
        """Returns by how much a point is nearer to the camera than the body's axis, in body heights."""
        return float(point[0] * self._cos + point[1] * self._sin)

    def width(self, half: float, deep: float) -> float:
        """Returns the half-width in pixels of an ellipse with these half axes (sideways, forwards)."""
        return float(self.scale * np.hypot(half * self._cos, deep * self._sin))
