"""Protocols made from a protocol."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from search_cases import BOX, HALF, random_case, tiny_case

from maskps import AnnotationError
from maskps.evaluation import evaluate_search
from maskps.protocols import SearchProtocol, camera_protocol, full_set, read_protocol
from maskps.protocols.sets import select_entries, select_queries
from maskps.structures import PersonSearchDataset, Scene, SceneTable


def truth_list(protocol: SearchProtocol) -> list[list[tuple[str, list[float]]]]:
    """Per query: scene and box of every truth."""
    names = protocol.image_names[protocol.truth_scenes]
    pairs = list(zip(names.tolist(), protocol.truth_boxes.tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(protocol.truth_offsets, protocol.truth_offsets[1:], strict=False)]


def gallery_names(protocol: SearchProtocol, query: int) -> list[str]:
    gallery = protocol.galleries[query]
    return protocol.image_names[gallery[gallery >= 0]].tolist()


def test_full_set_is_every_scene_but_the_querys_own() -> None:
    protocol, _ = tiny_case({"g1": [], "g2": [], "g3": []}, {"g2": BOX}, gallery=["g2"])
    whole = full_set(protocol)
    assert gallery_names(whole, 0) == ["g1", "g2", "g3"] and "query.jpg" in whole.image_names
    assert truth_list(whole) == [[("g2", BOX)]]


@pytest.mark.parametrize("seed", range(6))
def test_full_set_keeps_one_truth_of_each_other_scene(seed: int) -> None:
    protocol, _ = random_case(seed, ties=True)
    for query, (before, after) in enumerate(
        zip(truth_list(protocol), truth_list(full_set(protocol)), strict=True)
    ):
        own = protocol.image_names[protocol.query_scenes[query]]
        expected: dict[str, list[float]] = {}
        for name, box in before:
            expected.setdefault(name, box)
        expected.pop(own, None)
        assert dict(after) == expected and len(after) == len(expected)


def test_full_set_of_the_real_protocol(real_data: Path) -> None:
    """6,978 test scenes; of 5,447 true boxes, 4 are second ones of a scene and 2 in the query's own."""
    whole = full_set(read_protocol(real_data / "cuhk_sysu" / "TestG100.mat"))
    assert whole.galleries.shape == (2900, 6977) and len(whole.truth_boxes) == 5447 - 4 - 2


def test_selected_entries_keep_their_order_and_truths() -> None:
    protocol, _ = tiny_case({"g1": [], "g2": [], "g3": []}, {"g1": BOX, "g3": HALF})
    part = select_entries(protocol, np.array([[False, True, True]]))
    assert gallery_names(part, 0) == ["g2", "g3"] and truth_list(part) == [[("g3", HALF)]]


def test_selected_queries_bring_their_truths() -> None:
    protocol, _ = random_case(1, ties=True)
    part = select_queries(protocol, np.array([4, 0]))
    assert part.query_ids.tolist() == ["p4", "p0"]
    assert truth_list(part) == [truth_list(protocol)[4], truth_list(protocol)[0]]


def with_cameras(cameras: list[int] | None) -> tuple[SearchProtocol, PersonSearchDataset]:
    """Query in camera 1; its person is in g1 (camera 1) and g3 (camera 2)."""
    protocol, _ = tiny_case({"g1": [], "g2": [], "g3": []}, {"g1": BOX, "g3": HALF})
    names = ["g1", "g2", "g3", "query.jpg"]
    scenes = [
        Scene(
            name,
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.int64),
            np.zeros(0, bool),
            None if cameras is None else cameras[i],
        )
        for i, name in enumerate(names)
    ]
    table = SceneTable.from_scenes(scenes)
    ids = np.zeros(0, dtype=np.str_)
    return protocol, PersonSearchDataset(Path("d"), "prw", Path("d"), table, table, ids, ids, "")


@pytest.mark.parametrize(
    ("cameras", "names", "truths"),
    [
        ("all", ["g1", "g2", "g3"], [("g1", BOX), ("g3", HALF)]),
        ("same", ["g1", "g2"], [("g1", BOX)]),
        ("cross", ["g3"], [("g3", HALF)]),
    ],
)
def test_cameras_choose_the_gallery(cameras: str, names: list[str], truths: list) -> None:
    part = camera_protocol(*with_cameras([1, 1, 2, 1]), cameras)  # type: ignore[arg-type]
    assert gallery_names(part, 0) == names and truth_list(part) == [truths]


def test_queries_that_no_camera_saw_again_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        part = camera_protocol(*with_cameras([1, 2, 1, 1]), "cross")
    assert part.num_queries == 0 and "1 of 1 queries are left out" in caplog.text


def test_cameras_must_be_known() -> None:
    with pytest.raises(AnnotationError, match="a data set without cameras"):
        camera_protocol(*with_cameras(None), "cross")


def named_queries(protocol: SearchProtocol, detections):
    return dataclasses.replace(
        detections,
        query_names=protocol.image_names[protocol.query_scenes],
        query_boxes=protocol.query_boxes,
    )


def test_named_queries_are_found_in_any_order_and_number() -> None:
    protocol, detections = random_case(4, ties=False)
    boxes = protocol.query_boxes + np.arange(6, dtype=np.float32)[:, None]
    protocol = dataclasses.replace(protocol, query_boxes=boxes)
    all_of_them = evaluate_search(protocol, named_queries(protocol, detections))
    some = np.array([5, 1, 2])
    part = evaluate_search(select_queries(protocol, some), named_queries(protocol, detections))
    np.testing.assert_array_equal(part.average_precisions, all_of_them.average_precisions[some])


@pytest.mark.parametrize(("away", "is_found"), [(0.5, True), (0.6, False)])
def test_a_querys_box_may_be_rounded(away: float, is_found: bool) -> None:
    protocol, detections = tiny_case({"g1": [(BOX, 0.9)]}, {"g1": BOX})
    named = named_queries(protocol, detections)
    moved = dataclasses.replace(named, query_boxes=named.query_boxes + np.float32(away))
    if is_found:
        assert evaluate_search(protocol, moved).mAP == 1.0
    else:
        with pytest.raises(AnnotationError, match=r"query 'p1'[\s\S]*1 of the protocol's 1 queries"):
            evaluate_search(protocol, moved)
