"""A gallery of one's own images: add files, search for a person, forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.gallery.indexing import Added, AddOptions, CameraOf, Progress, add_files
from maskps.gallery.photos import find_files, read_photo
from maskps.gallery.predictors import MIN_SCORE, PersonPredictor, network_of, unit_vectors
from maskps.gallery.records import PersonRow, Source, Where
from maskps.gallery.store import GalleryStore, open_store

_MORE = 4  # times as many hits are asked for if some are left out


@dataclass(frozen=True)
class Hits:
    """Persons of a gallery, the most similar to the query first; n may be 0.

    A similarity is the cosine of two vectors. It is not a probability, and not identity.

    Attributes:
        similarity: (n,) float32 in -1..1.
        rows: n persons: number, source with its path, frame time, box and score.
    """

    similarity: NDArray[np.float32]
    rows: tuple[PersonRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def id(self) -> NDArray[np.int64]:
        """(n,) int64, the persons' numbers in the gallery."""
        return np.array([row.id for row in self.rows], dtype=np.int64)

    @property
    def source(self) -> NDArray[np.int64]:
        """(n,) int64, the numbers of the files that show them."""
        return np.array([row.source.id for row in self.rows], dtype=np.int64)

    @property
    def path(self) -> tuple[str, ...]:
        """n paths of these files, absolute; a file may be gone since."""
        return tuple(row.source.path for row in self.rows)

    @property
    def camera(self) -> tuple[str | None, ...]:
        """n names; None if the camera is not known."""
        return tuple(row.camera for row in self.rows)

    @property
    def time(self) -> NDArray[np.float64]:
        """(n,) float64, Unix seconds; NaN if the time is not known."""
        return np.array([np.nan if row.at is None else row.at for row in self.rows], dtype=np.float64)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(n, 4) float32, xyxy in pixels of the upright image."""
        return np.array([row.box for row in self.rows], dtype=np.float32).reshape(-1, 4)

    @property
    def score(self) -> NDArray[np.float32]:
        """(n,) float32, the detections' confidence in 0..1."""
        return np.array([row.score for row in self.rows], dtype=np.float32)


class Gallery:
    """The persons in one's own images, and the search among them.

    Example:
        predictor = load_run(Path("run")).predictor()
        with Gallery.open("people.gallery", predictor) as gallery:
            gallery.add([Path("photos")], camera="door")
            hits = gallery.search(Path("someone.jpg"), (120, 40, 210, 330))

    Attributes:
        store: where the persons are.
        predictor: the network; None without one: then it can forget, and list what it has.

    Args:
        own_files: the store's files, which are never photos.
    """

    def __init__(
        self,
        store: GalleryStore,
        predictor: PersonPredictor | None = None,
        *,
        own_files: Sequence[Path] = (),
    ) -> None:
        self.store, self.predictor, self._own_files = store, predictor, own_files

    @classmethod
    def open(
        cls, place: str | Path, predictor: PersonPredictor | None = None, *, create: bool = True
    ) -> Gallery:
        """Opens the gallery at `place`, as `maskps.gallery.open_store` describes it.

        Args:
            predictor: the network; needed to add and to search.
            create: accept that there is no gallery yet. Needs the predictor.

        Raises:
            ConfigError, InputFileError, OutputError: as `open_store`.
        """
        network = None if predictor is None else network_of(predictor)
        if not create:
            open_store(place).close()
        own_files = [Path(f"{place}{end}") for end in ("", "-wal", "-shm", "-journal")]
        return cls(open_store(place, network), predictor, own_files=own_files)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the use of the gallery; nothing is lost without it."""
        self.store.close()

    def add(
        self,
        paths: Sequence[Path],
        *,
        camera: str | CameraOf | None = None,
        start: float | None = None,
        min_score: float = MIN_SCORE,
        every: float = 1.0,
        part: tuple[int, int] = (0, 1),
        progress: Progress | None = None,
    ) -> Added:
        """Adds the persons in these photos and videos, and in those below these folders, if new or changed.

        What is read is safe on disk photo by photo, and every `maskps.gallery.indexing.BATCH` frames of a
        video: after a stop, the same call adds the rest.

        Args:
            camera: name of the camera, or a function that returns it for a file; None leaves what is known.
            start: in Unix seconds, the time of photos whose EXIF does not say when they were taken, and of
                each video's first frame in place of what the file says.
            min_score: lowest score of a detection that counts as a person, 0 to 1.
            every: seconds from one frame of a video that is searched for persons to the next. A video that
                is read already stays as it is; forget it to read it at other times.
            part: (number of this process, number of all), if several share the files out.
            progress: is called with files done, files in all, and a text.

        Returns:
            What was done. Files that cannot be read are in `skipped`, with the reason.

        Raises:
            ConfigError: the gallery was opened without a predictor, or as `AddOptions`.
            InputFileError: as `find_files`.
            AnnotationError, OutputError: as `add_files`.
        """
        predictor = self._needs_predictor()
        camera_of = None if camera is None else camera if callable(camera) else _always(camera)
        options = AddOptions(camera_of, start, min_score, every, *part)
        found = find_files(paths, leave_out=self._own_files)
        return add_files(self.store, predictor, found, options, progress=progress)

    def search(
        self,
        image: NDArray[np.uint8] | Path,
        box: Sequence[float] | NDArray[np.floating],
        top: int = 20,
        where: Where | None = None,
        *,
        per_source: int | None = None,
        min_similarity: float = -1.0,
    ) -> Hits:
        """Finds the persons who look most like the one in this box of an image.

        The query's vector is pooled from the box as given, as in the evaluation.

        Args:
            image: (H, W, 3) uint8 RGB, upright; or a photo's file.
            box: xyxy in pixels of the upright image; what lies outside of it is cut off.
            top: how many hits at most, 1 or more.
            where: which persons count; None: all.
            per_source: how many hits of one photo or video at most; None: no limit.
            min_similarity: hits below are left out.

        Raises:
            ConfigError: a box that covers nothing of the image; `top` below 1; no predictor.
            InputFileError: the photo cannot be read, or the gallery is damaged.
        """
        pixels = read_photo(image).pixels if isinstance(image, Path) else image
        vectors = self.vectors_of(pixels, [box])
        return self.search_vectors(vectors, top, where, per_source=per_source, min_similarity=min_similarity)

    def search_vectors(
        self,
        vectors: NDArray[np.float32],
        top: int = 20,
        where: Where | None = None,
        *,
        per_source: int | None = None,
        min_similarity: float = -1.0,
    ) -> Hits:
        """Finds the persons who look most like several examples of one person.

        The query is the mean of the examples' vectors, with length 1 again. `vectors_of` gives those of
        boxes in images, and `store.vectors` those of persons of the gallery.

        Args:
            vectors: (n, D) float32 of length 1; n is 1 or more. The other arguments are those of `search`.

        Raises:
            AnnotationError: a vector whose length is not 1, or examples whose mean is zero.
            ConfigError: vectors of another length than D; `top` below 1.
        """
        query = vectors if len(vectors) == 1 else unit_vectors(vectors.mean(axis=0, keepdims=True))
        rows, similarity = self._best(query, top, where or Where(), per_source)
        count = int((similarity >= min_similarity).sum())
        return Hits(similarity[:count], tuple(rows[:count]))

    def vectors_of(
        self, pixels: NDArray[np.uint8], boxes: Sequence[Sequence[float] | NDArray[np.floating]]
    ) -> NDArray[np.float32]:
        """Returns the (n, D) float32 vectors, of length 1, of the persons in these boxes of an image.

        Args:
            pixels: (H, W, 3) uint8 RGB, upright.
            boxes: n boxes, xyxy in pixels; what lies outside of the image is cut off.

        Raises:
            ConfigError: a box that covers nothing of the image; no predictor.
        """
        height, width = pixels.shape[:2]
        inside = np.array([box_inside(box, width, height) for box in boxes], np.float32).reshape(-1, 4)
        return unit_vectors(self._needs_predictor().embed(pixels, inside))

    def forget(self, where: Where | Sequence[int]) -> int:
        """Removes persons, and returns how many; see `GalleryStore.forget`."""
        return self.store.forget(where)

    def sources(self) -> list[Source]:
        """Returns all photos and videos, by number."""
        return self.store.sources()

    def _best(
        self, vectors: NDArray[np.float32], top: int, where: Where, per_source: int | None
    ) -> tuple[list[PersonRow], NDArray[np.float32]]:
        """Returns the best rows, at most `per_source` of a source, and their similarities."""
        wanted = top
        while True:
            (ids,), (similarities,) = self.store.search(vectors, wanted, where)
            rows = self.store.rows(ids)
            if per_source is None:
                return rows, similarities
            kept = _first_of_each([row.source.id for row in rows], per_source)[:top]
            if len(kept) == top or len(rows) < wanted:
                return [rows[place] for place in kept], similarities[kept]
            wanted *= _MORE

    def _needs_predictor(self) -> PersonPredictor:
        if self.predictor is None:
            raise ConfigError(
                "Gallery.open",
                expected="a predictor, to find persons in images",
                found="none",
                hint="give the network that the gallery was made with",
            )
        return self.predictor


def box_inside(box: Sequence[float] | NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """Returns a box (4,) xyxy as float32, cut off at the border of an image.

    Raises:
        ConfigError: not four finite numbers, corners in the wrong order, or nothing left inside the image.
    """
    given = np.asarray(box, dtype=np.float64)
    inside = np.clip(given, 0, [width, height] * 2) if given.shape == (4,) else given
    if inside.shape != (4,) or not np.isfinite(given).all() or not (inside[2:] > inside[:2]).all():
        raise ConfigError(
            "the query's box",
            expected=f"x0, y0, x1, y1 in pixels with x0 < x1 and y0 < y1, in an image of {width} x {height}",
            found=", ".join(f"{value:g}" for value in given.ravel()[:5].tolist()),
            hint="the corners are those of the upright image",
        )
    return inside.astype(np.float32)


def _first_of_each(sources: Sequence[int | None], count: int) -> list[int]:
    """Returns the places of the first `count` of each source, in order."""
    seen: dict[int | None, int] = {}
    kept = []
    for place, source in enumerate(sources):
        seen[source] = seen.get(source, 0) + 1
        if seen[source] <= count:
            kept.append(place)
    return kept


def _always(camera: str) -> CameraOf:
    return lambda path: camera
