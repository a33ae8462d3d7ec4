"""Things that people carry or push. They are part of the person's outline (Sec. 4.1: foreground)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.synthetic.appearance import Appearance
from maskps.synthetic.projection import Projection
from maskps.synthetic.shapes import Colour, Fill, Shape, capsule, column, ellipse
from maskps.synthetic.tones import scaled


def bag_shapes(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    """Returns what the person carries as (depth in body heights, shape) pairs, in any order."""
    maker = {
        "handbag": _handbag,
        "backpack": _backpack,
        "suitcase": _suitcase,
        "shopper": _shopper,
        "messenger": _messenger,
        "pram": _pram,
    }.get(person.bag)
    return [] if maker is None else maker(person, joints, view)


def _two_tone(first: Colour, second: Colour, split: float) -> Fill:
    """Returns the fill of a bag with a pocket or flap: the second colour beyond `split` pixels."""
    a, b = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)

    def fill(side: NDArray[np.float32], along: NDArray[np.float32]) -> NDArray[np.float32]:
        share = np.clip(along - np.float32(split) + 0.5, 0, 1) * (np.abs(side) < 0.72)
        return a + share[..., None] * (b - a)

    return fill


def _box(
    view: Projection, top: NDArray, bottom: NDArray, half: float, deep: float, fill: Colour | Fill
) -> Shape:
    wide = view.width(half, deep)
    return column(
        view(top),
        view(bottom),
        (0.0, 0.06, 0.16, 0.84, 0.94, 1.0),
        (0.6 * wide, 0.88 * wide, wide, wide, 0.92 * wide, 0.7 * wide),
        fill,
        roundness=0.55,
    )


def _strap(view: Projection, start: NDArray, end: NDArray, colour: Colour, thick: float = 0.007) -> Shape:
    return capsule(view(start), view(end), (thick * view.scale, thick * view.scale), colour, roundness=0.3)


def _handbag(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    side = float(person.bag_side)
    shoulder = np.array([0.0, side * 0.095, 0.845])
    top, bottom = np.array([0.005, side * 0.155, 0.6]), np.array([0.005, side * 0.16, 0.475])
    bag = _box(
        view, top, bottom, 0.03, 0.085, _two_tone(person.bag_colour, person.bag_second, 0.085 * view.scale)
    )
    depth = view.depth(top)
    return [
        (depth, bag),
        (depth - 0.001, _strap(view, shoulder, top + [0.045, 0.0, 0.0], person.bag_colour)),
        (depth - 0.001, _strap(view, shoulder, top - [0.045, 0.0, 0.0], person.bag_colour)),
    ]


def _backpack(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    top, bottom = np.array([-0.115, 0.0, 0.835]), np.array([-0.125, 0.0, 0.575])
    bag = _box(
        view, top, bottom, 0.088, 0.06, _two_tone(person.bag_colour, person.bag_second, 0.14 * view.scale)
    )
    depth = view.depth(top)
    # from the side, it is beside the trunk: keep it behind the near arm
    result = [(depth if abs(depth) > 0.03 else -0.05, bag)]
    if np.cos(view.yaw) > 0.15:
        for side in (-1.0, 1.0):
            result.append(
                (
                    0.0,
                    _strap(
                        view,
                        np.array([0.03, side * 0.07, 0.85]),
                        np.array([0.06, side * 0.08, 0.66]),
                        person.bag_colour,
                        0.011,
                    ),
                )
            )
    return result


def _suitcase(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    name = "r" if person.bag_side > 0 else "l"
    hand = joints[name + "hand"]
    top, bottom = hand + [-0.07, 0.01 * person.bag_side, 0.0], np.array([-0.22, hand[1], 0.03])
    top[2] = 0.33
    case = _box(view, top, bottom, 0.085, 0.055, _two_tone(person.bag_colour, person.bag_second, 1e6))
    ribs = [
        _strap(
            view, top + [0.0, off, -0.03], bottom + [0.0, off, 0.03], scaled(person.bag_colour, 0.7), 0.006
        )
        for off in (-0.04, 0.04)
    ]
    depth = view.depth(bottom)
    wheel = ellipse(
        view(bottom - [0.0, 0.0, 0.012]), view.width(0.06, 0.03), 0.016 * view.scale, (28, 28, 30)
    )
    return [
        (depth - 0.002, wheel),
        (depth - 0.003, _strap(view, hand, top, (110, 112, 116))),
        (depth, case),
        *((depth + 0.001, rib) for rib in ribs),
    ]


def _shopper(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    hand = joints["rhand" if person.bag_side > 0 else "lhand"]
    top = hand + [0.0, 0.0, -0.055]
    bottom = top - [0.0, 0.0, 0.15]
    bag = column(
        view(top),
        view(bottom),
        (0.0, 1.0),
        (view.width(0.03, 0.07), view.width(0.04, 0.08)),
        _two_tone(person.bag_colour, person.bag_second, 0.1 * view.scale),
        roundness=0.35,
    )
    depth = view.depth(top)
    return [
        (depth, bag),
        *(
            (depth - 0.001, _strap(view, hand, top + [off, 0.0, -0.004], person.bag_colour, 0.005))
            for off in (-0.04, 0.04)
        ),
    ]


def _messenger(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    side = float(person.bag_side)
    top, bottom = np.array([-0.02, side * 0.135, 0.6]), np.array([-0.02, side * 0.14, 0.48])
    bag = _box(
        view, top, bottom, 0.035, 0.1, _two_tone(person.bag_colour, person.bag_second, 0.06 * view.scale)
    )
    depth = view.depth(top)
    front = 0.068 if np.cos(view.yaw) > 0 else -0.068
    band = _strap(
        view,
        np.array([front, -side * 0.06, 0.85]),
        np.array([front, side * 0.09, 0.6]),
        person.bag_second,
        0.009,
    )
    return [(depth, bag), (0.0, band)]


def _pram(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[tuple[float, Shape]]:
    scale = view.scale
    seat, foot_end = np.array([0.3, 0.0, 0.36]), np.array([0.55, 0.0, 0.33])
    depth = view.depth(seat)
    result: list[tuple[float, Shape]] = []
    for forward, side in ((0.28, -0.12), (0.28, 0.12), (0.56, -0.1), (0.56, 0.1)):
        hub = np.array([forward, side, 0.06])
        place = view.depth(hub)
        result.append(
            (place - 0.05, ellipse(view(hub), view.width(0.018, 0.062), 0.062 * scale, (34, 34, 36)))
        )
        result.append(
            (place - 0.049, ellipse(view(hub), view.width(0.01, 0.036), 0.036 * scale, (150, 152, 156)))
        )
        result.append(
            (place - 0.06, _strap(view, hub, np.array([0.4, side * 0.7, 0.34]), (90, 92, 96), 0.009))
        )
    tub = capsule(view(seat), view(foot_end), (0.115 * scale, 0.11 * scale, 0.1 * scale), person.bag_colour)
    back = view(seat + [-0.02, 0.0, 0.1])
    hood = ellipse(back, view.width(0.12, 0.11), 0.125 * scale, person.bag_second)
    result += [(depth + 0.004, tub), (depth + (0.006 if np.cos(view.yaw) < 0 else 0.002), hood)]
    for name in ("l", "r"):
        result.append(
            (
                depth - 0.08,
                _strap(view, joints[name + "hand"], np.array([0.26, 0.06, 0.36]), (70, 72, 76), 0.008),
            )
        )
    return result
