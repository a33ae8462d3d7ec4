"""The data set on disk: same bytes whatever the jobs, outlines as LabelMe files, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from folder_contents import contents_of
from PIL import Image
from shapely import Polygon

from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.errors import OutputExistsError
from maskps.io.folders import LIST_NAME
from maskps.masks.labelme_file import read_labelme
from maskps.structures import PersonSearchDataset
from maskps.synthetic import SyntheticSummary, SynthScale, write_synthetic


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, few_scenes_scale: SynthScale
) -> tuple[Path, SyntheticSummary, list[tuple[int, int]]]:
    root = tmp_path_factory.mktemp("synthetic") / "data"
    calls: list[tuple[int, int]] = []
    summary = write_synthetic(
        root, scale=few_scenes_scale, seed=3, progress=lambda done, total: calls.append((done, total))
    )
    return root, summary, calls


@pytest.fixture(scope="module")
def dataset(written: tuple[Path, SyntheticSummary, list]) -> PersonSearchDataset:
    return read_cuhk_sysu(written[0])


def test_the_same_seed_gives_the_same_bytes_whatever_the_jobs(
    written: tuple[Path, SyntheticSummary, list], few_scenes_scale: SynthScale, tmp_path: Path
) -> None:
    write_synthetic(tmp_path / "again", scale=few_scenes_scale, seed=3, jobs=2)
    assert contents_of(tmp_path / "again") == contents_of(written[0])


def test_misleading_backgrounds_are_recorded_and_give_the_same_bytes_whatever_the_jobs(
    written: tuple[Path, SyntheticSummary, list], few_scenes_scale: SynthScale, tmp_path: Path
) -> None:
    for out, jobs in (("once", 1), ("again", 2)):
        write_synthetic(tmp_path / out, scale=few_scenes_scale, seed=3, backgrounds="misleading", jobs=jobs)
    assert contents_of(tmp_path / "again") == contents_of(tmp_path / "once")
    assert json.loads((tmp_path / "once/synth.json").read_text())["backgrounds"] == "misleading"
    assert json.loads((written[0] / "synth.json").read_text())["backgrounds"] == "natural"


def test_another_seed_gives_other_images(
    written: tuple[Path, SyntheticSummary, list], few_scenes_scale: SynthScale, tmp_path: Path
) -> None:
    write_synthetic(tmp_path / "other", scale=few_scenes_scale, seed=4)
    first, second = contents_of(written[0]), contents_of(tmp_path / "other")
    assert not {first[name] for name in first if name.endswith(".jpg")} & set(second.values())


def test_the_record_holds_the_summary(written: tuple[Path, SyntheticSummary, list]) -> None:
    root, summary, _ = written
    record = json.loads((root / "synth.json").read_text())
    assert record == {"format": "maskps-synthetic", "version": 1, **summary.to_dict()}
    assert summary.queries == {"TestG4": 3, "TestG6": 3, "Occlusion": 1, "Resolution": 1}


def test_progress_counts_every_scene_once(written: tuple[Path, SyntheticSummary, list]) -> None:
    calls = written[2]
    assert [total for _, total in calls] == [21] * len(calls)
    assert calls[-1][0] == 21 and [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_every_scene_has_an_image_whose_longest_side_is_the_scales(dataset: PersonSearchDataset) -> None:
    for name in [*dataset.train.names, *dataset.test.names]:
        with Image.open(dataset.image_path(str(name))) as image:
            assert max(image.size) == 160 and image.mode == "RGB"


def test_the_annotation_has_the_planned_counts(dataset: PersonSearchDataset) -> None:
    assert (len(dataset.train), dataset.num_train_ids, int(dataset.train.is_labeled.sum())) == (12, 4, 13)
    assert dataset.train.num_persons == 33 and (dataset.train.labeled_per_scene == 0).sum() == 2
    assert (len(dataset.test), len(dataset.test_ids), int(dataset.test.is_labeled.sum())) == (9, 3, 10)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_person_has_an_outline_in_their_box(
    written: tuple[Path, SyntheticSummary, list], dataset: PersonSearchDataset, split: str
) -> None:
    scenes, ids, folder = {
        "train": (dataset.train, dataset.train_ids, "truth/labelme"),
        "test": (dataset.test, dataset.test_ids, "truth/labelme_test"),
    }[split]
    names = [Path(str(name)).with_suffix(".json").name for name in scenes.names]
    assert {path.name for path in (written[0] / folder).iterdir()} == set(names)
    for number, name in enumerate(names):
        scene = scenes[number]
        file = read_labelme(written[0] / folder / name)
        assert file.image_path == f"../../Image/SSM/{scene.name}" and file.notes == ()
        assert {shape.group_id for shape in file.shapes} == set(range(len(scene)))
        for shape in file.shapes:
            row = shape.group_id
            assert row is not None
            x, y, w, h = shape.extra["maskps_box"]
            np.testing.assert_array_equal(scene.boxes[row], [x, y, x + w, y + h])
            pid = int(scene.pids[row])
            assert shape.label == ("unlabeled" if pid < 0 else ids[pid - 1])
            assert (shape.points >= [x - 1e-9, y - 1e-9]).all()
            assert (shape.points <= [x + w + 1e-9, y + h + 1e-9]).all()
            assert Polygon(shape.points).is_valid


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, few_scenes_scale: SynthScale) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "out", scale=few_scenes_scale, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_set_is_replaced_only_with_force(tmp_path: Path, few_scenes_scale: SynthScale) -> None:
    out = tmp_path / "out"
    write_synthetic(out, scale=few_scenes_scale, images=False)
    before = contents_of(out)
    with pytest.raises(OutputExistsError):
        write_synthetic(out, scale=few_scenes_scale, seed=9, images=False)
    assert contents_of(out) == before
    write_synthetic(out, scale=few_scenes_scale, seed=9, images=False, force=True)
    assert contents_of(out) != before


def test_without_images_there_is_annotation_only(tmp_path: Path, few_scenes_scale: SynthScale) -> None:
    summary = write_synthetic(tmp_path / "out", scale=few_scenes_scale, images=False)
    assert not summary.images
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"annotation", "synth.json", LIST_NAME}
