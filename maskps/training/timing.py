"""How fast a run is, and how long it waits for images: kept apart from metrics.jsonl."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path


class Stopwatch:
    """Times the steps of a run and appends one line per epoch to timing.jsonl.

    A line holds epoch, steps, images, seconds, seconds_waiting (for batches) and images_per_second; after
    a resumption an epoch may have several lines. Checkpoints count, evaluations do not.

    Args:
        path: the file; None writes nothing.
    """

    def __init__(self, path: Path | None, *, steps_per_epoch: int) -> None:
        self._path = path
        self._steps_per_epoch = steps_per_epoch
        self._recent: deque[tuple[float, float, int]] = deque(maxlen=50)  # seconds, of them waiting, images
        self._last = self._asked = time.perf_counter()
        self._waiting = 0.0
        self._images, self._seconds = 0, 0.0
        self._epoch = (0, 0, 0.0, 0.0)  # steps, images, seconds, seconds waiting

    def wants_batch(self) -> None:
        """To be called before a batch is asked for."""
        self._asked = time.perf_counter()

    def has_batch(self) -> None:
        """To be called when a batch has arrived; a step may have several."""
        self._waiting += time.perf_counter() - self._asked

    def skip(self) -> None:
        """To be called after something that shall not count."""
        self._last = time.perf_counter()

    def has_step(self, images: int, step: int) -> None:
        """To be called when step `step` (from 1) has been done with that many images."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self._recent.append((seconds, self._waiting, images))
        self._images, self._seconds = self._images + images, self._seconds + seconds
        self._epoch = (
            self._epoch[0] + 1,
            self._epoch[1] + images,
            self._epoch[2] + seconds,
            self._epoch[3] + self._waiting,
        )
        self._waiting = 0.0
        if step % self._steps_per_epoch == 0:
            steps, epoch_images, epoch_seconds, waiting = self._epoch
            line = {
                "epoch": step // self._steps_per_epoch,
                "steps": steps,
                "images": epoch_images,
                "seconds": round(epoch_seconds, 3),
                "seconds_waiting": round(waiting, 3),
                "images_per_second": round(epoch_images / epoch_seconds, 3),
            }
            if self._path is not None:
                with self._path.open("a", encoding="utf-8", newline="\n") as file:
                    file.write(json.dumps(line) + "\n")
            self._epoch = (0, 0, 0.0, 0.0)

    @property
    def seconds(self) -> float:
        return self._seconds

    @property
    def images_per_second(self) -> float:
        """Over all steps so far; 0 before the first."""
        return self._images / self._seconds if self._seconds else 0.0

    @property
    def recent_images_per_second(self) -> float:
        """Over the last 50 steps."""
        return sum(images for _, _, images in self._recent) / self._recent_seconds

    @property
    def recent_seconds_per_step(self) -> float:
        """Over the last 50 steps."""
        return self._recent_seconds / len(self._recent)

    @property
    def recent_waiting(self) -> float:
        """The share of the time of the last 50 steps that was spent waiting for images, 0..1."""
        return sum(waiting for _, waiting, _ in self._recent) / self._recent_seconds

    @property
    def _recent_seconds(self) -> float:
        return sum(seconds for seconds, _, _ in self._recent)
