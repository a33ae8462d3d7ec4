"""Writing PRW: everything comes back, and what its files cannot hold is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from maskps.datasets.prw.reader import read_prw, read_prw_protocol
from maskps.datasets.prw.writer import write_prw
from maskps.errors import AnnotationError, OutputExistsError
from maskps.protocols import whole_test_protocol
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset, Scene, SceneTable


def table(*scenes: tuple[str, int, list[tuple[float, ...]], list[int]]) -> SceneTable:
    return SceneTable.from_scenes(
        [
            Scene(
                name,
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(pids, np.int64),
                np.zeros(len(pids), bool),
                camera,
            )
            for name, camera, boxes, pids in scenes
        ]
    )


def protocol_of(
    dataset: PersonSearchDataset, scenes: list[int], boxes: Any, ids: list[str]
) -> SearchProtocol:
    return whole_test_protocol(
        dataset.test,
        dataset.test_ids,
        query_scenes=np.array(scenes),
        query_boxes=np.array(boxes, np.float32),
        query_ids=np.array(ids),
    )


@pytest.fixture
def dataset() -> PersonSearchDataset:
    train = table(
        ("c1s1_000151.jpg", 1, [(0.1, 20.7, 40.3, 110.9), (-3, 0, 9, 30)], [2, -1]),
        ("c6s1_000476.jpg", 6, [(50, 60, 90, 160)], [1]),
        ("c6s1_000001.jpg", 6, [], []),
    )
    test = table(
        ("c2s3_071096.jpg", 2, [(10, 20, 40, 110), (1 / 3, 2 / 3, 1e4 / 3, 2e4 / 3)], [1, 2]),
        ("c3s1_000300.jpg", 3, [(60, 20, 90, 110)], [2]),
    )
    return PersonSearchDataset(
        Path(), "prw", Path(), train, test, np.array(["3", "479"]), np.array(["0", "932"]), ""
    )


@pytest.fixture
def protocol(dataset: PersonSearchDataset) -> SearchProtocol:
    return protocol_of(dataset, [1, 0], [(60.1234, 20, 90.4321, 110), dataset.test.boxes[1]], ["932", "932"])


def columns(record: Any) -> dict[str, Any]:
    return {name: value.tolist() for name, value in vars(record).items() if value is not None}


def test_tables_ids_and_protocol_come_back(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path
) -> None:
    write_prw(tmp_path / "prw", dataset, protocol)
    again = read_prw(tmp_path / "prw")
    assert columns(again.train) == columns(dataset.train)
    assert columns(again.test) == columns(dataset.test)
    assert again.train_ids.tolist() == ["3", "479"]
    assert again.test_ids.tolist() == ["0", "932"]
    assert columns(read_prw_protocol(again)) == columns(protocol)


def test_scipy_reads_what_released_code_asks_for(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path
) -> None:
    write_prw(tmp_path, dataset, protocol)
    frames = loadmat(tmp_path / "frame_train.mat")["img_index_train"]
    assert [frame[0][0] for frame in frames] == ["c1s1_000151", "c6s1_000476", "c6s1_000001"]
    rows = loadmat(tmp_path / "annotations" / "c1s1_000151.jpg.mat")["box_new"]
    assert rows.dtype == np.float64
    assert rows[:, 0].tolist() == [479, -2]
    assert loadmat(tmp_path / "annotations" / "c6s1_000001.jpg.mat")["box_new"].shape == (0, 5)
    assert loadmat(tmp_path / "ID_train.mat")["ID_train"].tolist() == [[3, 479]]


def test_ids_are_doubles_so_that_5555_fits_also_where_all_are_whole(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path
) -> None:
    write_prw(tmp_path, dataset, protocol)
    ids = loadmat(tmp_path / "annotations" / "c6s1_000476.jpg.mat")["box_new"][:, 0]
    ids[0] = 5555
    assert ids[0] == 5555


def test_query_lines_are_as_released(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path
) -> None:
    write_prw(tmp_path, dataset, protocol)
    lines = (tmp_path / "query_info.txt").read_bytes().split(b"\r\n")
    assert lines[0] == b"932 60.1234 20.0000 30.3087 90.0000 c3s1_000300"
    assert lines[2] == b""


def test_an_annotation_folder_is_not_overwritten(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path
) -> None:
    write_prw(tmp_path, dataset, protocol)
    with pytest.raises(OutputExistsError, match="annotations"):
        write_prw(tmp_path, dataset, protocol)


def with_train(dataset: PersonSearchDataset, **columns: Any) -> PersonSearchDataset:
    return replace(dataset, train=replace(dataset.train, **columns))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda d: replace(d, train_ids=np.array(["p3", "479"])), "'p3'"),
        (lambda d: replace(d, train_ids=np.array(["03", "479"])), "'03'"),
        (lambda d: replace(d, train_ids=np.array(["479", "3"])), "another order"),
        (lambda d: replace(d, train_ids=np.array(["3", "479", "480"])), "2 of 3"),
        (lambda d: replace(d, test=d.train, test_ids=d.train_ids), "in both"),
        (lambda d: with_train(d, is_hard=np.array([False, True, False])), "hard"),
        (lambda d: with_train(d, camera=np.array([1, 6, 2])), "other names or cameras"),
        (lambda d: with_train(d, names=np.array(["a.png", "b.jpg", "c.jpg"])), "another one"),
        (lambda d: with_train(d, boxes=d.train.boxes[:, [2, 3, 0, 1]]), "without width"),
    ],
)
def test_what_the_files_cannot_hold_is_refused_before_anything_is_written(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path, change: Any, found: str
) -> None:
    with pytest.raises(AnnotationError, match="PRW's files cannot hold it") as error:
        write_prw(tmp_path, change(dataset), protocol)
    assert found in error.value.found
    assert not list(tmp_path.iterdir())


def test_a_protocol_with_smaller_galleries_is_refused(
    dataset: PersonSearchDataset, protocol: SearchProtocol, tmp_path: Path
) -> None:
    fewer = replace(
        protocol,
        galleries=np.full((2, 1), -1, np.int32),
        truth_offsets=np.zeros(3, np.int64),
        truth_positions=np.zeros(0, np.int32),
        truth_boxes=np.zeros((0, 4), np.float32),
        truth_hard=np.zeros(0, bool),
    )
    with pytest.raises(AnnotationError, match="galleries"):
        write_prw(tmp_path, dataset, fewer)


@pytest.fixture(scope="session")
def few_real(
    real_data: Path, benchmark_script: Callable[[str], ModuleType]
) -> tuple[PersonSearchDataset, SearchProtocol]:
    """40 images of each set of the real PRW, and those of the 30 real queries."""
    return benchmark_script("prw_round_trip").real_prw(real_data / "prw", images=40, queries=30)


@pytest.mark.real_data
def test_real_images_and_queries_come_back(few_real: Any, tmp_path: Path) -> None:
    """The benchmark does the same with all 11,816 images."""
    dataset, protocol = few_real
    write_prw(tmp_path / "prw", dataset, protocol)
    again = read_prw(tmp_path / "prw")
    assert columns(again.train) == columns(dataset.train)
    assert columns(again.test) == columns(dataset.test)
    assert columns(read_prw_protocol(again)) == columns(protocol)


@pytest.mark.real_data
def test_real_query_lines_are_written_to_their_last_digit(
    few_real: Any, real_data: Path, tmp_path: Path
) -> None:
    write_prw(tmp_path, *few_real)
    written = (tmp_path / "query_info.txt").read_text().split()
    real = (real_data / "prw" / "prwmini_query_info.txt").read_text().split()
    for ours, theirs in zip(written, real, strict=True):
        assert ours == theirs or float(ours) == pytest.approx(float(theirs), abs=1.01e-4)
