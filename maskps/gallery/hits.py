"""A search and its hits: what every output of it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.gallery.gallery import Hits
from maskps.gallery.indexing import is_there
from maskps.gallery.photos import read_photo, shown_path
from maskps.gallery.records import Network, PersonRow, Source
from maskps.gallery.video import read_frame
from maskps.io.files import sha256_of

NOTE = (
    "Similarity is not identity. It is the cosine of two vectors of how people look, not a probability: "
    "other people can look alike, and one person can look different."
)

NOBODY = "Nobody in the gallery passes the filters."

FORMAT, VERSION = "maskps-hits", 1


@dataclass(frozen=True)
class Search:
    """A search and what it found.

    Attributes:
        gallery: where the gallery is, as text.
        query: file of the query's photo.
        pixels: (H, W, 3) uint8 RGB, the query's photo, upright.
        box: (4,) float32, xyxy, the person of the query, in pixels of that photo.
        network: that of the gallery.
        hits: what was found.
    """

    gallery: str
    query: Path
    pixels: NDArray[np.uint8]
    box: NDArray[np.float32]
    network: Network
    hits: Hits


def shown_time(seconds: float | None) -> str:
    """Returns a time in this machine's zone, with the zone; "" if it is not known."""
    if seconds is None or np.isnan(seconds):
        return ""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def film_time(seconds: float) -> str:
    """Returns the time in a video as hours, minutes and seconds, e.g. 0:12:30.50."""
    whole, hundredths = divmod(round(100 * seconds), 100)
    return f"{timedelta(seconds=whole)}.{hundredths:02}"


def hits_as_dict(search: Search) -> dict[str, Any]:
    """Returns a search as JSON's types; times as text in this machine's zone, or None."""
    hits = search.hits
    return {
        "format": FORMAT,
        "version": VERSION,
        "note": NOTE,
        "terms": search.network.terms,
        "gallery": search.gallery,
        "query": {"path": shown_path(search.query), "box": search.box.tolist()},
        "hits": hits_as_dicts(hits),
    }


def hits_as_dicts(hits: Hits) -> list[dict[str, Any]]:
    """Returns hits as JSON's types, in order; times as in `hits_as_dict`."""
    return [
        {
            "rank": rank,
            "similarity": float(similarity),
            "person": row.id,
            "path": shown_path(row.source.path),
            "kind": row.source.kind,
            "is_file_there": is_as_added(row.source),
            "camera": row.camera,
            "time": shown_time(row.at) or None,
            "frame_time": row.frame_time,
            "box": list(row.box),
            "score": row.score,
        }
        for rank, (similarity, row) in enumerate(zip(hits.similarity, hits.rows, strict=True), start=1)
    ]


def is_as_added(source: Source) -> bool:
    """Whether the file of a source has the content that was added. A photo may have another time.

    A video with another time counts as changed: it is too large to be read for each hit.
    """
    if is_there(source):
        return True
    if source.kind == "video":
        return False
    path = Path(source.path)
    try:
        return path.stat().st_size == source.size and sha256_of(path, what="a photo") == source.sha256
    except (OSError, ValueError, InputFileError):
        return False


def hit_photos(search: Search) -> Iterator[tuple[PersonRow, NDArray[np.uint8] | str]]:
    """Yields each hit with the upright pixels (H, W, 3) of its photo or frame, or why there are none."""

    cached = lru_cache(maxsize=4)(scene_pixels)
    for row in search.hits.rows:
        yield row, cached(row.source, row.frame_time)


def scene_pixels(source: Source, frame_time: float) -> NDArray[np.uint8] | str:
    """Returns the upright photo of a source, or its frame at this time, or why it cannot be shown.

    Returns:
        (H, W, 3) uint8 RGB, or text.
    """
    if not is_as_added(source):
        return "the file is gone, or has changed since it was added"
    try:
        if source.kind == "video":
            return read_frame(Path(source.path), frame_time)
        return read_photo(Path(source.path)).pixels
    except InputFileError as error:
        return error.found
