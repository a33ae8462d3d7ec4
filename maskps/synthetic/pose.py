"""A person's pose in one scene, standing or walking: a small skeleton, turned and projected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pose:
    """The pose of one person at one moment. Angles are in radians.

    Attributes:
        yaw: 0 faces the camera, pi shows the back, +pi/2 walks to the right of the image.
        phase: of the gait. `stride`: 0 stands, 1 walks fast.
        lean: of the trunk, forward.
        arms: (left, right) forward swing of the upper arm. `elbows`: their bend. `spread`: sideways.
    """

    yaw: float
    phase: float
    stride: float
    lean: float
    arms: tuple[float, float]
    elbows: tuple[float, float]
    spread: tuple[float, float]


def draw_pose(rng: np.random.Generator, *, bag: str, bag_side: int) -> Pose:
    """Returns a random pose that suits the bag the person carries."""
    view = int(rng.integers(0, 4))  # front, right side, back, left side
    yaw = float(view * np.pi / 2 + rng.normal(0, 0.35))
    walking = rng.random() < 0.7
    stride = float(rng.uniform(0.45, 1.0)) if walking else float(rng.uniform(0.0, 0.15))
    phase = float(rng.uniform(0, 2 * np.pi))
    swing = 0.5 * stride * np.sin(phase)
    arms = [float(-swing + rng.normal(0, 0.06)), float(swing + rng.normal(0, 0.06))]
    elbows = [float(rng.uniform(0.08, 0.5)), float(rng.uniform(0.08, 0.5))]
    gesture = rng.random()
    hand = int(rng.integers(0, 2))
    if bag == "pram":
        arms, elbows = [0.55, 0.55], [0.75, 0.75]
    elif gesture < 0.16:  # telephone in hand, or at the ear
        arms[hand], elbows[hand] = float(rng.uniform(0.2, 0.5)), float(rng.uniform(1.3, 2.3))
    elif gesture < 0.24:  # hands in the pockets
        arms, elbows = [-0.12, -0.12], [0.45, 0.45]
    side = 1 if bag_side > 0 else 0
    if bag in ("suitcase", "shopper"):
        arms[side], elbows[side] = (-0.28, 0.12) if bag == "suitcase" else (0.02, 0.08)
    elif bag == "handbag" and gesture > 0.6:
        arms[side], elbows[side] = 0.05, 1.35
    spread = (float(rng.uniform(0.06, 0.2)), float(rng.uniform(0.06, 0.2)))
    return Pose(
        yaw, phase, stride, float(rng.normal(0.03, 0.03)), (arms[0], arms[1]), (elbows[0], elbows[1]), spread
    )


def skeleton(pose: Pose, *, build: float, hips: float) -> dict[str, NDArray[np.float64]]:
    """Returns the joints as (3,) float64 (forward, to the person's right, up), in body heights.

    The sole of the lower foot is at height 0; "l" and "r" are the person's own sides.
    """
    joints: dict[str, NDArray[np.float64]] = {}
    lean = np.sin(pose.lean)
    pelvis = np.array([0.0, 0.0, 0.52])
    for name, sign, turn in (("l", -1.0, 0.0), ("r", 1.0, np.pi)):
        angle = 0.47 * pose.stride * np.sin(pose.phase + turn)
        bend = 0.12 + pose.stride * 0.85 * max(0.0, np.cos(pose.phase + turn)) ** 2
        hip = pelvis + np.array([0.0, sign * 0.05 * (0.6 + 0.4 * hips), -0.02])
        knee = hip + 0.235 * np.array(
            [np.sin(angle + 0.25 * bend), 0.03 * sign, -np.cos(angle + 0.25 * bend)]
        )
        shin = angle - 0.75 * bend
        ankle = knee + 0.235 * np.array([np.sin(shin), 0.02 * sign, -np.cos(shin)])
        tip = max(0.0, -shin - 0.2) * 0.8  # the heel lifts behind the body
        joints |= {f"{name}hip": hip, f"{name}knee": knee, f"{name}ankle": ankle}
        joints[f"{name}heel"] = ankle + np.array([-0.03, 0.0, -0.022 + 0.02 * tip])
        joints[f"{name}toe"] = ankle + np.array(
            [0.088 * np.cos(tip), 0.014 * sign, -0.03 - 0.088 * np.sin(tip)]
        )
    for name, sign, which in (("l", -1.0, 0), ("r", 1.0, 1)):
        shoulder = np.array([lean * 0.3, sign * 0.094 * build**0.7, 0.797])
        swing, bend, spread = pose.arms[which], pose.elbows[which], pose.spread[which]
        elbow = shoulder + 0.172 * np.array([np.sin(swing), sign * np.sin(spread), -np.cos(swing)])
        inward = -sign * 0.35 if bend > 1.0 else sign * 0.05
        wrist = elbow + 0.14 * np.array([np.sin(swing + bend), inward, -np.cos(swing + bend)])
        hand = wrist + 0.038 * np.array([np.sin(swing + bend), inward * 0.6, -np.cos(swing + bend)])
        joints |= {
            f"{name}shoulder": shoulder,
            f"{name}elbow": elbow,
            f"{name}wrist": wrist,
            f"{name}hand": hand,
        }
    joints["pelvis"] = pelvis
    joints["neck"] = np.array([lean * 0.32, 0.0, 0.862])
    joints["head"] = np.array([lean * 0.38 + 0.008, 0.0, 0.929])
    ground = min(joints[name][2] for name in ("lheel", "rheel", "ltoe", "rtoe")) - 0.017
    for point in joints.values():
        point[2] -= ground
    return joints
