"""Five kinds of place: street, shop fronts, plaza, station hall, park."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskps.synthetic.appearance import cloth_colour
from maskps.synthetic.pen import Pen
from maskps.synthetic.tones import jittered, leaf_colour, scaled


def _street(pen: Pen) -> None:
    _fronts(pen, shop=0.35)
    pen.floor()
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    for _ in range(int(rng.integers(0, 3))):
        pen.tree(
            rng.uniform(0, ground.width), ground.base + 2, unit * rng.uniform(2.0, 3.2), leaf=leaf_colour(rng)
        )
    for _ in range(int(rng.integers(1, 4))):  # cars parked along the wall
        x, colour = rng.uniform(-0.5 * unit, ground.width), cloth_colour(rng)
        long, tall = 2.3 * unit, 0.78 * unit
        y = ground.base + 0.08 * unit
        pen.area(
            [
                (x, y),
                (x, y - 0.45 * tall),
                (x + 0.2 * long, y - 0.55 * tall),
                (x + 0.33 * long, y - tall),
                (x + 0.72 * long, y - tall),
                (x + 0.88 * long, y - 0.52 * tall),
                (x + long, y - 0.42 * tall),
                (x + long, y),
            ],
            colour,
        )
        pen.area(
            [
                (x + 0.25 * long, y - 0.56 * tall),
                (x + 0.36 * long, y - 0.92 * tall),
                (x + 0.69 * long, y - 0.92 * tall),
                (x + 0.82 * long, y - 0.54 * tall),
            ],
            (62, 74, 84),
        )
        for share in (0.2, 0.8):
            pen.oval(x + share * long, y, 0.17 * unit, 0.17 * unit, (32, 32, 34))
            pen.oval(x + share * long, y, 0.08 * unit, 0.08 * unit, (150, 150, 152))
    _lamp_posts(pen)


def _shops(pen: Pen) -> None:
    _fronts(pen, shop=1.0)
    pen.floor()
    _lamp_posts(pen)


def _plaza(pen: Pen) -> None:
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    _fronts(pen, shop=0.5)
    for _ in range(int(rng.integers(2, 5))):
        pen.tree(
            rng.uniform(0, ground.width), ground.base + 1, unit * rng.uniform(1.6, 2.8), leaf=leaf_colour(rng)
        )
    pen.floor()
    for _ in range(int(rng.integers(2, 5))):  # market stalls and umbrellas
        x, first, second = rng.uniform(0, ground.width), cloth_colour(rng), cloth_colour(rng)
        y, half = ground.base + 0.05 * unit, unit * rng.uniform(0.5, 0.9)
        pen.box(x - 0.03 * unit, y - 1.35 * unit, x + 0.03 * unit, y, (96, 90, 84))
        for i in range(6):
            a, b = x - half + i * half / 3, x - half + (i + 1) * half / 3
            pen.area(
                [(x, y - 1.75 * unit), (a, y - 1.25 * unit), (b, y - 1.25 * unit)], first if i % 2 else second
            )
        if rng.random() < 0.6:
            pen.box(x - 0.7 * half, y - 0.5 * unit, x + 0.7 * half, y, scaled(second, 0.8))
            for _ in range(8):
                pen.oval(
                    x + rng.uniform(-0.6, 0.6) * half,
                    y - 0.53 * unit,
                    0.07 * unit,
                    0.06 * unit,
                    cloth_colour(rng),
                )
    for x in np.arange(rng.uniform(0, 40), ground.width, unit * rng.uniform(2.0, 4.0)):
        if rng.random() < 0.5:  # banners
            pen.box(x, ground.base - 2.4 * unit, x + 2, ground.base, (86, 88, 92))
            pen.box(
                x + 2, ground.base - 2.3 * unit, x + 0.45 * unit, ground.base - 1.1 * unit, cloth_colour(rng)
            )


def _hall(pen: Pen) -> None:
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    wall = jittered((172, 168, 158), rng, 20)
    pen.box(0, 0, ground.width, ground.base, wall)
    for x in np.arange(0, ground.width, 0.8 * unit):
        pen.box(x, 0, x + 0.8, ground.base, scaled(wall, 0.88))
    pen.box(0, 0, ground.width, ground.base - 2.3 * unit, scaled(wall, 0.6))
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
                pen.box(
                    x + 0.08 * unit, y, x + wide * rng.uniform(0.5, 1.2), y + 0.045 * unit, (232, 190, 70)
                )
        elif style < 0.8:  # ticket machines
            for k in range(int(rng.integers(1, 4))):
                at = x + 0.5 * unit * k
                pen.box(at, ground.base - 1.0 * unit, at + 0.4 * unit, ground.base, cloth_colour(rng))
                pen.box(
                    at + 0.06 * unit,
                    ground.base - 0.88 * unit,
                    at + 0.34 * unit,
                    ground.base - 0.6 * unit,
                    (70, 110, 140),
                )
        else:
            pen.box(x, ground.base - 1.4 * unit, x + wide, ground.base, (58, 66, 74))
            for at in np.arange(x + 0.3 * unit, x + wide - 0.2 * unit, 0.5 * unit):
                pen.mannequins.append((float(at), ground.base - 0.05 * unit, 0.92 * unit))
        x += wide + unit * rng.uniform(0.2, 0.9)
    pen.floor()
    for x in np.arange(unit * rng.uniform(0.3, 2), ground.width, unit * rng.uniform(2.4, 4)):
        half, colour = 0.16 * unit, jittered((142, 136, 128), rng, 22)
        for k in range(6):
            pen.box(
                x - half + k * half / 3,
                0,
                x - half + (k + 1) * half / 3,
                ground.base + 0.1 * unit,
                scaled(colour, 0.72 + 0.11 * min(k, 6 - k)),
            )
        if rng.random() < 0.5:
            pen.box(x - half, ground.base - 1.2 * unit, x + half, ground.base - 0.7 * unit, cloth_colour(rng))


def _park(pen: Pen) -> None:
    ground, rng, unit = pen.ground, pen.rng, pen.unit
    for x in np.arange(-unit, ground.width + unit, 0.55 * unit):
        pen.tree(
            x + rng.normal(0, 0.2 * unit),
            ground.base,
            unit * rng.uniform(2.0, 3.4),
            leaf=scaled(leaf_colour(rng), 0.72),
        )
    pen.bushes(0, ground.width, ground.base, 0.75 * unit, leaf_colour(rng), bloom=bool(rng.random() < 0.6))
    if rng.random() < 0.6:
        x, wide = rng.uniform(0.1, 0.7) * ground.width, unit * rng.uniform(1.0, 2.2)
        pen.box(x, ground.base - 1.5 * unit, x + wide, ground.base, cloth_colour(rng))
        pen.area(
            [
                (x - 0.15 * unit, ground.base - 1.5 * unit),
                (x + wide + 0.15 * unit, ground.base - 1.5 * unit),
                (x + wide / 2, ground.base - 2.1 * unit),
            ],
            cloth_colour(rng),
        )
        pen.poster(x + 0.1 * wide, ground.base - 1.2 * unit, x + 0.45 * wide, ground.base - 0.3 * unit)
        pen.box(x + 0.55 * wide, ground.base - 1.2 * unit, x + 0.9 * wide, ground.base, (50, 48, 50))
    pen.floor()
    for _ in range(int(rng.integers(1, 4))):
        pen.tree(
            rng.uniform(0, ground.width),
            ground.base + 0.1 * unit,
            unit * rng.uniform(2.4, 3.4),
            leaf=leaf_colour(rng),
        )


def _fronts(pen: Pen, *, shop: float) -> None:
    x, width = -pen.rng.uniform(0, 1) * pen.unit, pen.ground.width
    while x < width:
        wide = pen.unit * pen.rng.uniform(2.0, 4.5)
        pen.facade(x, x + wide, shop=bool(pen.rng.random() < shop))
        x += wide


def _lamp_posts(pen: Pen) -> None:
    for x in np.arange(
        pen.unit * pen.rng.uniform(0.5, 3), pen.ground.width, pen.unit * pen.rng.uniform(3, 6)
    ):
        pen.box(x, 0, x + 0.05 * pen.unit, pen.ground.base + 0.04 * pen.unit, (62, 64, 66))
        if pen.rng.random() < 0.6:
            pen.oval(
                x, pen.ground.base - 1.6 * pen.unit, 0.17 * pen.unit, 0.17 * pen.unit, cloth_colour(pen.rng)
            )


PLACES: dict[str, Callable[[Pen], None]] = {
    "street": _street,
    "shops": _shops,
    "plaza": _plaza,
    "hall": _hall,
    "park": _park,
}
