"""The rules of the search metric: what a gallery is, which true boxes count, how much a box must overlap.

`oim`     The released CUHK-SYSU evaluator (Xiao et al. 2017), which most of the field uses. A scene that a
          gallery lists twice counts twice, in the ranking and among the true boxes. The query's own scene
          stays if the protocol lists it. A right answer's IoU reaches min(0.5, w h / ((w + 10) (h + 10))) of
          the true box.
`seqnet`  SeqNet and its descendants. A scene's second entry is skipped, but its true box still counts, so
          that it can only be missed. All else is `oim`.
`paper`   Sec. 4.1: IoU above 0.5, whatever the size of the box. A gallery has each scene once, with the first
          true box given for it, and never the query's own scene.

All three multiply the average precision by the recall (right answers / true boxes that count).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.protocols.protocol import SearchProtocol
from maskps.protocols.sets import select_entries

Rules = Literal["oim", "seqnet", "paper"]
RULES: tuple[Rules, ...] = ("oim", "seqnet", "paper")
"""All rules by name."""
IOU_THRESHOLD = 0.5


@dataclass(frozen=True)
class RuledProtocol:
    """A protocol as one of the rules reads it.

    Attributes:
        protocol: the galleries without the entries that the rule skips.
        truths: (Q,) int64, how many true boxes count for the recall; under `seqnet`, entries that were
            skipped count too.
        iou_thresholds: (T,) float64, what the IoU with each true box must reach.
        is_strict: whether the IoU must exceed the threshold, not only reach it.
    """

    protocol: SearchProtocol
    truths: NDArray[np.int64]
    iou_thresholds: NDArray[np.float64]
    is_strict: bool


def apply_rules(protocol: SearchProtocol, rules: Rules) -> RuledProtocol:
    """Returns the protocol as this rule reads it.

    Raises:
        ConfigError: there is no such rule.
    """
    if rules not in RULES:
        raise ConfigError("rules", expected=f"one of {', '.join(RULES)}", found=f"'{rules}'")
    listed = np.diff(protocol.truth_offsets)
    if rules != "oim":
        protocol = _each_scene_once(protocol, moves_truths=rules == "paper")
    if rules == "paper":
        is_own = protocol.galleries == protocol.query_scenes[:, None]
        if is_own.any():
            protocol = select_entries(protocol, (protocol.galleries >= 0) & ~is_own)
    if rules == "paper":
        thresholds = np.full(len(protocol.truth_boxes), IOU_THRESHOLD)
    else:
        thresholds = iou_thresholds(protocol.truth_boxes)
    return RuledProtocol(
        protocol=protocol,
        truths=np.diff(protocol.truth_offsets) if rules == "paper" else listed,
        iou_thresholds=thresholds,
        is_strict=rules == "paper",
    )


def iou_thresholds(truth_boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the (T,) IoU that a right answer must reach: min(0.5, w h / ((w + 10) (h + 10)))."""
    boxes = truth_boxes.astype(np.float64).reshape(-1, 4)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.minimum(IOU_THRESHOLD, width * height / ((width + 10) * (height + 10)))


def _each_scene_once(protocol: SearchProtocol, *, moves_truths: bool) -> SearchProtocol:
    """Returns the protocol without the second entries of scenes.

    Args:
        moves_truths: give the true box of a second entry to the first, if that has none.
    """
    ordered = np.sort(protocol.galleries, axis=1)
    doubled = np.flatnonzero(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1))
    if len(doubled) == 0:
        return protocol
    is_kept = protocol.galleries >= 0
    positions = protocol.truth_positions.copy()
    for query in doubled:
        length = int(np.count_nonzero(is_kept[query]))
        _, first, which = np.unique(
            protocol.galleries[query, :length], return_index=True, return_inverse=True
        )
        is_kept[query, :length] = False
        is_kept[query, first] = True
        if moves_truths:
            rows = slice(protocol.truth_offsets[query], protocol.truth_offsets[query + 1])
            positions[rows] = first[which[positions[rows]]]
    if moves_truths:
        protocol = _with_positions(protocol, positions)
    return select_entries(protocol, is_kept)


def _with_positions(protocol: SearchProtocol, positions: NDArray[np.int32]) -> SearchProtocol:
    """Returns the protocol with its true boxes at other positions; the first of several at one stays."""
    query = protocol.query_of_truth
    order = np.lexsort((positions, query))  # stable: the box listed first comes first
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (np.diff(query[order]) != 0) | (np.diff(positions[order]) != 0)
    kept = order[is_first]
    return dataclasses.replace(
        protocol,
        truth_offsets=np.searchsorted(query[kept], np.arange(protocol.num_queries + 1)).astype(np.int64),
        truth_positions=positions[kept],
        truth_boxes=protocol.truth_boxes[kept],
        truth_hard=protocol.truth_hard[kept],
    )
