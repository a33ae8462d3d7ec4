"""Proposals of runs and mask files; open_proposer finds out which of them a text names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from two_person_scenes import BOXES, build, polygon, write_scenes
from untrained_run import write_untrained_run

from maskps.datasets import open_dataset
from maskps.errors import InputFileError, TrainingError
from maskps.io.images import read_image
from maskps.masks import outline_from_polygons
from maskps.structures import PersonSearchDataset, Scene
from maskps_annotation.proposers import MaskFileProposer, RunProposer, open_proposer

IMAGE = np.zeros((90, 100, 3), np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return write_scenes(tmp_path / "data", ["a.jpg", "b.jpg"])


class Halves:
    """Sees the left half of every box but the last, where it sees nothing."""

    weights = "0123456789abcdef"

    def masks(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        found = np.full((len(boxes), 14, 14), 0.1, np.float32)
        found[:-1, :, :7] = 0.9
        return found


def test_a_run_proposes_for_labeled_persons_whom_it_sees() -> None:
    boxes = np.array([[1, 1, 9, 9], *BOXES, [5, 5, 60, 60]], np.float32)
    pids = np.array([-1, 4, 7, 2])
    scene = Scene("a.jpg", boxes, pids, np.zeros(4, dtype=np.bool_))
    found = RunProposer(Halves(), "small").propose(scene, IMAGE)
    assert sorted(found) == [1, 2]
    assert found[1].outline.bounds == pytest.approx(np.array([10, 10, 20, 70]))
    assert found[2].outline.bounds == pytest.approx(np.array([50, 10, 65, 70]))
    assert found[1].sureness == pytest.approx(0.9 / 1.1)
    assert found[1].by == "run small, weights 0123456789ab"


def test_a_scene_without_labeled_persons_gets_no_proposals() -> None:
    scene = Scene("a.jpg", np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    assert RunProposer(Halves(), "small").propose(scene, IMAGE) == {}


def test_a_mask_file_proposes_its_outlines(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    drawn = outline_from_polygons([polygon(1)], where="b.jpg")
    subset = build(dataset, tmp_path / "subset", {3: drawn})  # the second person of the second image
    for source in (subset, subset / "masks.json"):
        proposer = open_proposer(str(source), dataset)
        assert isinstance(proposer, MaskFileProposer)
        assert proposer.propose(dataset.train[0], IMAGE) == {}
        found = proposer.propose(dataset.train[1], IMAGE)
        assert list(found) == [1]
        assert found[1].outline.rings[0] == pytest.approx(drawn.rings[0])
        assert (found[1].sureness, found[1].by) == (1.0, "masks subset/masks.json")


def test_a_run_folder_proposes_with_its_mask_branch(few_scenes: Path, tmp_path: Path) -> None:
    dataset = open_dataset(few_scenes)
    proposer = open_proposer(str(write_untrained_run(few_scenes, tmp_path / "run")), dataset)
    assert isinstance(proposer, RunProposer)
    scene = dataset.train[0]
    found = proposer.propose(scene, read_image(dataset.image_path(scene.name)))
    assert set(found) <= set(np.flatnonzero(scene.is_labeled).tolist())
    for index, proposal in found.items():
        x0, y0, x1, y1 = proposal.outline.bounds
        box = scene.boxes[index]
        assert min(x0 - box[0], y0 - box[1], box[2] - x1, box[3] - y1) >= -1e-4
        assert 0.5 <= proposal.sureness <= 1


def test_a_run_without_a_mask_branch_is_refused(few_scenes: Path, tmp_path: Path) -> None:
    run = write_untrained_run(few_scenes, tmp_path / "run")
    config = run / "config.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("\nmasks = true", "\nmasks = false"), encoding="utf-8")
    with pytest.raises(TrainingError, match="the mask branch was not trained"):
        open_proposer(str(run), open_dataset(few_scenes))


def test_nothing_there_names_what_may_be_given(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file or folder"):
        open_proposer(str(tmp_path / "nothing"), dataset)


def test_weights_of_mask_rcnn_that_are_not_there_say_where_they_are(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    with pytest.raises(InputFileError, match=r"maskrcnn_resnet50_fpn_v2_coco-\w+\.pth and give maskrcnn:"):
        open_proposer(f"maskrcnn:{tmp_path / 'none.pth'}", dataset)


@pytest.mark.parametrize(
    ("source", "hint"),
    [("", "write the path"), ("maskrcnn:", "write the path"), ("FOLDER/best.pth", "write maskrcnn:")],
)
def test_what_cannot_be_a_source_has_a_hint(
    dataset: PersonSearchDataset, tmp_path: Path, source: str, hint: str
) -> None:
    (tmp_path / "best.pth").write_bytes(b"\x80\x02")
    with pytest.raises(InputFileError, match=hint):
        open_proposer(source.replace("FOLDER", str(tmp_path)), dataset)
