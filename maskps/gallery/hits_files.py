"""Writes the hits of a search: a page, JSON, CSV, and crops."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from maskps.errors import ConfigError
from maskps.gallery.hits import FORMAT, Search, hit_photos, hits_as_dict
from maskps.io.files import check_output_file, write_json, written_atomically
from maskps.io.folders import folder_written_atomically
from maskps.io.tables import csv_value

CROPS_RECORD = "hits.json"
"""The file of every folder that `write_crops` wrote."""

_COLUMNS = "rank similarity person path kind camera time frame_time x0 y0 x1 y1 score"


def hits_as_csv(search: Search) -> str:
    """Returns one line per hit, behind a line of names."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS.split())
    for hit in hits_as_dict(search)["hits"]:
        row = {**hit, **dict(zip(("x0", "y0", "x1", "y1"), hit["box"], strict=True))}
        writer.writerow("" if row[name] is None else csv_value(row[name]) for name in _COLUMNS.split())
    return stream.getvalue()


def _json_text(search: Search) -> str:
    return json.dumps(hits_as_dict(search), indent=2, ensure_ascii=False) + "\n"


def _page_text(search: Search) -> str:
    from maskps.gallery.hits_page import hits_page

    return hits_page(search)


_KINDS: dict[str, tuple[Callable[[Search], str], str]] = {
    ".html": (_page_text, f'content="{FORMAT}"'),
    ".json": (_json_text, f'"format": "{FORMAT}"'),
    ".csv": (hits_as_csv, _COLUMNS.replace(" ", ",")),
}
"""For each ending the content, and a mark in the first bytes of what maskps wrote."""


def check_hits_file(out: Path, *, force: bool = False) -> None:
    """Raises an error unless hits may be written to `out`; arguments as `write_hits`.

    Raises:
        ConfigError: another ending than .html, .json or .csv.
        OutputExistsError, OutputError: as `check_output_file`.
    """
    if out.suffix.lower() not in _KINDS:
        raise ConfigError(
            str(out),
            expected=f"a name that ends in {', '.join(_KINDS)}",
            found=out.name,
            hint="the ending decides what is written: a page, JSON or CSV",
        )
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


def write_crops(folder: Path, search: Search, *, force: bool = False) -> int:
    """Writes a JPEG of each hit's box, and hits.json, to a new folder; returns the number of JPEGs.

    A file's name has the rank, the similarity and the person's number. A file that is gone has none.

    Args:
        force: replace a folder that this function wrote.

    Raises:
        OutputExistsError, OutputError: as `folder_written_atomically`.
    """
    count = 0
    with folder_written_atomically(folder, record=CROPS_RECORD, force=force) as new:
        write_json(new / CROPS_RECORD, hits_as_dict(search))
        pictures = zip(search.hits.similarity.tolist(), hit_photos(search), strict=True)
        for rank, (similarity, (row, pixels)) in enumerate(pictures, start=1):
            if not isinstance(pixels, str):
                x0, y0, x1, y1 = row.box
                corners = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
                crop = Image.fromarray(pixels).crop(corners)
                crop.save(new / f"{rank:03d}_{similarity:.3f}_{row.id}.jpg", quality=95)
                count += 1
    return count
