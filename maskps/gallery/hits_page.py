"""The hits of a search as one static page; the whole scene of each hit is behind a click."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import InputFileError
from maskps.gallery.hits_files import HTML_MARK, NOTE, Search, hits_as_dict, shown_time
from maskps.gallery.indexing import is_there
from maskps.gallery.photos import read_photo, shown_path
from maskps.gallery.records import PersonRow, Source
from maskps.io.files import write_json
from maskps.io.folders import folder_written_atomically
from maskps.io.html import base_style, content_policy
from maskps.pictures.drawing import BLUE, WHITE, crop_tile, data_url, dim_outside, draw_frame

CROPS_RECORD = "hits.json"
"""The file of every folder that `write_crops` wrote."""

_TILE = (180, 360)
_SCENE = 960
_CONTEXT = 0.15


@dataclass(frozen=True)
class PagePerson:
    """A person on the page.

    Attributes:
        crop: the person with some context; None if the photo cannot be shown.
        scene: the whole photo with the box in it; None likewise.
        missing: why it cannot be shown; "" if it can.
        path: of the photo, for reading.
        box: of the person, for reading.
    """

    crop: Image.Image | None
    scene: Image.Image | None
    missing: str
    path: str
    box: str


def hits_page(search: Search) -> str:
    """Returns the page as HTML. Pictures are in it; it loads nothing, and runs no code.

    A photo that is gone, or has changed since it was added, is named in place of its picture.
    """
    style = base_style() + (files("maskps.gallery") / "templates" / "hits.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("maskps.gallery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"url": data_url, "time": shown_time, "short_time": _short_time}
    hits = search.hits
    return environment.get_template("hits.html").render(
        mark=Markup(HTML_MARK),
        policy=Markup(content_policy(style)),
        style=Markup(style),
        note=NOTE,
        search=search,
        query=_person(search.pixels, search.query, hits.box),
        persons=[
            (similarity, row, _shown(row, pixels))
            for similarity, (row, pixels) in zip(hits.similarity.tolist(), _pictures(search), strict=True)
        ],
    )


def _pictures(search: Search) -> Iterator[tuple[PersonRow, NDArray[np.uint8] | str]]:
    """Yields each hit with the pixels of its upright photo (H, W, 3), or why that cannot be shown."""

    @lru_cache(maxsize=4)
    def photo(source: Source) -> NDArray[np.uint8] | str:
        if not is_there(source):
            return "the file is gone, or has changed since it was added"
        if source.kind == "video":
            return "a frame of a video"
        try:
            return read_photo(Path(source.path)).pixels
        except InputFileError as error:
            return error.found

    for row in search.hits.rows:
        yield row, photo(row.source)


def _shown(row: PersonRow, pixels: NDArray[np.uint8] | str) -> PagePerson:
    path, box = Path(row.source.path), np.array(row.box)
    if isinstance(pixels, str):
        return PagePerson(None, None, pixels, shown_path(path), _box_text(box))
    return _person(pixels, path, box)


def write_crops(folder: Path, search: Search, *, force: bool = False) -> int:
    """Writes a JPEG of each hit's box, and hits.json, to a new folder; returns the number of JPEGs.

    A file's name has the rank, the similarity and the person's number. A photo that is gone has none.

    Args:
        force: replace a folder that this function wrote.

    Raises:
        OutputExistsError, OutputError: as `folder_written_atomically`.
    """
    count = 0
    with folder_written_atomically(folder, record=CROPS_RECORD, force=force) as new:
        write_json(new / CROPS_RECORD, hits_as_dict(search))
        pictures = zip(search.hits.similarity.tolist(), _pictures(search), strict=True)
        for rank, (similarity, (row, pixels)) in enumerate(pictures, start=1):
            if not isinstance(pixels, str):
                x0, y0, x1, y1 = row.box
                corners = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
                crop = Image.fromarray(pixels).crop(corners)
                crop.save(new / f"{rank:03d}_{similarity:.3f}_{row.id}.jpg", quality=95)
                count += 1
    return count


def _person(pixels: NDArray[np.uint8], path: Path, box: NDArray[np.floating]) -> PagePerson:
    image = Image.fromarray(pixels)
    tile, place = crop_tile(image, box, _TILE, context=_CONTEXT)
    scale = min(1.0, _SCENE / max(image.size))
    scene = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    x0, y0, x1, y1 = box * scale
    draw_frame(scene, (x0 - 3, y0 - 3, x1 + 3, y1 + 3), WHITE, width=5)
    draw_frame(scene, (x0 - 2, y0 - 2, x1 + 2, y1 + 2), BLUE, width=3)
    return PagePerson(dim_outside(tile, place), scene, "", shown_path(path), _box_text(box))


def _short_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def _box_text(box: NDArray[np.floating]) -> str:
    return ", ".join(f"{value:.0f}" for value in box)
