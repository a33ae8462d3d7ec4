"""The order in which a figure's parts are drawn, far to near."""

from __future__ import annotations

from maskps.synthetic.shapes import Shape

Layered = tuple[float, Shape]
"""A shape and its rank: one of the layers below, plus a small number for the order within the layer."""

BEHIND, LEGS, SEAT, NECK, TRUNK, LOCKS, HEAD, BEFORE = 0.0, 10.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0
