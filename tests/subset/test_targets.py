"""targets_14x14.npz: what it holds, the same bytes, nothing unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from maskps.errors import InputFileError
from maskps.masks import coverage, masks_of_scenes, outline_from_polygons
from maskps.masks.mask_file import PersonMasks
from maskps.structures import SceneTable
from maskps.subset import read_targets, write_targets


def table() -> SceneTable:
    """Two scenes, three persons; the second is unlabeled."""
    return SceneTable(
        names=np.array(["a.jpg", "b.jpg"]),
        offsets=np.array([0, 2, 3], dtype=np.int64),
        boxes=np.array([[0, 0, 14, 28], [5, 5, 9, 9], [10, 10, 24, 38]], dtype=np.float32),
        pids=np.array([8, -1, 3], dtype=np.int64),
        is_hard=np.zeros(3, dtype=np.bool_),
    )


def masks() -> PersonMasks:
    """Person 0: the left half of the box. Person 2: the lower quarter of it."""
    left = outline_from_polygons([[(0, 0), (7, 0), (7, 28), (0, 28)]], where="left")
    low = outline_from_polygons([[(10, 31), (24, 31), (24, 38), (10, 38)]], where="low")
    return masks_of_scenes(table(), np.array([0, 1]), {2: low, 0: left})


def test_a_targets_file_holds_the_persons_with_a_mask_in_table_order(tmp_path: Path) -> None:
    write_targets(tmp_path / "t.npz", table(), masks())
    targets = read_targets(tmp_path / "t.npz")
    assert targets.names.tolist() == ["a.jpg", "b.jpg"]
    assert targets.pids.tolist() == [8, 3]
    np.testing.assert_array_equal(targets.boxes, table().boxes[[0, 2]])
    assert (targets.coverage.dtype, targets.target.dtype) == (np.float32, np.bool_)


def test_targets_are_the_cells_half_covered_or_more(tmp_path: Path) -> None:
    write_targets(tmp_path / "t.npz", table(), masks())
    left, low = read_targets(tmp_path / "t.npz").target
    assert left[:, :7].all()
    assert not left[:, 7:].any()
    # The lower quarter of 14 rows: 3.5 rows, and row 10 is covered by just a half.
    assert low[10:].all()
    assert not low[:10].any()


def test_the_coverage_is_that_of_the_own_box(tmp_path: Path) -> None:
    write_targets(tmp_path / "t.npz", table(), masks())
    expected = coverage(masks().outlines[2].edges(), table().boxes[2:])
    np.testing.assert_allclose(read_targets(tmp_path / "t.npz").coverage[1], expected[0], atol=1e-7)


def test_writing_later_gives_the_same_bytes(tmp_path: Path) -> None:
    """A zip archive can hold times: the earliest it knows stands for none."""
    write_targets(tmp_path / "t.npz", table(), masks())
    first = (tmp_path / "t.npz").read_bytes()
    write_targets(tmp_path / "t.npz", table(), masks())
    assert (tmp_path / "t.npz").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "t.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_without_outlines_there_are_no_targets(tmp_path: Path) -> None:
    write_targets(tmp_path / "t.npz", table(), masks_of_scenes(table(), np.array([0]), {}))
    targets = read_targets(tmp_path / "t.npz")
    assert targets.coverage.shape == (0, 14, 14)
    assert targets.boxes.shape == (0, 4)
    assert len(targets.names) == 0


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_targets(tmp_path / "t.npz")


@pytest.mark.parametrize("length", [0, 1, 50, 300])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, length: int) -> None:
    write_targets(tmp_path / "t.npz", table(), masks())
    (tmp_path / "t.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:length])
    with pytest.raises(InputFileError):
        read_targets(tmp_path / "t.npz")


def test_another_npz_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", names=np.array(["a"]))
    with pytest.raises(InputFileError):
        read_targets(tmp_path / "t.npz")


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "t.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(InputFileError):
        read_targets(tmp_path / "t.npz")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    write_targets(tmp_path / "t.npz", table(), masks())
    with np.load(tmp_path / "t.npz") as content:
        columns = dict(content)
    np.savez(tmp_path / "t.npz", **(columns | {"names": np.array([{}, {}], dtype=object)}))
    with pytest.raises(InputFileError, match="allow_pickle"):
        read_targets(tmp_path / "t.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"pids": np.array([1], dtype=np.int64)},
        {"pids": np.array([1.0, 2.0])},
        {"names": np.array([1, 2])},
        {"boxes": np.zeros((2, 5), dtype=np.float32)},
        {"target": np.zeros((2, 14, 14))},
        {"coverage": np.zeros((2, 7, 7), dtype=np.float32)},
        {"format": np.array(["maskps-targets"] * 2)},
        {"version": np.array(2)},
    ],
    ids=lambda change: "-".join(change),
)
def test_columns_that_are_not_those_of_persons_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    write_targets(tmp_path / "t.npz", table(), masks())
    with np.load(tmp_path / "t.npz") as content:
        columns = dict(content)
    np.savez(tmp_path / "t.npz", **(columns | change))
    with pytest.raises(InputFileError, match="expected:"):
        read_targets(tmp_path / "t.npz")
