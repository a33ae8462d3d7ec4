"""Pictures of distributions: what is in the folder, that the numbers are those of the data, empty cases."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskps.datasets import open_dataset
from maskps.errors import OutputExistsError
from maskps.io.folders import LIST_NAME
from maskps.masks import outline_from_polygons
from maskps.pictures.plots import write_plots
from maskps.structures import PersonSearchDataset
from maskps.subset import build_subset, open_subset, select_subset
from maskps.subset.distributions import distributions, images_per_identity, mask_shares

PICTURES = ("persons_per_image", "box_heights", "images_per_identity")


@pytest.fixture(scope="module")
def dataset(few_scenes: Path) -> PersonSearchDataset:
    return open_dataset(few_scenes)


def lower_halves(dataset: PersonSearchDataset, rows: np.ndarray) -> dict[int, Any]:
    """The lower half of the box of every labeled person, as its outline."""
    train = dataset.train
    persons = np.flatnonzero(np.isin(train.scene_of_person, rows) & train.is_labeled)
    outlines = {}
    for person in persons.tolist():
        x0, y0, x1, y1 = train.boxes[person].astype(float).tolist()
        y0 = (y0 + y1) / 2
        outlines[person] = outline_from_polygons([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]], where="half")
    return outlines


@pytest.fixture(scope="module")
def subset_folder(dataset: PersonSearchDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subset") / "subset"
    chosen = select_subset(dataset.train, portion_size=2)
    build_subset(dataset, folder, chosen, outlines=lambda rows: lower_halves(dataset, rows))
    return folder


def test_a_data_set_gives_three_pictures_of_a_reports_size(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    paths = write_plots(dataset, tmp_path / "plots")
    assert [path.stem for path in paths] == list(PICTURES)
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"plots.json", LIST_NAME, *(path.name for path in paths)}
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.width >= 1400
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20  # not empty


def test_a_subset_with_outlines_gives_the_mask_areas_as_well(
    dataset: PersonSearchDataset, subset_folder: Path, tmp_path: Path
) -> None:
    subset = open_subset(subset_folder, dataset)
    paths = write_plots(dataset, tmp_path / "plots", subset)
    assert [path.stem for path in paths] == [*PICTURES, "mask_area_share"]
    np.testing.assert_allclose(mask_shares(dataset.train, subset), 0.5, atol=1e-6)


def test_without_outlines_there_is_no_picture_of_mask_areas(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    build_subset(dataset, tmp_path / "bare")
    paths = write_plots(dataset, tmp_path / "plots", open_subset(tmp_path / "bare", dataset))
    assert [path.stem for path in paths] == list(PICTURES)


def test_the_numbers_of_a_picture_are_those_of_the_data(
    dataset: PersonSearchDataset, subset_folder: Path, tmp_path: Path
) -> None:
    subset = open_subset(subset_folder, dataset)
    write_plots(dataset, tmp_path / "plots", subset)
    numbers = json.loads((tmp_path / "plots" / "plots.json").read_text())
    assert (numbers["format"], numbers["version"]) == ("maskps-plots", 1)
    train = dataset.train
    kept = np.zeros(len(train), dtype=bool)
    kept[subset.kept_rows] = True
    for series, rows in zip(numbers["persons_per_image"], (kept, ~kept), strict=True):
        persons = np.diff(train.offsets)[rows]
        assert series["n"] == len(persons)
        assert sum(series["counts"]) == len(persons)
        drawn = np.repeat(series["edges"], series["counts"])
        assert drawn.tolist() == sorted(np.minimum(persons, series["edges"][-1]).tolist())
    heights = [series for series in numbers["box_heights"] if series["persons"] == "labeled"]
    assert sum(series["n"] for series in heights) == train.is_labeled.sum()
    assert all(sum(series["counts"]) == series["n"] for series in numbers["box_heights"])
    assert sum(numbers["mask_area_share"][0]["counts"]) == len(subset.masks.outlines)


def test_many_different_numbers_share_bars(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    """1 to 300 persons in 300 images: groups of 10, the round number next to 299 / 20."""
    counts = np.arange(1, 301)
    total = int(counts.sum())
    crowd = replace(
        dataset.test,
        names=np.array([f"s{count}.jpg" for count in counts]),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        pids=np.full(total, -1),
        boxes=np.tile(np.array([0, 0, 5, 9], dtype=np.float32), (total, 1)),
        is_hard=np.zeros(total, dtype=bool),
    )
    write_plots(replace(dataset, test=crowd), tmp_path / "plots")
    series = json.loads((tmp_path / "plots" / "plots.json").read_text())["persons_per_image"][1]
    assert series["edges"] == list(range(1, 300, 10))
    assert series["counts"] == [10] * 30


def test_images_of_an_identity_are_counted_once_each(dataset: PersonSearchDataset) -> None:
    """Pid 1 is in scenes 0 (twice) and 2, pid 2 in scene 0; pid 3 only where nobody looks."""
    table = dataset.train.select([0, 1, 2, 3])
    counts = np.array([3, 1, 2, 1])
    table = replace(
        table,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        pids=np.array([1, 1, 2, -1, 1, -1, 3]),
        boxes=np.tile(np.array([0, 0, 5, 9], dtype=np.float32), (7, 1)),
        is_hard=np.zeros(7, dtype=bool),
    )
    assert images_per_identity(table, np.array([True, True, True, False])).tolist() == [2, 1]
    assert images_per_identity(table, np.zeros(4, dtype=bool)).tolist() == []


def test_a_part_of_a_subset_is_named_by_its_proportion(
    dataset: PersonSearchDataset, subset_folder: Path
) -> None:
    subset = replace(open_subset(subset_folder, dataset), proportion="10%")
    assert [one.name for one in distributions(dataset, subset).persons_per_image] == [
        "with masks (10%)", "without masks",
    ]  # fmt: skip


def test_an_empty_data_set_is_drawn_empty(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    nobody = replace(dataset, train=dataset.train.select([]), test=dataset.test.select([]))
    assert len(write_plots(nobody, tmp_path / "plots")) == 3


def test_pictures_are_replaced_only_by_force(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    write_plots(dataset, tmp_path / "plots")
    with pytest.raises(OutputExistsError, match="--force"):
        write_plots(dataset, tmp_path / "plots")
    write_plots(dataset, tmp_path / "plots", force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="did not make"):
        write_plots(dataset, tmp_path / "mine", force=True)


def test_the_same_data_give_the_same_bytes(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    one, two = write_plots(dataset, tmp_path / "one"), write_plots(dataset, tmp_path / "two")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = (
        "import sys, maskps.pictures.plots; sys.exit('matplotlib' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
