"""Run folders: what can be loaded from them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from maskps.errors import ConfigError, InputFileError, MaskpsError, TrainingError
from maskps.io.images import read_image
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset
from maskps.training import StepReport, TrainConfig, initial_predictor, load_run, train
from maskps.training.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint

MakeConfig = Callable[..., TrainConfig]
LAST = Path("checkpoints") / "step_00000003.pt"


@pytest.fixture
def run(dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path) -> Path:
    train(make_config(epochs=1), dataset, subset, tmp_path / "run")
    return tmp_path / "run"


def stop_at_once(report: StepReport) -> None:
    raise KeyboardInterrupt


def test_a_finished_run_gives_its_network_settings_and_record(run: Path, make_config: MakeConfig) -> None:
    loaded = load_run(run)
    saved = read_checkpoint(run / LAST).model
    state = loaded.model.state_dict()
    assert state.keys() == saved.keys()
    assert all(torch.equal(value, saved[key]) for key, value in state.items())
    assert not loaded.model.training
    assert loaded.config == make_config(epochs=1)
    assert (loaded.info.num_pids, loaded.info.persons_with_mask, loaded.info.scenes) == (3, 3, 6)
    assert loaded.step == loaded.info.steps == 3


def test_the_table_and_the_queue_are_in_the_checkpoint(run: Path) -> None:
    oim = load_run(run).model.roi_heads.id_loss
    assert oim.lookup_table.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert oim.circular_queue.norm(dim=1).max() == pytest.approx(1)


def test_the_record_says_what_was_trained_on_what(run: Path, dataset: PersonSearchDataset) -> None:
    record = json.loads((run / "run.json").read_text())
    assert (record["format"], record["version"]) == ("maskps-run", 3)
    assert record["images_with_masks"] == ["s0.jpg", "s4.jpg"]
    assert record["fingerprint"] == dataset.fingerprint
    assert set(record["versions"]) == {"maskps", "python", "torch", "torchvision"}


def test_the_predictor_is_that_of_the_trained_network(
    run: Path, dataset: PersonSearchDataset, make_config: MakeConfig
) -> None:
    image, boxes = read_image(dataset.image_path("s0.jpg")), dataset.train[0].boxes
    trained = load_run(run).predictor()
    initial = initial_predictor(make_config(epochs=1), dataset)
    assert (trained.shorter_side, trained.longest_side) == (64, 96)
    assert trained.embed(image, boxes).shape == (3, 16)
    assert np.array_equal(trained.embed(image, boxes), load_run(run).predictor().embed(image, boxes))
    assert not np.array_equal(trained.embed(image, boxes), initial.embed(image, boxes))


def test_timing_is_kept_per_epoch(run: Path) -> None:
    (line,) = [json.loads(text) for text in (run / "timing.jsonl").read_text().splitlines()]
    assert (line["epoch"], line["steps"], line["images"]) == (1, 3, 6)
    assert 0 <= line["seconds_waiting"] <= line["seconds"]


def test_no_folder_and_no_run_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such folder"):
        load_run(tmp_path / "none")
    with pytest.raises(InputFileError, match=r"no run\.json"):
        load_run(tmp_path)


def test_an_interrupted_run_is_refused_unless_allowed(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="interrupted"):
        train(make_config(), dataset, subset, tmp_path / "run", callback=stop_at_once)
    with pytest.raises(TrainingError, match="stopped after step 1") as caught:
        load_run(tmp_path / "run")
    assert "--resume" in caught.value.hint
    assert load_run(tmp_path / "run", allow_unfinished=True).step == 1


def test_a_run_without_a_checkpoint_says_so(run: Path) -> None:
    (run / LAST).unlink()
    with pytest.raises(TrainingError, match="without a checkpoint yet"):
        load_run(run, allow_unfinished=True)


@pytest.mark.parametrize("name", ["run.json", "config.toml", str(LAST)])
def test_a_file_that_was_cut_off_is_named(name: str, run: Path) -> None:
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: len(content) // 2 - 1])
    with pytest.raises(MaskpsError, match=name.rsplit("/", 1)[-1].replace(".", r"\.")):
        load_run(run)


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("roi_heads.id_loss.queue_position", lambda value: value + 8, "in a queue of 8"),
        ("roi_heads.id_loss.queue_position", lambda value: value - 9, "in a queue of 8"),
        ("roi_heads.id_loss.queue_position", lambda value: value.float(), "float32 in place of torch.int64"),
        ("stem.conv1.weight", lambda value: value.long(), "int64 in place of torch.float32"),
        ("stem.conv1.weight", lambda value: value.double(), "float64 in place of torch.float32"),
        ("stem.bn1.running_var", lambda value: -1 - value, "below 0"),
    ],
)
def test_weights_of_another_kind_or_range_are_refused(
    name: str, change: Callable[[torch.Tensor], torch.Tensor], found: str, run: Path
) -> None:
    state = read_checkpoint(run / LAST)
    state.model[name] = change(state.model[name])
    write_checkpoint(run / LAST, state)
    with pytest.raises(InputFileError, match=LAST.name) as caught:
        load_run(run)
    assert found in caught.value.found


def test_a_renamed_checkpoint_is_refused(run: Path) -> None:
    (run / LAST).rename(run / "checkpoints" / "step_00000002.pt")
    with pytest.raises(InputFileError, match="3 identities, step 3"):
        load_run(run, checkpoint=2)


def test_a_checkpoint_of_another_number_of_identities_is_refused(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"num_pids": 4}))
    with pytest.raises(InputFileError, match=r"4 training identities.*\n.*3 identities"):
        load_run(run)


def test_edited_settings_of_another_network_are_refused(run: Path) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("mask_channels = 8", "mask_channels = 9"))
    with pytest.raises(InputFileError, match=r"size mismatch for roi_heads\.mask_branch") as caught:
        load_run(run)
    assert "config.toml" in caught.value.hint


def test_loading_needs_no_pretrained_weights(run: Path) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace('pretrained = "none"', 'pretrained = "gone.pth"'))
    assert load_run(run).config.pretrained == "gone.pth"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"steps": "3"}, "steps = '3'"),
        ({"num_pids": True}, "num_pids = True"),
        ({"scenes": -1}, "scenes = -1"),
        ({"fingerprint": 5}, "fingerprint = 5"),
        ({"images_with_masks": "s0.jpg"}, "images_with_masks = 's0.jpg'"),
        ({"images_with_masks": [1]}, "images_with_masks = [1]"),
        ({"versions": {"torch": 2}}, "versions = {'torch': 2}"),
    ],
)
def test_a_record_with_a_value_of_another_kind_is_refused(
    change: dict[str, object], found: str, run: Path
) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | change))
    with pytest.raises(InputFileError, match=r"run\.json") as caught:
        load_run(run)
    assert found in caught.value.found


def test_settings_that_lack_one_are_refused(run: Path) -> None:
    """A default of today need not be the one that the run was trained with."""
    lines = (run / "config.toml").read_text().splitlines(keepends=True)
    (run / "config.toml").write_text("".join(line for line in lines if not line.startswith("box_nms")))
    with pytest.raises(InputFileError, match=r"config\.toml") as caught:
        load_run(run)
    assert caught.value.found == "1 are missing: box_nms"


def test_a_checkpoint_is_chosen_by_its_step(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(keep_checkpoints=2), dataset, subset, tmp_path / "run")
    assert [load_run(tmp_path / "run", checkpoint=name).step for name in ("last", 6, 3, "3")] == [6, 6, 3, 3]
    with pytest.raises(ConfigError, match=r"one of last, 3, 6\n"):
        load_run(tmp_path / "run", checkpoint=4)
    with pytest.raises(InputFileError, match="eval_every"):
        load_run(tmp_path / "run", checkpoint="best")


def test_a_damaged_newest_checkpoint_names_the_one_before(
    dataset: PersonSearchDataset, subset: Subset, make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(), dataset, subset, tmp_path / "run")
    newest = checkpoint_path(tmp_path / "run", 6)
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.raises(InputFileError, match=newest.name) as caught:
        load_run(tmp_path / "run")
    assert "--checkpoint 3" in caught.value.hint
    assert load_run(tmp_path / "run", checkpoint=3).step == 3
