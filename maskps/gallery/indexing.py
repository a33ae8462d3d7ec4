"""Adding files to a gallery: only what is new or changed goes through the network.

A file of unchanged size and time is left alone. Else its SHA-256 decides: known content is not computed
again, whether the file was moved, copied or only touched. A video is written in batches, and a later call
continues behind the last one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError, InputFileError
from maskps.gallery.photos import FoundFiles, read_photo
from maskps.gallery.predictors import MIN_SCORE, PersonPredictor, persons_in, unit_vectors
from maskps.gallery.records import Persons, Source, Where
from maskps.gallery.standing import AGAIN_AFTER, Standing, joined
from maskps.gallery.store import GalleryStore
from maskps.gallery.video import open_video
from maskps.io.files import explained_reading, sha256_of

CameraOf = Callable[[Path], str | None]
Progress = Callable[[int, int, str], None]

BATCH = 32
"""Sampled frames of a video that are written at once: what a stop may lose."""

_WHOLE = ("complete", "cut off")


@dataclass(frozen=True)
class AddOptions:
    """How files are added.

    Attributes:
        camera_of: returns the camera of a file; None, of either kind, leaves what is recorded.
        start: Unix seconds of photos that do not say when they were taken, and of every video's first frame.
        min_score: lowest score of a detection that counts as a person, 0 to 1.
        every: seconds from one frame of a video that is searched for persons to the next.
        part, parts: add only the files of one part of so many. Files of one content are in one part.

    Raises:
        ConfigError: a time or score out of its range; a part that is not 0 to parts - 1.
    """

    camera_of: CameraOf | None = None
    start: float | None = None
    min_score: float = MIN_SCORE
    every: float = 1.0
    part: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        if not 0.001 <= self.every <= 1e9:
            raise ConfigError(
                "every", expected="0.001 seconds or more", found=f"{self.every:g}", hint="for example 1.0"
            )
        if not 0 <= self.min_score <= 1:
            raise ConfigError(
                "min_score",
                expected="a number from 0 to 1",
                found=f"{self.min_score:g}",
                hint="for example 0.5",
            )
        if not 0 <= self.part < self.parts:
            raise ConfigError(
                f"part {self.part} of {self.parts}",
                expected="the number of a process, from 0, below that of all",
                found="another number",
                hint="torchrun sets RANK and WORLD_SIZE; unset them, or start torchrun",
            )


@dataclass
class Added:
    """What `Gallery.add` did. Each file is counted once.

    Attributes:
        new: files that went through the network for the first time.
        changed: files that went through it again, because their content is not what it was.
        unchanged: files that the gallery has already.
        moved: files that the gallery had under a path where they are no longer.
        duplicates: files with the content of another file; they are noted, their persons kept once.
        persons: found in new and changed files.
        skipped: files and folders that were not read, and why.
        cut_off: videos of which only a part could be read; that part is in the gallery.
        undated: number of videos whose start is not known: of their persons, only the time in the video is.
        others: number of other files in the folders.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    duplicates: int = 0
    persons: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    cut_off: list[Path] = field(default_factory=list)
    undated: int = 0
    others: int = 0


def add_files(
    store: GalleryStore,
    predictor: PersonPredictor,
    found: FoundFiles,
    options: AddOptions,
    *,
    progress: Progress | None = None,
) -> Added:
    """Adds files to a store. A stop loses at most one photo, or `BATCH` sampled frames of a video.

    Args:
        progress: is called with the number of files done, of all, and a text: the persons so far, and where
            in a video it is.

    Returns:
        The counts; a file that cannot be read is among `skipped`.

    Raises:
        AnnotationError: the network gives numbers that are not finite.
        OutputError: the store cannot be written.
    """
    added = Added()
    if options.part == 0:
        added.others = found.others
        added.skipped += found.unread
    files = [*found.photos, *found.videos]
    done = 0

    def note(place: str = "") -> None:
        if progress is not None:
            progress(done, len(files), f"{added.persons:,} persons{place}")

    adder = _Adder(store, predictor, options, added, note)
    for done, path in enumerate(files):
        note()
        try:
            adder.add(path, "image" if done < len(found.photos) else "video")
        except InputFileError as error:
            if Path(error.where) != path:  # the store is damaged, not the photo
                raise
            added.skipped.append((path, error.found))
    return added


class _Adder:
    """Adds one file after the other; knows what the store has.

    Args:
        added: counts what happens.
        note: is called for each sampled frame of a video, with its place as text.
    """

    def __init__(
        self,
        store: GalleryStore,
        predictor: PersonPredictor,
        options: AddOptions,
        added: Added,
        note: Callable[[str], None],
    ) -> None:
        self._store, self._predictor, self._options, self._added = store, predictor, options, added
        self._note = note
        self._by_path: dict[str, Source] = {}
        self._by_content: dict[str, Source] = {}
        self._begun: dict[str, Source] = {}  # videos of which a part is read, by content
        for source in store.sources():
            self._know(source)

    def add(self, path: Path, kind: Literal["image", "video"]) -> None:
        """Adds one photo or video.

        Raises:
            InputFileError: it cannot be read; what the store has of it stays.
        """
        with explained_reading(path, what=f"a readable {kind}"):
            state = os.stat(path)
        if state.st_size % self._options.parts != self._options.part:
            return
        old = self._by_path.get(str(path))
        if old is not None and _is_at(old, state) and self._is_whole(old):
            self._keep(old, path)
            self._added.unchanged += 1
            return
        digest = sha256_of(path, what=f"a readable {kind}")
        if old is not None and old.sha256 == digest and self._is_whole(old):
            self._keep(_stamped(old, path, state), path)
            self._added.unchanged += 1
            return
        same = self._by_content.get(digest)
        if same is None:
            source = Source(str(path), kind, state.st_size, state.st_mtime_ns, digest)
            read = self._read_photo if kind == "image" else self._read_video
            read(path, source, old)
        elif is_there(same):
            copy = dataclasses.replace(_stamped(same, path, state), state="duplicate", id=None)
            self._put(self._with_options(copy, path), old)
            self._added.duplicates += 1
        else:
            self._put(self._with_options(_stamped(same, path, state), path), old, same)
            self._added.moved += 1

    def _read_photo(self, path: Path, source: Source, old: Source | None) -> None:
        photo = read_photo(path)
        persons = self._persons_in(photo.pixels, 0.0)
        camera = None if old is None else old.camera
        source = dataclasses.replace(source, camera=camera, started_at=photo.taken_at)
        self._put(self._with_options(source, path), old, persons=persons)
        self._count(source, old)

    def _read_video(self, path: Path, source: Source, old: Source | None) -> None:
        """Reads a video, or continues where an earlier call stopped."""
        with open_video(path) as video:
            begun = self._begun.get(source.sha256)
            if begun is not None and (begun == old or not is_there(begun)):
                source = dataclasses.replace(
                    begun, path=source.path, size=source.size, mtime_ns=source.mtime_ns
                )
                standing = Standing(self._kept_in(begun))
            else:
                begun, camera = None, None if old is None else old.camera
                source = dataclasses.replace(
                    source, camera=camera, started_at=video.recorded_at, state="reading"
                )
                standing = Standing(Persons.none(self._store.network.dim))
            source = self._with_options(source, path)
            replaced = [old, begun]
            batch: list[Persons] = []
            for frame in video.samples(self._options.every, source.read_until):
                self._note(f", {path.name} at {timedelta(seconds=int(frame.time))}")
                batch.append(standing.newcomers(self._persons_in(frame.pixels, frame.time)))
                source = dataclasses.replace(source, read_until=frame.time)
                if len(batch) == BATCH:
                    source = self._put(source, *replaced, persons=joined(batch))
                    batch, replaced = [], [source]
            source = dataclasses.replace(source, state="cut off" if video.is_damaged else "complete")
            none = Persons.none(self._store.network.dim)
            self._put(source, *replaced, persons=joined([*batch, none]))
        self._count(source, old)
        self._added.undated += source.started_at is None
        if source.state == "cut off":
            self._added.cut_off.append(path)

    def _persons_in(self, pixels: NDArray[np.uint8], time: float) -> Persons:
        found = persons_in(self._predictor, pixels, self._options.min_score)
        return Persons(
            boxes=found.boxes,
            scores=found.scores,
            vectors=unit_vectors(found.embeddings),
            frame_time=np.full(len(found.scores), time),
        )

    def _kept_in(self, begun: Source) -> Persons:
        """Returns the persons of a video that is read in part, of the last `AGAIN_AFTER` seconds.

        Persons behind `read_until` are forgotten: a store without transactions has them after a crash.
        """
        assert begun.id is not None and begun.read_until is not None
        rows = self._store.rows(self._store.ids(Where(sources=(begun.id,))))
        if late := [row.id for row in rows if row.frame_time > begun.read_until]:
            self._store.forget(late)
        start = begun.read_until - AGAIN_AFTER
        recent = [row for row in rows if start < row.frame_time <= begun.read_until]
        return Persons(
            boxes=np.array([row.box for row in recent], np.float32).reshape(-1, 4),
            scores=np.array([row.score for row in recent], np.float32),
            vectors=self._store.vectors([row.id for row in recent]),
            frame_time=np.array([row.frame_time for row in recent], np.float64),
        )

    def _count(self, source: Source, old: Source | None) -> None:
        if old is None or old.sha256 == source.sha256:
            self._added.new += 1
        else:
            self._added.changed += 1

    def _is_whole(self, source: Source) -> bool:
        """Whether the store has all persons of a source: its own, or those of the file it is a copy of."""
        if source.state != "duplicate":
            return source.state in _WHOLE
        same = self._by_content.get(source.sha256)
        return same is not None and is_there(same)

    def _keep(self, source: Source, path: Path) -> None:
        """Writes the record of a source whose persons stay, if anything in it is new."""
        source = self._with_options(source, path)
        old = self._by_path[source.path]
        if source != old:
            self._put(source, old)

    def _with_options(self, source: Source, path: Path) -> Source:
        camera = None if self._options.camera_of is None else self._options.camera_of(path)
        if camera is not None:
            source = dataclasses.replace(source, camera=camera)
        if self._options.start is not None and (source.kind == "video" or source.started_at is None):
            source = dataclasses.replace(source, started_at=self._options.start)
        return source

    def _put(self, source: Source, *replaced: Source | None, persons: Persons | None = None) -> Source:
        """Writes a source, which takes the place of others, and returns it with its number."""
        persons = Persons.none(self._store.network.dim) if persons is None else persons
        added = self._store.add(source, persons)
        self._added.persons += len(persons)
        for old in replaced:
            if old is not None:
                self._by_path.pop(old.path, None)
                for known in (self._by_content, self._begun):
                    if known.get(old.sha256) == old:
                        del known[old.sha256]
        self._know(added)
        return added

    def _know(self, source: Source) -> None:
        self._by_path[source.path] = source
        if source.state in _WHOLE:
            self._by_content[source.sha256] = source
        elif source.kind == "video" and source.read_until is not None:  # and is being read
            self._begun[source.sha256] = source


def is_there(source: Source) -> bool:
    """Whether a source's file is where it was, with the size and time that it had."""
    try:
        return _is_at(source, os.stat(source.path))
    except (OSError, ValueError):
        return False


def _is_at(source: Source, state: os.stat_result) -> bool:
    return (source.size, source.mtime_ns) == (state.st_size, state.st_mtime_ns)


def _stamped(source: Source, path: Path, state: os.stat_result) -> Source:
    """Returns a source with this file as its own."""
    return dataclasses.replace(source, path=str(path), size=state.st_size, mtime_ns=state.st_mtime_ns)


def sources_below(sources: Sequence[Source], path: Path) -> list[Source]:
    """Returns the sources at this path, or below it if it is a folder; the files may be gone."""
    top = os.fspath(path)
    return [
        source for source in sources if source.path == top or source.path.startswith(top.rstrip("/") + "/")
    ]
