"""The hits of a search as files: JSON, CSV, a page, and crops."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.gallery.gallery import Hits
from maskps.gallery.indexing import is_there
from maskps.gallery.photos import shown_path
from maskps.gallery.records import Network
from maskps.io.files import check_output_file, written_atomically

NOTE = (
    "Similarity is not identity. It is the cosine of two vectors of how people look, not a probability: "
    "other people can look alike, and one person can look different."
)

FORMAT, VERSION = "maskps-hits", 1
HTML_MARK = f'<meta name="generator" content="{FORMAT}">'

_COLUMNS = (
    "rank",
    "similarity",
    "person",
    "path",
    "camera",
    "time",
    "frame_time",
    "x0",
    "y0",
    "x1",
    "y1",
    "score",
)


@dataclass(frozen=True)
class Search:
    """A search and what it found.

    Attributes:
        gallery: where the gallery is, as text.
        query: file of the query's photo.
        pixels: (H, W, 3) uint8 RGB, the query's photo, upright.
        network: that of the gallery.
        hits: what was found.
    """

    gallery: str
    query: Path
    pixels: NDArray[np.uint8]
    network: Network
    hits: Hits


def shown_time(seconds: float | None) -> str:
    """Returns a time in this machine's zone, with the zone; "" if it is not known."""
    if seconds is None or np.isnan(seconds):
        return ""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def hits_as_dict(search: Search) -> dict[str, Any]:
    """Returns a search as JSON's types; times as text in this machine's zone, or None."""
    hits = search.hits
    return {
        "format": FORMAT,
        "version": VERSION,
        "note": NOTE,
        "terms": search.network.terms,
        "gallery": search.gallery,
        "query": {"path": shown_path(search.query), "box": hits.box.tolist()},
        "hits": [
            {
                "rank": rank,
                "similarity": float(similarity),
                "person": row.id,
                "path": shown_path(Path(row.source.path)),
                "is_file_there": is_there(row.source),
                "camera": row.camera,
                "time": shown_time(row.at) or None,
                "frame_time": row.frame_time,
                "box": list(row.box),
                "score": row.score,
            }
            for rank, (similarity, row) in enumerate(zip(hits.similarity, hits.rows, strict=True), start=1)
        ],
    }


def hits_as_csv(search: Search) -> str:
    """Returns one line per hit, behind a line of names."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for hit in hits_as_dict(search)["hits"]:
        row = {**hit, **dict(zip(("x0", "y0", "x1", "y1"), hit["box"], strict=True))}
        writer.writerow("" if row[name] is None else row[name] for name in _COLUMNS)
    return stream.getvalue()


def _json_text(search: Search) -> str:
    return json.dumps(hits_as_dict(search), indent=2, ensure_ascii=False) + "\n"


def _page_text(search: Search) -> str:
    from maskps.gallery.hits_page import hits_page

    return hits_page(search)


_KINDS: dict[str, tuple[Callable[[Search], str], str]] = {
    ".html": (_page_text, HTML_MARK),
    ".json": (_json_text, f'"format": "{FORMAT}"'),
    ".csv": (hits_as_csv, ",".join(_COLUMNS)),
}
"""For each ending the content, and a mark in the first bytes of what maskps wrote."""


def check_hits_file(out: Path, *, force: bool = False) -> None:
    """Raises an error unless hits may be written to `out`; arguments as `write_hits`.

    Raises:
        ConfigError: another ending than .html, .json or .csv.
        OutputExistsError, OutputError: as `check_output_file`.
    """
    if out.suffix.lower() not in _KINDS:
        raise ConfigError(str(out), expected=f"a name that ends in {', '.join(_KINDS)}", found=out.name)
    check_output_file(out, mark=_KINDS[out.suffix.lower()][1].encode(), force=force)


def write_hits(out: Path, search: Search, *, force: bool = False) -> None:
    """Writes hits as a page, JSON or CSV, by the ending of `out`, atomically.

    Args:
        force: replace earlier hits.

    Raises:
        ConfigError, OutputExistsError, OutputError: as `check_hits_file`.
    """
    check_hits_file(out, force=force)
    text = _KINDS[out.suffix.lower()][0](search)
    with written_atomically(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
