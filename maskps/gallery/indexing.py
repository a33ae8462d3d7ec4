"""Adding files to a gallery: only what is new or changed goes through the network.

A file of unchanged size and time is left alone. Else its SHA-256 decides: known content is not computed
again, whether the file was moved, copied or only touched.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maskps.errors import ConfigError, InputFileError
from maskps.gallery.photos import FoundFiles, read_photo
from maskps.gallery.predictors import PersonPredictor, unit_vectors
from maskps.gallery.records import Persons, Source
from maskps.gallery.store import GalleryStore
from maskps.io.files import explained_reading, sha256_of

CameraOf = Callable[[Path], str | None]
Progress = Callable[[int, int, str], None]

_NO_VIDEOS = "a video, which is not read yet (that will need the extra 'video')"


@dataclass(frozen=True)
class AddOptions:
    """How files are added.

    Attributes:
        camera_of: returns the camera of a file; None, of either kind, leaves what is recorded.
        start: time of photos that do not say when they were taken, in Unix seconds.
        min_score: lowest score of a detection that counts as a person, 0 to 1.
        part, parts: add only the files of one part of so many. Files of one content are in one part.

    Raises:
        ConfigError: a score out of its range; a part that is not 0 to parts - 1.
    """

    camera_of: CameraOf | None = None
    start: float | None = None
    min_score: float = 0.5
    part: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError("min_score", expected="a number from 0 to 1", found=f"{self.min_score:g}")
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
        others: number of other files in the folders.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    duplicates: int = 0
    persons: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    others: int = 0


def add_files(
    store: GalleryStore,
    predictor: PersonPredictor,
    found: FoundFiles,
    options: AddOptions,
    *,
    progress: Progress | None = None,
) -> Added:
    """Adds files to a store, each in a transaction of its own, so that a stop loses at most one file.

    Args:
        progress: is called with the number of files done, of all, and the persons so far as text.

    Returns:
        The counts; a file that cannot be read is among `skipped`.

    Raises:
        AnnotationError: the network gives numbers that are not finite.
        OutputError: the store cannot be written.
    """
    added = Added()
    if options.part == 0:
        added.others = found.others
        added.skipped += [*found.unread, *((path, _NO_VIDEOS) for path in found.videos)]
    adder = _Adder(store, predictor, options, added)
    for number, path in enumerate(found.photos):
        if progress is not None:
            progress(number, len(found.photos), f"{added.persons:,} persons")
        try:
            adder.add(path)
        except InputFileError as error:
            if Path(error.where) != path:  # the store is damaged, not the photo
                raise
            added.skipped.append((path, error.found))
    return added


class _Adder:
    """Adds one file after the other; knows what the store has.

    Args:
        added: counts what happens.
    """

    def __init__(
        self, store: GalleryStore, predictor: PersonPredictor, options: AddOptions, added: Added
    ) -> None:
        self._store, self._predictor, self._options, self._added = store, predictor, options, added
        self._by_path: dict[str, Source] = {}
        self._by_content: dict[str, Source] = {}
        for source in store.sources():
            self._know(source)

    def add(self, path: Path) -> None:
        """Adds one photo.

        Raises:
            InputFileError: it cannot be read; what the store has of it stays.
        """
        with explained_reading(path, what="a photo"):
            state = os.stat(path)
        if state.st_size % self._options.parts != self._options.part:
            return
        old = self._by_path.get(str(path))
        if old is not None and _is_at(old, state) and self._is_whole(old):
            self._keep(old, path)
            self._added.unchanged += 1
            return
        digest = sha256_of(path, what="a photo")
        if old is not None and old.sha256 == digest and self._is_whole(old):
            self._keep(_stamped(old, path, state), path)
            self._added.unchanged += 1
            return
        same = self._by_content.get(digest)
        if same is None:
            self._read(path, Source(str(path), "image", state.st_size, state.st_mtime_ns, digest), old)
        elif is_there(same):
            copy = dataclasses.replace(_stamped(same, path, state), state="duplicate", id=None)
            self._put(self._with_options(copy, path), old)
            self._added.duplicates += 1
        else:
            self._put(self._with_options(_stamped(same, path, state), path), old, same)
            self._added.moved += 1

    def _read(self, path: Path, source: Source, old: Source | None) -> None:
        photo = read_photo(path)
        found = self._predictor.detect(photo.pixels)
        is_person = found.scores >= self._options.min_score
        persons = Persons(
            boxes=found.boxes[is_person],
            scores=found.scores[is_person],
            vectors=unit_vectors(found.embeddings[is_person]),
            frame_time=np.zeros(int(is_person.sum())),
        )
        source = dataclasses.replace(
            source, camera=None if old is None else old.camera, started_at=photo.taken_at
        )
        self._put(self._with_options(source, path), old, persons=persons)
        self._added.persons += len(persons)
        if old is None or old.sha256 == source.sha256:
            self._added.new += 1
        else:
            self._added.changed += 1

    def _is_whole(self, source: Source) -> bool:
        """Whether the store has all persons of a source: its own, or those of the file it is a copy of."""
        if source.state != "duplicate":
            return source.state == "complete"
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
        if source.started_at is None:
            source = dataclasses.replace(source, started_at=self._options.start)
        return source

    def _put(self, source: Source, *replaced: Source | None, persons: Persons | None = None) -> None:
        """Writes a source, which takes the place of others."""
        none = Persons.none(self._store.network.dim)
        added = self._store.add(source, none if persons is None else persons)
        for old in replaced:
            if old is not None:
                self._by_path.pop(old.path, None)
                if self._by_content.get(old.sha256) == old:
                    del self._by_content[old.sha256]
        self._know(added)

    def _know(self, source: Source) -> None:
        self._by_path[source.path] = source
        if source.state == "complete":
            self._by_content[source.sha256] = source


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
