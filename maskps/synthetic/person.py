"""A figure: from who a person is and how they stand to shapes in painter's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, make_valid, polygons, union_all

from maskps.synthetic.appearance import Appearance
from maskps.synthetic.bags import bag_shapes
from maskps.synthetic.fills import cloth_fill, head_fill
from maskps.synthetic.pose import Pose, skeleton
from maskps.synthetic.projection import Projection
from maskps.synthetic.shapes import Shape, capsule, column, ellipse

_Layered = tuple[float, Shape]

# Painter's layers of a body, far to near; things with a depth of their own go between.
_BEHIND, _LEGS, _SEAT, _NECK, _TRUNK, _LOCKS, _HEAD, _BEFORE = 0.0, 10.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0
_LONG_TOPS = ("coat", "dress")


def person_shapes(person: Appearance, pose: Pose, *, foot: tuple[float, float], height: float) -> list[Shape]:
    """Returns the shapes of one person, far to near, in image pixels.

    Args:
        foot: x and y of the point on the ground between the feet.
        height: pixels that a mean adult measures there; the person's stature is applied to it.
    """
    view = Projection(foot, height * person.stature, pose.yaw)
    joints = skeleton(pose, build=person.build, hips=person.hips)
    layered: list[_Layered] = []
    layered += _legs(person, joints, view)
    layered += _trunk(person, joints, view, pose)
    layered += _arms(person, joints, view)
    layered += _head(person, joints, view)
    layered += [(_BEHIND + 1 + depth if depth < -0.02 else _BEFORE + 1 + depth, shape)
                for depth, shape in bag_shapes(person, joints, view)]
    layered.sort(key=lambda item: item[0])
    return [shape for _, shape in layered]


def silhouette(shapes: list[Shape]) -> MultiPolygon:
    """Returns the union of the shapes' outlines: everything that belongs to the person."""
    parts: list[Polygon] = []
    for shape in shapes:
        part = polygons(shape.polygon)
        parts.append(part if part.is_valid else make_valid(part))
    union = union_all(parts)
    if union.geom_type == "Polygon":
        return MultiPolygon([union])
    return MultiPolygon([part for part in union.geoms if part.geom_type == "Polygon"])


def _side_depth(base: float, depth: float) -> float:
    return (_BEHIND if depth < -0.035 else base) + 5 * depth


def _legs(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[_Layered]:
    build, kind = person.build**0.8, person.bottom.kind
    bare = kind in ("shorts", "skirt", "long skirt") or person.top.kind == "dress"
    loose = {"leggings": 0.86, "jeans": 1.0, "trousers": 1.1}.get(kind, 1.0)
    result: list[_Layered] = []
    for name in ("l", "r"):
        hip, knee, ankle = (view(joints[name + part]) for part in ("hip", "knee", "ankle"))
        depth = view.depth((joints[name + "hip"] + joints[name + "knee"]) / 2)
        order = _LEGS + 10 * depth
        thick = view.scale * build
        sole = view.scale * 0.017
        heel, toe = view(joints[name + "heel"]), view(joints[name + "toe"])
        result.append((order - 0.2, capsule(heel, toe, (0.021 * view.scale, 0.024 * view.scale, sole),
                                            person.shoes, roundness=0.6)))
        result.append((order - 0.1, capsule((heel[0], heel[1] + sole * 0.55), (toe[0], toe[1] + sole * 0.55),
                                            (sole * 0.55, sole * 0.55), person.sole, roundness=0.2)))
        if bare:
            result.append((order, capsule(hip, knee, (0.05 * thick, 0.047 * thick, 0.036 * thick), person.skin)))
            result.append((order + 0.1, capsule(knee, ankle, (0.034 * thick, 0.037 * thick, 0.028 * thick,
                                                              0.021 * thick), person.skin)))
        if kind == "shorts" and person.top.kind != "dress":
            cloth = cloth_fill(person.bottom, yaw=view.yaw, scale=view.scale)
            hem = (hip[0] + 0.8 * (knee[0] - hip[0]), hip[1] + 0.8 * (knee[1] - hip[1]))
            result.append((order + 0.2, capsule(hip, hem, (0.058 * thick, 0.06 * thick, 0.058 * thick), cloth,
                                                flat_end=True)))
        elif not bare:
            cloth = cloth_fill(person.bottom, yaw=view.yaw, scale=view.scale)
            thick *= loose
            cuff = 0.024 if kind == "leggings" else 0.034
            result.append((order, capsule(hip, knee, (0.056 * thick, 0.053 * thick, 0.041 * thick), cloth)))
            result.append((order + 0.1, capsule(knee, ankle, (0.04 * thick, 0.041 * thick, 0.037 * thick,
                                                              cuff * thick), cloth, flat_end=True)))
    return result


def _trunk(person: Appearance, joints: dict[str, NDArray], view: Projection, pose: Pose) -> list[_Layered]:
    build, hips = person.build, person.hips
    bulk = {"coat": 0.013, "jacket": 0.012, "hoodie": 0.009, "sweater": 0.006}.get(person.top.kind, 0.002)
    neck, pelvis = joints["neck"], joints["pelvis"]
    wide = view.width

    def ring(half: float, deep: float) -> float:
        return wide((half * build**0.7 + bulk), (deep * build + bulk))

    result: list[_Layered] = []
    seat_top, seat_end = pelvis + [0.0, 0.0, 0.07], pelvis - [0.0, 0.0, 0.06]
    kind = person.bottom.kind
    if person.top.kind != "dress":
        cloth = cloth_fill(person.bottom, yaw=view.yaw, scale=view.scale)
        if kind in ("skirt", "long skirt"):
            hem = 0.30 if kind == "skirt" else 0.10
            flare = 0.03 + 0.04 * person.bottom.phase + (0.02 if kind == "long skirt" else 0.0)
            result.append((_SEAT, _skirt(view, joints, seat_top, hem, ring(0.078, 0.062),
                                         ring(0.096 * hips, 0.08), flare, cloth)))
        else:
            result.append((_SEAT, column(view(seat_top), view(seat_end), (0.0, 0.5, 0.8, 1.0),
                                         (ring(0.085, 0.062), ring(0.097 * hips, 0.078), ring(0.092 * hips, 0.07),
                                          ring(0.05, 0.05)), cloth)))
    top = neck + [0.0, 0.0, 0.005]
    end = pelvis + [0.0, 0.0, 0.0 if person.top.phase < 0.6 else -0.03]
    waist = 0.083 if person.hips > 0.93 else 0.092
    shoulder, chest = ring(0.106, 0.052), ring(0.099, 0.072)
    cloth = cloth_fill(person.top, yaw=view.yaw, scale=view.scale, trunk=True,
                       opening=person.inner if person.open_front else None)
    trunk = column(view(top), view(end), (0.0, 0.055, 0.15, 0.36, 0.68, 0.9, 1.0),
                   (0.036 * view.scale, wide(0.066 * build**0.7, 0.045), shoulder, chest, ring(waist, 0.066),
                    ring(0.096 * hips, 0.078), ring(0.094 * hips, 0.076)), cloth)
    result.append((_TRUNK, trunk))
    if person.top.kind in _LONG_TOPS:
        hem = 0.40 - 0.16 * person.top.phase if person.top.kind == "coat" else 0.36 - 0.2 * person.top.phase
        below = cloth_fill(person.top, yaw=view.yaw, scale=view.scale, offset=float(top[2] - seat_top[2]),
                           trunk=person.top.kind == "coat", opening=None if not person.open_front
                           or person.top.kind == "dress" else person.bottom.colour)
        flare = 0.012 if person.top.kind == "coat" else 0.03 + 0.03 * person.top.phase
        result.append((_TRUNK - 1, _skirt(view, joints, seat_top, hem, ring(waist, 0.064),
                                          ring(0.097 * hips, 0.078), flare, below)))
    if person.hood:
        back = neck + [-0.045, 0.0, -0.02]
        hood = ellipse(view(back), wide(0.07, 0.04), 0.035 * view.scale, person.sleeve_colour)
        result.append((_NECK - 3 if view.depth(back) < 0 else _LOCKS + 2, hood))
    elif person.top.kind in ("shirt", "jacket", "coat") and np.cos(pose.yaw) > 0.1:
        throat = neck + [0.035, 0.0, -0.02]
        result.append((_TRUNK + 1, capsule(view(throat + [0.0, 0.0, 0.02]), view(throat - [0.0, 0.0, 0.025]),
                                           (0.026 * view.scale, 0.004 * view.scale),
                                           person.inner if person.top.kind != "shirt" else person.skin,
                                           flat_start=True)))
    elif np.cos(pose.yaw) > 0.1:
        throat = neck + [0.035, 0.0, -0.004]
        result.append((_TRUNK + 1, ellipse(view(throat), 0.034 * view.scale,
                                           (0.014 if person.top.phase < 0.5 else 0.028) * view.scale, person.skin)))
    return result


def _skirt(view: Projection, joints: dict[str, NDArray], top: NDArray, hem: float, waist: float, hips: float,
           flare: float, cloth: object) -> Shape:
    """A skirt, or the lower part of a coat: wide enough for both legs at its hem."""
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
    return column(view(top), view(end), (0.0, 0.3, 1.0), (waist, hips, half), cloth,  # type: ignore[arg-type]
                  shift=(0.0, 0.0, middle))


def _arms(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[_Layered]:
    build = person.build**0.7 * view.scale
    bulk = {"coat": 1.3, "jacket": 1.3, "hoodie": 1.2, "sweater": 1.12}.get(person.top.kind, 1.0)
    sleeve = cloth_fill(person.top, yaw=view.yaw, scale=view.scale, colour=person.sleeve_colour)
    result: list[_Layered] = []
    for name in ("l", "r"):
        at = {part: view(joints[name + part]) for part in ("shoulder", "elbow", "wrist", "hand")}
        depth = view.depth(joints[name + "elbow"])
        lower = view.depth(joints[name + "hand"])
        order = _side_depth(_BEFORE, depth)
        # a forearm held before the chest is nearer than its own upper arm
        forearm = _side_depth(_BEFORE, lower) + 0.05 if lower > 0.05 or lower < -0.035 else order + 0.05
        result.append((forearm, capsule(at["wrist"], at["hand"], (0.017 * build, 0.02 * build, 0.014 * build),
                                        person.skin)))
        if person.sleeves != "long":
            result.append((order, capsule(at["shoulder"], at["elbow"], (0.03 * build, 0.029 * build, 0.024 * build),
                                          person.skin)))
            result.append((forearm + 0.02, capsule(at["elbow"], at["wrist"], (0.024 * build, 0.024 * build,
                                                                              0.017 * build), person.skin)))
        if person.sleeves == "short":
            (sx, sy), (ex, ey) = at["shoulder"], at["elbow"]
            cuff = (sx + 0.68 * (ex - sx), sy + 0.68 * (ey - sy))
            result.append((order + 0.06, capsule((sx, sy), cuff, (0.036 * build, 0.037 * build, 0.036 * build),
                                                 sleeve, flat_end=True)))
        elif person.sleeves == "long":
            thick = bulk * build
            result.append((order + 0.03, capsule(at["shoulder"], at["elbow"], (0.031 * thick, 0.032 * thick,
                                                                               0.027 * thick), sleeve)))
            result.append((forearm + 0.06, capsule(at["elbow"], at["wrist"], (0.027 * thick, 0.027 * thick,
                                                                              0.021 * thick), sleeve, flat_end=True)))
    return result


def _head(person: Appearance, joints: dict[str, NDArray], view: Projection) -> list[_Layered]:
    neck, head = joints["neck"], joints["head"]
    scale = view.scale / person.stature**0.5  # heads vary less than bodies
    half = np.hypot(0.05 * np.cos(view.yaw), 0.059 * np.sin(view.yaw)) * scale
    tall = 0.071 * scale
    facing = float(np.cos(view.yaw))
    hair = person.hair_colour
    centre = view(head)
    back = view(head + [-0.02, 0.0, 0.0])
    result: list[_Layered] = [
        (_NECK, capsule(view(neck + [0.0, 0.0, 0.02]), view(neck - [0.0, 0.0, 0.04]),
                        (0.028 * view.scale, 0.034 * view.scale), person.skin)),
        (_HEAD, replace(ellipse(centre, half, tall, head_fill(person, yaw=view.yaw, length=2 * tall)),
                        roundness=0.7)),
    ]
    # hair with a volume of its own: before the face when seen from behind, else behind it
    order = _HEAD - 1 if facing > -0.25 else _HEAD + 1
    if person.hair in ("short", "curls", "bob", "long", "tail", "bun"):
        puff = {"curls": 1.42, "bob": 1.16, "long": 1.12}.get(person.hair, 1.06)
        lift = (0.018 if person.hair == "curls" else 0.012) * scale
        cap = ellipse((back[0], back[1] - lift), half * puff, tall * (0.86 + 0.2 * (puff - 1)), hair)
        result.append((order, cap))
    if person.hair in ("bob", "long"):
        down = 0.075 if person.hair == "bob" else 0.19
        locks = head + [-0.03, 0.0, 0.03]
        lx, ly = view(locks)
        result.append((_LOCKS if facing > -0.1 else _HEAD + 2,
                       column((lx, ly), (lx, ly + (down + 0.03) * scale), (0.0, 0.35, 0.8, 1.0),
                              (half * 0.95, half * 1.12, half * 1.05, half * 0.6), hair)))
    if person.hair == "tail":
        tail = view(head + [-0.075, 0.0, 0.01])
        result.append((_HEAD - 2 if facing > 0.2 else _HEAD + 2,
                       capsule(tail, (tail[0], tail[1] + 0.1 * scale), (0.018 * scale, 0.022 * scale, 0.008 * scale),
                               hair)))
    if person.hair == "bun":
        result.append((_HEAD - 2 if facing > -0.1 else _HEAD + 2,
                       ellipse(view(head + [-0.045, 0.0, 0.06]), 0.028 * scale, 0.026 * scale, hair)))
    if person.hair == "beanie":
        result.append((_HEAD + 2, ellipse((centre[0], centre[1] - 0.042 * scale), half * 1.06, tall * 0.55,
                                          person.hat_colour)))
    if person.hair == "cap":
        result.append((_HEAD + 2, ellipse((centre[0], centre[1] - 0.04 * scale), half * 1.05, tall * 0.47,
                                          person.hat_colour)))
        brim = view(head + [0.05, 0.0, 0.028])
        if facing > -0.3:
            tip = view(head + [0.085, 0.0, 0.022])
            result.append((_HEAD + 3, capsule(brim, tip, (0.017 * scale, 0.014 * scale), person.hat_colour,
                                              roundness=0.4)))
    if person.hair == "scarf":
        sx, sy = view(head + [-0.012, 0.0, 0.0])
        result.append((_HEAD - 1, column((sx, sy - tall * 1.08), (sx, sy + 0.125 * scale), (0.0, 0.12, 0.4, 0.7, 1.0),
                                         (0.3 * half, 0.85 * half, 1.2 * half, 1.15 * half, 1.6 * half),
                                         person.hat_colour)))
    return result
