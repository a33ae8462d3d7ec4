"""Nested subsets: masks for 3%, 6%, ... of the training images, each inside the next (alpha in Table 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.structures import SceneTable
from maskps.subset.select import SubsetSelection, check_kept

FULL = "full"
"""Label of the largest of the nested subsets: all kept images."""

_EXAMPLE = "3%,6%,9%,12%,15%,full"


def parse_proportions(text: str) -> tuple[str, ...]:
    """Returns the labels in a list such as "3%,6%,9%,12%,15%,full", rising; the last is always "full".

    Raises:
        ConfigError: anything but percentages above 0 and up to 100, or a percentage twice.
    """
    shares: dict[Fraction, str] = {}
    for part in text.split(","):
        label = part.strip().lower()
        if label == FULL:
            continue
        number = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", label)
        share = Fraction(number[1]) if number else Fraction(0)
        if number is None or not 0 < share <= 100 or share in shares:
            raise ConfigError(
                "proportion",
                expected="percentages of the training images above 0 and up to 100, each once, and 'full'",
                found=f"'{part.strip()[:40]}'" + " again" * (share in shares),
                hint=f"for example {_EXAMPLE}",
            )
        shares[share] = _label(share)
    return (*(shares[share] for share in sorted(shares)), FULL)


def parse_proportion(text: str) -> str:
    """Returns the label of one proportion, e.g. "6%" for "6.0 %", or "full".

    Raises:
        ConfigError: not one percentage above 0 and up to 100.
    """
    try:
        labels = parse_proportions(text)
    except ConfigError:
        labels = ()
    if len(labels) not in (1, 2):  # "full" is always the last
        raise ConfigError(
            f"proportion '{text[:40]}'",
            expected="one percentage of the training images above 0 and up to 100, or 'full'",
            found="something else",
            hint="for example 6%",
        )
    return labels[0]


def with_proportions(
    train: SceneTable, selection: SubsetSelection, proportions: Sequence[str] | str
) -> SubsetSelection:
    """Returns the selection with nested subsets.

    The kept images get a random order, drawn with the selection's seed; the subset of a proportion is the
    first p percent of all training images (Sec. 4.4), rounded half up, in that order. So each subset contains
    all smaller ones, and a proportion has the same images whichever others are requested.

    Raises:
        ConfigError: as `parse_proportions`; a proportion of 0 images, or of more images than there are.
        AnnotationError: the selection keeps no image.
    """
    check_kept(train, selection)
    labels = parse_proportions(proportions if isinstance(proportions, str) else ",".join(proportions))
    counts = counts_of(labels, train_images=len(train), kept_images=len(selection.kept))
    return replace(selection, nested=in_order_of(selection.kept, selection.seed), proportions=counts)


def in_order_of(kept: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Returns (K,) int64: the kept images in the random order of this seed, in which nested subsets grow.

    Args:
        kept: (K,) int64, rising.
    """
    return kept[np.random.default_rng((seed, 1)).permutation(len(kept))]


def counts_of(labels: Sequence[str], *, train_images: int, kept_images: int) -> dict[str, int]:
    """Returns the number of images of each proportion.

    Raises:
        ConfigError: a proportion of 0 images, or of more images than are kept.
    """
    counts = {label: images_of(label, train_images, kept_images) for label in labels}
    for label, count in counts.items():
        if not 0 < count <= kept_images:
            raise ConfigError(
                f"proportion {label}",
                expected=f"1 to {kept_images:,} images, those of the whole subset",
                found=f"{count:,} images, {label} of the {train_images:,} training images",
                hint="choose another percentage, or draw more: smaller portions, or more images per portion",
            )
    return counts


def images_of(label: str, train_images: int, kept_images: int) -> int:
    """Returns the number of images of a proportion, e.g. 336 for "3%" of 11,206."""
    if label == FULL:
        return kept_images
    return int(Fraction(label.removesuffix("%")) * train_images / 100 + Fraction(1, 2))


def check_proportion(label: str, proportions: Mapping[str, int], *, where: str) -> str:
    """Returns a proportion as the record spells it, e.g. "6%" for "6.0 %".

    Args:
        proportions: those of the record.
        where: the record's file, for the error message.

    Raises:
        ConfigError: not a proportion, or one that the record does not have.
    """
    wanted = parse_proportion(label)
    if wanted not in (*proportions, FULL):
        raise ConfigError(
            f"proportion '{label[:40]}'",
            expected=f"one of {', '.join(proportions) or FULL}, the subsets in {where}",
            found="none of them",
            hint=f"build the subset with --proportion {wanted},{FULL}",
        )
    return wanted


def _label(share: Fraction) -> str:
    return f"{float(share):.6f}".rstrip("0").rstrip(".") + "%"
