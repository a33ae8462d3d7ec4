"""The records of a gallery: its network, its sources, the persons in them, and filters.

Times are seconds: `started_at`, `start`, `end` and `at` since 1970-01-01 UTC, `frame_time` since the start of
the source.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, ConfigError, shown_value

SourceState = Literal["reading", "complete", "cut off", "duplicate"]
"""How much of a source is in the gallery: not yet all, all, all that its damaged file gives, or nothing
because another source has the same content."""

_LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Network:
    """The network that made the vectors. Vectors of two networks cannot be compared.

    Attributes:
        weights: sha256 (hex) of the weights; a run and the ONNX file made from it have the same.
        feature: the feature that is compared, e.g. "embedding".
        dim: D, the numbers in a vector.
        shorter_side, longest_side: limits of an image's sides in pixels, to which it is resized.
        recipe: name of the recipe; "" if there is none.
        terms: on which terms the weights may be used; "" if none are known.
    """

    weights: str
    feature: str
    dim: int
    shorter_side: int
    longest_side: int
    recipe: str = ""
    terms: str = ""

    def difference(self, other: Network) -> str:
        """Returns the first field that makes the vectors of the two incomparable, "" if there is none."""
        names = ("dim", "feature", "weights", "shorter_side", "longest_side")
        return next((name for name in names if getattr(self, name) != getattr(other, name)), "")


@dataclass(frozen=True)
class Source:
    """One image or video of a gallery.

    Attributes:
        id: its number in the store; None before it is added.
        path: its file, absolute.
        kind: "image" or "video".
        size, mtime_ns: of the file when it was read, in bytes and in nanoseconds.
        sha256: of the file's content, hex.
        camera: name of the camera; None if it is not known.
        started_at: time of the image, or of the first frame; None if it is not known.
        state: how much of it is in the gallery.
        read_until: frame time up to which a video is read; None before the first frame.

    Raises:
        AnnotationError: a camera's name that cannot be written as UTF-8.
    """

    path: str
    kind: Literal["image", "video"]
    size: int
    mtime_ns: int
    sha256: str
    camera: str | None = None
    started_at: float | None = None
    state: SourceState = "complete"
    read_until: float | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        try:
            (self.camera or "").encode()
        except UnicodeEncodeError as error:
            raise AnnotationError(
                self.path,
                expected="a camera's name in UTF-8",
                found=shown_value(self.camera),
                hint="give the camera another name",
            ) from error


@dataclass(frozen=True)
class Persons:
    """The persons found in one image, or in some frames of a video; row-aligned.

    Attributes:
        boxes: (n, 4) float32, xyxy, pixels of the upright original.
        scores: (n,) float32.
        vectors: (n, D) float32 of length 1.
        frame_time: (n,) float64, 0 in an image.

    Raises:
        AnnotationError: shapes that do not agree, a number that is not finite, a vector
            whose length is not 1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]
    frame_time: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.scores)
        shapes = {"scores": (count,), "boxes": (count, 4), "frame_time": (count,)}
        if self.vectors.ndim != 2 or len(self.vectors) != count:
            raise _wrong("Persons.vectors", f"shape ({count}, D)", f"shape {self.vectors.shape}")
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise _wrong(f"Persons.{name}", f"shape {shape}", f"shape {getattr(self, name).shape}")
        for name in (*shapes, "vectors"):
            if not np.isfinite(getattr(self, name)).all():
                raise _wrong(f"Persons.{name}", "finite numbers", "NaN or an infinite number")
        check_unit_length("Persons.vectors", self.vectors)

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls, dim: int) -> Persons:
        """Returns zero persons, with vectors of `dim` numbers."""
        empty = np.zeros((0, 4), np.float32)
        return cls(empty, np.zeros(0, np.float32), np.zeros((0, dim), np.float32), np.zeros(0, np.float64))


@dataclass(frozen=True)
class PersonRow:
    """One person of a gallery.

    Attributes:
        id: its number in the store; no other person ever gets it.
        source: the image or video.
        frame_time: of its frame.
        box: xyxy, pixels of the upright original.
        score: of the detection.
    """

    id: int
    source: Source
    frame_time: float
    box: tuple[float, float, float, float]
    score: float

    @property
    def camera(self) -> str | None:
        """The camera of its source."""
        return self.source.camera

    @property
    def at(self) -> float | None:
        """When the person was seen; None if the source's time is not known."""
        return None if self.source.started_at is None else self.source.started_at + self.frame_time


@dataclass(frozen=True)
class Where:
    """Which persons: those that meet all conditions given. Without a condition: all.

    Attributes:
        cameras: names; a person of an unknown camera matches none.
        start, end: start <= at < end. A person of unknown time meets neither.
        sources: numbers of sources.
        min_score: lowest score of the detection.

    Raises:
        ConfigError: an end that is not after the start, or a number that is not finite.
    """

    cameras: tuple[str, ...] | None = None
    start: float | None = None
    end: float | None = None
    sources: tuple[int, ...] | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "min_score"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise ConfigError(f"Where.{name}", expected="a finite number", found=shown_value(value))
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ConfigError(
                "Where.end",
                expected=f"a time after the start, {self.start:g}",
                found=f"{self.end:g}",
                hint="exchange the two",
            )

    @property
    def is_of_whole_sources(self) -> bool:
        """Whether it matches all persons of a source or none, by the source's number."""
        return self.cameras is None and self.start is None and self.end is None and self.min_score is None


def check_unit_length(where: str | os.PathLike[str], vectors: NDArray[np.float32]) -> None:
    """Raises AnnotationError if one of the (n, D) vectors does not have length 1, within 0.001."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    bad = ~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        raise _wrong(os.fspath(where), "vectors of length 1", f"length {lengths[row]:g} in row {row}")


def _wrong(where: str, expected: str, found: str) -> AnnotationError:
    hint = "check the network: it gives such numbers after a diverged training"
    return AnnotationError(where, expected=expected, found=found, hint=hint)
