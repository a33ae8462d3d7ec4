"""The answers of the page's server. Every method may run in any thread."""

from __future__ import annotations

import io
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import ConfigError, InputFileError
from maskps.gallery import Gallery, PersonRow, Source, Where
from maskps.gallery.hits import NOTE, hits_as_dicts, is_as_added, scene_pixels, shown_time
from maskps.gallery.photos import read_photo, shown_path
from maskps.gallery.predictors import MIN_SCORE, persons_in
from maskps.gallery.summary import time_span
from maskps.pictures.drawing import crop_tile, dim_outside, shrunk
from maskps.serve.asked import Asked, Example
from maskps.serve.guard import RefusedError
from maskps.serve.pictures import MOST_PIXELS, Box, Picture, Pictures

PAGE_OF_SOURCES = 24

_TILE = (180, 360)
_SCENE, _THUMB = 1600, 400
_CONTEXT = 0.15


class Desk:
    """A gallery and its network, as the page uses them.

    Args:
        place: where the gallery is, as text.
        gallery: opened with its predictor.
    """

    def __init__(self, place: str, gallery: Gallery) -> None:
        self._place, self._gallery, self._store = place, gallery, gallery.store
        self.pictures = Pictures()

    def info(self) -> dict[str, Any]:
        """Returns what the page shows before a search: the gallery, its cameras and times."""
        sources = [one for one in self._store.sources() if one.state != "duplicate"]
        first, last = time_span(sources)
        return {
            "gallery": shown_path(self._place),
            "network": self._store.network.recipe,
            "terms": self._store.network.terms,
            "note": NOTE,
            "persons": self._store.count(),
            "sources": len(sources),
            "cameras": sorted({one.camera for one in sources if one.camera is not None}),
            "first": shown_time(first) or None,
            "last": shown_time(last) or None,
        }

    def warm_up(self) -> None:
        """Makes the store read what the first search would have to wait for."""
        query = np.zeros((1, self._store.network.dim), np.float32)
        query[0, 0] = 1
        self._store.search(query, 1, Where())

    def detect(self, content: bytes) -> dict[str, Any]:
        """Returns the persons in a picture, which is kept under the name that is returned with them.

        Raises:
            RefusedError: 422, a file that cannot be read as a picture.
        """
        name = Path("the picture")
        try:
            pixels = read_photo(name, content, most_pixels=MOST_PIXELS).pixels
        except InputFileError as error:
            raise RefusedError.of(HTTPStatus.UNPROCESSABLE_ENTITY, "the picture", error) from error
        assert self._gallery.predictor is not None
        found = persons_in(self._gallery.predictor, pixels, MIN_SCORE)
        picture = Picture(pixels, [_box(row) for row in found.boxes.tolist()], found.scores.tolist())
        return {
            "picture": self.pictures.add(picture),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "persons": [
                {"box": box, "score": score} for box, score in zip(picture.boxes, picture.scores, strict=True)
            ],
        }

    def embed_detected(self, name: str) -> None:
        """Computes the vectors of all persons found in a picture, before one is chosen."""
        picture = self.pictures.get(name)
        if picture is not None and picture.boxes:
            vectors = self._gallery.vectors_of(picture.pixels, picture.boxes)
            picture.vectors |= dict(zip(picture.boxes, vectors, strict=True))

    def needs_network(self, asked: Asked) -> bool:
        """Whether a search needs vectors that are not there yet."""
        return any(self._known_vector(example) is None for example in asked.examples)

    def search(self, asked: Asked) -> dict[str, Any]:
        """Returns the hits of a search.

        Raises:
            RefusedError: 404, a person who is not in the gallery; 410, a picture that is no longer kept, or a
                scene that cannot be shown; 400, a box that covers nothing.
        """
        vectors = np.stack([self._vector(example) for example in asked.examples])
        hits = self._gallery.search_vectors(
            vectors,
            asked.top,
            asked.where,
            per_source=asked.per_source,
            min_similarity=asked.min_similarity,
        )
        texts = hits_as_dicts(hits)
        for text, row in zip(texts, hits.rows, strict=True):
            text |= {"person": str(row.id), "source": str(row.source.id)}
        return {"hits": texts, "persons": self._store.count()}

    def picture(self, name: str) -> bytes:
        """Returns a kept picture as JPEG, upright and without EXIF.

        Raises:
            RefusedError: 410.
        """
        return _jpeg(shrunk(Image.fromarray(self._picture(name).pixels), _SCENE)[0])

    def crop(self, person: int) -> bytes:
        """Returns a person of the gallery as JPEG.

        Raises:
            RefusedError: 404, not in the gallery; 410, the file is gone or changed.
        """
        row = self._row(person)
        box = np.array(row.box)
        tile, place = crop_tile(Image.fromarray(_pixels(row)), box, _TILE, context=_CONTEXT)
        return _jpeg(dim_outside(tile, place))

    def scene_picture(self, person: int, longest: int = _SCENE) -> bytes:
        """Returns the whole photo, or frame, of a person of the gallery as JPEG; raises as `crop`."""
        return _jpeg(shrunk(Image.fromarray(_pixels(self._row(person))), longest)[0])

    def scene_thumb(self, person: int) -> bytes:
        """Returns the same, small."""
        return self.scene_picture(person, _THUMB)

    def scene(self, person: int) -> dict[str, Any]:
        """Returns all persons of the photo, or frame, that shows a person; raises as `crop`.

        Of a video also one person each of the frames before and after.
        """
        row = self._row(person)
        height, width = _pixels(row).shape[:2]
        assert row.source.id is not None
        rows = self._store.rows(self._store.ids(Where(sources=(row.source.id,))))
        before = [one for one in rows if one.frame_time < row.frame_time]
        after = [one for one in rows if one.frame_time > row.frame_time]
        return {
            **_about(row),
            "width": width,
            "height": height,
            "persons": [
                {"person": str(one.id), "box": one.box, "score": one.score}
                for one in rows
                if one.frame_time == row.frame_time
            ],
            "before": str(max(before, key=lambda one: one.frame_time).id) if before else None,
            "after": str(min(after, key=lambda one: one.frame_time).id) if after else None,
        }

    def sources(self, camera: str | None, start: int) -> dict[str, Any]:
        """Returns a page of the photos and videos that show persons, each by its first person.

        Args:
            camera: only those of this camera; None: all.
            start: how many sources to pass over; `next` of the last page.
        """
        chosen = [
            one
            for one in sorted(self._store.sources(), key=lambda source: source.id or 0)
            if one.state != "duplicate" and (camera is None or one.camera == camera)
        ]
        shown: list[dict[str, Any]] = []
        while start < len(chosen) and len(shown) < PAGE_OF_SOURCES:
            part = chosen[start : start + PAGE_OF_SOURCES - len(shown)]
            start += len(part)
            ids = self._store.ids(Where(sources=tuple(one.id for one in part if one.id is not None)))
            first: dict[int | None, PersonRow] = {}
            count: dict[int | None, int] = {}
            for row in self._store.rows(ids):
                first.setdefault(row.source.id, row)
                count[row.source.id] = count.get(row.source.id, 0) + 1
            shown += [{**_about(row), "count": count[source]} for source, row in first.items()]
        return {"sources": shown, "next": start if start < len(chosen) else None, "all": len(chosen)}

    def _vector(self, example: Example) -> NDArray[np.float32]:
        known = self._known_vector(example)
        if known is not None:
            return known
        if example.person is None:
            pixels = self._picture(example.picture).pixels
        else:
            pixels = _pixels(self._row(example.person))
        assert example.box is not None
        try:
            (vector,) = self._gallery.vectors_of(pixels, [example.box])
        except ConfigError as error:
            raise RefusedError.of(HTTPStatus.BAD_REQUEST, "box", error) from error
        if example.person is None:
            self._picture(example.picture).vectors[example.box] = vector
        return vector

    def _known_vector(self, example: Example) -> NDArray[np.float32] | None:
        """Returns the vector of an example; None if the network has to compute it."""
        if example.person is None:
            assert example.box is not None
            return self._picture(example.picture).vectors.get(example.box)
        if example.box is None:
            self._row(example.person)
            (vector,) = self._store.vectors([example.person])
            return vector
        return None

    def _picture(self, name: str) -> Picture:
        picture = self.pictures.get(name)
        if picture is None:
            raise RefusedError(
                HTTPStatus.GONE,
                "the picture",
                expected="a picture that was dropped in the last 10 minutes",
                found="it is no longer kept",
                hint="drop it again",
            )
        return picture

    def _row(self, person: int) -> PersonRow:
        try:
            (row,) = self._store.rows([person])
        except ConfigError as error:
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                error.where,
                expected="a person of the gallery",
                found=error.found,
                hint="search again",
            ) from error
        return row


def _about(row: PersonRow) -> dict[str, Any]:
    return {
        "person": str(row.id),
        "path": shown_path(row.source.path),
        "kind": row.source.kind,
        "camera": row.camera,
        "time": shown_time(row.at) or None,
        "frame_time": row.frame_time,
        "is_file_there": is_as_added(row.source),
    }


def _box(row: list[float]) -> Box:
    x0, y0, x1, y1 = row
    return x0, y0, x1, y1


class _NotShownError(Exception):
    """A scene that cannot be shown. An exception, because results are kept and exceptions are not."""


@lru_cache(maxsize=2)  # the crops of a scene, and a scene's size and picture, are asked for one after another
def _kept_pixels(source: Source, frame_time: float) -> NDArray[np.uint8]:
    found = scene_pixels(source, frame_time)
    if isinstance(found, str):
        raise _NotShownError(found)
    return found


def _pixels(row: PersonRow) -> NDArray[np.uint8]:
    """Returns the photo or frame that shows a person.

    Raises:
        RefusedError: 410, with the reason.
    """
    try:
        if not is_as_added(row.source):
            _kept_pixels.cache_clear()
        return _kept_pixels(row.source, row.frame_time)
    except _NotShownError as error:
        found = str(error)
        raise RefusedError(
            HTTPStatus.GONE, "the scene", expected="the file as it was", found=found
        ) from error


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    return stream.getvalue()
