"""Features of protocols: each image once, queries from their own boxes; and how an extraction resumes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskps.evaluation.extraction
from maskps.errors import AnnotationError, ConfigError, InputFileError
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.extraction import Extraction, extract_detections
from maskps.evaluation.search import evaluate_search
from maskps.io.images import read_image
from maskps.model import Predictor
from maskps.model.processes import Processes
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset
from maskps.training import TrainConfig, initial_predictor

NAMES = np.array(["s5.jpg", "s0.jpg", "s1.jpg", "s3.jpg", "s4.jpg"])


@pytest.fixture
def protocol() -> SearchProtocol:
    """Three queries, two of them in one image that is in no gallery; one gallery is shorter."""
    boxes = np.array([[34, 8, 52, 53], [4, 6, 22, 56], [4, 6, 22, 56]], np.float32)
    return SearchProtocol(
        image_names=NAMES,
        query_scenes=np.array([0, 2, 0], np.int32),
        query_boxes=boxes,
        query_ids=np.array(["p3", "p3", "p2"]),
        query_hard=np.zeros(3, np.bool_),
        galleries=np.array([[1, 2, 3], [4, 1, -1], [1, 4, 3]], np.int32),
        truth_offsets=np.array([0, 1, 2, 3]),
        truth_positions=np.array([1, 0, 0], np.int32),
        truth_boxes=np.array([[4, 6, 22, 56]] * 3, np.float32),
        truth_hard=np.zeros(3, np.bool_),
    )


@pytest.fixture
def predictor(dataset: PersonSearchDataset, make_config: Callable[..., TrainConfig]) -> Predictor:
    return initial_predictor(make_config(), dataset)


def test_gallery_images_are_detected_and_queries_embedded_from_their_boxes(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    found = extract_detections(predictor, dataset, protocol)
    assert found.image_names.tolist() == ["s0.jpg", "s1.jpg", "s3.jpg", "s4.jpg"]
    alone = predictor.detect(read_image(dataset.image_path("s1.jpg")))
    rows = slice(found.offsets[1], found.offsets[2])
    assert len(alone.boxes) > 0
    assert np.array_equal(found.boxes[rows], alone.boxes)
    assert np.array_equal(found.embeddings[rows], alone.embeddings)
    for query in range(3):
        image = read_image(dataset.image_path(str(NAMES[protocol.query_scenes[query]])))
        expected = predictor.embed(image, protocol.query_boxes[query : query + 1])[0]
        np.testing.assert_allclose(found.query_embeddings[query], expected, atol=1e-5)


def test_every_image_is_read_once_and_reported(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths, reports = [], []
    monkeypatch.setattr(
        maskps.evaluation.extraction, "read_image", lambda path: paths.append(path.name) or read_image(path)
    )
    extract_detections(predictor, dataset, protocol, progress=lambda *report: reports.append(report))
    assert paths == NAMES.tolist()
    assert reports == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_the_result_can_be_evaluated(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    result = evaluate_search(protocol, extract_detections(predictor, dataset, protocol))
    assert 0 <= result.mAP <= 1


def test_missing_test_images_are_named_before_the_first_is_read(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    dataset.image_path("s4.jpg").unlink()
    reports: list[tuple[int, int]] = []
    with pytest.raises(InputFileError, match=r"1 of them are not there: s4\.jpg"):
        extract_detections(predictor, dataset, protocol, progress=lambda *report: reports.append(report))
    assert reports == []


def test_a_protocol_without_queries_is_refused(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    empty = dataclasses.replace(
        protocol,
        query_scenes=protocol.query_scenes[:0],
        query_boxes=protocol.query_boxes[:0],
        query_ids=protocol.query_ids[:0],
        query_hard=protocol.query_hard[:0],
        galleries=protocol.galleries[:0],
        truth_offsets=np.array([0]),
        truth_positions=protocol.truth_positions[:0],
        truth_boxes=protocol.truth_boxes[:0],
        truth_hard=protocol.truth_hard[:0],
    )
    with pytest.raises(AnnotationError, match="with queries"):
        extract_detections(predictor, dataset, empty)


@pytest.fixture
def other(protocol: SearchProtocol) -> SearchProtocol:
    """A second protocol: one query of the first, one of its own, and a gallery image that the first lacks."""
    names = np.array(["s0.jpg", "s2.jpg", "s5.jpg"])
    return SearchProtocol(
        image_names=names,
        query_scenes=np.array([0, 2], np.int32),
        query_boxes=np.array([[4, 6, 22, 56], [34, 8, 52, 53]], np.float32),
        query_ids=np.array(["p1", "p3"]),
        query_hard=np.zeros(2, np.bool_),
        galleries=np.array([[1, 2], [0, 1]], np.int32),
        truth_offsets=np.array([0, 1, 2]),
        truth_positions=np.array([1, 0], np.int32),
        truth_boxes=np.array([[4, 6, 22, 56]] * 2, np.float32),
        truth_hard=np.zeros(2, np.bool_),
    )


def assert_same(first: Detections, second: Detections) -> None:
    for field in dataclasses.fields(Detections):
        assert np.array_equal(getattr(first, field.name), getattr(second, field.name)), field.name


def test_several_protocols_share_one_pass_over_the_images(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
    other: SearchProtocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = []
    monkeypatch.setattr(
        maskps.evaluation.extraction, "read_image", lambda path: paths.append(path.name) or read_image(path)
    )
    found = extract_detections(predictor, dataset, [protocol, other])
    assert sorted(paths) == ["s0.jpg", "s1.jpg", "s2.jpg", "s3.jpg", "s4.jpg", "s5.jpg"]
    assert found.query_names is not None and found.query_boxes is not None
    assert found.query_names.tolist() == ["s5.jpg", "s1.jpg", "s5.jpg", "s0.jpg"]
    for one in (protocol, other):
        alone = evaluate_search(one, extract_detections(predictor, dataset, one)).to_dict(per_query=True)
        assert evaluate_search(one, found).to_dict(per_query=True) == alone


def test_an_image_of_a_query_and_a_gallery_goes_through_the_network_once(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    passes: list[int] = []
    predictor.model.stem.groups[0][0].register_forward_hook(lambda *_: passes.append(1))
    extract_detections(predictor, dataset, protocol)
    assert len(passes) == len(NAMES)


def test_annotated_boxes_stand_in_for_the_detector(
    predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    """Of the gallery images only; the fourth has nobody."""
    found = extract_detections(predictor, dataset, protocol, gt_boxes=True)
    scenes = dataset.test.select(dataset.test.rows_of(found.image_names))
    assert np.array_equal(found.offsets, scenes.offsets) and np.array_equal(found.boxes, scenes.boxes)
    assert (found.scores == 1).all()
    image = read_image(dataset.image_path("s4.jpg"))
    expected = predictor.embed(image, scenes[3].boxes)
    np.testing.assert_allclose(found.embeddings[found.offsets[3] :], expected, atol=1e-5)


MakeExtraction = Callable[..., Extraction]


@pytest.fixture
def extraction(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> MakeExtraction:
    """Returns an extraction in parts of two images; keyword arguments change it."""
    monkeypatch.setattr(maskps.evaluation.extraction, "IMAGES_PER_PART", 2)

    def make(**changes: Any) -> Extraction:
        places = {"predictor": predictor, "dataset": dataset, "protocols": [protocol]}
        folder = {"folder": tmp_path / "parts", "settings": {"box_nms": 0.4}, "processes": Processes()}
        return Extraction(**(places | folder | changes))

    return make


def stop_after(images: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == images:
            raise KeyboardInterrupt

    return progress


def run(one: Extraction, progress: Callable[[int, int], None] | None = None) -> Detections:
    one.run(progress)
    return one.detections()


def images_done(one: Extraction) -> int:
    """Runs it; returns how many images were left to do."""
    reports: list[int] = []
    one.run(progress=lambda done, total: reports.append(done))
    return len(reports)


def test_in_parts_it_is_the_same(
    extraction: MakeExtraction, predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol
) -> None:
    whole = extract_detections(predictor, dataset, protocol)
    assert_same(run(extraction()), whole)
    assert_same(run(extraction()), whole)  # from the parts alone
    assert_same(run(extraction(folder=None)), whole)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_interrupted_it_resumes_with_the_images_that_are_left(
    images: int,
    extraction: MakeExtraction,
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
) -> None:
    with pytest.raises(KeyboardInterrupt, match="continues"):
        extraction().run(progress=stop_after(images))
    reports: list[tuple[int, int]] = []
    found = run(extraction(), lambda *report: reports.append(report))
    assert reports == [(done, 5) for done in range(images + 1, 6)]
    assert_same(found, extract_detections(predictor, dataset, protocol))


def test_killed_outright_it_keeps_the_parts_that_were_written(
    extraction: MakeExtraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def progress(done: int, total: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        extraction().run(progress=progress)
    assert images_done(extraction()) == 3


def test_parts_of_another_network_or_setting_or_image_are_not_used(
    extraction: MakeExtraction,
    predictor: Predictor,
    dataset: PersonSearchDataset,
    protocol: SearchProtocol,
    other: SearchProtocol,
) -> None:
    assert images_done(extraction()) == 5
    assert images_done(extraction()) == 0
    assert images_done(extraction(settings={"box_nms": 0.5})) == 5
    assert images_done(extraction(gt_boxes=True)) == 5
    assert images_done(extraction(protocols=[protocol, other])) == 6
    pooled = Predictor(predictor.model, predictor.shorter_side, predictor.longest_side, feature="pooled")
    assert images_done(extraction(predictor=pooled)) == 5
    resized = Predictor(predictor.model, predictor.shorter_side, predictor.longest_side, resize="torchvision")
    assert images_done(extraction(predictor=resized)) == 5
    path = dataset.image_path("s3.jpg")
    os.utime(path, ns=(1, 1))
    assert images_done(extraction()) == 5
    with torch.no_grad():
        predictor.model.roi_heads.box_head.classifier.bias += 1
    assert images_done(extraction()) == 5


def test_a_damaged_part_is_named_and_done_again(
    extraction: MakeExtraction, caplog: pytest.LogCaptureFixture
) -> None:
    one = extraction()
    whole = run(one)
    assert one.folder is not None
    part = sorted(one.folder.iterdir())[0]
    part.write_bytes(part.read_bytes()[:-50])
    assert_same(run(extraction()), whole)
    assert part.name in caplog.text


def test_when_all_is_done_the_parts_go_and_others_stay(extraction: MakeExtraction, tmp_path: Path) -> None:
    first, second = extraction(), extraction(settings={})
    first.run(), second.run()
    first.finish()
    assert list((tmp_path / "parts").iterdir()) == [second.folder]
    second.finish()
    assert not (tmp_path / "parts").exists()


def test_parts_of_others_are_named_with_their_size_when_all_is_done(
    extraction: MakeExtraction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone, first, second, last = (
        extraction(settings=settings) for settings in ({}, {"a": 1}, {"a": 2}, {"a": 3})
    )
    alone.run(), alone.finish()
    assert not caplog.records
    for one in (first, second, last):
        one.run()
    assert first.folder is not None
    with (first.folder / "from_00000000.npz").open("ab") as file:
        file.truncate(5_000_000)
    last.finish()
    (record,) = caplog.records
    assert str(tmp_path / "parts") in record.getMessage()
    assert "2 other evaluations" in record.getMessage() and "5.0 MB" in record.getMessage()
    assert first.folder.is_dir()


def test_several_processes_need_a_folder(extraction: MakeExtraction) -> None:
    processes = Processes()
    processes.size = 2
    with pytest.raises(ConfigError, match="several processes"):
        extraction(folder=None, processes=processes)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_the_images(
    extraction: MakeExtraction, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is done by one process, and no process does two more than another one."""
    read: dict[int, list[str]] = {rank: [] for rank in range(size)}
    for rank in read:

        def watched(path: Path, rank: int = rank) -> np.ndarray:
            read[rank].append(path.name)
            return read_image(path)

        monkeypatch.setattr(maskps.evaluation.extraction, "read_image", watched)
        processes = Processes()
        processes.rank, processes.size = rank, size
        extraction(folder=tmp_path / str(rank), processes=processes).run()  # as if all began together
    assert sorted(name for names in read.values() for name in names) == sorted(NAMES.tolist())
    counts = [len(names) for names in read.values()]
    assert max(counts) - min(counts) <= 1
