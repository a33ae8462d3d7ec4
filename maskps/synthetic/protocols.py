"""Test protocols of a synthetic data set, by the rules of the released ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import SceneTable
from maskps.synthetic.plan import PROTOCOL, TEST, SynthScale


def plan_protocols(
    scale: SynthScale,
    test: SceneTable,
    ids: NDArray[np.str_],
    visible: NDArray[np.float64],
    *,
    seed: int,
    backgrounds: str = "natural",
) -> dict[str, SearchProtocol]:
    """Returns the test protocols by name. Each has one query per test identity, in the order of their pids.

    A gallery lists first the other scenes of the query's identity, each with its box, then random scenes
    without that identity. Smaller galleries are the beginnings of larger ones. "Resolution" has the queries
    with the smallest boxes, "Occlusion" those with the smallest visible shares.

    If backgrounds are misleading, the scenes of the query's camera come before the other random ones, and the
    identity's scenes before that camera are left out: what looks like the query's background is always
    somebody else's.

    Args:
        test: with its cameras.
        visible: (P,) visible share of each person of `test`.
        backgrounds: one of `BACKGROUNDS`.

    Raises:
        ConfigError: misleading backgrounds, and an identity is before one camera only.
    """
    rng = np.random.default_rng((seed, TEST, PROTOCOL))
    scene_of = test.scene_of_person
    order = np.argsort(test.pids, kind="stable")
    order = order[test.is_labeled[order]]
    rows_of = np.split(order, np.flatnonzero(np.diff(test.pids[order])) + 1)
    queries = np.array([rows[rng.integers(0, len(rows))] for rows in rows_of])
    longest = max(scale.galleries)
    galleries = np.full((len(ids), longest), -1, dtype=np.int32)
    truths = []
    for query, rows in enumerate(rows_of):
        truth = rng.permutation(rows[rows != queries[query]])
        others = rng.permutation(len(test))
        others = others[~np.isin(others, scene_of[rows])]
        if backgrounds == "misleading":
            truth, others = _against_background(test, scene_of[queries[query]], truth, others)
        others = others[: longest - len(truth)]
        entries = np.concatenate([scene_of[truth], others])
        galleries[query, : len(entries)] = entries
        truths.append(truth)

    def protocol(chosen: NDArray[np.int64], size: int) -> SearchProtocol:
        kept = [truths[query] for query in chosen]
        boxes = np.concatenate(kept)
        return SearchProtocol(
            image_names=test.names,
            query_scenes=scene_of[queries[chosen]].astype(np.int32),
            query_boxes=test.boxes[queries[chosen]],
            query_ids=ids[chosen],
            query_hard=test.is_hard[queries[chosen]],
            galleries=np.ascontiguousarray(galleries[chosen, :size]),
            truth_offsets=np.cumsum([0, *(len(rows) for rows in kept)]).astype(np.int64),
            truth_positions=np.concatenate([np.arange(len(rows)) for rows in kept]).astype(np.int32),
            truth_boxes=test.boxes[boxes],
            truth_hard=test.is_hard[boxes],
        )

    everyone = np.arange(len(ids))
    corners = test.boxes[queries].astype(np.float64)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    hidden = np.sort(np.argsort(visible[queries], kind="stable")[: scale.occluded])
    small = np.sort(np.argsort(area, kind="stable")[: scale.low_resolution])
    return {
        **{f"TestG{size}": protocol(everyone, size) for size in scale.galleries},
        "Occlusion": protocol(hidden, scale.subset_gallery),
        "Resolution": protocol(small, scale.subset_gallery),
    }


def _against_background(
    test: SceneTable, scene: np.int64, truth: NDArray[np.int64], others: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the true rows before other cameras than the query's, and other scenes, of its camera first."""
    assert test.camera is not None
    own = test.camera[scene]
    kept = truth[test.camera[test.scene_of_person[truth]] != own]
    if not len(kept):
        raise ConfigError(
            "scale",
            expected="identities before more than one camera, for misleading backgrounds",
            found=f"an identity with all its {len(truth) + 1} scenes before one",
            hint="more cameras in the test split",
        )
    return kept, others[np.argsort(test.camera[others] != own, kind="stable")]
