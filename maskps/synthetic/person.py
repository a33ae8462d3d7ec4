"""A figure: turns an appearance and a pose into shapes, in painter's order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, make_valid, polygons, union_all

from maskps.synthetic import layers
from maskps.synthetic.appearance import Appearance
from maskps.synthetic.bags import bag_shapes
from maskps.synthetic.fills import cloth_fill
from maskps.synthetic.head import head_shapes
from maskps.synthetic.pose import Pose, skeleton
from maskps.synthetic.projection import Projection
from maskps.synthetic.shapes import Colour, Fill, Shape, capsule, column, ellipse

_LONG_TOPS = ("coat", "dress")


def person_shapes(person: Appearance, pose: Pose, *, foot: tuple[float, float], height: float) -> list[Shape]:
    """Returns the shapes of one person, far to near, in image pixels.

    Args:
        foot: x and y of the point on the ground between the feet.
        height: of a mean adult there, in pixels; the person's stature is a factor of it.
    """
    view = Projection(foot, height * person.stature, pose.yaw)
    joints = skeleton(pose, build=person.build, hips=person.hips)
    layered: list[layers.Layered] = []
    layered += _legs(person, joints, view)
    layered += _trunk(person, joints, view, pose)
    layered += _arms(person, joints, view)
    layered += head_shapes(person, joints, view)
    layered += [
        (layers.BEHIND + 1 + depth if depth < -0.02 else layers.BEFORE + 1 + depth, shape)
        for depth, shape in bag_shapes(person, joints, view)
    ]
    layered.sort(key=lambda item: item[0])
    return [shape for _, shape in layered]


def silhouette(shapes: list[Shape]) -> MultiPolygon:
    """Returns the union of the shapes' outlines, the person's whole silhouette."""
    parts: list[Polygon] = []
    for shape in shapes:
        part = polygons(shape.polygon)
        parts.append(part if part.is_valid else make_valid(part))
    union = union_all(parts)
    if union.geom_type == "Polygon":
        return MultiPolygon([union])
    return MultiPolygon([part for part in union.geoms if part.geom_type == "Polygon"])


def _side_depth(base: float, depth: float) -> float:
    return (layers.BEHIND if depth < -0.035 else base) + 5 * depth


def _legs(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[layers.Layered]:
    build, kind = person.build**0.8, person.bottom.kind
    bare = kind in ("shorts", "skirt", "long skirt") or person.top.kind == "dress"
    loose = {"leggings": 0.86, "jeans": 1.0, "trousers": 1.1}.get(kind, 1.0)
    result: list[layers.Layered] = []
    for name in ("l", "r"):
        hip, knee, ankle = (view(joints[name + part]) for part in ("hip", "knee", "ankle"))
        depth = view.depth((joints[name + "hip"] + joints[name + "knee"]) / 2)
        order = layers.LEGS + 10 * depth
        thick = view.scale * build
        sole = view.scale * 0.017
        heel, toe = view(joints[name + "heel"]), view(joints[name + "toe"])
        result.append(
            (
                order - 0.2,
                capsule(
                    heel, toe, (0.021 * view.scale, 0.024 * view.scale, sole), person.shoes, roundness=0.6
                ),
            )
        )
        result.append(
            (
                order - 0.1,
                capsule(
                    (heel[0], heel[1] + sole * 0.55),
                    (toe[0], toe[1] + sole * 0.55),
                    (sole * 0.55, sole * 0.55),
                    person.sole,
                    roundness=0.2,
                ),
            )
        )
        if bare:
            result.append(
                (order, capsule(hip, knee, (0.05 * thick, 0.047 * thick, 0.036 * thick), person.skin))
            )
            result.append(
                (
                    order + 0.1,
                    capsule(
                        knee, ankle, (0.034 * thick, 0.037 * thick, 0.028 * thick, 0.021 * thick), person.skin
                    ),
                )
            )
        if kind == "shorts" and person.top.kind != "dress":
            cloth = cloth_fill(person.bottom, yaw=view.yaw, scale=view.scale)
            hem = (hip[0] + 0.8 * (knee[0] - hip[0]), hip[1] + 0.8 * (knee[1] - hip[1]))
            result.append(
                (
                    order + 0.2,
                    capsule(hip, hem, (0.058 * thick, 0.06 * thick, 0.058 * thick), cloth, flat_end=True),
                )
            )
        elif not bare:
            cloth = cloth_fill(person.bottom, yaw=view.yaw, scale=view.scale)
            thick *= loose
            cuff = 0.024 if kind == "leggings" else 0.034
            result.append((order, capsule(hip, knee, (0.056 * thick, 0.053 * thick, 0.041 * thick), cloth)))
            result.append(
                (
                    order + 0.1,
                    capsule(
                        knee,
                        ankle,
                        (0.04 * thick, 0.041 * thick, 0.037 * thick, cuff * thick),
                        cloth,
                        flat_end=True,
                    ),
                )
            )
    return result


def _trunk(
    person: Appearance, joints: dict[str, NDArray], view: Projection, pose: Pose
) -> list[layers.Layered]:
    build, hips = person.build, person.hips
    bulk = {"coat": 0.013, "jacket": 0.012, "hoodie": 0.009, "sweater": 0.006}.get(person.top.kind, 0.002)
    neck, pelvis = joints["neck"], joints["pelvis"]
    wide = view.width

    def ring(half: float, deep: float) -> float:
        return wide((half * build**0.7 + bulk), (deep * build + bulk))

    result: list[layers.Layered] = []
    seat_top, seat_end = pelvis + [0.0, 0.0, 0.07], pelvis - [0.0, 0.0, 0.06]
    kind = person.bottom.kind
    if person.top.kind != "dress":
        cloth = cloth_fill(person.bottom, yaw=view.yaw, scale=view.scale)
        if kind in ("skirt", "long skirt"):
            hem = 0.30 if kind == "skirt" else 0.10
            flare = 0.03 + 0.04 * person.bottom.phase + (0.02 if kind == "long skirt" else 0.0)
            result.append(
                (
                    layers.SEAT,
                    _skirt(
                        view,
                        joints,
                        seat_top,
                        hem,
                        ring(0.078, 0.062),
                        ring(0.096 * hips, 0.08),
                        flare,
                        cloth,
                    ),
                )
            )
        else:
            result.append(
                (
                    layers.SEAT,
                    column(
                        view(seat_top),
                        view(seat_end),
                        (0.0, 0.5, 0.8, 1.0),
                        (
                            ring(0.085, 0.062),
                            ring(0.097 * hips, 0.078),
                            ring(0.092 * hips, 0.07),
                            ring(0.05, 0.05),
                        ),
                        cloth,
                    ),
                )
            )
    top = neck + [0.0, 0.0, 0.005]
    end = pelvis + [0.0, 0.0, 0.0 if person.top.phase < 0.6 else -0.03]
    waist = 0.083 if person.hips > 0.93 else 0.092
    shoulder, chest = ring(0.106, 0.052), ring(0.099, 0.072)
    cloth = cloth_fill(
        person.top,
        yaw=view.yaw,
        scale=view.scale,
        trunk=True,
        opening=person.inner if person.open_front else None,
    )
    trunk = column(
        view(top),
        view(end),
        (0.0, 0.055, 0.15, 0.36, 0.68, 0.9, 1.0),
        (
            0.036 * view.scale,
            wide(0.066 * build**0.7, 0.045),
            shoulder,
            chest,
            ring(waist, 0.066),
            ring(0.096 * hips, 0.078),
            ring(0.094 * hips, 0.076),
        ),
        cloth,
    )
    result.append((layers.TRUNK, trunk))
    if person.top.kind in _LONG_TOPS:
        hem = 0.40 - 0.16 * person.top.phase if person.top.kind == "coat" else 0.36 - 0.2 * person.top.phase
        below = cloth_fill(
            person.top,
            yaw=view.yaw,
            scale=view.scale,
            offset=float(top[2] - seat_top[2]),
            trunk=person.top.kind == "coat",
            opening=None if not person.open_front or person.top.kind == "dress" else person.bottom.colour,
        )
        flare = 0.012 if person.top.kind == "coat" else 0.03 + 0.03 * person.top.phase
        result.append(
            (
                layers.TRUNK - 1,
                _skirt(
                    view, joints, seat_top, hem, ring(waist, 0.064), ring(0.097 * hips, 0.078), flare, below
                ),
            )
        )
    if person.hood:
        back = neck + [-0.045, 0.0, -0.02]
        hood = ellipse(view(back), wide(0.07, 0.04), 0.035 * view.scale, person.sleeve_colour)
        result.append((layers.NECK - 3 if view.depth(back) < 0 else layers.LOCKS + 2, hood))
    elif person.top.kind in ("shirt", "jacket", "coat") and np.cos(pose.yaw) > 0.1:
        throat = neck + [0.035, 0.0, -0.02]
        result.append(
            (
                layers.TRUNK + 1,
                capsule(
                    view(throat + [0.0, 0.0, 0.02]),
                    view(throat - [0.0, 0.0, 0.025]),
                    (0.026 * view.scale, 0.004 * view.scale),
                    person.inner if person.top.kind != "shirt" else person.skin,
                    flat_start=True,
                ),
            )
        )
    elif np.cos(pose.yaw) > 0.1:
        throat = neck + [0.035, 0.0, -0.004]
        result.append(
            (
                layers.TRUNK + 1,
                ellipse(
                    view(throat),
                    0.034 * view.scale,
                    (0.014 if person.top.phase < 0.5 else 0.028) * view.scale,
                    person.skin,
                ),
            )
        )
    return result


def _skirt(
    view: Projection,
    joints: dict[str, NDArray],
    top: NDArray,
    hem: float,
    waist: float,
    hips: float,
    flare: float,
    cloth: Colour | Fill,
) -> Shape:
    """Returns a skirt, or the lower part of a coat. Its hem is wide enough for both legs."""
    end = np.array([top[0] - 0.005, 0.0, hem])
    x_end = view(end)[0]
    reach = []
    for name in ("l", "r"):
        knee, ankle = joints[name + "knee"], joints[name + "ankle"]
        share = np.clip((knee[2] - hem) / max(knee[2] - ankle[2], 1e-6), 0.0, 0.8)
        reach.append(view(knee + share * (ankle - knee))[0] - x_end)
    room = 0.05 * view.scale
    flat = hips + flare * view.scale
    low, high = min(min(reach) - room, -flat), max(max(reach) + room, flat)
    half, middle = (high - low) / 2, (high + low) / 2
    return column(view(top), view(end), (0.0, 0.3, 1.0), (waist, hips, half), cloth, shift=(0.0, 0.0, middle))


def _arms(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[layers.Layered]:
    build = person.build**0.7 * view.scale
    bulk = {"coat": 1.3, "jacket": 1.3, "hoodie": 1.2, "sweater": 1.12}.get(person.top.kind, 1.0)
    sleeve = cloth_fill(person.top, yaw=view.yaw, scale=view.scale, colour=person.sleeve_colour)
    result: list[layers.Layered] = []
    for name in ("l", "r"):
        at = {part: view(joints[name + part]) for part in ("shoulder", "elbow", "wrist", "hand")}
        depth = view.depth(joints[name + "elbow"])
        lower = view.depth(joints[name + "hand"])
        order = _side_depth(layers.BEFORE, depth)
        # a forearm in front of the chest is nearer than its own upper arm
        forearm = _side_depth(layers.BEFORE, lower) + 0.05 if lower > 0.05 or lower < -0.035 else order + 0.05
        result.append(
            (
                forearm,
                capsule(at["wrist"], at["hand"], (0.017 * build, 0.02 * build, 0.014 * build), person.skin),
            )
        )
        if person.sleeves != "long":
            result.append(
                (
                    order,
                    capsule(
                        at["shoulder"], at["elbow"], (0.03 * build, 0.029 * build, 0.024 * build), person.skin
                    ),
                )
            )
            result.append(
                (
                    forearm + 0.02,
                    capsule(
                        at["elbow"], at["wrist"], (0.024 * build, 0.024 * build, 0.017 * build), person.skin
                    ),
                )
            )
        if person.sleeves == "short":
            (sx, sy), (ex, ey) = at["shoulder"], at["elbow"]
            cuff = (sx + 0.68 * (ex - sx), sy + 0.68 * (ey - sy))
            result.append(
                (
                    order + 0.06,
                    capsule(
                        (sx, sy), cuff, (0.036 * build, 0.037 * build, 0.036 * build), sleeve, flat_end=True
                    ),
                )
            )
        elif person.sleeves == "long":
            thick = bulk * build
            result.append(
                (
                    order + 0.03,
                    capsule(
                        at["shoulder"], at["elbow"], (0.031 * thick, 0.032 * thick, 0.027 * thick), sleeve
                    ),
                )
            )
            result.append(
                (
                    forearm + 0.06,
                    capsule(
                        at["elbow"],
                        at["wrist"],
                        (0.027 * thick, 0.027 * thick, 0.021 * thick),
                        sleeve,
                        flat_end=True,
                    ),
                )
            )
    return result
