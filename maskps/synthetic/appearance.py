"""What a synthetic person looks like: body, hair, clothes, shoes, bag. It is drawn once per identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskps.synthetic.shapes import Colour

# Clothes follow a few fashions: dark and muted colours are common, so one garment alone identifies nobody.
_CLOTHES: dict[str, tuple[Colour, float, float]] = {  # colour, weight as a top, weight as a bottom
    "black": ((30, 30, 33), 15, 27),
    "navy": ((33, 41, 72), 9, 14),
    "charcoal": ((68, 70, 76), 8, 9),
    "grey": ((128, 130, 133), 8, 6),
    "silver": ((184, 186, 190), 5, 2),
    "white": ((232, 231, 226), 12, 4),
    "cream": ((222, 208, 178), 5, 3),
    "khaki": ((170, 148, 108), 4, 8),
    "brown": ((101, 70, 48), 4, 4),
    "red": ((188, 36, 40), 7, 2),
    "wine": ((106, 28, 46), 4, 1),
    "pink": ((226, 138, 164), 5, 1),
    "orange": ((218, 112, 44), 3, 0),
    "yellow": ((224, 190, 62), 4, 0),
    "olive": ((96, 100, 58), 4, 3),
    "green": ((46, 118, 74), 4, 1),
    "teal": ((38, 118, 126), 3, 1),
    "sky": ((134, 178, 214), 5, 1),
    "blue": ((46, 84, 166), 6, 2),
    "denim": ((70, 92, 130), 3, 15),
    "faded": ((130, 152, 182), 2, 8),
    "purple": ((104, 64, 132), 3, 1),
}
_NAMES = tuple(_CLOTHES)
_COLOURS = np.array([_CLOTHES[name][0] for name in _NAMES], dtype=np.float64)
_TOP = np.array([_CLOTHES[name][1] for name in _NAMES], dtype=np.float64)
_BOTTOM = np.array([_CLOTHES[name][2] for name in _NAMES], dtype=np.float64)
_SKIN: tuple[Colour, ...] = (
    (238, 200, 172),
    (226, 180, 148),
    (208, 158, 124),
    (180, 128, 94),
    (138, 94, 66),
    (92, 62, 46),
)
_HAIR: tuple[Colour, ...] = (
    (28, 24, 24),
    (44, 32, 27),
    (78, 52, 36),
    (120, 84, 52),
    (186, 148, 92),
    (136, 60, 36),
    (158, 156, 154),
)
_SHOES: tuple[Colour, ...] = (
    (26, 25, 27),
    (228, 228, 228),
    (92, 58, 38),
    (112, 114, 118),
    (170, 40, 44),
    (40, 56, 104),
    (196, 168, 128),
)
PATTERNS = ("plain", "stripes", "pinstripes", "checks", "block", "logo", "dots", "sash")


@dataclass(frozen=True)
class Garment:
    """Cloth: its kind, colours (0..255) and pattern; `period` in body heights, `phase` in turns."""

    kind: str
    colour: Colour
    second: Colour
    pattern: str = "plain"
    period: float = 0.06
    phase: float = 0.0


@dataclass(frozen=True)
class Appearance:
    """What stays the same in every scene that shows a person.

    Attributes:
        stature: height relative to the mean adult.
        build: width relative to the mean.
        hips: hip width relative to the shoulders.
        hair: "shaved", "short", "bob", "long", "tail", "bun", "curls", "cap", "beanie" or "scarf".
        sleeves: "none", "short" or "long"; `sleeve_colour` differs from the top's in raglan shirts.
        open_front: a jacket worn open over `inner`.
        bag: "none", "handbag", "backpack", "suitcase", "shopper", "messenger" or "pram".
        bag_side: -1 left hand, +1 right hand.
    """

    stature: float
    build: float
    hips: float
    skin: Colour
    hair: str
    hair_colour: Colour
    hat_colour: Colour
    top: Garment
    sleeves: str
    sleeve_colour: Colour
    open_front: bool
    inner: Colour
    hood: bool
    bottom: Garment
    shoes: Colour
    sole: Colour
    bag: str
    bag_colour: Colour
    bag_second: Colour
    bag_side: int


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """Returns a random person."""
    womanly = bool(rng.random() < 0.5)
    skin = _jitter(_SKIN[_pick(rng, (24, 26, 18, 13, 11, 8))], rng, 8)
    top_colour, second = _cloth(rng, _TOP), _cloth(rng, _TOP)
    while np.abs(np.subtract(top_colour, second)).sum() < 130:
        second = _cloth(rng, _TOP)
    kinds = ("tee", "shirt", "sweater", "hoodie", "jacket", "coat", "dress", "tank")
    kind = kinds[_pick(rng, (24, 15, 12, 12, 15, 11, 9, 5) if womanly else (28, 18, 13, 15, 18, 8, 0, 3))]
    patterned = {"coat": 0.3, "jacket": 0.35}.get(kind, 0.62)
    pattern = "plain"
    if rng.random() < patterned:
        pattern = PATTERNS[1 + _pick(rng, (24, 8, 18, 16, 20, 8, 6))]
    period = {
        "stripes": rng.uniform(0.035, 0.085),
        "checks": rng.uniform(0.045, 0.09),
        "dots": rng.uniform(0.045, 0.07),
    }.get(pattern, rng.uniform(0.04, 0.08))
    top = Garment(kind, top_colour, second, pattern, float(period), float(rng.random()))
    sleeves = {"tank": "none", "tee": "short"}.get(kind, "long")
    if kind == "dress" or kind == "shirt":
        sleeves = ("none", "short", "long")[_pick(rng, (2, 5, 3) if kind == "dress" else (0, 3, 7))]
    raglan = kind in ("tee", "sweater", "jacket", "hoodie") and rng.random() < 0.2
    legs = ("trousers", "jeans", "leggings", "shorts", "skirt", "long skirt")
    leg = legs[_pick(rng, (26, 28, 15, 10, 14, 7) if womanly else (42, 40, 0, 18, 0, 0))]
    bottom_colour = _cloth(rng, _BOTTOM)
    if leg == "jeans":
        bottom_colour = _jitter(
            tuple(
                _COLOURS[_NAMES.index(("denim", "faded", "navy", "charcoal")[_pick(rng, (45, 25, 20, 10))])]
            ),
            rng,
            12,
        )
    if leg in ("skirt", "long skirt"):
        bottom_colour = _cloth(rng, _TOP + _BOTTOM)
    leg_pattern = "plain"
    if leg in ("skirt", "long skirt", "shorts") and rng.random() < 0.4:
        leg_pattern = ("stripes", "checks", "dots")[_pick(rng, (3, 4, 3))]
    elif leg == "trousers" and rng.random() < 0.16:
        leg_pattern = "sash"
    bottom = Garment(
        leg,
        bottom_colour,
        _cloth(rng, _TOP),
        leg_pattern,
        float(rng.uniform(0.04, 0.08)),
        float(rng.random()),
    )
    styles = ("shaved", "short", "bob", "long", "tail", "bun", "curls", "cap", "beanie", "scarf")
    hair = styles[
        _pick(rng, (0, 8, 19, 30, 17, 8, 6, 4, 3, 5) if womanly else (12, 55, 2, 3, 2, 1, 6, 12, 7, 0))
    ]
    bags = ("none", "handbag", "backpack", "suitcase", "shopper", "messenger", "pram")
    bag = bags[_pick(rng, (30, 24, 15, 6, 10, 10, 5) if womanly else (44, 2, 22, 8, 8, 14, 2))]
    return Appearance(
        stature=float(np.clip(rng.normal(0.965 if womanly else 1.035, 0.045), 0.84, 1.16)),
        build=float(np.clip(rng.normal(0.97 if womanly else 1.05, 0.12), 0.78, 1.45)),
        hips=float(rng.uniform(0.94, 1.1) if womanly else rng.uniform(0.78, 0.92)),
        skin=skin,
        hair=hair,
        hair_colour=_jitter(_HAIR[_pick(rng, (34, 24, 16, 9, 7, 4, 6))], rng, 6),
        hat_colour=_cloth(rng, _TOP),
        top=top,
        sleeves=sleeves,
        sleeve_colour=second if raglan else top_colour,
        open_front=bool(
            kind in ("jacket", "coat", "hoodie", "shirt")
            and rng.random() < (0.25 if kind in ("hoodie", "shirt") else 0.6)
        ),
        inner=_cloth(rng, _TOP),
        hood=kind == "hoodie" or (kind in ("jacket", "coat") and bool(rng.random() < 0.25)),
        bottom=bottom,
        shoes=_jitter(_SHOES[_pick(rng, (36, 24, 13, 10, 6, 6, 5))], rng, 8),
        sole=(224, 224, 222) if rng.random() < 0.4 else (40, 38, 38),
        bag=bag,
        bag_colour=_cloth(rng, _TOP),
        bag_second=_cloth(rng, _TOP),
        bag_side=1 if rng.random() < 0.6 else -1,
    )


def cloth_colour(rng: np.random.Generator) -> Colour:
    """Returns a colour from the distribution of the tops. Backgrounds use it, as distractors."""
    return _cloth(rng, _TOP)


def _cloth(rng: np.random.Generator, weights: np.ndarray) -> Colour:
    row = _COLOURS[_pick(rng, weights)]
    return _jitter((row[0], row[1], row[2]), rng, 13)


def _pick(rng: np.random.Generator, weights: tuple[float, ...] | np.ndarray) -> int:
    share = np.cumsum(np.asarray(weights, dtype=np.float64))
    return int(np.searchsorted(share, rng.random() * share[-1], side="right"))


def _jitter(colour: Colour, rng: np.random.Generator, spread: float) -> Colour:
    grey, tint = rng.normal(0, spread), rng.normal(0, spread * 0.45, 3)
    red, green, blue = np.clip(np.asarray(colour) + grey + tint, 8, 245)
    return float(red), float(green), float(blue)
