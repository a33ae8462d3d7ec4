"""Protocols made from a protocol: fewer queries, fewer gallery entries, the full set, PRW's cameras."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, ragged_ranges
from maskps.errors import AnnotationError
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

Cameras = Literal["all", "same", "cross"]
"""Which gallery scenes PRW's queries are searched in: all, those of the query's camera, those of others."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProtocolName:
    """Names a protocol of a data set, as text for example "TestG100" or "all, same camera".

    Attributes:
        protocol: "TestG100", "Occlusion", ...; "all" for the full set.
        cameras: the cameras of the gallery scenes.
    """

    protocol: str
    cameras: Cameras = "all"

    def __str__(self) -> str:
        return self.protocol if self.cameras == "all" else f"{self.protocol}, {self.cameras} camera"


def full_set(protocol: SearchProtocol) -> SearchProtocol:
    """Returns the protocol whose galleries are all of its scenes but the query's own, in the order of names.

    Every TestG file of CUHK-SYSU names every test scene in some place, so its full set is the test set. True
    boxes are those of the given galleries, one a scene at most: of a scene that a gallery lists twice the
    first box stays, and a true box in the query's own scene goes. (The released evaluators keep what their
    gallery of 50 lists, 4 doubled scenes and 2 own ones included, and add the other scenes.)
    """
    scenes = len(protocol.image_names)
    own = protocol.query_scenes[:, None]
    entries = np.arange(max(scenes - 1, 0), dtype=np.int32)[None]
    query, scene = protocol.query_of_truth, protocol.truth_scenes.astype(np.int64)
    _, first = np.unique(query * scenes + scene, return_index=True)
    first = first[scene[first] != protocol.query_scenes[query[first]]]
    own_scenes = protocol.query_scenes[query[first]]
    return dataclasses.replace(
        protocol,
        galleries=entries + (entries >= own),
        truth_offsets=offsets_of(np.bincount(query[first], minlength=protocol.num_queries)),
        truth_positions=(scene[first] - (scene[first] > own_scenes)).astype(np.int32),
        truth_boxes=protocol.truth_boxes[first],
        truth_hard=protocol.truth_hard[first],
    )


def camera_protocol(
    protocol: SearchProtocol, dataset: PersonSearchDataset, cameras: Cameras
) -> SearchProtocol:
    """Returns the protocol with the gallery scenes of these cameras only.

    "all" is the protocol itself, which is what the field reports for PRW; "cross" leaves out the scenes of
    the query's own camera, "same" all others. Queries whose person is nowhere in what remains are left out,
    and the log says how many: their recall would be 0 / 0.

    Args:
        dataset: its test scenes say which camera took them.

    Raises:
        AnnotationError: scenes without a camera, or that are not in the data set.
    """
    if cameras == "all":
        return protocol
    if dataset.test.camera is None:
        raise AnnotationError(
            dataset.root,
            expected="scenes whose camera is known (PRW tells it in the names: c1s1_000151.jpg)",
            found="a data set without cameras",
            hint="leave out --camera",
        )
    camera = dataset.test.camera[dataset.test.rows_of(protocol.image_names)]
    is_same = camera[protocol.galleries] == camera[protocol.query_scenes][:, None]
    part = select_entries(protocol, (protocol.galleries >= 0) & (is_same == (cameras == "same")))
    has_truth = np.diff(part.truth_offsets) > 0
    if not has_truth.all():
        _logger.warning(
            "%d of %d queries are left out: no scene of the gallery '%s' shows their person.",
            (~has_truth).sum(), len(has_truth), cameras,
        )  # fmt: skip
    return select_queries(part, np.flatnonzero(has_truth))


def select_queries(protocol: SearchProtocol, queries: NDArray[np.int64]) -> SearchProtocol:
    """Returns the protocol of these queries (n,), in this order, with their galleries and true boxes."""
    counts = np.diff(protocol.truth_offsets)[queries]
    truths = ragged_ranges(protocol.truth_offsets[queries], counts)
    return dataclasses.replace(
        protocol,
        query_scenes=protocol.query_scenes[queries],
        query_boxes=protocol.query_boxes[queries],
        query_ids=protocol.query_ids[queries],
        query_hard=protocol.query_hard[queries],
        galleries=protocol.galleries[queries],
        truth_offsets=offsets_of(counts),
        truth_positions=protocol.truth_positions[truths],
        truth_boxes=protocol.truth_boxes[truths],
        truth_hard=protocol.truth_hard[truths],
    )


def select_entries(protocol: SearchProtocol, is_kept: NDArray[np.bool_]) -> SearchProtocol:
    """Returns the protocol without the other gallery entries and their true boxes; the order stays.

    Args:
        is_kept: (Q, G) bool, False where a gallery is filled up.
    """
    lengths = np.count_nonzero(is_kept, axis=1)
    galleries = np.full((len(is_kept), lengths.max(initial=0)), -1, dtype=np.int32)
    galleries[np.arange(galleries.shape[1]) < lengths[:, None]] = protocol.galleries[is_kept]
    query = protocol.query_of_truth
    stays = is_kept[query, protocol.truth_positions]
    before = np.cumsum(is_kept, axis=1, dtype=np.int32)
    return dataclasses.replace(
        protocol,
        galleries=galleries,
        truth_offsets=offsets_of(np.bincount(query[stays], minlength=protocol.num_queries)),
        truth_positions=before[query[stays], protocol.truth_positions[stays]] - 1,
        truth_boxes=protocol.truth_boxes[stays],
        truth_hard=protocol.truth_hard[stays],
    )
