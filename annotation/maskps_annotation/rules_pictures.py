"""The pictures on the page of rules: drawn persons, with right and wrong outlines."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import shapely
from PIL import Image, ImageDraw

from maskps.masks.outlines import outline_from_shapely
from maskps.pictures.drawing import BLUE, INK, WHITE, draw_frame, draw_mark, font, paint_outline
from maskps.synthetic.appearance import Appearance, Garment
from maskps.synthetic.person import person_shapes, silhouette
from maskps.synthetic.pose import Pose
from maskps.synthetic.shapes import Light, Shape, paint

SIZE = (300, 380)
"""Width and height of a picture in pixels; shown at half of it."""

_FOOT, _TALL = 350.0, 320.0
_LIGHT = Light((-0.5, -0.5, 0.7), 0.7, 0.4)
_WALL, _POST = (120, 122, 118), (88, 92, 96)


@dataclass(frozen=True)
class Example:
    """One picture: whether it is right, and a short text."""

    is_right: bool
    text: str
    picture: Image.Image

    def data_url(self) -> str:
        """Returns the picture as a JPEG inside the page."""
        return jpeg_url(self.picture, quality=85)


def jpeg_url(picture: Image.Image, *, quality: int) -> str:
    """Returns the URL of a JPEG that stands in the page itself."""
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


@cache
def examples() -> dict[str, tuple[Example, ...]]:
    """Returns the pictures by rule: "who", "visible", "things", "parts" and "holes"."""
    still = _figure("none", _pose())
    cased = _figure("suitcase", _pose(yaw=0.4, arms=(-0.28, -0.28)))
    bent = _figure("none", _pose(yaw=1.57, arms=(-0.6, 0.5), elbows=(1.9, 0.5)))
    body = silhouette(still)
    wall = shapely.box(0, 245, SIZE[0], SIZE[1])
    post = shapely.box(0, 185, SIZE[0], 215)
    alone = silhouette(_figure("none", _pose(yaw=0.4, arms=(-0.28, -0.28))))
    around = silhouette(bent)
    filled = shapely.union_all([shapely.Polygon(part.exterior) for part in around.geoms])
    return {
        "who": _pair(
            _Part(still, body, "The person has a rectangle: draw the outline.", box=body.bounds),
            _Part(still, body, "No rectangle: this person gets no outline."),
        ),
        "visible": _pair(
            _Part(still, body - wall, "The outline ends where the wall begins.", things=[(wall, _WALL)]),
            _Part(still, body, "Nobody can see the legs: do not guess them.", things=[(wall, _WALL)]),
        ),
        "things": _pair(
            _Part(cased, silhouette(cased), "The suitcase belongs to the person."),
            _Part(cased, alone & silhouette(cased), "The suitcase is left out."),
        ),
        "parts": _pair(
            _Part(
                still,
                body - post,
                "Two polygons, both p1 with the same group number.",
                things=[(post, _POST)],
            ),
            _Part(still, body, "One polygon across the bar.", things=[(post, _POST)]),
        ),
        "holes": _pair(
            _Part(bent, around, "Street between the legs: a second polygon, ticked 'hole'."),
            _Part(bent, filled, "The street counts as the person."),
        ),
    }


@dataclass(frozen=True)
class _Part:
    """A person, an outline, shapes in front with their colours, and the rectangle of the pack."""

    figure: Sequence[Shape]
    outline: Any
    text: str
    things: Sequence[tuple[Any, tuple[int, int, int]]] = ()
    box: tuple[float, ...] | None = None


def _pair(right: _Part, wrong: _Part) -> tuple[Example, Example]:
    return Example(True, right.text, _draw(right, True)), Example(False, wrong.text, _draw(wrong, False))


def _draw(part: _Part, is_right: bool) -> Image.Image:
    canvas = np.full((SIZE[1], SIZE[0], 3), 226.0, dtype=np.float32)
    canvas[int(0.72 * SIZE[1]) :] = 204.0
    for shape in part.figure:
        paint(canvas, shape, _LIGHT)
    picture = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for thing, colour in part.things:
        x0, y0, x1, y1 = thing.bounds
        draw.rectangle([x0, y0, x1 - 1, y1 - 1], fill=colour)
    paint_outline(picture, outline_from_shapely(part.outline))
    if part.box is not None:
        x0, y0, x1, y1 = part.box
        draw_frame(picture, [x0 - 5, y0 - 5, x1 + 5, y1 + 5], INK, width=3)
        draw.rectangle([x0 - 5, y0 - 5, x0 + 31, y0 + 21], fill=BLUE)
        draw.text((x0 + 13, y0 + 8), "p1", WHITE, font(20), anchor="mm")
    draw_mark(picture, (SIZE[0] - 34, 34), 44, is_right=is_right)
    return picture


def _figure(bag: str, pose: Pose) -> list[Shape]:
    person = Appearance(
        stature=1.0,
        build=1.0,
        hips=0.9,
        skin=(206, 160, 128),
        hair="short",
        hair_colour=(70, 50, 40),
        hat_colour=(60, 60, 60),
        top=Garment("sweater", (196, 92, 70), (196, 92, 70), "plain", 0.05, 0.5),
        sleeves="long",
        sleeve_colour=(196, 92, 70),
        open_front=False,
        inner=(240, 240, 240),
        hood=False,
        bottom=Garment("trousers", (86, 92, 112), (86, 92, 112), "plain", 0.05, 0.5),
        shoes=(60, 56, 54),
        sole=(40, 38, 38),
        bag=bag,
        bag_colour=(70, 130, 110),
        bag_second=(50, 96, 82),
        bag_side=1,
    )
    return person_shapes(person, pose, foot=(SIZE[0] / 2, _FOOT), height=_TALL)


def _pose(
    *,
    yaw: float = 0.2,
    arms: tuple[float, float] = (0.0, 0.0),
    elbows: tuple[float, float] = (0.2, 0.2),
) -> Pose:
    return Pose(yaw, 0.8, 0.5, 0.03, arms, elbows, (0.12, 0.12))
