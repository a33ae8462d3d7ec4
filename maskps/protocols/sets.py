"""Protocols made from a protocol: fewer queries, fewer gallery entries, the full set, PRW's cameras."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskps.columns import offsets_of, ragged_ranges, rows_of_names
from maskps.errors import AnnotationError
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset, SceneTable

Cameras = Literal["all", "same", "cross"]
"""The gallery scenes that PRW's queries search: all, those of the query's camera, or those of others."""

WHOLE_TEST_SET = "all"
"""Name of the protocol in which the gallery of every query is all test scenes but its own, as in PRW."""

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
    """Returns the protocol whose galleries are all scenes except the query's own, in the order of names.

    Every TestG file of CUHK-SYSU names every test scene somewhere, so its full set is the test set. True
    boxes are those of the given galleries, at most one per scene: if a gallery lists a scene twice, the first
    box stays; a true box in the query's own scene is removed. (The released evaluators keep the entries of
    their gallery of 50, including 4 doubled and 2 own scenes, and add the other scenes.)
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


def whole_test_protocol(
    test: SceneTable,
    test_ids: NDArray[np.str_],
    *,
    query_scenes: NDArray[np.int64],
    query_boxes: NDArray[np.float32],
    query_ids: NDArray[np.str_],
) -> SearchProtocol:
    """Returns the protocol in which every query searches the whole test set without the query's own scene.

    As in PRW's released evaluators, scenes of the query's own camera belong to the gallery. If an identity
    has two boxes in a scene, the first one is the true box (in PRW, this is so in 3 test scenes). Gallery
    entries are in the order of the test set. A query whose identity is in no other scene has no true box.

    Args:
        test: the scenes; the protocol's `image_names` are theirs.
        test_ids: (M,) str, the identity of pid i at [i - 1].
        query_scenes: (Q,) int64, rows of `test`.
        query_boxes: (Q, 4) float32, xyxy.
        query_ids: (Q,) str.
    """
    own = query_scenes.astype(np.int32)[:, None]
    entries = np.arange(max(len(test) - 1, 0), dtype=np.int32)[None]
    galleries = entries + (entries >= own)

    persons, first = _first_persons(test, len(test_ids))
    query_pids = rows_of_names(test_ids, query_ids) + 1  # 0, a pid without persons, for an unknown id
    counts = first[query_pids + 1] - first[query_pids]
    truth_persons = persons[ragged_ranges(first[query_pids], counts)]
    query_of_truth = np.repeat(np.arange(len(query_scenes)), counts)
    scenes, own_scenes = test.scene_of_person[truth_persons], query_scenes[query_of_truth]
    is_other = scenes != own_scenes
    truths = np.bincount(query_of_truth[is_other], minlength=len(query_scenes))
    return SearchProtocol(
        image_names=test.names,
        query_scenes=query_scenes.astype(np.int32),
        query_boxes=query_boxes,
        query_ids=query_ids,
        query_hard=np.zeros(len(query_scenes), dtype=bool),
        galleries=galleries,
        truth_offsets=offsets_of(truths),
        truth_positions=(scenes - (scenes > own_scenes))[is_other].astype(np.int32),
        truth_boxes=test.boxes[truth_persons[is_other]],
        truth_hard=test.is_hard[truth_persons[is_other]],
    )


def camera_protocol(
    protocol: SearchProtocol, dataset: PersonSearchDataset, cameras: Cameras
) -> SearchProtocol:
    """Returns the protocol with the gallery scenes of these cameras only.

    "all" is the protocol itself, which the field reports for PRW; "cross" leaves out the scenes of the
    query's own camera, "same" all others. Queries whose person is in no remaining scene are left out, with a
    warning: their recall would be 0 / 0.

    Args:
        dataset: its test scenes have cameras.

    Raises:
        AnnotationError: scenes without a camera, or that are not in the data set.
    """
    if cameras == "all":
        return protocol
    if dataset.test.camera is None:
        raise AnnotationError(
            dataset.root,
            expected="scenes with known cameras (in PRW by their names: c1s1_000151.jpg)",
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


def only_scenes(protocol: SearchProtocol, names: NDArray[np.str_]) -> SearchProtocol:
    """Returns the protocol of these scenes only, in the same order.

    A query stays if its own scene does, and one or more of its true boxes.
    """
    is_kept = np.isin(protocol.image_names, names)
    true = np.bincount(
        protocol.query_of_truth[is_kept[protocol.truth_scenes]], minlength=protocol.num_queries
    )
    part = select_queries(protocol, np.flatnonzero(is_kept[protocol.query_scenes] & (true > 0)))
    part = select_entries(part, (part.galleries >= 0) & is_kept[part.galleries])
    rows = np.append(np.cumsum(is_kept, dtype=np.int32) - 1, np.int32(-1))  # the last is for -1
    return dataclasses.replace(
        part,
        image_names=part.image_names[is_kept],
        query_scenes=rows[part.query_scenes],
        galleries=rows[part.galleries],
    )


def select_entries(protocol: SearchProtocol, is_kept: NDArray[np.bool_]) -> SearchProtocol:
    """Returns the protocol with these gallery entries and their true boxes only, in the same order.

    Args:
        is_kept: (Q, G) bool, False for the filling of shorter galleries.
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


def _first_persons(test: SceneTable, pids_known: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the rows of the labeled persons by rising pid and scene, one per pid and scene: the first.

    The second array has the start of each pid 0..`pids_known`, and the end of the last: pid p has the
    persons [starts[p]:starts[p + 1]].
    """
    persons = np.flatnonzero(test.is_labeled)
    persons = persons[np.argsort(test.pids[persons], kind="stable")]
    pids, scenes = test.pids[persons], test.scene_of_person[persons]
    is_first = np.ones(len(persons), dtype=bool)
    is_first[1:] = (pids[1:] != pids[:-1]) | (scenes[1:] != scenes[:-1])
    persons, pids = persons[is_first], pids[is_first]
    return persons, np.searchsorted(pids, np.arange(pids_known + 2))
