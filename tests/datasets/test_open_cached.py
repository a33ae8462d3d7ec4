"""Opening a data set of any format twice: the second time from the cache, and equal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets import open_dataset, read_cuhk_sysu
from maskps.datasets.coco.reader import read_coco
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.formats import FORMATS
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.datasets.prw.reader import read_prw
from maskps.datasets.prw.writer import write_prw
from maskps.errors import InputFileError
from maskps.protocols import SearchProtocol, read_protocol, whole_test_protocol
from maskps.structures import PersonSearchDataset, SceneTable

pytestmark = pytest.mark.usefixtures("cache_folder")

Record = PersonSearchDataset | SceneTable | SearchProtocol


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Returns a function after whose call whoever reads annotation fails."""

    def forbid() -> None:
        def fail(*_: object, **__: object) -> None:
            raise AssertionError("a file was read")

        for kind, one in FORMATS.items():
            monkeypatch.setitem(FORMATS, kind, replace(one, read=fail, read_protocol=fail))

    return forbid


@pytest.fixture
def prw(root: Path, tmp_path: Path) -> Path:
    """The small data set as PRW."""
    dataset = read_cuhk_sysu(root)
    ids = {"train_ids": np.array(["7", "12"]), "test_ids": np.array(["3", "44"])}
    train, test = (
        replace(table, is_hard=np.zeros(table.num_persons, bool)) for table in (dataset.train, dataset.test)
    )
    numbered = replace(dataset, train=train, test=test, **ids)
    queries = whole_test_protocol(
        test,
        ids["test_ids"],
        query_scenes=np.array([0]),
        query_boxes=test.boxes[:1],
        query_ids=np.array(["3"]),
    )
    write_prw(tmp_path / "prw", numbered, queries)
    return tmp_path / "prw"


@pytest.fixture
def coco(root: Path, tmp_path: Path) -> Path:
    """The small data set in COCO style."""
    write_coco(tmp_path / "coco", read_cuhk_sysu(root), {})
    return tmp_path / "coco"


def assert_equal(one: Record, other: Record) -> None:
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, SceneTable):
            assert_equal(first, second)
        elif isinstance(first, np.ndarray):
            assert first.dtype == second.dtype, field.name
            np.testing.assert_array_equal(first, second)
        else:
            assert first == second, field.name


def test_each_format_is_found(root: Path, prw: Path, coco: Path) -> None:
    assert [open_dataset(path).kind for path in (root, prw, coco)] == ["cuhk-sysu", "prw", "coco"]


def test_a_data_set_from_the_cache_is_equal(
    root: Path, prw: Path, coco: Path, no_reading: Callable[[], None]
) -> None:
    read = {root: read_cuhk_sysu(root), prw: read_prw(prw), coco: read_coco(coco)}
    for path, dataset in read.items():
        assert_equal(open_dataset(path), dataset)
    no_reading()
    for path, dataset in read.items():
        assert_equal(open_dataset(path), dataset)


def test_a_protocol_from_the_cache_is_equal(root: Path, no_reading: Callable[[], None]) -> None:
    dataset = open_dataset(root)
    names = protocol_names(dataset)
    read = [open_protocol(dataset, name) for name in names]
    assert len(read) == 4
    no_reading()
    for name, protocol in zip(names, read, strict=True):
        assert_equal(open_protocol(dataset, name), protocol)


def test_a_protocol_of_many_images_is_kept_whole(tmp_path: Path) -> None:
    """More images than 16 bits can number."""
    from maskps.datasets.parsed import cached_protocol

    source = tmp_path / "source"
    source.touch()
    names = np.array([f"s{row:05d}.jpg" for row in range(40_000)])
    protocol = SearchProtocol(
        image_names=names,
        query_scenes=np.zeros(1, np.int32),
        query_boxes=np.ones((1, 4), np.float32),
        query_ids=np.array(["p1"]),
        query_hard=np.zeros(1, bool),
        galleries=np.array([[39_999, 32_768, -1]], np.int32),
        truth_offsets=np.array([0, 0]),
        truth_positions=np.zeros(0, np.int32),
        truth_boxes=np.zeros((0, 4), np.float32),
        truth_hard=np.zeros(0, bool),
    )
    cached_protocol("large", [source], lambda: protocol)
    assert_equal(cached_protocol("large", [source], lambda: read_protocol(source)), protocol)


def test_the_root_is_the_one_that_was_given(
    root: Path, no_reading: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_dataset(root)
    no_reading()
    monkeypatch.chdir(root.parent)
    dataset = open_dataset(Path("ssm"))
    assert (dataset.root, dataset.image_dir) == (Path("ssm"), Path("ssm/Image/SSM"))
    link = root.parent / "link"
    link.symlink_to(root, target_is_directory=True)
    assert open_dataset(link).image_dir == link / "Image" / "SSM"


@pytest.mark.parametrize("name", ["annotation/Images.mat", "annotation/pool.mat", "Train.mat", "TestG2.mat"])
def test_every_annotation_file_of_cuhk_sysu_counts(root: Path, name: str) -> None:
    open_dataset(root)
    (path,) = root.rglob(name)
    path.write_bytes(b"")
    with pytest.raises(InputFileError, match="an empty file"):
        open_dataset(root)


def test_every_annotation_file_of_prw_counts(prw: Path) -> None:
    open_dataset(prw)
    (prw / "annotations" / "s10.jpg.mat").write_bytes(b"")
    with pytest.raises(InputFileError, match="an empty file"):
        open_dataset(prw)


def test_a_protocol_with_smaller_galleries_is_noticed(root: Path) -> None:
    """It is from these that the test identities are read."""
    open_dataset(root)
    small = root / "annotation" / "test" / "train_test" / "TestG1.mat"
    small.write_bytes(b"")
    with pytest.raises(InputFileError, match="TestG1"):
        open_dataset(root)


def test_warnings_are_logged_on_every_opening(
    coco: Path, caplog: pytest.LogCaptureFixture, no_reading: Callable[[], None]
) -> None:
    path = coco / "train.json"
    path.write_text(path.read_text().replace('"iscrowd": 0', '"iscrowd": 1', 1))
    open_dataset(coco)
    no_reading()
    open_dataset(coco)
    assert len(caplog.messages) == 2 and caplog.messages[0] == caplog.messages[1]
    assert caplog.messages[0].startswith(f"{coco}: train.json, annotation 0: iscrowd 1, left out")


def test_images_copied_later_are_found(coco: Path) -> None:
    first = open_dataset(coco)
    (coco / "frames").mkdir()
    (coco / "frames" / str(first.train.names[0])).touch()
    assert open_dataset(coco).image_dir == coco / "frames"


def test_two_processes_that_open_at_once_both_succeed(root: Path, cache_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from maskps.datasets import cache, open_dataset;"
        "cache._SETTLED = 0.0; print(open_dataset(Path(sys.argv[1])).fingerprint)"
    )
    command = [sys.executable, "-c", code, str(root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(2)]
    printed = {process.communicate(timeout=60)[0].decode().strip() for process in both}
    assert printed == {read_cuhk_sysu(root).fingerprint}
    assert len(list(cache_folder.iterdir())) == 1
