"""`maskps import-weights`, and what `maskps eval` makes of its run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from command_line import invoke
from seqnet_oracle import SeqNetOracle, published_state_dict

from maskps.errors import TrainingError
from maskps.evaluation.result_file import read_results
from maskps.training import load_run
from maskps.training.run import check_resumable, read_run_files, write_run_files
from maskps_cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As SeqNet's train.py writes it with torch 1.2, for PRW."""
    path = tmp_path_factory.mktemp("seqnet") / "epoch_17.pth"
    network = SeqNetOracle(482, 500)
    optimizer = torch.optim.SGD(network.rpn.parameters(), lr=0.003, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[16], gamma=0.1)
    content = {
        "model": published_state_dict(network),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "epoch": 17,
    }
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def imported(checkpoint: Path) -> tuple[Result, Path]:
    out = checkpoint.parent / "run"
    return run("import-weights", "seqnet", checkpoint, "--out", out), out


def test_the_command_says_what_it_read_and_left_out(imported: tuple[Result, Path]) -> None:
    result, _ = imported
    assert result.exit_code == 0, result.output
    assert "416 entries of seqnet, trained on 482 identities" in result.stderr
    assert "state of the training: optimizer, lr_scheduler, epoch" in result.stderr
    assert "boxes of the background: roi_heads.box_predictor.bbox_pred.0.weight, rows 0 to 3" in result.stderr
    assert "mask branch; it is not trained" in result.stderr
    assert "data terms: trained on PRW" in result.stdout


def test_the_run_has_seqnets_settings_and_the_origin_of_its_weights(imported: tuple[Result, Path]) -> None:
    loaded = load_run(imported[1])
    info, config = loaded.info, loaded.config
    assert (info.dataset, info.num_pids, info.steps, loaded.step) == ("prw", 482, 0, 0)
    assert info.terms.startswith("trained on PRW")
    assert info.origin["file"] == "epoch_17.pth" and len(info.origin["sha256"]) == 64
    assert (config.head, config.oim_queue_length, config.epochs, config.masks) == (
        "sequential",
        500,
        18,
        False,
    )
    assert loaded.recipe == "seqnet, imported"
    assert loaded.model.roi_heads.id_loss.lookup_table.shape == (482, 256)


def test_eval_opens_it_on_a_set_with_another_number_of_identities(
    imported: tuple[Result, Path], few_scenes: Path, tmp_path: Path
) -> None:
    """SeqNet's table for PRW has 482 rows; the set has 483 identities, and this one has fewer."""
    small = tmp_path / "run"
    small.mkdir()
    (small / "checkpoints").symlink_to(imported[1] / "checkpoints")
    info, config = read_run_files(imported[1])
    sizes = {"shorter_side": 64, "longest_side": 96, "rpn_post_nms_top_n_test": 4}
    write_run_files(small, info, replace(config, **sizes))
    out = tmp_path / "results.json"
    result = run("eval", few_scenes, "--run", small, "--gallery-size", "4", "--gt-boxes", "--out", out)
    assert result.exit_code == 0, result.output
    assert f"data terms: {info.terms}" in result.stdout
    source = read_results(out).source
    assert (source.recipe, source.step, source.masks) == ("seqnet, imported", None, False)
    assert source.terms == info.terms


def test_its_masks_are_refused(imported: tuple[Result, Path]) -> None:
    predictor = load_run(imported[1]).predictor()
    with pytest.raises(TrainingError, match="the mask branch was not trained"):
        predictor.masks(np.zeros((32, 32, 3), np.uint8), np.zeros((1, 4), np.float32))


def test_it_cannot_be_resumed(imported: tuple[Result, Path]) -> None:
    info, config = read_run_files(imported[1])
    with pytest.raises(TrainingError, match=r"imported from epoch_17\.pth"):
        check_resumable(imported[1], info, config)


def test_a_table_of_another_size_writes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run("import-weights", "seqnet", checkpoint, "--out", out, "--data", "cuhk-sysu")
    assert result.exit_code == 1 and "482 rows" in result.stderr and "5,532" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_import_is_replaced_only_with_force(
    imported: tuple[Result, Path], checkpoint: Path
) -> None:
    _, out = imported
    before = json.loads((out / "run.json").read_text())
    result = run("import-weights", "seqnet", checkpoint, "--out", out)
    assert result.exit_code == 1 and "--force" in result.stderr
    result = run("import-weights", "seqnet", checkpoint, "--out", out, "--force")
    assert result.exit_code == 0, result.output
    assert json.loads((out / "run.json").read_text()) == before
