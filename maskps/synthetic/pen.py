"""A pen for places: doors, shop windows, posters and trees, in proportion to the people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import ImageDraw

from maskps.synthetic.appearance import cloth_colour
from maskps.synthetic.ground import Ground
from maskps.synthetic.shapes import Colour
from maskps.synthetic.tones import jittered, rgb, scaled, wall_colour

ZOOM = 2  # places are drawn this many times larger, then reduced
BARE_GROUND = (1, 2, 3)  # marks the floor, which gets its texture later; no other colour is as dark


class Pen:
    """Draws in scene pixels on the enlarged image."""

    def __init__(self, draw: ImageDraw.ImageDraw, rng: np.random.Generator, ground: Ground) -> None:
        self.draw, self.rng, self.ground = draw, rng, ground
        self.unit = ground.base_height  # height of a person who stands at the walls
        self.mannequins: list[tuple[float, float, float]] = []

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self._fill(self.draw.rectangle, x0 * ZOOM, y0 * ZOOM, x1 * ZOOM - 1, y1 * ZOOM - 1, colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self._fill(
            self.draw.ellipse, (x - rx) * ZOOM, (y - ry) * ZOOM, (x + rx) * ZOOM, (y + ry) * ZOOM, colour
        )

    def _fill(
        self, shape: Callable[..., None], x0: float, y0: float, x1: float, y1: float, colour: Colour
    ) -> None:
        """Fills a shape between two corners, both included: nothing where the second is before the first."""
        if x1 >= x0 and y1 >= y0:
            shape([x0, y0, x1, y1], fill=rgb(colour))

    def area(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(x * ZOOM, y * ZOOM) for x, y in points], fill=rgb(colour))

    def floor(self) -> None:
        self.draw.rectangle(
            [0, self.ground.base * ZOOM, self.ground.width * ZOOM, self.ground.height * ZOOM],
            fill=BARE_GROUND,
        )

    def poster(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Draws a framed poster: panels, letters, and sometimes a blot like a figure."""
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
            self.area(
                [
                    (x - 0.2 * wide, y0 + 0.36 * tall),
                    (x + 0.2 * wide, y0 + 0.36 * tall),
                    (x + 0.26 * wide, y1),
                    (x - 0.26 * wide, y1),
                ],
                colour,
            )
        elif style < 0.7:
            for row in range(int(rng.integers(2, 5))):
                y = y0 + tall * (0.1 + 0.22 * row)
                self.box(
                    x0 + 0.1 * wide, y, x0 + wide * rng.uniform(0.5, 0.92), y + 0.09 * tall, cloth_colour(rng)
                )
        else:
            for _ in range(int(rng.integers(3, 7))):
                self.oval(
                    x0 + wide * rng.uniform(0.2, 0.8),
                    y0 + tall * rng.uniform(0.15, 0.85),
                    0.16 * wide,
                    0.1 * tall,
                    cloth_colour(rng),
                )

    def facade(self, x0: float, x1: float, *, shop: bool) -> None:
        """Draws a house front from the top of the image to the ground, with a shop or doors at the bottom."""
        rng, unit, base = self.rng, self.unit, self.ground.base
        wall = wall_colour(rng)
        self.box(x0, 0, x1, base, wall)
        if rng.random() < 0.35:
            for y in np.arange(base, 0, -max(3.0, 0.06 * unit)):
                self.box(x0, y, x1, y + 0.7, scaled(wall, 0.9))
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
        glass, frame = jittered((96, 112, 128), rng, 26), scaled(wall, 0.7)
        y = below - 0.35 * unit
        while y > -tall:
            x = x0 + gap
            while x + wide < x1:
                self.box(x - 1.2, y - tall - 1.2, x + wide + 1.2, y + 1.2, frame)
                self.box(x, y - tall, x + wide, y, jittered(glass, rng, 9))
                if rng.random() < 0.3:
                    self.box(
                        x,
                        y - tall,
                        x + wide * rng.uniform(0.3, 1),
                        y - tall * rng.uniform(0.2, 0.7),
                        cloth_colour(rng),
                    )
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
                self.area(
                    [
                        (at, top + 0.3 * unit),
                        (at + step, top + 0.3 * unit),
                        (at + step * 1.1, top + 0.56 * unit),
                        (at + step * 0.1, top + 0.56 * unit),
                    ],
                    first if i % 2 else second,
                )
        x = x0 + 0.12 * unit
        while x < x1 - 0.4 * unit:
            wide = min(unit * rng.uniform(0.7, 1.7), x1 - x - 0.1 * unit)
            if rng.random() < 0.25:
                self._door(x, min(wide, 0.7 * unit))
                x += min(wide, 0.7 * unit) + 0.12 * unit
                continue
            self.box(x, top + 0.42 * unit, x + wide, base - 0.12 * unit, jittered((66, 72, 80), rng, 22))
            self._display(x, x + wide, top + 0.5 * unit, base - 0.14 * unit)
            x += wide + 0.12 * unit

    def _display(self, x0: float, x1: float, top: float, bottom: float) -> None:
        """Draws what is in a shop window: clothes on a rail, shelves of goods, mannequins."""
        rng, unit = self.rng, self.unit
        style = rng.random()
        if style < 0.35:
            x = x0 + 0.05 * unit
            while x < x1 - 0.12 * unit:
                wide = unit * rng.uniform(0.07, 0.2)
                length = rng.uniform(0.35, 0.7) * unit
                self.area(
                    [
                        (x, top + 0.16 * unit),
                        (x + wide, top + 0.16 * unit),
                        (x + wide * 1.1, top + 0.16 * unit + length),
                        (x - wide * 0.1, top + 0.16 * unit + length),
                    ],
                    scaled(cloth_colour(rng), 0.85),
                )
                x += wide + unit * rng.uniform(0.0, 0.08)
        elif style < 0.62:
            y = top + 0.1 * unit
            while y < bottom:
                x = x0 + 0.03 * unit
                while x < x1 - 0.06 * unit:
                    wide, tall = unit * rng.uniform(0.04, 0.14), unit * rng.uniform(0.06, 0.2)
                    self.box(
                        x,
                        y + 0.22 * unit - tall,
                        min(x + wide, x1),
                        y + 0.22 * unit,
                        scaled(cloth_colour(rng), 0.9),
                    )
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
                self.box(x, base - 1.25 * unit, x + 0.7 * unit, base - 0.5 * unit, scaled(wall, 0.6))
                self.box(
                    x + 1, base - 1.25 * unit + 1, x + 0.7 * unit - 1, base - 0.5 * unit - 1, (88, 104, 120)
                )
                x += 0.95 * unit
            else:
                self.box(x, base - 1.2 * unit, x + 0.9 * unit, base, scaled(cloth_colour(rng), 0.8))
                x += 1.1 * unit

    def _door(self, x: float, wide: float) -> None:
        base, unit = self.ground.base, self.unit
        colour = cloth_colour(self.rng)
        self.box(x, base - 1.28 * unit, x + wide, base, scaled(colour, 0.55))
        self.box(x + 0.06 * wide, base - 1.22 * unit, x + 0.94 * wide, base, colour)
        self.box(x + 0.2 * wide, base - 1.1 * unit, x + 0.8 * wide, base - 0.6 * unit, (92, 104, 114))

    def tree(self, x: float, foot: float, tall: float, *, leaf: Colour) -> None:
        rng = self.rng
        trunk = 0.035 * tall
        self.area(
            [
                (x - trunk, foot),
                (x + trunk, foot),
                (x + 0.6 * trunk, foot - 0.6 * tall),
                (x - 0.6 * trunk, foot - 0.6 * tall),
            ],
            jittered((88, 70, 54), rng, 10),
        )
        for _ in range(90):  # dark leaves first, lit ones over them
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1) ** 0.5
            high = far * np.sin(angle)
            size = tall * rng.uniform(0.022, 0.06)
            tone = 0.72 + 0.25 * high + rng.normal(0, 0.1)
            self.oval(
                x + 0.27 * tall * far * np.cos(angle),
                foot - tall * (0.72 + 0.24 * high),
                size * 1.2,
                size,
                jittered(scaled(leaf, tone + 0.15), rng, 6),
            )

    def bushes(self, x0: float, x1: float, foot: float, tall: float, leaf: Colour, *, bloom: bool) -> None:
        rng = self.rng
        for x in np.arange(x0, x1, 0.3 * tall):
            for _ in range(9):
                size = tall * rng.uniform(0.08, 0.2)
                self.oval(
                    x + rng.normal(0, 0.2 * tall),
                    foot - rng.uniform(0.15, 0.75) * tall,
                    size,
                    size * 0.8,
                    jittered(scaled(leaf, rng.uniform(0.7, 1.15)), rng, 8),
                )
        if bloom:
            for _ in range(int((x1 - x0) / tall * 14)):
                size = tall * rng.uniform(0.03, 0.07)
                self.oval(
                    rng.uniform(x0, x1), foot - rng.uniform(0.1, 0.8) * tall, size, size, cloth_colour(rng)
                )
