"""Heads: neck, face, and hair or a hat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.synthetic import layers
from maskps.synthetic.appearance import Appearance
from maskps.synthetic.fills import head_fill
from maskps.synthetic.projection import Projection
from maskps.synthetic.shapes import capsule, column, ellipse


def head_shapes(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[layers.Layered]:
    """Returns neck, head, and hair or hat."""
    neck, head = joints["neck"], joints["head"]
    scale = view.scale / person.stature**0.5  # heads vary less than bodies
    half = np.hypot(0.05 * np.cos(view.yaw), 0.059 * np.sin(view.yaw)) * scale
    tall = 0.071 * scale
    facing = float(np.cos(view.yaw))
    hair = person.hair_colour
    centre = view(head)
    back = view(head + [-0.02, 0.0, 0.0])
    result: list[layers.Layered] = [
        (
            layers.NECK,
            capsule(
                view(neck + [0.0, 0.0, 0.02]),
                view(neck - [0.0, 0.0, 0.04]),
                (0.028 * view.scale, 0.034 * view.scale),
                person.skin,
            ),
        ),
        (
            layers.HEAD,
            ellipse(centre, half, tall, head_fill(person, yaw=view.yaw, length=2 * tall), roundness=0.7),
        ),
    ]
    # voluminous hair: in front of the head when seen from behind, otherwise behind it
    order = layers.HEAD - 1 if facing > -0.25 else layers.HEAD + 1
    if person.hair in ("short", "curls", "bob", "long", "tail", "bun"):
        puff = {"curls": 1.42, "bob": 1.16, "long": 1.12}.get(person.hair, 1.06)
        lift = (0.018 if person.hair == "curls" else 0.012) * scale
        cap = ellipse((back[0], back[1] - lift), half * puff, tall * (0.86 + 0.2 * (puff - 1)), hair)
        result.append((order, cap))
    if person.hair in ("bob", "long"):
        down = 0.075 if person.hair == "bob" else 0.19
        locks = head + [-0.03, 0.0, 0.03]
        lx, ly = view(locks)
        result.append(
            (
                layers.LOCKS if facing > -0.1 else layers.HEAD + 2,
                column(
                    (lx, ly),
                    (lx, ly + (down + 0.03) * scale),
                    (0.0, 0.35, 0.8, 1.0),
                    (half * 0.95, half * 1.12, half * 1.05, half * 0.6),
                    hair,
                ),
            )
        )
    if person.hair == "tail":
        tail = view(head + [-0.075, 0.0, 0.01])
        result.append(
            (
                layers.HEAD - 2 if facing > 0.2 else layers.HEAD + 2,
                capsule(
                    tail,
                    (tail[0], tail[1] + 0.1 * scale),
                    (0.018 * scale, 0.022 * scale, 0.008 * scale),
                    hair,
                ),
            )
        )
    if person.hair == "bun":
        result.append(
            (
                layers.HEAD - 2 if facing > -0.1 else layers.HEAD + 2,
                ellipse(view(head + [-0.045, 0.0, 0.06]), 0.028 * scale, 0.026 * scale, hair),
            )
        )
    if person.hair == "beanie":
        result.append(
            (
                layers.HEAD + 2,
                ellipse((centre[0], centre[1] - 0.042 * scale), half * 1.06, tall * 0.55, person.hat_colour),
            )
        )
    if person.hair == "cap":
        result.append(
            (
                layers.HEAD + 2,
                ellipse((centre[0], centre[1] - 0.04 * scale), half * 1.05, tall * 0.47, person.hat_colour),
            )
        )
        brim = view(head + [0.05, 0.0, 0.028])
        if facing > -0.3:
            tip = view(head + [0.085, 0.0, 0.022])
            result.append(
                (
                    layers.HEAD + 3,
                    capsule(brim, tip, (0.017 * scale, 0.014 * scale), person.hat_colour, roundness=0.4),
                )
            )
    if person.hair == "scarf":
        sx, sy = view(head + [-0.012, 0.0, 0.0])
        result.append(
            (
                layers.HEAD - 1,
                column(
                    (sx, sy - tall * 1.08),
                    (sx, sy + 0.125 * scale),
                    (0.0, 0.12, 0.4, 0.7, 1.0),
                    (0.3 * half, 0.85 * half, 1.2 * half, 1.15 * half, 1.6 * half),
                    person.hat_colour,
                ),
            )
        )
    return result
