"""Proposed outlines: from the probabilities of a mask branch to a polygon that is quick to correct.

The logits are interpolated bilinearly between the centres of the cells, constant beyond the outermost ones,
and the outline is where the probability is a half. It is then simplified as much as the mask targets of Sec.
4.2 allow: the largest tolerance that changes at most `MOST_CHANGED` of the 14 x 14 cells. For comparison,
vertices that a hand places one pixel off change seven (docs/mask_targets.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numpy.typing import ArrayLike, NDArray

from maskps.masks.coverage import SMALLEST_SIDE, mask_targets, pad_edges
from maskps.masks.outlines import Outline, outline_from_shapely
from maskps.structures import Scene

MOST_CHANGED = 4
"""Cells of 196 that differ between the mask targets of the outline before and after it is simplified."""

LEAST_SHARE = 0.02
"""Parts and holes below this share of the outline's area are crumbs, and left out."""

_POINTS_PER_CELL = 4
_TOLERANCES = np.geomspace(2.0, 1 / 256, 19)  # in cells of the box's shorter side; the largest first
_LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class ProposedOutline:
    """The outline of a person that nobody has drawn yet.

    Attributes:
        outline: in pixels of the original image, not empty.
        sureness: from 0 to 1, see `sureness_of`; 1 if the source does not say how sure it is.
        by: what proposed it, such as "run small-3 (weights 0123456789ab)".
    """

    outline: Outline
    sureness: float
    by: str


class Proposer(Protocol):
    """Proposes the outlines of the persons of a scene: a run, a mask file, another network."""

    def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
        """Returns index of the box in the scene -> proposal, for labeled persons that it sees.

        Args:
            image: (H, W, 3) uint8 RGB, of the scene.
        """
        ...


def propose_outline(probabilities: NDArray[np.floating], box: ArrayLike) -> Outline | None:
    """Returns the outline of a mask in a box, with few vertices; None if nothing reaches a half.

    Args:
        probabilities: (S, S) foreground probability of each cell of the box, rows from the top.
        box: (4,) xyxy, pixels of the image. The outline lies within it.
    """
    corners = np.asarray(box, dtype=np.float64)
    extent = corners[2:] - corners[:2]
    if not (extent >= SMALLEST_SIDE).all():
        return None
    traced = _without_crumbs(_traced(probabilities, corners[:2], extent))
    if traced.is_empty:
        return None
    cell = extent.min() / 14
    shape = traced.to_shapely()
    simpler = [outline_from_shapely(shape.simplify(tolerance * cell)) for tolerance in _TOLERANCES]
    edges = pad_edges([one.edges() for one in (traced, *simpler)])
    wanted, *cells = mask_targets(edges, np.tile(corners, (len(edges), 1)))
    for outline, found in zip(simpler, cells, strict=True):
        if (found != wanted).sum() <= MOST_CHANGED:
            return outline
    return traced


def sureness_of(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the (n,) IoU that each mask has with the truth by its own probabilities; 0 for an empty one.

    The cells that reach a half are the mask. Of the union with the truth, the mask is certain and every other
    cell belongs to it with its probability; so it is a ratio of two expected areas. Unlike the mean
    uncertainty of the cells, it does not depend on how much of the box the person fills, and it is what a
    correction costs: the share of the mask that is expected to be wrong.

    Args:
        probabilities: (n, S, S).
    """
    values = np.asarray(probabilities, dtype=np.float64)
    is_mask = values >= 0.5
    both = np.where(is_mask, values, 0.0).sum(axis=(1, 2))
    either = np.where(is_mask, 1.0, values).sum(axis=(1, 2))
    return np.divide(both, either, out=np.zeros(len(values)), where=either > 0)


def _traced(
    probabilities: NDArray[np.floating], corner: NDArray[np.float64], extent: NDArray[np.float64]
) -> Any:
    """Returns the shapely area in which the interpolated probability is a half or more."""
    values = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logits = np.clip(np.log(values) - np.log1p(-values), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    size = len(logits)
    places = np.linspace(0, size, _POINTS_PER_CELL * size + 1)
    weights = np.stack([np.interp(places, np.arange(size) + 0.5, unit) for unit in np.eye(size)], axis=1)
    x, y = corner[:, None] + places * (extent / size)[:, None]
    contours = contour_generator(x, y, weights @ logits @ weights.T, fill_type=FillType.OuterOffset)
    polygons = []
    for points, offsets in zip(*contours.filled(0.0, np.inf), strict=True):
        outer, *holes = (points[start:end] for start, end in pairwise(offsets.tolist()))
        polygons.append(shapely.Polygon(outer, holes))
    return shapely.union_all(polygons)


def _without_crumbs(shape: Any) -> Outline:
    outline = outline_from_shapely(shape)
    least = LEAST_SHARE * outline.area
    parts = []
    for outer, holes in outline.parts():
        part = shapely.Polygon(outer, [hole for hole in holes if shapely.Polygon(hole).area >= least])
        parts += [part] if part.area >= least else []
    return outline_from_shapely(shapely.MultiPolygon(parts))
