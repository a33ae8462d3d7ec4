"""The part of a data set: what stays is equal, what cannot be answered is left out, and `verify` passes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets import open_dataset
from maskps.datasets.convert import convert
from maskps.datasets.cut import Kept, cut
from maskps.datasets.formats import FORMATS
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.datasets.verify import verify
from maskps.errors import AnnotationError, ConfigError, InputFileError, OutputExistsError
from maskps.protocols import whole_test_protocol
from maskps.structures import PersonSearchDataset, Scene, SceneTable

TRAIN = ("c1s1_000001.jpg", "c1s1_000026.jpg", "c1s1_000051.jpg")
TEST = ("c1s2_000001.jpg", "c1s2_000026.jpg", "c1s2_000051.jpg", "c1s2_000076.jpg")


def scene(name: str, *pids: int) -> Scene:
    """A scene of persons side by side; the person at place k is 20 + k wide."""
    boxes = [(40 * k, 10, 40 * k + 20 + k, 90) for k in range(len(pids))]
    return Scene(
        name,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(pids, np.int64),
        np.zeros(len(pids), bool),
    )


@pytest.fixture(params=["cuhk-sysu", "prw", "coco"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> PersonSearchDataset:
    """Persons 5, 6, 7 in three training scenes; 50 in test scenes 0, 1 and 2, 60 in 1 and 3; no images."""
    train = SceneTable.from_scenes([scene(TRAIN[0], 1, -1), scene(TRAIN[1], 3), scene(TRAIN[2], 2, 3)])
    test = SceneTable.from_scenes(
        [scene(TEST[0], 1), scene(TEST[1], 2, 1), scene(TEST[2], -1, 1), scene(TEST[3], 2)]
    )
    test_ids = np.array(["50", "60"])
    protocol = whole_test_protocol(
        test,
        test_ids,
        query_scenes=np.array([0, 3]),
        query_boxes=test.boxes[[0, 5]],
        query_ids=test_ids,
    )
    kind, root = str(request.param), tmp_path / "whole"
    root.mkdir()
    written = PersonSearchDataset(
        root, kind, root, train, test, np.array(["5", "6", "7"]), test_ids, train.fingerprint()
    )
    FORMATS[kind].write(root, written, {"TestG3" if kind == "cuhk-sysu" else "all": protocol})  # type: ignore[misc]
    return open_dataset(root)


def put_images(dataset: PersonSearchDataset, *names: str) -> None:
    folder = dataset.root / FORMATS[dataset.kind].image_dir
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"picture of " + name.encode())


def errors(root: Path) -> list[str]:
    return [finding.code for finding in verify(root) if finding.level == "error"]


def test_the_scenes_whose_images_are_there_are_kept(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    put_images(dataset, TRAIN[1], TRAIN[2], TEST[3], TEST[0], TEST[2])
    summary = cut(open_dataset(dataset.root), tmp_path / "part", images="link")
    part = open_dataset(tmp_path / "part")
    assert part.train.names.tolist() == [TRAIN[1], TRAIN[2]]
    assert part.test.names.tolist() == [TEST[0], TEST[2], TEST[3]]
    assert part.train_ids.tolist() == ["6", "7"] and part.train.pids.tolist() == [2, 1, 2]
    assert np.array_equal(part.train.boxes, dataset.train.boxes[2:])
    assert part.image_path(TEST[2]).read_bytes() == b"picture of " + TEST[2].encode()
    assert summary.counts["train images"] == Kept(2, 3) and summary.counts["train persons"] == Kept(3, 5)
    assert summary.counts["train identities"] == Kept(2, 3) and summary.counts["test images"] == Kept(3, 4)
    assert errors(tmp_path / "part") == []


def test_a_query_stays_with_its_true_boxes_that_are_left(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    summary = cut(dataset, tmp_path / "part", names=[TRAIN[0], TEST[0], TEST[2], TEST[3]])
    part = open_dataset(tmp_path / "part")
    (name,) = protocol_names(part)
    protocol = open_protocol(part, name)
    assert summary.counts[f"queries of {name}"] == Kept(1, 2)  # nobody else shows 60 now
    assert protocol.query_ids.tolist() == ["50"]
    assert protocol.image_names[protocol.query_scenes].tolist() == [TEST[0]]
    assert protocol.image_names[protocol.galleries[0]].tolist() == [TEST[2], TEST[3]]
    assert protocol.image_names[protocol.truth_scenes].tolist() == [TEST[2]]
    assert protocol.truth_boxes.tolist() == [[40, 10, 61, 90]]


def test_a_query_goes_with_its_scene(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    summary = cut(dataset, tmp_path / "part", names=[TRAIN[0], TEST[1], TEST[2], TEST[3]])
    (name,) = protocol_names(dataset)
    assert summary.counts[f"queries of {name}"] == Kept(1, 2)
    protocol = open_protocol(open_dataset(tmp_path / "part"), name)
    assert protocol.query_ids.tolist() == ["60"]
    assert protocol.image_names[protocol.truth_scenes].tolist() == [TEST[1]]


@pytest.mark.parametrize("names", [[TRAIN[0], TRAIN[2]], [TEST[0], TEST[1]], [TEST[1]], list(TRAIN + TEST)])
def test_every_part_passes_verify_and_can_be_cut_again(
    dataset: PersonSearchDataset, tmp_path: Path, names: list[str]
) -> None:
    """Also parts without training scenes, without test scenes, and without queries."""
    summary = cut(dataset, tmp_path / "part", names=names)
    assert not summary.losses or dataset.kind != "coco"  # which holds everything
    part = open_dataset(tmp_path / "part")
    assert [*part.train.names, *part.test.names] == names
    assert errors(tmp_path / "part") == []
    cut(part, tmp_path / "again", names=names[:1])
    again = open_dataset(tmp_path / "again")
    assert [*again.train.names, *again.test.names] == names[:1]
    assert errors(tmp_path / "again") == []


def test_what_the_format_cannot_hold_is_counted(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    """CUHK-SYSU has no other test identities than those of its queries."""
    summary = cut(dataset, tmp_path / "part", names=TEST[1:3])
    names_of_60 = {"cuhk-sysu": Kept(0, 2), "prw": Kept(2, 2), "coco": Kept(2, 2)}
    assert summary.counts["test identities"] == names_of_60[dataset.kind]
    losses = {"cuhk-sysu": 2, "prw": 1, "coco": 0}  # of PRW the protocol without queries
    assert len(summary.losses) == losses[dataset.kind]


def test_a_name_needs_no_ending(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    cut(dataset, tmp_path / "part", names=["c1s1_000026", "c1s1_000026.jpg"])
    assert open_dataset(tmp_path / "part").train.names.tolist() == [TRAIN[1]]


def test_names_of_no_image_or_of_several_are_refused(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    twins = np.array([*TRAIN[:2], "c1s1_000026.png"])
    with pytest.raises(AnnotationError, match=r"2 of 3 names .* 'c9', 'c1s1_000026'"):
        cut(
            replace(dataset, train=replace(dataset.train, names=twins)),
            tmp_path / "part",
            names=["c9", "c1s1_000026", TEST[0]],
        )
    assert not (tmp_path / "part").exists()


def test_without_any_image_there_is_nothing_to_keep(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="none of its 7 images"):
        cut(dataset, tmp_path / "part")


def test_only_the_images_of_the_part_are_copied(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    put_images(dataset, *TRAIN, *TEST)
    cut(open_dataset(dataset.root), tmp_path / "part", names=[TRAIN[0], TEST[1]], images="copy")
    folder = tmp_path / "part" / FORMATS[dataset.kind].image_dir
    assert sorted(path.name for path in folder.iterdir()) == [TRAIN[0], TEST[1]]


def test_the_record_holds_the_counts(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    summary = cut(dataset, tmp_path / "part", names=[TRAIN[0]])
    record = json.loads((tmp_path / "part" / "cut.json").read_text())
    assert record["counts"]["test images"] == {"kept": 0, "of": 4}
    assert record["source_fingerprint"] == dataset.fingerprint
    assert record["fingerprint"] == summary.fingerprint == open_dataset(tmp_path / "part").fingerprint


def test_the_data_set_itself_and_other_results_are_not_replaced(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="folder of its own"):
        cut(dataset, dataset.root, names=[TRAIN[0]], force=True)
    cut(dataset, tmp_path / "part", names=[TRAIN[0]])
    with pytest.raises(OutputExistsError):
        cut(dataset, tmp_path / "part", names=[TRAIN[1]])
    cut(dataset, tmp_path / "part", names=[TRAIN[1]], force=True)
    assert open_dataset(tmp_path / "part").train.names.tolist() == [TRAIN[1]]


def test_a_large_part_of_prw_is_not_taken_for_a_damaged_copy(
    dataset: PersonSearchDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what is made of the part: `convert` copies the record."""
    monkeypatch.setattr("maskps_manifest.prw.IMAGES", 6)
    cut(dataset, tmp_path / "part", names=[*TRAIN, *TEST[:3]])
    convert(open_dataset(tmp_path / "part"), "prw", tmp_path / "prw", allow_loss=True)
    assert errors(tmp_path / "prw") == []
    (tmp_path / "prw" / "cut.json").unlink()
    assert "count-differs" in errors(tmp_path / "prw")
