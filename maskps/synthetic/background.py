"""Places: procedural backgrounds with clutter in the colours and shapes of clothes.

Drawn with Pillow at twice the size and reduced. All measures follow the height of a person at the
line where the ground meets the walls, so doors, windows and people fit together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from maskps.synthetic.appearance import cloth_colour, draw_appearance
from maskps.synthetic.person import person_shapes
from maskps.synthetic.pose import draw_pose
from maskps.synthetic.shapes import Colour, Light, paint

PLACES = ("street", "shops", "plaza", "hall", "park")
_ZOOM = 2


@dataclass(frozen=True)
class Ground:
    """The ground plane of a camera, pixels: a person whose feet are at y is `height_at(y)` tall."""

    width: int
    height: int
    base: float
    base_height: float
    horizon: float

    def height_at(self, y: float) -> float:
        """Returns the height in pixels of a mean adult who stands at image row `y`."""
        return self.base_height * (y - self.horizon) / (self.base - self.horizon)


def draw_background(place: str, ground: Ground, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns (H, W, 3) float32, 0..255: the place without people."""
    width, height = ground.width, ground.height
    image = Image.new("RGB", (width * _ZOOM, height * _ZOOM), _rgb(_sky(rng)))
    pen = _Pen(ImageDraw.Draw(image), rng, ground)
    _PAINTERS[place](pen)
    small = image.resize((width, height), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.5))
    pixels = np.asarray(small, dtype=np.float32).copy()
    floor = _floor(place, ground, rng)
    top = int(np.ceil(ground.base))
    shade = pixels[top:].mean(axis=2, keepdims=True) > 0  # furniture of the background stays
    mask = _floor_mask(image, width, height)[top:, :, None] & shade
    pixels[top:] = np.where(mask, floor[top:], pixels[top:])
    for x, y, tall in pen.mannequins:
        _mannequin(pixels, x, y, tall, rng)
    grain = _smooth_noise(rng, height, width, 3) * 3.0 + _smooth_noise(rng, height, width, 60) * 5.0
    return np.clip(pixels + grain[..., None], 0, 255).astype(np.float32)


_GROUND_KEY = (1, 2, 3)  # marks pixels to be covered by the floor's texture


class _Pen:
    """Draws in scene pixels on the enlarged image."""

    def __init__(self, draw: ImageDraw.ImageDraw, rng: np.random.Generator, ground: Ground) -> None:
        self.draw, self.rng, self.ground = draw, rng, ground
        self.unit = ground.base_height  # height of a person at the foot of the walls
        self.mannequins: list[tuple[float, float, float]] = []

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        if x1 > x0 and y1 > y0:
            self.draw.rectangle([x0 * _ZOOM, y0 * _ZOOM, x1 * _ZOOM - 1, y1 * _ZOOM - 1], fill=_rgb(colour))

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.draw.ellipse([(x - rx) * _ZOOM, (y - ry) * _ZOOM, (x + rx) * _ZOOM, (y + ry) * _ZOOM], fill=_rgb(colour))

    def area(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(x * _ZOOM, y * _ZOOM) for x, y in points], fill=_rgb(colour))

    def floor(self) -> None:
        self.draw.rectangle([0, self.ground.base * _ZOOM, self.ground.width * _ZOOM, self.ground.height * _ZOOM],
                            fill=_GROUND_KEY)

    def poster(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """A framed poster: panels, letters, and now and then a figure-like blot."""
        rng = self.rng
        self.box(x0, y0, x1, y1, (60, 60, 62))
        edge = max(1.0, 0.05 * (x1 - x0))
        x0, y0, x1, y1 = x0 + edge, y0 + edge, x1 - edge, y1 - edge
        self.box(x0, y0, x1, y1, cloth_colour(rng))
        style = rng.random()
        wide, tall = x1 - x0, y1 - y0
        if style < 0.4:
            x, colour = x0 + wide * rng.uniform(0.3, 0.7), cloth_colour(rng)
            self.oval(x, y0 + 0.24 * tall, 0.1 * wide, 0.085 * tall, (206, 166, 136))
            self.area([(x - 0.2 * wide, y0 + 0.36 * tall), (x + 0.2 * wide, y0 + 0.36 * tall),
                       (x + 0.26 * wide, y1), (x - 0.26 * wide, y1)], colour)
        elif style < 0.7:
            for row in range(int(rng.integers(2, 5))):
                y = y0 + tall * (0.1 + 0.22 * row)
                self.box(x0 + 0.1 * wide, y, x0 + wide * rng.uniform(0.5, 0.92), y + 0.09 * tall, cloth_colour(rng))
        else:
            for _ in range(int(rng.integers(3, 7))):
                self.oval(x0 + wide * rng.uniform(0.2, 0.8), y0 + tall * rng.uniform(0.15, 0.85),
                          0.16 * wide, 0.1 * tall, cloth_colour(rng))

    def facade(self, x0: float, x1: float, *, shop: bool) -> None:
        """A house front from the top of the image to the ground, with a shop or doors below."""
        rng, unit, base = self.rng, self.unit, self.ground.base
        wall = _muted(rng)
        self.box(x0, 0, x1, base, wall)
        if rng.random() < 0.35:
            for y in np.arange(base, 0, -max(3.0, 0.06 * unit)):
                self.box(x0, y, x1, y + 0.7, _scaled(wall, 0.9))
        storey = 1.75 * unit
        floor_top = base - storey
        self._windows(x0, x1, floor_top, wall)
        if shop:
            self._shop(x0, x1, floor_top, wall)
        else:
            self._ground_floor(x0, x1, wall)

    def _windows(self, x0: float, x1: float, below: float, wall: Colour) -> None:
        rng, unit = self.rng, self.unit
        wide, tall = unit * rng.uniform(0.45, 0.8), unit * rng.uniform(0.7, 1.0)
        gap = wide * rng.uniform(0.35, 0.9)
        glass, frame = _jittered((96, 112, 128), rng, 26), _scaled(wall, 0.7)
        y = below - 0.35 * unit
        while y > -tall:
            x = x0 + gap
            while x + wide < x1:
                self.box(x - 1.2, y - tall - 1.2, x + wide + 1.2, y + 1.2, frame)
                self.box(x, y - tall, x + wide, y, _jittered(glass, rng, 9))
                if rng.random() < 0.3:
                    self.box(x, y - tall, x + wide * rng.uniform(0.3, 1), y - tall * rng.uniform(0.2, 0.7), cloth_colour(rng))
                self.box(x + wide / 2 - 0.6, y - tall, x + wide / 2 + 0.6, y, frame)
                x += wide + gap
            y -= tall + 0.75 * unit

    def _shop(self, x0: float, x1: float, top: float, wall: Colour) -> None:
        rng, unit, base = self.rng, self.unit, self.ground.base
        sign = cloth_colour(rng)
        self.box(x0, top, x1, top + 0.3 * unit, sign)
        x = x0 + 0.2 * unit
        letters = (245, 240, 225) if sum(sign) < 380 else (40, 40, 44)
        end = x0 + (x1 - x0) * rng.uniform(0.5, 0.95)
        while x < end:
            wide = unit * rng.uniform(0.05, 0.12)
            self.box(x, top + 0.09 * unit, x + wide, top + 0.22 * unit, letters)
            x += wide + 0.05 * unit
        if rng.random() < 0.45:  # a striped awning
            first, second, step = cloth_colour(rng), cloth_colour(rng), 0.14 * unit
            for i, at in enumerate(np.arange(x0, x1, step)):
                self.area([(at, top + 0.3 * unit), (at + step, top + 0.3 * unit), (at + step * 1.1, top + 0.56 * unit),
                           (at + step * 0.1, top + 0.56 * unit)], first if i % 2 else second)
        x = x0 + 0.12 * unit
        while x < x1 - 0.4 * unit:
            wide = min(unit * rng.uniform(0.7, 1.7), x1 - x - 0.1 * unit)
            if rng.random() < 0.25:
                self._door(x, min(wide, 0.7 * unit))
                x += min(wide, 0.7 * unit) + 0.12 * unit
                continue
            self.box(x, top + 0.42 * unit, x + wide, base - 0.12 * unit, _jittered((66, 72, 80), rng, 22))
            self._display(x, x + wide, top + 0.5 * unit, base - 0.14 * unit)
            x += wide + 0.12 * unit

    def _display(self, x0: float, x1: float, top: float, bottom: float) -> None:
        """What a shop window shows: clothes on a rail, shelves of goods, mannequins."""
        rng, unit = self.rng, self.unit
        style = rng.random()
        if style < 0.35:
            x = x0 + 0.05 * unit
            while x < x1 - 0.12 * unit:
                wide = unit * rng.uniform(0.07, 0.2)
                length = rng.uniform(0.35, 0.7) * unit
                self.area([(x, top + 0.16 * unit), (x + wide, top + 0.16 * unit), (x + wide * 1.1, top + 0.16 * unit + length),
                           (x - wide * 0.1, top + 0.16 * unit + length)], _scaled(cloth_colour(rng), 0.85))
                x += wide + unit * rng.uniform(0.0, 0.08)
        elif style < 0.62:
            y = top + 0.1 * unit
            while y < bottom:
                x = x0 + 0.03 * unit
                while x < x1 - 0.06 * unit:
                    wide, tall = unit * rng.uniform(0.04, 0.14), unit * rng.uniform(0.06, 0.2)
                    self.box(x, y + 0.22 * unit - tall, min(x + wide, x1), y + 0.22 * unit, _scaled(cloth_colour(rng), 0.9))
                    x += wide + 0.02 * unit
                self.box(x0, y + 0.22 * unit, x1, y + 0.25 * unit, (150, 130, 104))
                y += 0.3 * unit
        elif style < 0.85:
            for x in np.arange(x0 + 0.22 * unit, x1 - 0.15 * unit, 0.45 * unit):
                self.mannequins.append((float(x), bottom, unit * 0.92))
        else:
            self.poster(x0 + 0.1 * (x1 - x0), top + 0.1 * unit, x1 - 0.1 * (x1 - x0), bottom - 0.1 * unit)

    def _ground_floor(self, x0: float, x1: float, wall: Colour) -> None:
        rng, unit, base = self.rng, self.unit, self.ground.base
        x = x0 + 0.2 * unit
        while x < x1 - 0.6 * unit:
            style = rng.random()
            if style < 0.3:
                self._door(x, 0.6 * unit)
                x += 0.8 * unit
            elif style < 0.55:
                wide = unit * rng.uniform(0.4, 0.9)
                self.poster(x, base - 1.3 * unit, x + wide, base - 0.35 * unit)
                x += wide + 0.25 * unit
            elif style < 0.8:
                self.box(x, base - 1.25 * unit, x + 0.7 * unit, base - 0.5 * unit, _scaled(wall, 0.6))
                self.box(x + 1, base - 1.25 * unit + 1, x + 0.7 * unit - 1, base - 0.5 * unit - 1, (88, 104, 120))
                x += 0.95 * unit
            else:
                self.box(x, base - 1.2 * unit, x + 0.9 * unit, base, _scaled(cloth_colour(rng), 0.8))
                x += 1.1 * unit

    def _door(self, x: float, wide: float) -> None:
        base, unit = self.ground.base, self.unit
        colour = cloth_colour(self.rng)
        self.box(x, base - 1.28 * unit, x + wide, base, _scaled(colour, 0.55))
        self.box(x + 0.06 * wide, base - 1.22 * unit, x + 0.94 * wide, base, colour)
        self.box(x + 0.2 * wide, base - 1.1 * unit, x + 0.8 * wide, base - 0.6 * unit, (92, 104, 114))

    def tree(self, x: float, foot: float, tall: float, *, leaf: Colour) -> None:
        rng = self.rng
        trunk = 0.035 * tall
        self.area([(x - trunk, foot), (x + trunk, foot), (x + 0.6 * trunk, foot - 0.6 * tall),
                   (x - 0.6 * trunk, foot - 0.6 * tall)], _jittered((88, 70, 54), rng, 10))
        for _ in range(90):  # dark leaves first, lit ones over them
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1) ** 0.5
            high = far * np.sin(angle)
            size = tall * rng.uniform(0.022, 0.06)
            tone = 0.72 + 0.25 * high + rng.normal(0, 0.1)
            self.oval(x + 0.27 * tall * far * np.cos(angle), foot - tall * (0.72 + 0.24 * high), size * 1.2, size,
                      _jittered(_scaled(leaf, tone + 0.15), rng, 6))

    def bushes(self, x0: float, x1: float, foot: float, tall: float, leaf: Colour, *, bloom: bool) -> None:
        rng = self.rng
        for x in np.arange(x0, x1, 0.3 * tall):
            for _ in range(9):
                size = tall * rng.uniform(0.08, 0.2)
                self.oval(x + rng.normal(0, 0.2 * tall), foot - rng.uniform(0.15, 0.75) * tall, size, size * 0.8,
                          _jittered(_scaled(leaf, rng.uniform(0.7, 1.15)), rng, 8))
        if bloom:
            for _ in range(int((x1 - x0) / tall * 14)):
                size = tall * rng.uniform(0.03, 0.07)
                self.oval(rng.uniform(x0, x1), foot - rng.uniform(0.1, 0.8) * tall, size, size, cloth_colour(rng))


def _street(pen: _Pen) -> None:
    _fronts(pen, shop=0.35)
    pen.floor()
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    for _ in range(int(rng.integers(0, 3))):
        pen.tree(rng.uniform(0, ground.width), ground.base + 2, unit * rng.uniform(2.0, 3.2), leaf=_leaf(rng))
    for _ in range(int(rng.integers(1, 4))):  # cars parked along the wall
        x, colour = rng.uniform(-0.5 * unit, ground.width), cloth_colour(rng)
        long, tall = 2.3 * unit, 0.78 * unit
        y = ground.base + 0.08 * unit
        pen.area([(x, y), (x, y - 0.45 * tall), (x + 0.2 * long, y - 0.55 * tall), (x + 0.33 * long, y - tall),
                  (x + 0.72 * long, y - tall), (x + 0.88 * long, y - 0.52 * tall), (x + long, y - 0.42 * tall),
                  (x + long, y)], colour)
        pen.area([(x + 0.25 * long, y - 0.56 * tall), (x + 0.36 * long, y - 0.92 * tall), (x + 0.69 * long, y - 0.92 * tall),
                  (x + 0.82 * long, y - 0.54 * tall)], (62, 74, 84))
        for share in (0.2, 0.8):
            pen.oval(x + share * long, y, 0.17 * unit, 0.17 * unit, (32, 32, 34))
            pen.oval(x + share * long, y, 0.08 * unit, 0.08 * unit, (150, 150, 152))
    _lamp_posts(pen)


def _shops(pen: _Pen) -> None:
    _fronts(pen, shop=1.0)
    pen.floor()
    _lamp_posts(pen)


def _plaza(pen: _Pen) -> None:
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    _fronts(pen, shop=0.5)
    for _ in range(int(rng.integers(2, 5))):
        pen.tree(rng.uniform(0, ground.width), ground.base + 1, unit * rng.uniform(1.6, 2.8), leaf=_leaf(rng))
    pen.floor()
    for _ in range(int(rng.integers(2, 5))):  # market stalls and umbrellas
        x, first, second = rng.uniform(0, ground.width), cloth_colour(rng), cloth_colour(rng)
        y, half = ground.base + 0.05 * unit, unit * rng.uniform(0.5, 0.9)
        pen.box(x - 0.03 * unit, y - 1.35 * unit, x + 0.03 * unit, y, (96, 90, 84))
        for i in range(6):
            a, b = x - half + i * half / 3, x - half + (i + 1) * half / 3
            pen.area([(x, y - 1.75 * unit), (a, y - 1.25 * unit), (b, y - 1.25 * unit)], first if i % 2 else second)
        if rng.random() < 0.6:
            pen.box(x - 0.7 * half, y - 0.5 * unit, x + 0.7 * half, y, _scaled(second, 0.8))
            for _ in range(8):
                pen.oval(x + rng.uniform(-0.6, 0.6) * half, y - 0.53 * unit, 0.07 * unit, 0.06 * unit, cloth_colour(rng))
    for x in np.arange(rng.uniform(0, 40), ground.width, unit * rng.uniform(2.0, 4.0)):
        if rng.random() < 0.5:  # banners
            pen.box(x, ground.base - 2.4 * unit, x + 2, ground.base, (86, 88, 92))
            pen.box(x + 2, ground.base - 2.3 * unit, x + 0.45 * unit, ground.base - 1.1 * unit, cloth_colour(rng))


def _hall(pen: _Pen) -> None:
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    wall = _jittered((172, 168, 158), rng, 20)
    pen.box(0, 0, ground.width, ground.base, wall)
    for x in np.arange(0, ground.width, 0.8 * unit):
        pen.box(x, 0, x + 0.8, ground.base, _scaled(wall, 0.88))
    pen.box(0, 0, ground.width, ground.base - 2.3 * unit, _scaled(wall, 0.6))
    for x in np.arange(rng.uniform(0, 0.5) * unit, ground.width, 0.9 * unit):
        pen.box(x, ground.base - 2.55 * unit, x + 0.55 * unit, ground.base - 2.48 * unit, (250, 248, 235))
    x = unit * rng.uniform(-0.3, 0.5)
    while x < ground.width:
        style, wide = rng.random(), unit * rng.uniform(0.6, 1.6)
        if style < 0.4:
            pen.poster(x, ground.base - 1.5 * unit, x + wide, ground.base - 0.3 * unit)
        elif style < 0.6:  # departures
            pen.box(x, ground.base - 1.9 * unit, x + 1.3 * wide, ground.base - 1.2 * unit, (24, 28, 40))
            for y in np.arange(ground.base - 1.8 * unit, ground.base - 1.25 * unit, 0.11 * unit):
                pen.box(x + 0.08 * unit, y, x + wide * rng.uniform(0.5, 1.2), y + 0.045 * unit, (232, 190, 70))
        elif style < 0.8:  # ticket machines
            for k in range(int(rng.integers(1, 4))):
                at = x + 0.5 * unit * k
                pen.box(at, ground.base - 1.0 * unit, at + 0.4 * unit, ground.base, cloth_colour(rng))
                pen.box(at + 0.06 * unit, ground.base - 0.88 * unit, at + 0.34 * unit, ground.base - 0.6 * unit, (70, 110, 140))
        else:
            pen.box(x, ground.base - 1.4 * unit, x + wide, ground.base, (58, 66, 74))
            for at in np.arange(x + 0.3 * unit, x + wide - 0.2 * unit, 0.5 * unit):
                pen.mannequins.append((float(at), ground.base - 0.05 * unit, 0.92 * unit))
        x += wide + unit * rng.uniform(0.2, 0.9)
    pen.floor()
    for x in np.arange(unit * rng.uniform(0.3, 2), ground.width, unit * rng.uniform(2.4, 4)):
        half, colour = 0.16 * unit, _jittered((142, 136, 128), rng, 22)
        for k in range(6):
            pen.box(x - half + k * half / 3, 0, x - half + (k + 1) * half / 3, ground.base + 0.1 * unit,
                    _scaled(colour, 0.72 + 0.11 * min(k, 6 - k)))
        if rng.random() < 0.5:
            pen.box(x - half, ground.base - 1.2 * unit, x + half, ground.base - 0.7 * unit, cloth_colour(rng))


def _park(pen: _Pen) -> None:
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    for x in np.arange(-unit, ground.width + unit, 0.55 * unit):
        pen.tree(x + rng.normal(0, 0.2 * unit), ground.base, unit * rng.uniform(2.0, 3.4), leaf=_scaled(_leaf(rng), 0.72))
    pen.bushes(0, ground.width, ground.base, 0.75 * unit, _leaf(rng), bloom=bool(rng.random() < 0.6))
    if rng.random() < 0.6:
        x, wide = rng.uniform(0.1, 0.7) * ground.width, unit * rng.uniform(1.0, 2.2)
        pen.box(x, ground.base - 1.5 * unit, x + wide, ground.base, cloth_colour(rng))
        pen.area([(x - 0.15 * unit, ground.base - 1.5 * unit), (x + wide + 0.15 * unit, ground.base - 1.5 * unit),
                  (x + wide / 2, ground.base - 2.1 * unit)], cloth_colour(rng))
        pen.poster(x + 0.1 * wide, ground.base - 1.2 * unit, x + 0.45 * wide, ground.base - 0.3 * unit)
        pen.box(x + 0.55 * wide, ground.base - 1.2 * unit, x + 0.9 * wide, ground.base, (50, 48, 50))
    pen.floor()
    for _ in range(int(rng.integers(1, 4))):
        pen.tree(rng.uniform(0, ground.width), ground.base + 0.1 * unit, unit * rng.uniform(2.4, 3.4), leaf=_leaf(rng))


def _fronts(pen: _Pen, *, shop: float) -> None:
    x, width = -pen.rng.uniform(0, 1) * pen.unit, pen.ground.width
    while x < width:
        wide = pen.unit * pen.rng.uniform(2.0, 4.5)
        pen.facade(x, x + wide, shop=bool(pen.rng.random() < shop))
        x += wide


def _lamp_posts(pen: _Pen) -> None:
    for x in np.arange(pen.unit * pen.rng.uniform(0.5, 3), pen.ground.width, pen.unit * pen.rng.uniform(3, 6)):
        pen.box(x, 0, x + 0.05 * pen.unit, pen.ground.base + 0.04 * pen.unit, (62, 64, 66))
        if pen.rng.random() < 0.6:
            pen.oval(x, pen.ground.base - 1.6 * pen.unit, 0.17 * pen.unit, 0.17 * pen.unit, cloth_colour(pen.rng))


_PAINTERS: dict[str, Callable[[_Pen], None]] = {
    "street": _street, "shops": _shops, "plaza": _plaza, "hall": _hall, "park": _park,
}


def _floor(place: str, ground: Ground, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns the (H, W, 3) ground in perspective: asphalt, slabs, tiles, or grass with a path."""
    height, width = ground.height, ground.width
    rows = np.maximum(np.arange(height) + 0.5, ground.base) - ground.horizon
    far = (1.0 / rows)[:, None] * ground.base_height / ground.height_at(ground.horizon + 1.0)
    vanish = width * rng.uniform(0.2, 0.8)
    # on the ground, in body heights: sideways, and away from the camera
    side = (np.arange(width) + 0.5 - vanish)[None, :] / (rows[:, None] * ground.height_at(ground.horizon + 1.0))
    away = np.broadcast_to(far * 4.0, (height, width))
    noise = _smooth_noise(rng, height, width, 2) * 5.0 + _smooth_noise(rng, height, width, 25) * 6.0
    colour = np.asarray(_jittered({"street": (112, 112, 114), "shops": (158, 150, 140), "plaza": (164, 156, 144),
                                   "hall": (176, 172, 164), "park": (170, 156, 130)}[place], rng, 20))
    pixels = np.broadcast_to(colour, (height, width, 3)) + noise[..., None]
    if place in ("shops", "plaza", "hall"):
        size = rng.uniform(0.3, 0.8)
        column, row = np.floor(side / size), np.floor(away / size)
        joint = np.minimum(np.abs(side / size - np.round(side / size)), np.abs(away / size - np.round(away / size)))
        tone = np.where((column + row) % 2 == 0, rng.uniform(0, 16), 0.0) + 6.0 * np.sin(column * 12.9 + row * 78.2)
        pixels = pixels + tone[..., None] - np.where(joint < 0.03, 20.0, 0.0)[..., None]
        if rng.random() < 0.4:  # a coloured band through the paving
            at, wide = rng.uniform(-2, 2), rng.uniform(0.2, 0.8)
            band = np.abs(side - at) < wide
            pixels = np.where(band[..., None], 0.6 * pixels + 0.4 * np.asarray(cloth_colour(rng)), pixels)
    elif place == "street":
        at = rng.uniform(-1.5, 1.5)
        dash = (np.abs(side - at) < 0.06) & (np.mod(away, 2.0) < 1.1)
        kerb = np.abs(away - far[int(ground.base) + 1 if ground.base + 1 < height else -1] * 4.0 * 0.86) < 0.05
        stripes = (np.mod(side, 0.5) < 0.25) & (np.abs(away - 1.5) < 0.5) & (rng.random() < 0.5)
        pixels = np.where((dash | stripes)[..., None], 214.0 + noise[..., None], pixels)
        pixels = np.where(kerb[..., None], 168.0, pixels)
    elif place == "park":
        grass = np.asarray(_jittered((92, 122, 62), rng, 14)) + noise[..., None] * 2.0
        path = np.abs(side + 0.35 * np.sin(away * 0.9) - rng.uniform(-1, 1)) < rng.uniform(0.5, 1.4)
        pixels = np.where(path[..., None], pixels, grass)
        leaves = _smooth_noise(rng, height, width, 1) > 2.7
        pixels = np.where(leaves[..., None] & ~path[..., None], np.asarray(cloth_colour(rng)), pixels)
    fade = np.linspace(0.86, 1.06, height)[:, None, None]
    return (pixels * fade).astype(np.float32)


def _floor_mask(image: Image.Image, width: int, height: int) -> NDArray[np.bool_]:
    key = (np.asarray(image)[::_ZOOM, ::_ZOOM] == np.asarray(_GROUND_KEY, dtype=np.uint8)).all(axis=2)
    return key[:height, :width]


def _mannequin(pixels: NDArray[np.float32], x: float, y: float, tall: float, rng: np.random.Generator) -> None:
    """Draws a dressed shop dummy: it has clothes but neither skin nor hair of a person."""
    plastic = _jittered((214, 210, 204), rng, 14)
    model = replace(draw_appearance(rng), skin=plastic, hair="shaved", hair_colour=plastic, hat_colour=plastic,
                    bag="none", stature=1.0, shoes=plastic)
    pose = replace(draw_pose(rng, bag="none", bag_side=1), stride=0.1, yaw=float(rng.normal(0, 0.4)))
    for shape in person_shapes(model, pose, foot=(x, y), height=tall):
        paint(pixels, shape, Light((0.0, -0.3, 0.95), 0.42, 0.4))


def _smooth_noise(rng: np.random.Generator, height: int, width: int, size: int) -> NDArray[np.float32]:
    """Returns (height, width) float32 noise of unit variance at its knots, `size` pixels apart."""
    knots = rng.standard_normal((height // size + 3, width // size + 3)).astype(np.float32)
    image = Image.fromarray(knots).resize(((width // size + 3) * size, (height // size + 3) * size),
                                          Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)[:height, :width]


def _sky(rng: np.random.Generator) -> Colour:
    return _jittered(((188, 206, 226), (206, 210, 214), (226, 222, 210))[int(rng.integers(0, 3))], rng, 8)


def _muted(rng: np.random.Generator) -> Colour:
    colours = ((182, 172, 156), (150, 96, 78), (196, 188, 176), (132, 134, 138), (206, 184, 144), (158, 150, 140),
               (120, 98, 84), (174, 182, 186))
    return _jittered(colours[int(rng.integers(0, len(colours)))], rng, 12)


def _leaf(rng: np.random.Generator) -> Colour:
    return _jittered(((72, 104, 52), (94, 120, 60), (58, 92, 58), (150, 120, 52))[int(rng.integers(0, 4))], rng, 8)


def _jittered(colour: Colour, rng: np.random.Generator, spread: float) -> Colour:
    red, green, blue = np.clip(np.asarray(colour) + rng.normal(0, spread) + rng.normal(0, spread * 0.3, 3), 0, 255)
    return float(red), float(green), float(blue)


def _scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(value, 4, 255)) for value in colour)
    return red, green, blue
