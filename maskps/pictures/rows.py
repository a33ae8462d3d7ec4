"""The rows of a picture: which scenes and queries it shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.detections_file import Detections
from maskps.evaluation.mask_quality import PredictedMasks, mask_ious
from maskps.evaluation.ranking import ranked_results
from maskps.evaluation.rules import apply_rules
from maskps.evaluation.search import SearchResult
from maskps.masks.coverage import mask_targets
from maskps.masks.outlined_persons import PersonOutlines
from maskps.pictures.drawing import Picture
from maskps.pictures.sheets import MaskPicture, RankingPicture, SubsetPicture
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset
from maskps.subset.build import Subset


def subset_pictures(dataset: PersonSearchDataset, subset: Subset, *, count: int = 3) -> list[SubsetPicture]:
    """Returns scenes of the subset with outlines and targets, with much to see and spread over the subset.

    The subset is cut into `count` equal stretches. Each gives the scene with most to see, the first on ties:
    labeled persons with an outline (up to four count) and an unlabeled person beside them.
    """
    train, outlines = dataset.train, subset.masks.outlines
    has_outline = np.zeros(train.num_persons, dtype=np.bool_)
    has_outline[list(outlines)] = True
    drawn = np.bincount(train.scene_of_person[has_outline], minlength=len(train))
    unlabeled = np.bincount(train.scene_of_person[~train.is_labeled], minlength=len(train))
    richness = 2 * np.minimum(drawn, 4) + (unlabeled > 0)
    pictures = []
    for stretch in np.array_split(subset.kept_rows, count):
        if len(stretch) == 0 or drawn[stretch].max() == 0:
            continue
        row = int(stretch[np.argmax(richness[stretch])])
        scene, first = train[row], int(train.offsets[row])
        own = {i: outlines[first + i] for i in range(len(scene)) if first + i in outlines}
        pictures.append(
            SubsetPicture(
                name=scene.name,
                image=dataset.image_path(scene.name),
                boxes=scene.boxes,
                pids=scene.pids,
                outlines=own,
                targets={
                    i: mask_targets(outline.edges()[None], scene.boxes[i : i + 1])[0]
                    for i, outline in own.items()
                },
            )
        )
    return pictures


def mask_pictures(
    dataset: PersonSearchDataset, outlines: PersonOutlines, masks: PredictedMasks, *, count: int = 12
) -> list[MaskPicture]:
    """Returns `count` persons with true and predicted mask, evenly spaced from the best IoU to the worst.

    Args:
        masks: of all persons of `outlines`, in the order of `predict_masks`.
    """
    ious = mask_ious(masks.predicted >= 0.5, masks.targets)
    persons = [
        (image.name, box, outline)
        for image in outlines.images(dataset)
        for box, outline in zip(image.boxes, image.outlines, strict=True)
    ]
    return [
        MaskPicture(
            image=dataset.image_path(persons[row][0]),
            image_name=persons[row][0],
            box=persons[row][1],
            outline=persons[row][2],
            target=masks.targets[row],
            predicted=masks.predicted[row],
            iou=float(ious[row]),
        )
        for row in evenly_spaced(np.argsort(-ious, kind="stable"), count)
    ]


def ranking_pictures(
    protocol: SearchProtocol,
    detections: Detections,
    result: SearchResult,
    image_of: Callable[[str], Picture],
    *,
    count: int = 5,
    k: int = 8,
) -> list[RankingPicture]:
    """Returns `count` queries with their first `k` results, evenly spaced from the best AP to the worst.

    So a sheet shows failures as often as the search makes them.
    """
    truths = apply_rules(protocol, result.rules).truths
    return [
        RankingPicture(
            query_id=str(protocol.query_ids[query]),
            image_name=(name := str(protocol.image_names[protocol.query_scenes[query]])),
            image=image_of(name),
            box=protocol.query_boxes[query],
            hits=ranked_results(
                protocol, detections, query, k, score_threshold=result.score_threshold, rules=result.rules
            ),
            truths=int(truths[query]),
            average_precision=float(result.average_precisions[query]),
        )
        for query in evenly_spaced_queries(result, count)
    ]


def evenly_spaced_queries(result: SearchResult, count: int) -> list[int]:
    """Returns at most `count` different queries, evenly spaced in the order of falling AP."""
    return evenly_spaced(np.argsort(-result.average_precisions, kind="stable"), count)


def evenly_spaced(order: NDArray[np.int64], count: int) -> list[int]:
    """Returns at most `count` different items, in equal steps from the first to the last."""
    places = np.unique(np.round(np.linspace(0, len(order) - 1, min(count, len(order)))).astype(int))
    return [int(query) for query in order[places]]
