"""Which scenes and queries a picture shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from maskps import PersonSearchDataset, Scene, SceneTable
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.mask_quality import PredictedMasks
from maskps.evaluation.search import SearchResult, evaluate_search
from maskps.masks.outlined_persons import PersonOutlines
from maskps.masks.outlines import outline_from_polygons
from maskps.pictures.rows import evenly_spaced_queries, mask_pictures, ranking_pictures, subset_pictures
from maskps.protocols.protocol import SearchProtocol

BOX = [10.0, 10.0, 50.0, 90.0]


def result_of(aps: list[float]) -> SearchResult:
    return SearchResult(np.array(aps), np.zeros((len(aps), 3), bool), 10, 0.5)


def dataset_of(pids: list[list[int]]) -> PersonSearchDataset:
    scenes = [
        Scene(f"s{i}.jpg", np.array([BOX] * len(p), np.float32), np.array(p), np.zeros(len(p), bool))
        for i, p in enumerate(pids)
    ]
    table = SceneTable.from_scenes(scenes)
    none = np.zeros(0, dtype=np.str_)
    return PersonSearchDataset(Path("root"), "cuhk-sysu", Path("root/Image"), table, table, none, none, "")


def subset_of(kept: list[int], outlined: list[int]) -> SimpleNamespace:
    square = np.array([[10, 10], [50, 10], [50, 50], [10, 50]], float)
    outline = outline_from_polygons([square], where="test")
    masks = SimpleNamespace(outlines={row: outline for row in outlined})
    return SimpleNamespace(kept_rows=np.array(kept, np.int64), masks=masks)


def test_queries_go_from_the_best_to_the_worst() -> None:
    assert evenly_spaced_queries(result_of([0.2, 1.0, 0.0, 0.6, 0.4]), 3) == [1, 4, 2]


def test_no_query_is_shown_twice() -> None:
    assert evenly_spaced_queries(result_of([0.2, 1.0]), 5) == [1, 0]
    assert evenly_spaced_queries(result_of([0.3]), 4) == [0]


def test_scenes_with_outlines_and_unlabeled_persons_are_preferred() -> None:
    """Person rows: scene 0 has 0, 1; scene 1 has 2, 3, 4; scene 2 has 5."""
    dataset = dataset_of([[1, 2], [3, 4, -1], [5]])
    (picture,) = subset_pictures(dataset, subset_of([0, 1, 2], [0, 1, 2, 3, 5]), count=1)
    assert picture.name == "s1.jpg" and set(picture.outlines) == set(picture.targets) == {0, 1}
    assert picture.image == Path("root/Image/s1.jpg")


def test_targets_are_those_of_the_persons_boxes() -> None:
    """The outline is the upper half of the box: the upper seven rows of cells are on."""
    dataset = dataset_of([[-1, 2]])
    (picture,) = subset_pictures(dataset, subset_of([0], [1]), count=1)
    assert picture.targets[1].sum(axis=1).tolist() == [14] * 7 + [0] * 7


def test_a_subset_without_outlines_has_no_pictures() -> None:
    assert subset_pictures(dataset_of([[1], [2]]), subset_of([0, 1], []), count=2) == []


def test_masks_go_from_the_best_iou_to_the_worst() -> None:
    """The outline is the upper half of every box; the predictions cover 14, 7 and 0 rows of cells."""
    dataset = dataset_of([[1, 2], [3]])
    shape = outline_from_polygons([[[10, 10], [50, 10], [50, 50], [10, 50]]], where="test")
    outlines = PersonOutlines(test={0: shape, 1: shape, 2: shape})
    upper = np.repeat(np.arange(14) < 7, 14).reshape(14, 14)
    predicted = np.stack([np.zeros((14, 14)), np.ones((14, 14)), 0.6 * upper]).astype(np.float32)
    masks = PredictedMasks(predicted, np.stack([upper] * 3))
    pictures = mask_pictures(dataset, outlines, masks)
    assert [one.iou for one in pictures] == [1.0, 0.5, 0.0]
    assert [one.image_name for one in pictures] == ["s1.jpg", "s0.jpg", "s0.jpg"]
    assert (pictures[0].predicted == predicted[2]).all() and (pictures[0].target == upper).all()
    assert pictures[0].image == Path("root/Image/s1.jpg") and pictures[0].outline is shape
    assert [one.iou for one in mask_pictures(dataset, outlines, masks, count=2)] == [1.0, 0.0]


def test_rankings_carry_the_protocols_and_the_results_numbers() -> None:
    protocol = SearchProtocol(
        image_names=np.array(["q.jpg", "a.jpg", "b.jpg"]),
        query_scenes=np.zeros(1, np.int32),
        query_boxes=np.array([BOX], np.float32),
        query_ids=np.array(["p7"]),
        query_hard=np.zeros(1, bool),
        galleries=np.array([[1, 2]], np.int32),
        truth_offsets=np.array([0, 2]),
        truth_positions=np.array([0, 1], np.int32),
        truth_boxes=np.array([BOX, BOX], np.float32),
        truth_hard=np.zeros(2, bool),
    )
    detections = Detections.from_images(
        ["a.jpg", "b.jpg"],
        [np.array([BOX]), np.zeros((0, 4))],
        [np.ones(1), np.zeros(0)],
        [np.ones((1, 1)), np.zeros((0, 1))],
        np.ones((1, 1)),
    )
    (picture,) = ranking_pictures(protocol, detections, evaluate_search(protocol, detections), Path)
    assert (picture.query_id, picture.image, picture.truths) == ("p7", Path("q.jpg"), 2)
    assert picture.average_precision == 0.5
    assert [(hit.image_name, hit.is_match) for hit in picture.hits] == [("a.jpg", True)]
