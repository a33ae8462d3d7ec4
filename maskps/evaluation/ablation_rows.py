"""The rows of an ablation: proportions of images with masks (Table 4), or arms, which differ in settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from maskps.errors import ConfigError
from maskps.subset.nested import FULL, parse_proportions

NO_MASKS = "0%"
"""The row without masks among proportions, which Table 4 of the paper lacks."""

NONE = "none"
"""The arm without masks."""

WITHOUT = (NO_MASKS, NONE)
"""The rows to which the differences of the others are taken; a grid has one of the two."""

ARMS: dict[str, Mapping[str, Any]] = {
    NONE: {"masks": False},
    "masks": {},
    "shuffled": {"shuffle_masks": True},
    "background": {"mask_weight": 0.0, "background_replacement": 0.5},
    "mask_pooling": {"mask_pooling": True, "mask_features": "res2"},
}
"""The settings in which each arm differs from those that all arms share, in the order of the table."""

COMPARED = (("masks", "shuffled"),)
"""Pairs of arms whose difference the table also shows: what the content of the outlines brings."""


def is_arm(row: str) -> bool:
    """Whether this is the name of an arm, and not a proportion."""
    return row != FULL and not row.endswith("%")


def changes_of(row: str) -> dict[str, Any]:
    """Returns the settings in which a row differs from those that all rows share."""
    return {"masks": row not in WITHOUT, **ARMS.get(row, {})}


def check_shared(settings: Mapping[str, Any]) -> None:
    """Checks that every arm differs from the arm `masks`, whatever arms a grid has.

    Args:
        settings: those that all arms share, by name.

    Raises:
        ConfigError: they hold already what an arm sets, so that the arm `masks` would be that one.
    """
    for arm, changes in ARMS.items():
        if arm != NONE and changes and all(settings[name] == value for name, value in changes.items()):
            raise ConfigError(
                f"arm {arm}",
                expected="settings that the other arms do not have",
                found=", ".join(f"{name} = {value}" for name, value in changes.items()) + " in all arms",
                hint="leave them out of the recipe and --set; the arm sets them itself",
            )


def place_of(row: str) -> tuple[float, str]:
    """Returns what rows are sorted by: proportions rise, "full" is last; arms stand as in `ARMS`."""
    if is_arm(row):
        return (list(ARMS).index(row) if row in ARMS else len(ARMS)), row
    return share_of(row), row


def share_of(proportion: str) -> float:
    """Returns the share of the training images, for comparison; that of "full" is above all others."""
    return 2.0 if proportion == FULL else float(proportion.removesuffix("%")) / 100


def folder_of(row: str, seed: int) -> str:
    """Returns the name of a cell's run folder, such as "p03_s0" (3 %, seed 0) or "masks_s0"."""
    if is_arm(row):
        return f"{row}_s{seed}"
    whole, point, rest = row.removesuffix("%").partition(".")
    return f"p{whole.zfill(2)}{point}{rest}_s{seed}"


def parse_grid(text: str) -> tuple[str, ...]:
    """Returns the proportions in a list such as "0,3,6,9,12,15,full", ascending: "0%", "3%", ..., "full".

    "3" and "3%" are the same; "0" is the training without masks.

    Raises:
        ConfigError: as `parse_proportions`.
    """
    parts = [part.strip().lower() for part in text.split(",")]
    parts = [part if part == FULL or part.endswith("%") else f"{part}%" for part in parts]
    above_zero = [part for part in parts if not re.fullmatch(r"0+(\.0+)? ?%", part)]
    labels = [label for label in parse_proportions(",".join(above_zero or [FULL])) if label != FULL]
    return (
        *([NO_MASKS] if len(above_zero) < len(parts) else []),
        *labels,
        *([FULL] if FULL in parts else []),
    )


def parse_arms(text: str) -> tuple[str, ...]:
    """Returns the arms in a list such as "none,masks,shuffled", in the order of `ARMS`.

    Raises:
        ConfigError: a name that is not in `ARMS`, or one twice.
    """
    arms = [part.strip() for part in text.split(",")]
    wrong = [arm for arm in arms if arm not in ARMS] or [arm for arm in ARMS if arms.count(arm) > 1]
    if wrong:
        raise ConfigError(
            "arms",
            expected=f"some of {', '.join(ARMS)}, each once",
            found=f"'{wrong[0][:40]}'" + " again" * (wrong[0] in ARMS),
            hint="for example none,masks",
        )
    return tuple(sorted(arms, key=place_of))
