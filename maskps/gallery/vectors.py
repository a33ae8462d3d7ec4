"""What stores do alike: exact similarities in order, and checks of vectors, numbers, networks, records."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError, OutputError
from maskps.gallery.records import Network, Persons, Source


def similarities_of(query: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the (n,) cosine similarities of a (D,) query and (n, D) rows, all of length 1.

    Each is a sum in float64 that is rounded once, so it does not depend on the row's place.
    """
    products = rows * query.astype(np.float64)
    return products.sum(axis=1).astype(np.float32)


def product_error(dim: int) -> float:
    """Returns the largest difference of two similarities that float32 products may put in the wrong order.

    It is twice the bound of the rounding of a sum of `dim` products, summed in any order.
    """
    return dim * float(np.finfo(np.float32).eps)


def best_of(
    ids: NDArray[np.int64], similarities: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Returns the k best of (n,) numbers and similarities: best first, equal ones by number."""
    order = np.lexsort((ids, -similarities))[:k]
    return ids[order], similarities[order]


def check_dim(
    place: str | os.PathLike[str], network: Network, where: str, vectors: NDArray[np.float32]
) -> None:
    """Raises ConfigError unless the vectors are (n, D) with the store's D."""
    if vectors.ndim != 2 or vectors.shape[1] != network.dim:
        raise ConfigError(
            where,
            expected=f"{network.dim} numbers a vector, as in {os.fspath(place)}",
            found=f"shape {vectors.shape}",
            hint="use the network that the gallery was made with",
        )


def check_hits(k: int) -> None:
    """Raises ConfigError unless k is 1 or more."""
    if k < 1:
        raise ConfigError("k", expected="1 or more hits", found=str(k), hint="ask for more")


def check_network(place: str | os.PathLike[str], kept: Network, network: Network | None) -> None:
    """Raises ConfigError if the vectors of a store's network and of the one in use cannot be compared."""
    name = kept.difference(network) if network else ""
    if name:
        raise ConfigError(
            os.fspath(place),
            expected=f"the network that the gallery was made with: {name} {getattr(kept, name)}",
            found=f"{name} {getattr(network, name)}",
            hint="use that network, or make a new gallery: vectors of two networks cannot be compared",
        )


def checked_source(before: Source | None, source: Source, persons: Persons) -> Source:
    """Returns a store's record of a source that changes, after a check that no other process changes it.

    Args:
        before: the record; None if the store has none with the source's number.
        source: what replaces the record.
        persons: more of its persons, from frames behind those that are read.

    Raises:
        OutputError: there is no record, or as much of the source is read already.
    """
    found = ""
    if before is None:
        found = "another process has removed it, or reads the same file anew"
    elif (until := before.read_until) is not None and (
        source.read_until is None or source.read_until < until or (persons.frame_time <= until).any()
    ):
        found = f"another process reads the same video, and is at {until:.1f} s"
    if before is None or found:
        raise OutputError(
            source.path,
            expected="a source of the gallery that this process alone changes",
            found=found,
            hint="add this file again when the other process has ended",
        )
    return before


def checked_ids(
    place: str | os.PathLike[str], ids: Sequence[int] | NDArray[np.int64], found: dict
) -> list[int]:
    """Returns the numbers of persons as a list, after a check that all were found.

    Raises:
        ConfigError: a number that is not in `found`.
    """
    asked = [int(one) for one in ids]
    missing = [one for one in asked if one not in found]
    if missing:
        raise ConfigError(
            f"person {missing[0]}",
            expected=f"a person of {os.fspath(place)}",
            found="no such number, or a forgotten person",
            hint="search again: the numbers of persons are in the hits",
        )
    return asked
