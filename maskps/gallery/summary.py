"""All that a gallery holds: counted, and as detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskps.gallery.indexing import is_there
from maskps.gallery.photos import shown_path
from maskps.gallery.records import Network, PersonRow, Source, Where
from maskps.gallery.store import GalleryStore

if TYPE_CHECKING:
    from maskps.evaluation.detections_file import Detections


@dataclass(frozen=True)
class CameraSummary:
    """The photos and videos of one camera.

    Attributes:
        camera: its name; None for files whose camera is not known.
        photos, videos, persons: their numbers.
        first, last: earliest and latest known time, Unix seconds; None if none is known.
    """

    camera: str | None
    photos: int
    videos: int
    persons: int
    first: float | None
    last: float | None


@dataclass(frozen=True)
class GallerySummary:
    """The numbers of a gallery.

    Attributes:
        persons, photos, videos: their numbers; a content is counted once.
        duplicates: further files with the content of another.
        gone: photos and videos that are no longer where they were, or have changed.
        cut_off: paths of the videos of which only a part could be read.
        unfinished: paths of the videos that are being read, or whose reading was stopped.
        cameras: by name; the unknown one last.
    """

    network: Network
    persons: int
    photos: int
    videos: int
    duplicates: int
    gone: int
    cut_off: tuple[str, ...]
    unfinished: tuple[str, ...]
    cameras: tuple[CameraSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as JSON's types; times are Unix seconds."""
        return dataclasses.asdict(self)


def summary_of(store: GalleryStore) -> GallerySummary:
    """Returns the numbers of a store; looks for each file on disk."""
    every = store.sources()
    files = [source for source in every if source.state != "duplicate"]
    persons = store.count()
    named = sorted({source.camera for source in files if source.camera is not None})
    cameras = [_of_camera(name, files, len(store.ids(Where(cameras=(name,))))) for name in named]
    if any(source.camera is None for source in files):
        cameras.append(_of_camera(None, files, persons - sum(one.persons for one in cameras)))
    photos, videos = _counts(files)
    return GallerySummary(
        network=store.network,
        persons=persons,
        photos=photos,
        videos=videos,
        duplicates=len(every) - len(files),
        gone=sum(not is_there(source) for source in files),
        cut_off=tuple(shown_path(source.path) for source in files if source.state == "cut off"),
        unfinished=tuple(shown_path(source.path) for source in files if source.state == "reading"),
        cameras=tuple(cameras),
    )


def _of_camera(camera: str | None, files: list[Source], persons: int) -> CameraSummary:
    own = [source for source in files if source.camera == camera]
    return CameraSummary(camera, *_counts(own), persons, *time_span(own))


def time_span(sources: Sequence[Source]) -> tuple[float | None, float | None]:
    """Returns the earliest and the latest known time of these, Unix seconds; None if none is known."""
    dated = [(source, source.started_at) for source in sources if source.started_at is not None]
    first = min((start for _, start in dated), default=None)
    return first, max((start + (source.read_until or 0) for source, start in dated), default=None)


def _counts(files: list[Source]) -> tuple[int, int]:
    """Returns the numbers of photos and of videos."""
    videos = sum(source.kind == "video" for source in files)
    return len(files) - videos, videos


def detections_of(store: GalleryStore) -> Detections:
    """Returns all persons as detections, one image per photo, or per frame with persons of a video.

    An image's name is its path; a frame's has "#t=" and the seconds behind it. There are no queries.
    """
    from maskps.evaluation.detections_file import Detections

    ids = store.ids(Where())
    vectors = store.vectors(ids)
    groups: dict[str, list[int]] = {
        shown_path(source.path): []
        for source in store.sources()
        if source.state != "duplicate" and source.kind == "image"
    }
    rows = store.rows(ids)
    for place, row in enumerate(rows):
        groups.setdefault(_image_name(row), []).append(place)
    return Detections.from_images(
        list(groups),
        [np.array([rows[place].box for place in own], np.float32).reshape(-1, 4) for own in groups.values()],
        [np.array([rows[place].score for place in own], np.float32) for own in groups.values()],
        [vectors[own] for own in groups.values()],
        np.zeros((0, store.network.dim), np.float32),
    )


def _image_name(row: PersonRow) -> str:
    path = shown_path(row.source.path)
    return path if row.source.kind == "image" else f"{path}#t={row.frame_time:.3f}"
