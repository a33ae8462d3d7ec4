"""Which images to draw next, and `annotate next`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from two_person_scenes import build, polygon, write_scenes
from untrained_run import write_untrained_run

from maskps.datasets import open_dataset
from maskps.masks import Outline, outline_from_polygons
from maskps.structures import PersonSearchDataset
from maskps.subset import build_subset, open_subset, read_name_list, select_named, select_subset
from maskps_annotation.next_images import next_images
from maskps_cli.data import main

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


class ByBrightness:
    """Is the less sure of everybody, the brighter the image."""

    weights = "w"

    def masks(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.full((len(boxes), 14, 14), 1 - float(image[0, 0, 0]) / 255, np.float32)


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return write_scenes(tmp_path / "data", NAMES)  # from the darkest to the brightest


def test_the_least_sure_images_come_first(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    subset = open_subset(build(dataset, tmp_path / "subset"), dataset)
    calls: list[tuple[int, int]] = []
    found = next_images(subset, dataset, ByBrightness(), progress=lambda *done: calls.append(done))
    assert [image.name for image in found] == NAMES[::-1]
    assert found[0].uncertainty == pytest.approx(30 / 255, abs=0.02)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_only_persons_without_an_outline_count(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    drawn = [outline_from_polygons([polygon(row % 2)], where="drawn") for row in range(8)]
    outlines = {row: drawn[row] for row in (0, 1, 3)}  # both of a.jpg, one of b.jpg
    subset = open_subset(build(dataset, tmp_path / "subset", outlines), dataset)
    found = next_images(subset, dataset, ByBrightness())
    assert [(image.name, image.persons) for image in found] == [("d.jpg", 2), ("c.jpg", 2), ("b.jpg", 1)]


def test_images_that_are_equally_sure_are_in_order_of_their_names(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    class Sure(ByBrightness):
        def masks(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            return np.ones((len(boxes), 14, 14), np.float32)

    subset = open_subset(build(dataset, tmp_path / "subset"), dataset)
    assert [image.name for image in next_images(subset, dataset, Sure())] == NAMES


@pytest.fixture(scope="module")
def run_and_subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("next")
    dataset = open_dataset(few_scenes)
    build_subset(dataset, folder / "subset", select_subset(dataset.train, portion_size=1))
    return write_untrained_run(few_scenes, folder / "run"), folder / "subset"


def test_the_command_writes_a_list_that_names_images(
    run_and_subset: tuple[Path, Path], few_scenes: Path, tmp_path: Path
) -> None:
    run, subset = run_and_subset
    words = ["annotate", "next", str(subset), "--run", str(run), "--count", "3", "--force", "--quiet"]
    out = tmp_path / "next.txt"
    printed = CliRunner().invoke(main, [*words, "--out", str(out)], catch_exceptions=False)
    as_json = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    assert (printed.exit_code, as_json.exit_code) == (0, 0)
    content = json.loads(as_json.stdout)
    names = [image["name"] for image in content["images"]]
    assert len(names) == 3
    assert content["images_without_masks"] == len(open_subset(subset, open_dataset(few_scenes)).kept_rows)
    assert out.read_text(encoding="utf-8").splitlines()[1:] == names
    assert all(name in printed.stdout for name in names)
    chosen = select_named(open_dataset(few_scenes), read_name_list(out))
    assert len(chosen.kept) == 3


def test_a_list_that_is_there_is_not_replaced(run_and_subset: tuple[Path, Path], tmp_path: Path) -> None:
    run, subset = run_and_subset
    out = tmp_path / "next.txt"
    out.write_text("mine\n", encoding="utf-8")
    words = ["annotate", "next", str(subset), "--run", str(run), "--count", "3", "--out", str(out)]
    for option in ([], ["--force"]):
        failed = CliRunner().invoke(main, [*words, *option])
        assert failed.exit_code == 1
    assert out.read_text(encoding="utf-8") == "mine\n"


def test_a_subset_with_all_outlines_is_named_and_no_list_is_written(few_scenes: Path, tmp_path: Path) -> None:
    dataset = open_dataset(few_scenes)

    def boxes(rows: np.ndarray) -> dict[int, Outline]:
        labeled = np.flatnonzero(np.isin(dataset.train.scene_of_person, rows) & dataset.train.is_labeled)
        corners = dataset.train.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).astype(np.float64)
        return {row: Outline((corners[row],)) for row in labeled.tolist()}

    subset, out = tmp_path / "subset", tmp_path / "next.txt"
    build_subset(dataset, subset, select_subset(dataset.train, portion_size=1), outlines=boxes)
    words = ["annotate", "next", str(subset), "--run", "no-run", "--count", "3", "--out", str(out)]
    failed = CliRunner().invoke(main, words)
    assert failed.exit_code == 1 and "an outline of everybody" in failed.stderr
    assert not out.exists()
