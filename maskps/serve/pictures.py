"""Pictures that were dropped on the page: in memory, few, and for a short time."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

KEPT_SECONDS = 600.0
"""A picture is dropped so long after its last use."""

MOST_PICTURES = 8
MOST_PIXELS = 50_000_000
"""Of one picture; and of all kept ones together, but for the newest."""

Box = tuple[float, float, float, float]


@dataclass
class Picture:
    """A picture with the persons that the network found in it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright.
        boxes: n boxes, xyxy in its pixels, best first.
        scores: n scores in 0..1.
        vectors: (D,) float32 of length 1 of the boxes that were asked for, or soon may be.
    """

    pixels: NDArray[np.uint8]
    boxes: list[Box]
    scores: list[float]
    vectors: dict[Box, NDArray[np.float32]] = field(default_factory=dict)


class Pictures:
    """The kept pictures, by random names that nobody can guess.

    Args:
        now: returns seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, threading.RLock()
        self._kept: dict[str, tuple[float, Picture]] = {}  # the last used one last

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, picture: Picture) -> str:
        """Keeps a picture, and returns its name; the oldest ones go if there are too many."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[name] = (self._now(), picture)
            self.drop_old()
        return name

    def get(self, name: str) -> Picture | None:
        """Returns the picture of a name; None if there is none, or no longer."""
        with self._lock:
            self.drop_old()
            if name not in self._kept:
                return None
            _, picture = self._kept.pop(name)
            self._kept[name] = (self._now(), picture)
            return picture

    def drop_old(self) -> None:
        """Drops what is older than `KEPT_SECONDS`, and the oldest of too many."""
        with self._lock:
            names: list[str] = []
            pixels = 0
            for name, (used, picture) in reversed(self._kept.items()):
                pixels += picture.pixels[..., 0].size
                is_too_much = len(names) == MOST_PICTURES or (names and pixels > MOST_PIXELS)
                if used <= self._now() - KEPT_SECONDS or is_too_much:
                    break
                names.append(name)
            self._kept = {name: self._kept[name] for name in reversed(names)}
