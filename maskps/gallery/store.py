"""What every gallery store offers, and how one is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.gallery.milvus_store import MilvusStore
from maskps.gallery.records import Network, PersonRow, Persons, Source, Where
from maskps.gallery.sqlite_store import SqliteStore


class GalleryStore(Protocol):
    """Sources and persons with their vectors; D is `network.dim`.

    Every method raises `InputFileError` if the store is damaged, and `OutputError` if it cannot be reached or
    another process keeps it locked.
    """

    @property
    def network(self) -> Network:
        """The network that made the vectors."""
        ...

    def add(self, source: Source, persons: Persons) -> Source:
        """Writes a source and more of its persons; all of it is safe on disk on return.

        A source without a number is read anew: what the store has of a source with this path is forgotten in
        the same step. A source with a number keeps its persons, and its record is replaced: so a long video
        is added batch by batch, and a moved file gets its new path.

        Args:
            source: with the state that holds after this call.
            persons: n >= 0 persons with vectors of D numbers; of a source with a number, from frames behind
                those that are read.

        Returns:
            The source with its number.

        Raises:
            ConfigError: vectors of another length than D.
            OutputError: the source has a number that the store no longer has, or another process has read as
                much of it already; disk full.
        """
        ...

    def forget(self, where: Where | Sequence[int]) -> int:
        """Removes persons for ever. In SQLite their vectors are in no file of the store on return.

        The sources go too if `where` has no conditions other than sources. Else they stay: they count as
        read, so the same persons do not come back when the same folder is added again.

        Args:
            where: a filter, or numbers of persons; unknown numbers are ignored.

        Returns:
            How many persons were removed.

        Raises:
            OutputError: the persons are removed, but another process still reads pages from before, so their
                bytes remain until it ends and `forget` is called again.
        """
        ...

    def search(
        self, vectors: NDArray[np.float32], k: int, where: Where
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Finds the persons most similar to each query, among those that match `where`.

        Args:
            vectors: (q, D) float32 of length 1.
            k: 1 or more.

        Returns:
            (q, m) numbers of persons and (q, m) cosine similarities, best first, equal ones by number;
            m is k, or the number of persons that match if that is smaller.

        Raises:
            AnnotationError: a vector whose length is not 1.
            ConfigError: vectors of another length than D; k below 1.
        """
        ...

    def ids(self, where: Where) -> NDArray[np.int64]:
        """Returns the (n,) numbers of the persons that match, in ascending order."""
        ...

    def rows(self, ids: Sequence[int] | NDArray[np.int64]) -> list[PersonRow]:
        """Returns the persons with these numbers, in the order given.

        Raises:
            ConfigError: a number that the store does not have.
        """
        ...

    def vectors(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the (n, D) vectors of the persons with these numbers; raises as `rows`."""
        ...

    def sources(self) -> list[Source]:
        """Returns all sources, by number."""
        ...

    def count(self) -> int:
        """Returns the number of persons."""
        ...

    def close(self) -> None:
        """Ends the use of the store; nothing is lost without it."""
        ...


def open_store(place: str | Path, network: Network | None = None) -> GalleryStore:
    """Opens a store, or a new one if it is missing and `network` is given. The first `add` makes a new file.

    Args:
        place: path of a SQLite file, or `milvus+http://HOST:PORT/NAME` (extra `milvus`).
        network: the network whose vectors will be added or searched for; None takes the store's.

    Raises:
        ConfigError: the store holds vectors of another network; an address that is not of Milvus.
        InputFileError: no store there and no network given; another kind of file; damaged; a newer format.
        OutputError: the folder cannot be written; locked by another process.
    """
    if str(place).startswith("milvus+"):
        return MilvusStore(str(place), network)
    if "://" in str(place):
        raise ConfigError(
            str(place),
            expected="a file, or milvus+http://HOST:PORT/NAME",
            found="another address",
            hint="put milvus+ before the address of a Milvus server",
        )
    return SqliteStore(Path(place), network)
