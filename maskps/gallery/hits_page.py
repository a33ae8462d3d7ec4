"""The hits of a search as one static page; the whole scene of each hit is behind a click."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from maskps.gallery.hits import FORMAT, NOBODY, NOTE, Search, film_time, hit_photos, shown_time
from maskps.gallery.photos import shown_path
from maskps.gallery.records import PersonRow
from maskps.io.html import base_style, content_policy, page_environment
from maskps.pictures.drawing import BLUE, WHITE, crop_tile, data_url, dim_outside, draw_frame, shrunk

HTML_MARK = f'<meta name="generator" content="{FORMAT}">'
"""In the first bytes of every page."""

_TILE = (180, 360)
_SCENE = 960
_CONTEXT = 0.15


@dataclass(frozen=True)
class PagePerson:
    """A person on the page.

    Attributes:
        crop: the person with some context; None if the photo or frame cannot be shown.
        scene: the whole photo or frame with the box in it; None likewise.
        missing: why it cannot be shown; "" if it can.
        path: of the file, for reading.
        box: of the person, for reading.
    """

    crop: Image.Image | None
    scene: Image.Image | None
    missing: str
    path: str
    box: str


def hits_page(search: Search) -> str:
    """Returns the page as HTML. Pictures are in it; it loads nothing, and runs no code.

    A file that is gone, or has changed since it was added, is named in place of its picture.
    """
    style = base_style() + (files("maskps.gallery") / "templates" / "hits.css").read_text(encoding="utf-8")
    environment = page_environment("maskps.gallery")
    environment.filters |= {
        "url": data_url,
        "time": shown_time,
        "short_time": _short_time,
        "film_time": film_time,
    }
    hits = search.hits
    return environment.get_template("hits.html").render(
        mark=Markup(HTML_MARK),
        policy=Markup(content_policy(style)),
        style=Markup(style),
        note=NOTE,
        nobody=NOBODY,
        search=search,
        query=_person(search.pixels, search.query, search.box),
        persons=[
            (similarity, row, _shown(row, pixels))
            for similarity, (row, pixels) in zip(hits.similarity.tolist(), hit_photos(search), strict=True)
        ],
    )


def _shown(row: PersonRow, pixels: NDArray[np.uint8] | str) -> PagePerson:
    path, box = Path(row.source.path), np.array(row.box)
    if isinstance(pixels, str):
        return PagePerson(None, None, pixels, shown_path(path), _box_text(box))
    return _person(pixels, path, box)


def _person(pixels: NDArray[np.uint8], path: Path, box: NDArray[np.floating]) -> PagePerson:
    image = Image.fromarray(pixels)
    tile, place = crop_tile(image, box, _TILE, context=_CONTEXT)
    scene, scale = shrunk(image, _SCENE)
    x0, y0, x1, y1 = box * scale
    draw_frame(scene, (x0 - 3, y0 - 3, x1 + 3, y1 + 3), WHITE, width=5)
    draw_frame(scene, (x0 - 2, y0 - 2, x1 + 2, y1 + 2), BLUE, width=3)
    return PagePerson(dim_outside(tile, place), scene, "", shown_path(path), _box_text(box))


def _short_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def _box_text(box: NDArray[np.floating]) -> str:
    return ", ".join(f"{value:.0f}" for value in box)
