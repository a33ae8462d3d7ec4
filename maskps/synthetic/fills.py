"""The fills of a figure's shapes: cloth with its pattern, and a head with face and hair.

Patterns are fixed to the body. For example, a logo on the chest is visible from the front only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.synthetic.appearance import Appearance, Garment
from maskps.synthetic.shapes import Colour, Fill

_Plane = NDArray[np.float32]


def cloth_fill(
    garment: Garment,
    *,
    yaw: float,
    scale: float,
    colour: Colour | None = None,
    opening: Colour | None = None,
    trunk: bool = False,
    offset: float = 0.0,
) -> Fill | Colour:
    """Returns the fill of a part of a garment.

    Args:
        yaw: direction of the body, radians.
        scale: pixels per body height.
        colour: replaces the garment's first colour, for sleeves.
        opening: colour visible where the front is open; None if it is closed.
        trunk: whether the part is the trunk. Only the trunk has logos, blocks and the opening.
        offset: where the part starts along the garment, in body heights.
    """
    first = np.asarray(garment.colour if colour is None else colour, dtype=np.float32)
    second = np.asarray(garment.second, dtype=np.float32)
    pattern = garment.pattern
    if not trunk and pattern in ("block", "logo"):
        pattern = "plain"
    if pattern == "plain" and opening is None and not (trunk and garment.kind in ("jacket", "shirt", "coat")):
        return float(first[0]), float(first[1]), float(first[2])

    def fill(side: _Plane, along: _Plane) -> _Plane:
        height = along * np.float32(1.0 / scale) + np.float32(offset)
        around = np.arcsin(side) - np.float32(yaw)
        share = _pattern(pattern, garment, around, height, scale)
        result = first + share[..., None] * (second - first)
        if trunk and garment.kind in ("jacket", "shirt", "coat"):
            front = (np.cos(around) > 0) & (height > 0.02)
            if opening is None:  # the seam of a closed front
                seam = front & (np.abs(np.sin(around)) < 0.045)
                result[seam] *= 0.72
            else:
                gap = np.clip(
                    (0.34 - np.abs(np.sin(around)) + 0.2 * (height - 0.2)) * scale * 0.1 + 0.5, 0, 1
                )
                gap *= front
                result += gap[..., None] * (np.asarray(opening, dtype=np.float32) - result)
        return result

    return fill


def _pattern(pattern: str, garment: Garment, around: _Plane, height: _Plane, scale: float) -> _Plane:
    """Returns the share of the second colour in each pixel, 0..1, with edges about a pixel wide."""
    period = garment.period
    sharp = np.float32(period * scale / 4.0)
    rings = np.cos((height / period + garment.phase) * np.float32(2 * np.pi))
    if pattern == "stripes":
        return np.clip(0.5 + sharp * (rings - 0.1), 0, 1)
    if pattern == "pinstripes":
        return np.clip(0.5 + 1.5 * (np.cos(around * 14.0) - 0.3), 0, 1)
    if pattern == "checks":
        lines = np.cos(around * np.float32(0.55 / period))
        return (0.5 * np.clip(0.5 + sharp * rings, 0, 1) + 0.5 * np.clip(0.5 + sharp * lines, 0, 1)).astype(
            np.float32
        )
    if pattern == "dots":
        lines = np.cos(around * np.float32(0.6 / period))
        return np.clip(0.5 + sharp * (rings * lines - 0.45), 0, 1)
    if pattern == "block":  # the upper part of the trunk in the second colour
        return np.clip((np.float32(0.12 + 0.07 * garment.phase) - height) * scale + 0.5, 0, 1)
    if pattern == "sash":  # a band: around the chest on tops, along the seam on trousers
        if garment.kind in ("trousers", "jeans", "leggings"):
            return np.clip((np.abs(np.sin(around)) - 0.86) * 10.0, 0, 1)
        return np.clip((0.028 - np.abs(height - np.float32(0.1 + 0.12 * garment.phase))) * scale + 0.5, 0, 1)
    if pattern == "logo":
        wide, tall = 0.3 + 0.3 * garment.phase, 0.028 + 0.5 * garment.period
        inside = np.minimum(
            (wide - np.abs(np.sin(around))) * np.float32(0.1 * scale),
            (tall - np.abs(height - 0.13)) * np.float32(scale),
        )
        return np.clip(inside + 0.5, 0, 1) * (np.cos(around) > 0)
    return np.zeros(np.broadcast_shapes(around.shape, height.shape), dtype=np.float32)


def head_fill(person: Appearance, *, yaw: float, length: float) -> Fill:
    """Returns the fill of the head's ellipse: skin, face and hair (or hat), turned with the body.

    Args:
        length: height of the ellipse in pixels.
    """
    covered = person.hair in ("cap", "beanie", "scarf")
    skin = np.asarray(person.skin, dtype=np.float32)
    hair = np.asarray(person.hat_colour if covered else person.hair_colour, dtype=np.float32)
    if person.hair == "shaved":
        hair = 0.45 * hair + 0.55 * skin
    dark = np.asarray((40, 28, 26), dtype=np.float32)
    lips = skin * np.asarray((0.82, 0.55, 0.55), dtype=np.float32)
    # where the hair ends on the forehead and on the back of the head; +1 is the crown
    fringe, nape = {
        "shaved": (0.62, -0.35),
        "cap": (0.36, -0.15),
        "beanie": (0.3, -0.3),
        "scarf": (0.34, -2.0),
        "bob": (0.42, -0.9),
        "long": (0.5, -2.0),
        "tail": (0.58, -0.55),
        "bun": (0.58, -0.5),
        "curls": (0.4, -0.8),
    }.get(person.hair, (0.5, -0.55))
    sides = {"scarf": 0.55, "bob": 0.42, "long": 0.36, "curls": 0.32}.get(person.hair, 0.14)
    sin, cos = np.float32(np.sin(yaw)), np.float32(np.cos(yaw))

    def fill(side: _Plane, along: _Plane) -> _Plane:
        up = 1.0 - along * np.float32(2.0 / length)
        ring = np.sqrt(np.clip(1.0 - up * up, 0.0, 1.0))
        right, near = side * ring, np.sqrt(1.0 - side * side) * ring
        front = right * sin + near * cos
        flank = near * sin - right * cos
        soft = np.float32(length / 3.0)
        share = np.clip(np.maximum(up - fringe, np.minimum(sides - front, up - nape)) * soft + 0.5, 0, 1)
        result = skin + share[..., None] * (hair - skin)
        if length > 9:
            face = front > 0.2
            for mark, (at_flank, at_up, wide, tall), strength in (
                (dark, (0.36, 0.06, 0.17, 0.09), 0.75),
                (dark, (0.36, 0.24, 0.24, 0.06), 0.4),
                (lips, (0.0, -0.5, 0.3, 0.08), 0.9),
                (skin * 0.8, (0.0, -0.18, 0.09, 0.2), 0.5),
            ):
                off = np.maximum(np.abs(np.abs(flank) - at_flank) / wide, np.abs(up - at_up) / tall)
                spot = np.clip((1.0 - off) * soft * 0.25 + 0.35, 0, 1) * face * strength
                result += spot[..., None] * (mark - result) * (1 - share[..., None])
        return result

    return fill
