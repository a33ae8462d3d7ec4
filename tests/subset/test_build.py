"""build_subset writes a whole folder or none; open_subset gives it back or says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folder_contents import contents_of
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import AnnotationError, ConfigError, InputFileError, OutputExistsError
from maskps.io.folders import LIST_NAME
from maskps.masks import Outline, outline_from_polygons
from maskps.structures import MaskState, PersonSearchDataset, SceneTable
from maskps.subset import (
    SubsetSelection,
    build_subset,
    open_subset,
    read_targets,
    select_subset,
    selection_of_record,
    table1,
    with_proportions,
)


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    """23 scenes: one labeled and one unlabeled person each, every seventh with unlabeled persons only."""
    count = 23
    pids = np.array([[index + 1 if index % 7 else -1, -1] for index in range(count)], dtype=np.int64).ravel()
    corner = np.arange(2 * count, dtype=np.float32)[:, None]
    train = SceneTable(
        names=np.array([f"s{index}.png" for index in range(count)]),
        offsets=np.arange(0, 2 * count + 1, 2, dtype=np.int64),
        boxes=np.concatenate([corner, corner, corner + 10, corner + 30], axis=1),
        pids=pids,
        is_hard=np.zeros(2 * count, dtype=np.bool_),
    )
    return PersonSearchDataset(
        root=tmp_path / "data",
        kind="test",
        image_dir=tmp_path / "data",
        train=train,
        test=train.select([]),
        train_ids=np.array([f"p{pid}" for pid in range(1, count + 1)]),
        test_ids=np.array([], dtype=np.str_),
        fingerprint="f1",
    )


def outlines_of(dataset: PersonSearchDataset, rows: NDArray[np.int64]) -> Mapping[int, Outline]:
    """The box of every labeled person as its outline, but for the first."""
    table = dataset.train
    persons = np.flatnonzero(np.isin(table.scene_of_person, rows) & table.is_labeled)[1:]
    corners = [table.boxes[person][[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) for person in persons]
    return {
        int(person): outline_from_polygons([ring], where="box")
        for person, ring in zip(persons, corners, strict=True)
    }


def test_the_folder_holds_record_masks_and_targets(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    build_subset(dataset, tmp_path / "out")
    names = [LIST_NAME, "masks.json", "subset.json", "targets_14x14.npz"]
    assert list(contents_of(tmp_path / "out")) == names


def test_opening_gives_the_rows_the_record_and_the_masks(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    record = build_subset(dataset, tmp_path / "out", outlines=lambda rows: outlines_of(dataset, rows))
    subset = open_subset(tmp_path / "out", dataset)
    assert subset.record == record
    assert dataset.train.names[subset.kept_rows].tolist() == list(record.kept)
    assert (dataset.train.labeled_per_scene[subset.kept_rows] > 0).all()
    expected = outlines_of(dataset, subset.kept_rows)
    assert sorted(subset.masks.outlines) == sorted(expected)
    assert (subset.masks.states == MaskState.MISSING).sum() == 1
    assert len(read_targets(tmp_path / "out" / "targets_14x14.npz").pids) == len(expected)


def test_the_counts_of_the_record_are_those_of_table_1(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    record = build_subset(dataset, tmp_path / "out", outlines=lambda rows: outlines_of(dataset, rows))
    kept = table1(dataset.train, dataset.train.rows_of(record.kept)).with_masks
    assert record.counts == {
        "images": 23,
        "portions": 4,
        "drawn": 4,
        "kept": kept.images,
        "labeled": kept.labeled,
        "unlabeled": kept.unlabeled,
        "masks_present": kept.labeled - 1,
        "masks_missing": 1,
    }


def test_without_outlines_every_labeled_person_is_missing(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    record = build_subset(dataset, tmp_path / "out")
    masks = open_subset(tmp_path / "out", dataset).masks
    assert (masks.states == MaskState.MISSING).sum() == record.counts["labeled"] > 0
    assert not masks.outlines


def test_the_same_input_gives_the_same_bytes(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_subset(dataset, tmp_path / name, seed=5, outlines=lambda rows: outlines_of(dataset, rows))
    assert contents_of(tmp_path / "one") == contents_of(tmp_path / "two")


def test_rebuilding_from_the_record_gives_the_same_bytes(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    build_subset(dataset, tmp_path / "one", select_subset(dataset.train, seed=5, portion_size=3))
    build_subset(dataset, tmp_path / "two", selection_of_record(dataset, tmp_path / "one" / "subset.json"))
    assert contents_of(tmp_path / "one") == contents_of(tmp_path / "two")


def test_image_sizes_come_from_the_images_where_they_exist(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    record = build_subset(dataset, tmp_path / "drawn")
    dataset.root.mkdir()
    Image.new("RGB", (64, 48)).save(dataset.image_path(record.kept[0]))
    build_subset(dataset, tmp_path / "out")
    first, second = json.loads((tmp_path / "out" / "masks.json").read_text())["images"][:2]
    assert (first["width"], first["height"], "maskps_size" in first) == (64, 48, False)
    assert second["maskps_size"] == "extent"


def test_a_broken_image_is_an_error_and_leaves_nothing(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    record = build_subset(dataset, tmp_path / "drawn")
    dataset.root.mkdir()
    dataset.image_path(record.kept[0]).write_bytes(b"no image")
    with pytest.raises(InputFileError, match=record.kept[0]):
        build_subset(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_subset_is_replaced_only_by_force(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    build_subset(dataset, tmp_path / "out")
    before = contents_of(tmp_path / "out")
    with pytest.raises(OutputExistsError):
        build_subset(dataset, tmp_path / "out", seed=1)
    assert contents_of(tmp_path / "out") == before
    assert build_subset(dataset, tmp_path / "out", seed=1, force=True).seed == 1
    assert open_subset(tmp_path / "out", dataset).record.seed == 1


def test_an_existing_output_is_refused_before_the_outlines_are_read(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    build_subset(dataset, tmp_path / "out")

    def never(rows: NDArray[np.int64]) -> dict[int, Outline]:
        raise AssertionError("read")

    with pytest.raises(OutputExistsError):
        build_subset(dataset, tmp_path / "out", outlines=never)


def test_a_failure_while_reading_outlines_leaves_the_old_subset(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    build_subset(dataset, tmp_path / "out")
    before = contents_of(tmp_path / "out")

    def broken(rows: NDArray[np.int64]) -> dict[int, Outline]:
        raise AnnotationError("s1.json", found="a crossing")

    with pytest.raises(AnnotationError):
        build_subset(dataset, tmp_path / "out", outlines=broken, force=True)
    assert contents_of(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_negative_seed_is_an_error(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        build_subset(dataset, tmp_path / "out", seed=-1)


def test_a_subset_of_another_data_set_is_refused_with_both_fingerprints(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    build_subset(dataset, tmp_path / "out")
    with pytest.raises(AnnotationError, match=r"f2(.|\n)*f1(.|\n)*try:"):
        open_subset(tmp_path / "out", replace(dataset, fingerprint="f2"))


def test_kept_images_that_the_data_set_has_not_are_an_error(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    record = build_subset(dataset, tmp_path / "out")
    path = tmp_path / "out" / "subset.json"
    path.write_text(path.read_text().replace(record.kept[0], "other.png"))
    with pytest.raises(AnnotationError, match=r"other\.png"):
        open_subset(tmp_path / "out", dataset)


def test_the_masks_of_another_draw_are_an_error(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    build_subset(dataset, tmp_path / "one")
    build_subset(dataset, tmp_path / "two", seed=1)
    (tmp_path / "one" / "masks.json").write_bytes((tmp_path / "two" / "masks.json").read_bytes())
    with pytest.raises(InputFileError, match="two subsets"):
        open_subset(tmp_path / "one", dataset)


@pytest.mark.parametrize("name", ["subset.json", "masks.json"])
def test_a_missing_file_is_named(dataset: PersonSearchDataset, tmp_path: Path, name: str) -> None:
    build_subset(dataset, tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    with pytest.raises(InputFileError, match=name):
        open_subset(tmp_path / "out", dataset)


def test_a_folder_that_is_no_subset_is_an_error(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"subset\.json"):
        open_subset(tmp_path, dataset)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (SubsetSelection("draw", np.array([0, 7]), np.zeros(0, np.int64)), "draw more images"),
        (SubsetSelection("names", np.array([0]), np.zeros(0, np.int64)), "list images with labeled persons"),
    ],
)
def test_a_selection_that_keeps_no_image_is_an_error_and_writes_nothing(
    dataset: PersonSearchDataset, tmp_path: Path, selection: SubsetSelection, message: str
) -> None:
    with pytest.raises(AnnotationError, match="19 of the 23 training images have one") as caught:
        build_subset(dataset, tmp_path / "out", selection)
    assert message in caught.value.hint
    with pytest.raises(AnnotationError, match="mask subset"):
        with_proportions(dataset.train, selection, "5%")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scenes", [[0, 7, 14, 21], []])
def test_no_labeled_person_at_all_is_an_error(
    dataset: PersonSearchDataset, tmp_path: Path, scenes: list[int]
) -> None:
    nobody = replace(dataset, train=dataset.train.select(scenes))
    with pytest.raises(AnnotationError, match=f"none; 0 of the {len(scenes)} training images have one"):
        build_subset(nobody, tmp_path / "out")
