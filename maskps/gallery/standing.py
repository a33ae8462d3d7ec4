"""Who in a frame of a video is kept: persons who stand still fill no gallery.

A person is left out who looks as one kept in the last ten minutes, at the same place. After that the person
is kept again, so that a search by time finds who has been there all the time.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import box_iou
from maskps.gallery.records import Persons

SAME_PLACE, SAME_LOOK = 0.7, 0.9
"""Lowest IoU and cosine of the boxes and vectors of one who stands there; docs/search.md has the table."""

AGAIN_AFTER = 600.0
"""Seconds after which a person who still stands there is kept once more."""


class Standing:
    """The persons of one video who were kept in the last ten minutes.

    Args:
        kept: persons of the video in the last `AGAIN_AFTER` seconds, in the order of their time.
    """

    def __init__(self, kept: Persons) -> None:
        self._kept = kept

    def newcomers(self, persons: Persons) -> Persons:
        """Returns who of the next frame's persons is kept, and remembers them."""
        if not len(persons):
            return persons
        recent = self._kept.frame_time > persons.frame_time[0] - AGAIN_AFTER
        before = _chosen(self._kept, recent)
        is_same_place = box_iou(persons.boxes, before.boxes) >= SAME_PLACE
        is_same_look = persons.vectors @ before.vectors.T >= SAME_LOOK
        new = _chosen(persons, ~np.any(is_same_place & is_same_look, axis=1))
        self._kept = joined([before, new])
        return new


def _chosen(persons: Persons, rows: NDArray[np.bool_]) -> Persons:
    return Persons(
        **{field.name: getattr(persons, field.name)[rows] for field in dataclasses.fields(persons)}
    )


def joined(parts: list[Persons]) -> Persons:
    """Returns the persons of all parts, of which there is at least one, in order."""
    names = [field.name for field in dataclasses.fields(Persons)]
    return Persons(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
