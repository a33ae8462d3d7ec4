"""The gallery in Milvus, for more persons than one machine holds (extra `milvus`).

Two collections, NAME_sources and NAME_persons. A person has the camera and the time of its source, because
Milvus has no joins. The index is FLAT, which is exact; the metric is the inner product; the consistency is
Strong: a forgotten person is in no search that begins afterwards.

Milvus has no transactions. A new source is written as "reading" first, then its persons, then the source as
it is: after a crash the source is there, and reading it again replaces its persons. So it is with a source
whose camera or time changes, for its persons are written again.

A password or token goes into the environment variable MILVUS_TOKEN.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError, InputFileError, OutputError
from maskps.gallery.records import Network, PersonRow, Persons, Source, Where, check_unit_length
from maskps.gallery.vectors import (
    best_of,
    check_dim,
    check_hits,
    check_network,
    checked_ids,
    checked_source,
    product_error,
    similarities_of,
)

MOST_ROWS = 16_384
"""Milvus returns no more rows of one search."""

VERSION = 1

_ADDRESS = re.compile(r"milvus\+(?P<scheme>https?):/{1,2}(?P<host>[^/]+)/(?P<name>[A-Za-z_]\w*)", re.ASCII)
_AT_ONCE = 1000
_PAGE = 10_000
_UNKNOWN_TIME = -1e300
_SPARE_HITS = 32  # rows behind the last hit that rounding may have put there
_PERSON_FIELDS = ("source", "frame_time", "x0", "y0", "x1", "y1", "score")


class MilvusStore:
    """A `GalleryStore` in two collections of a Milvus server.

    Args:
        address: `milvus+http://HOST:PORT/NAME`, or with https; or the path of a Milvus Lite file and ":NAME".
        network: the network in use; None takes the store's.

    Raises:
        ConfigError: not an address; pymilvus is not installed; vectors of another network.
        InputFileError: no such gallery, and no network to make it with; a newer format.
        OutputError: the server does not answer.
    """

    def __init__(self, address: str, network: Network | None = None) -> None:
        self.address = address
        uri, name = _parts(address)
        self._sources, self._persons = f"{name}_sources", f"{name}_persons"
        self._milvus, self._grpc = _pymilvus()
        with self._explained(ValueError):  # e.g. a port above 65535
            self._client = self._milvus.MilvusClient(uri=uri, token=os.environ.get("MILVUS_TOKEN", ""))
        try:
            self.network = self._opened(network)
        except BaseException:
            self._client.close()
            raise

    def add(self, source: Source, persons: Persons) -> Source:
        """As `GalleryStore.add`. Persons of a source whose camera or time changes get new numbers."""
        check_dim(self.address, self.network, "Persons.vectors", persons.vectors)
        with self._explained():
            before = None
            if source.id:
                known = next(iter(self._sources_where(f"id == {source.id}")), None)
                before = checked_source(known, source, persons)
            same_path = self._sources_where(f'path == "{_key(source.path)}"')
            self._delete_sources([one for one in same_path if one.id != source.id])
            if before is None:
                source = dataclasses.replace(source, id=1 + secrets.randbits(52))
                self._put(_unread(source))
            elif (before.camera, before.started_at) != (source.camera, source.started_at):
                self._put(_unread(before))
                self._move_persons(source)
            self._insert(source, persons)
            self._put(source)
        return source

    def forget(self, where: Where | Sequence[int]) -> int:
        """As `GalleryStore.forget`, but their bytes leave Milvus's files only when it has compacted them."""
        with self._explained():
            ids = self.ids(where) if isinstance(where, Where) else self._present(sorted(set(where)))
            for part in _chunks(ids):
                self._client.delete(self._persons, filter=f"id in {part}")
            if isinstance(where, Where) and where.is_of_whole_sources:
                named = None if where.sources is None else set(where.sources)
                self._delete_sources([one for one in self.sources() if named is None or one.id in named])
            self._client.flush(self._persons)
            self._client.compact(self._persons)
        return len(ids)

    def search(
        self, vectors: NDArray[np.float32], k: int, where: Where
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `GalleryStore.search`. A similarity is computed in float64 and rounded to float32."""
        check_dim(self.address, self.network, "the query's vectors", vectors)
        check_unit_length("the query's vectors", vectors)
        check_hits(k)
        condition = _condition(where)
        if condition is None or not len(vectors):
            empty = (len(vectors), 0)
            return np.zeros(empty, np.int64), np.zeros(empty, np.float32)
        with self._explained():
            best = [self._best(query, k, condition) for query in np.asarray(vectors, np.float32)]
        m = min(len(ids) for ids, _ in best)  # they differ if another process adds or forgets meanwhile
        return np.stack([ids[:m] for ids, _ in best]), np.stack([values[:m] for _, values in best])

    def ids(self, where: Where) -> NDArray[np.int64]:
        """As `GalleryStore.ids`."""
        condition = _condition(where)
        with self._explained():
            rows = [] if condition is None else list(self._all(self._persons, condition or "id >= 0", ["id"]))
        return np.sort(np.array([row["id"] for row in rows], np.int64))

    def rows(self, ids: Sequence[int] | NDArray[np.int64]) -> list[PersonRow]:
        """As `GalleryStore.rows`."""
        found = self._get(ids, list(_PERSON_FIELDS))
        numbers = sorted({row["source"] for row in found.values()})
        with self._explained():
            sources = {
                one.id: one for part in _chunks(numbers) for one in self._sources_where(f"id in {part}")
            }
        rows = {
            number: PersonRow(
                number,
                sources[row["source"]],
                row["frame_time"],
                (row["x0"], row["y0"], row["x1"], row["y1"]),
                row["score"],
            )
            for number, row in found.items()
            if row["source"] in sources  # else another process forgets it at this moment
        }
        return [rows[one] for one in checked_ids(self.address, ids, rows)]

    def vectors(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """As `GalleryStore.vectors`."""
        found = self._get(ids, ["vector"])
        rows = [found[one]["vector"] for one in checked_ids(self.address, ids, found)]
        return np.array(rows, np.float32).reshape(-1, self.network.dim)

    def sources(self) -> list[Source]:
        """As `GalleryStore.sources`; the numbers are random."""
        with self._explained():
            rows = self._all(self._sources, "id > 0", ["record"])
            return sorted(map(_source, rows), key=lambda source: source.id or 0)

    def count(self) -> int:
        """As `GalleryStore.count`."""
        with self._explained():
            found = self._client.query(
                self._persons, filter="", output_fields=["count(*)"], consistency_level="Strong"
            )
            return int(found[0]["count(*)"])

    def close(self) -> None:
        """As `GalleryStore.close`."""
        with self._explained():
            self._client.close()

    def _opened(self, network: Network | None) -> Network:
        """Returns the network of the collections, which are made if they are missing."""
        with self._explained():
            about = self._about()
            if not about and network is None:
                raise InputFileError(
                    self.address,
                    expected="a gallery",
                    found="no collections of this name",
                    hint="check the name, or make the gallery with maskps gallery add",
                )
            if not about and network is not None:
                about = self._create(network)
            if about.get("version") != VERSION:
                raise InputFileError(
                    self.address,
                    expected=f"a gallery of format {VERSION}",
                    found=f"format {about.get('version', 'of another program')}",
                    hint="update maskps, or choose another name",
                )
        kept = Network(**about["network"])
        check_network(self.address, kept, network)
        return kept

    def _about(self) -> dict[str, Any]:
        """Returns version and network, which are in row 0 of the sources; {} before they are."""
        is_loaded = self._milvus.client.types.LoadState.Loaded
        if self._client.get_load_state(self._sources)["state"] != is_loaded:
            return {}
        rows = self._few(self._sources, "id == 0", ["record"])
        return json.loads(rows[0]["record"]) if rows else {}

    def _create(self, network: Network) -> dict[str, Any]:
        """Makes what is missing, while another process may be doing the same."""
        kinds = self._milvus.DataType
        persons = [("source", kinds.INT64, {}), ("camera", kinds.VARCHAR, {"max_length": 8192})]
        persons += [(name, kinds.DOUBLE, {}) for name in ("at", *_PERSON_FIELDS[1:])]
        sources = [
            ("path", kinds.VARCHAR, {"max_length": 8192}),
            ("record", kinds.VARCHAR, {"max_length": 65535}),
        ]
        # Every collection must have vectors: a source has two zeros.
        for name, fields, dim in ((self._persons, persons, network.dim), (self._sources, sources, 2)):
            schema = self._client.create_schema(auto_id=name == self._persons, enable_dynamic_field=False)
            schema.add_field("id", kinds.INT64, is_primary=True)
            schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dim)
            for field, kind, options in fields:
                schema.add_field(field, kind, **options)
            index = self._client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="IP")
            if not self._client.has_collection(name):
                self._client.create_collection(name, schema=schema, consistency_level="Strong")
            if not self._client.list_indexes(name):
                self._client.create_index(name, index)
            self._client.load_collection(name)
        about = {"version": VERSION, "network": dataclasses.asdict(network)}
        row = {"id": 0, "path": "", "record": json.dumps(about), "vector": [0.0, 0.0]}
        self._client.upsert(self._sources, [row])
        return about

    def _put(self, source: Source) -> None:
        row = {
            "id": source.id,
            "path": _key(source.path),
            "record": json.dumps(dataclasses.asdict(source)),
            "vector": [0.0, 0.0],
        }
        self._client.upsert(self._sources, [row])

    def _insert(self, source: Source, persons: Persons) -> None:
        columns = (persons.frame_time, *persons.boxes.T, persons.scores)
        rows = []
        for values, vector in zip(
            zip(*(column.tolist() for column in columns), strict=True), persons.vectors, strict=True
        ):
            row = dict(zip(_PERSON_FIELDS, (source.id, *values), strict=True))
            at = _UNKNOWN_TIME if source.started_at is None else source.started_at + row["frame_time"]
            rows.append(row | {"camera": _camera(source.camera), "at": at, "vector": vector})
        for part in range(0, len(rows), _AT_ONCE):
            self._client.insert(self._persons, rows[part : part + _AT_ONCE])

    def _move_persons(self, source: Source) -> None:
        """Writes the persons of a source again, with its new camera and time."""
        fields = ["id", "vector", *_PERSON_FIELDS]
        rows = list(self._all(self._persons, f"source == {source.id}", fields))
        rows.sort(key=lambda row: row["id"])
        if rows:
            numbers = {name: np.array([row[name] for row in rows]) for name in fields}
            boxes = np.stack([numbers[name] for name in ("x0", "y0", "x1", "y1")], axis=1)
            again = Persons(
                boxes.astype(np.float32),
                numbers["score"].astype(np.float32),
                numbers["vector"].astype(np.float32),
                numbers["frame_time"],
            )
            self._insert(source, again)
            for part in _chunks(numbers["id"]):
                self._client.delete(self._persons, filter=f"id in {part}")

    def _delete_sources(self, sources: Sequence[Source]) -> None:
        for part in _chunks([one.id for one in sources if one.id is not None]):
            self._client.delete(self._persons, filter=f"source in {part}")
            self._client.delete(self._sources, filter=f"id in {part}")

    def _sources_where(self, condition: str) -> list[Source]:
        return [_source(row) for row in self._few(self._sources, condition, ["record"])]

    def _best(
        self, query: NDArray[np.float32], k: int, condition: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns (m,) numbers and similarities, best first, equal ones by number.

        Milvus rounds products to float32 and puts equal ones in any order. So it is asked for more rows until
        the last row is so far behind the last hit that no row behind it can be a hit. If that takes more rows
        than Milvus returns at once, all that meet the condition are read.
        """
        limit, before = min(k + _SPARE_HITS, MOST_ROWS), 0
        while limit > before:
            (rows,) = self._client.search(
                self._persons,
                data=[query],
                filter=condition,
                limit=limit,
                output_fields=["vector"],
                search_params={"metric_type": "IP"},
                consistency_level="Strong",
            )
            ids, similarities = self._compared(query, [row["entity"] | {"id": row["id"]} for row in rows])
            best = best_of(ids, similarities, k)
            if len(ids) < limit or similarities.min() < best[1][-1] - product_error(self.network.dim):
                return best
            limit, before = min(4 * limit, MOST_ROWS), limit
        best = self._compared(query, [])
        everybody = self._all(self._persons, condition or "id >= 0", ["id", "vector"])
        while part := list(islice(everybody, _PAGE)):
            ids, similarities = self._compared(query, part)
            best = best_of(np.concatenate([best[0], ids]), np.concatenate([best[1], similarities]), k)
        return best

    def _compared(
        self, query: NDArray[np.float32], rows: Sequence[dict[str, Any]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the (n,) numbers of persons and their similarities."""
        vectors = np.array([row["vector"] for row in rows], np.float32).reshape(-1, self.network.dim)
        return np.array([row["id"] for row in rows], np.int64), similarities_of(query, vectors)

    def _present(self, ids: Sequence[int]) -> list[int]:
        return [
            row["id"] for part in _chunks(ids) for row in self._few(self._persons, f"id in {part}", ["id"])
        ]

    def _get(self, ids: Sequence[int] | NDArray[np.int64], fields: list[str]) -> dict[int, dict[str, Any]]:
        with self._explained():
            return {
                row["id"]: row
                for part in _chunks(ids)
                for row in self._few(self._persons, f"id in {part}", ["id", *fields])
            }

    def _few(self, collection: str, condition: str, fields: list[str]) -> list[dict[str, Any]]:
        """Returns the rows that meet a condition, which at most `_AT_ONCE` can."""
        found = self._client.query(
            collection, filter=condition, output_fields=fields, limit=_AT_ONCE, consistency_level="Strong"
        )
        return list(found)

    def _all(self, collection: str, condition: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """Yields all rows that meet a condition, however many."""
        rows = self._client.query_iterator(
            collection,
            filter=condition,
            output_fields=fields,
            batch_size=_PAGE,
            consistency_level="Strong",
        )
        while batch := rows.next():
            yield from batch
        rows.close()

    @contextmanager
    def _explained(self, *others: type[Exception]) -> Iterator[None]:
        """Turns an error of Milvus, or one of others, into one that says what to do."""
        try:
            yield
        except (self._milvus.MilvusException, self._grpc.RpcError, *others) as error:
            is_grpc = isinstance(error, self._grpc.RpcError)
            raise OutputError(
                self.address,
                expected="a Milvus server that answers",
                found=str(error.details() if is_grpc else getattr(error, "message", error)),
                hint="check address, network and MILVUS_TOKEN; then run the same command again",
            ) from error


def _pymilvus() -> tuple[Any, Any]:
    """Returns the modules pymilvus and grpc."""
    try:
        import grpc
        import pymilvus
    except ImportError as error:
        raise ConfigError(
            "a gallery in Milvus",
            expected="the package pymilvus",
            found="it is not installed",
            hint="pip install 'maskps[milvus]'",
        ) from error
    # It logs a traceback for each attempt to reach a server; what is left in the end is in our error.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus, grpc


def _parts(address: str) -> tuple[str, str]:
    """Returns the address for pymilvus, and the gallery's name."""
    found = _ADDRESS.fullmatch(address)
    if found:
        return f"{found['scheme']}://{found['host']}", found["name"]
    path, _, name = address.rpartition(":")
    if address.startswith("milvus+") or not path.endswith(".db"):
        raise ConfigError(
            address,
            expected="milvus+http://HOST:PORT/NAME, with letters, digits and _ in NAME",
            found="another form",
            hint="for example milvus+http://localhost:19530/people",
        )
    return path, name


def _condition(where: Where) -> str | None:
    """Returns the filter in Milvus's language, "" for all persons, None if nobody can match."""
    if where.cameras == () or where.sources == ():
        return None
    parts = []
    if where.cameras is not None:
        parts.append(f"camera in {json.dumps([_camera(one) for one in where.cameras])}")
    if where.sources is not None:
        parts.append(f"source in {list(where.sources)}")
    if where.start is not None:
        parts.append(f"at >= {where.start!r}")
    if where.end is not None:
        parts.append(f"at > {_UNKNOWN_TIME / 10!r} and at < {where.end!r}")
    if where.min_score is not None:
        parts.append(f"score >= {float(np.float32(where.min_score))!r}")
    return " and ".join(parts)


def _unread(source: Source) -> Source:
    """Returns a source that is read from its start if a process ends before it is written again."""
    return dataclasses.replace(source, state="reading", read_until=None)


def _source(row: dict[str, Any]) -> Source:
    return Source(**json.loads(row["record"]))


def _camera(name: str | None) -> str:
    return "" if name is None else _key(f"={name}")


def _key(text: str) -> str:
    """Returns a path or a name as a text that every program can send and quote."""
    return os.fsencode(text).hex()


def _chunks(ids: Sequence[int] | NDArray[np.int64]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield [int(one) for one in ids[start : start + _AT_ONCE]]
